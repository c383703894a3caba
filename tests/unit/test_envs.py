"""requirements*.in, the lock files, the conda environments and docs/dependencies.md agree."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
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


def conda(group: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes of each line of a conda environment's pip section."""
    environment = yaml.safe_load((ENVS / f"{group}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    # Then pip takes no line without a hash, nor what a line needs and is not there.
    assert pip.pop(0) == "--require-hashes"
    found = {}
    for line in pip:
        pin, *hashes = line.split(" ")
        name, version = pin.split("==")
        found[canonical(name)] = (version, hashes)
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in ENVS.glob("lock*.txt")))
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
def test_conda_environments_have_the_pins_and_hashes_of_their_lock(group):
    lock, pins = locked(LOCK_OF[group]), conda(group)
    assert pins == {package: lock[package] for package in pins}
    missing = wanted(f"{group}.in").keys() - pins.keys()
    if group == "peer":
        # Which conda's pip would install with requirements that cannot be met.
        assert missing == {"basic-pitch"}
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


def make_lock():
    """envs/make_lock.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("make_lock", ENVS / "make_lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_raising_pins_changes_the_versions_of_in_files_and_nothing_else():
    before = "# a==1 in words\n-c lock.txt\nnumpy==2.4.6\nmir_eval==0.8.2\nplaywright\n"
    loose = make_lock().loosened(before)
    assert loose == before.replace("numpy==", "numpy>=").replace("mir_eval==", "mir_eval>=")
    lock = "numpy==2.5.0 \\\n    --hash=sha256:0\nmir-eval==0.9 ; python_version < '4' \\\n"
    assert make_lock().pinned(loose, lock) == before.replace("2.4.6", "2.5.0").replace(
        "0.8.2", "0.9"
    )
    # With the versions of the lock files as they are, every .in file is as it was.
    for name, of in make_lock().PINNED.items():
        text = (ENVS / name).read_text()
        assert make_lock().loosened(text) != text
        assert make_lock().pinned(make_lock().loosened(text), (ENVS / of).read_text()) == text


def test_a_lock_that_cannot_be_made_leaves_the_in_files_alone(monkeypatch, tmp_path):
    module = make_lock()
    for name in (*module.PINNED, "requirements-gpu.in"):
        (tmp_path / name).write_text((ENVS / name).read_text())
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    seen = []

    def fail(*, upgrade):
        seen.append((upgrade, (tmp_path / "requirements.in").read_text()))
        raise SystemExit("no network")

    monkeypatch.setattr(module, "ENVS", tmp_path)
    monkeypatch.setattr(module, "resolve_all", fail)
    monkeypatch.setattr("sys.argv", ["make_lock.py", "--upgrade"])
    with pytest.raises(SystemExit):
        module.main()
    assert seen[0][0] is True and "numpy>=" in seen[0][1]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_the_tool_that_makes_the_lock_files_is_locked_itself_and_raised_with_them():
    module = make_lock()
    assert module.LOCKS["uv.in"] == module.PINNED["uv.in"] == module.UV_LOCK
    assert wanted("uv.in") == {name: pin for name, (pin, _) in locked(module.UV_LOCK).items()}


@pytest.mark.parametrize("group", LOCK_OF)
def test_conda_files_are_what_make_lock_writes(group, monkeypatch, tmp_path):
    """Their pins are a resolver's; the hashes are put to them here, as there."""
    module = make_lock()
    names = [f"{group}.yaml"] + (["peer.post-deploy.sh"] if group == "peer" else [])
    pins = [f"{name}=={version}" for name, (version, _) in conda(group).items()]
    pins += ["basic-pitch==0.4.0"] if group == "peer" else []
    lock = LOCK_OF[group]
    (tmp_path / lock).write_text((ENVS / lock).read_text())
    monkeypatch.setattr(module, "ENVS", tmp_path)
    module.write_environment(group, lock, "\n".join(pins))
    for name in names:
        assert (tmp_path / name).read_text() == (ENVS / name).read_text(), "run `make lock`"


def test_what_is_installed_after_the_peer_s_environment_is_looked_at_by_its_hash(tmp_path):
    """The script is run, with a python on the PATH that keeps what it was told."""
    tool = tmp_path / "python"
    tool.write_text('#!/bin/sh\necho "$@"\nfor last; do :; done\ncat "$last"\n')
    tool.chmod(0o755)
    script = ["sh", str(ENVS / "peer.post-deploy.sh")]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(script, env={"PATH": path}, capture_output=True, text=True, check=True)
    asked, wanted_line = done.stdout.splitlines()
    version, hashes = locked("lock-peer.txt")["basic-pitch"]
    assert asked.startswith("-m pip install --no-deps --require-hashes --requirement ")
    assert wanted_line == " ".join([f"basic-pitch=={version}", *hashes])
    assert not Path(asked.split()[-1]).exists()


def test_the_scheduled_raising_of_pins_runs_only_ours_and_keeps_its_token_from_it():
    text = (ROOT / ".github" / "workflows" / "raise_pins.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow[True]["schedule"]  # YAML 1.1 takes `on` for a truth value
    assert workflow["permissions"] == {} == workflow["jobs"]["test"]["permissions"]
    with_token = []
    targets = set()
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "uses" not in step, "an action of somebody else's"
            # What a workflow puts into a script is text for the shell, whatever is in it.
            assert "${{" not in step["run"]
            script = ["bash", "-n", "-c", step["run"]]
            subprocess.run(script, check=True)
            if "token" in str(step.get("env")) or "token" in str(job.get("env")):
                with_token.append(step["run"])
            targets |= set(re.findall(r"(?m)^ *make (\w+)", step["run"]))
    assert targets == {"lock", "sbom"}
    assert "UPGRADE=1" in text and ".ci/run" in text
    for target in targets:
        assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text())
    assert len(with_token) == 2
    assert not any(re.search(r"(?m)^ *make |\.ci/run|pip|python", run) for run in with_token)
