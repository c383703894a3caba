"""requirements*.in, the lock files, the conda environments and docs/dependencies.md agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
GROUPS = ("features", "training-cpu", "training-gpu", "transcription", "figures")
LOCK_OF = dict.fromkeys(GROUPS, "lock.txt") | {
    "training-gpu": "lock-gpu.txt",
    "peer": "lock-peer.txt",
}
RUN_BY_THE_MASTER = {
    "snakemake",
    "snakemake-executor-plugin-lsf",
    "snakemake-executor-plugin-slurm",
}
# The reference that our transform is compared with; no job imports it.
FOR_COMPARISON = {"librosa"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(name: str) -> dict[str, str]:
    """Return the packages of an .in file, with their version or an empty string."""
    found = {}
    for line in (ENVS / name).read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?(?:==(\S+))?\s*$", line):
            found[canonical(match[1])] = match[2] or ""
        else:
            assert line == "" or line.startswith(("#", "-c ", "-r ")), f"{name}: {line}"
    return found


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return the packages of a lock file: version and hashes."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ENVS / name).read_text().strip()):
        head, *hashes = [line.rstrip(" \\").strip() for line in block.splitlines()]
        match = re.match(r"([A-Za-z0-9][\w.-]*)==(\S+)( ; .+)?$", head)
        assert match, f"{name}: {head}"
        found[canonical(match[1])] = (match[2], hashes)
    return found


def conda(group: str) -> dict[str, str]:
    """Return the pins of a conda environment's pip section."""
    environment = yaml.safe_load((ENVS / f"{group}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    return {canonical(line.partition("==")[0]): line.partition("==")[2] for line in pip}


@pytest.mark.parametrize("name", ["lock.txt", "lock-test.txt", "lock-gpu.txt", "lock-peer.txt"])
def test_every_package_has_hashes_and_nothing_names_a_host(name):
    text = (ENVS / name).read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    for package, (_, hashes) in locked(name).items():
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), package


@pytest.mark.parametrize(("device", "name"), [("cpu", "lock.txt"), ("gpu", "lock-gpu.txt")])
def test_the_lock_holds_what_requirements_ask_for(device, name):
    lock = locked(name)
    asked = wanted("requirements.in") | wanted(f"requirements-{device}.in")
    for package, version in asked.items():
        assert version, f"{package} needs a version in requirements.in"
        assert lock[package][0] == version


def test_the_test_lock_holds_the_lock_and_the_tools():
    lock, more = locked("lock.txt"), locked("lock-test.txt")
    assert {name: more.get(name) for name in lock} == lock
    for package, version in wanted("requirements-test.in").items():
        assert version in ("", more[package][0]), package


def test_the_gpu_lock_is_the_lock_with_another_tensorflow():
    lock, gpu = locked("lock.txt"), locked("lock-gpu.txt")
    (version, _), (gpu_version, _) = lock.pop("tensorflow-cpu"), gpu.pop("tensorflow")
    assert version == gpu_version
    cuda = {name for name in gpu if name.startswith("nvidia-")}
    assert {"nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12", "nvidia-cuda-nvcc-cu12"} <= cuda
    assert {name: pin for name, pin in gpu.items() if name not in cuda} == lock


@pytest.mark.parametrize("group", LOCK_OF)
def test_conda_environments_are_pinned_as_their_lock_is(group):
    lock, pins = locked(LOCK_OF[group]), conda(group)
    assert pins == {package: lock[package][0] for package in pins}
    missing = wanted(f"{group}.in").keys() - pins.keys()
    if group == "peer":
        # Which conda's pip would install with requirements that cannot be met.
        assert missing == {"basic-pitch"}
        installed = f'--no-deps "basic-pitch=={lock["basic-pitch"][0]}"'
        assert installed in (ENVS / "peer.post-deploy.sh").read_text()
        missing = set()
    assert not missing, f"run `make lock`: {missing}"


def test_the_peer_s_lock_has_the_versions_of_the_lock_and_no_tensorflow():
    lock, peer = locked("lock.txt"), locked("lock-peer.txt")
    assert peer["basic-pitch"][0] == wanted("peer.in")["basic-pitch"] == "0.4.0"
    assert {name: peer[name] for name in peer.keys() & lock} == {
        name: lock[name] for name in peer.keys() & lock
    }
    assert {"onnxruntime", "librosa", "pyarrow", "mir-eval"} <= peer.keys() & lock.keys()
    left_out = {"tensorflow", "tensorflow-macos", "coremltools", "tflite-runtime", "setuptools"}
    assert not peer.keys() & left_out
    assert wanted("peer.in").keys() <= peer.keys()


def test_training_needs_the_same_on_both_devices():
    cpu, gpu = wanted("training-cpu.in"), wanted("training-gpu.in")
    assert cpu.keys() - gpu.keys() == {"tensorflow-cpu"}
    assert gpu.keys() - cpu.keys() == {"tensorflow", "nvidia-cudnn-cu12"}
    cuda = {name for name in locked("lock-gpu.txt") if name.startswith("nvidia-")}
    assert cuda <= conda("training-gpu").keys()


def test_each_direct_dependency_is_in_a_group_and_has_its_reason():
    sources = ("requirements.in", "requirements-cpu.in", "requirements-gpu.in")
    direct = set().union(*map(wanted, sources))
    groups = set().union(*(wanted(f"{group}.in") for group in GROUPS))
    assert groups == direct - RUN_BY_THE_MASTER - FOR_COMPARISON
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$",
        (ROOT / "docs/dependencies.md").read_text(),
        re.M,
    )
    documented = {canonical(name) for name, reason, licence in rows if reason and licence}
    assert documented == direct | wanted("requirements-test.in").keys() | wanted("peer.in").keys()


def test_python_versions_agree():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert 'wanted="Python 3.11, 3.12 or 3.13"' in (ENVS / "setup.sh").read_text()
    for group in LOCK_OF:
        assert "  - python=3.11\n" in (ENVS / f"{group}.yaml").read_text()
