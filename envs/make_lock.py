"""Resolve envs/*.in into the lock files and the conda environments (`make lock`).

requirements-cpu.in   -> lock.txt           every file of every package with its hash
requirements-test.in  -> lock-test.txt      lock.txt and the test tools
requirements-gpu.in   -> lock-gpu.txt       lock.txt with the other TensorFlow, and CUDA
peer.in               -> lock-peer.txt      basic-pitch, with the versions of lock.txt
uv.in                 -> lock-uv.txt        the tool that does this
<group>.in            -> <group>.yaml       a conda environment, pinned and hashed as its lock file
peer.in               -> peer.post-deploy.sh  what conda cannot be told of the peer's

What is in the lock files stays at its version unless its line in a .in file asks for another.
`--upgrade` raises all of it, the lines of the files in PINNED too. Standard library only; uv is put
into an environment of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ENVS = Path(__file__).resolve().parent
UV_LOCK = "lock-uv.txt"
PYTHON = "3.11"
LOCKS = {
    "requirements-cpu.in": "lock.txt",
    "requirements-test.in": "lock-test.txt",
    "requirements-gpu.in": "lock-gpu.txt",
    "peer.in": "lock-peer.txt",
    "uv.in": UV_LOCK,
}
# The .in files whose versions `--upgrade` raises, with the lock file that they are then taken from.
# cuDNN (requirements-gpu.in) and the peer (peer.in) are raised by hand: docs/dependencies.md.
PINNED = {
    "requirements.in": "lock.txt",
    "requirements-cpu.in": "lock.txt",
    "requirements-test.in": "lock-test.txt",
    "uv.in": UV_LOCK,
}
# Requirements that are not a package's own, and what is the same as elsewhere.
FOR_PEER = ("--override", "peer-overrides.in", "--constraint", "lock.txt")
GROUPS = {
    "features": "lock.txt",
    "training-cpu": "lock.txt",
    "training-gpu": "lock-gpu.txt",
    "transcription": "lock.txt",
    "figures": "lock.txt",
    "peer": "lock-peer.txt",
}
FOR_ALL_PYTHONS = ("--universal", "--fork-strategy", "fewest")
FOR_CONDA = ("--python-platform", "x86_64-manylinux_2_28")
HEADER = """\
# Made by `make lock` from {group}.in and {lock}: edit those.
name: at4ramt-{group}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={python}
  - pip
  - pip:
      - --require-hashes
"""
POST_DEPLOY = """\
# Made by `make lock` from peer.in and lock-peer.txt: edit those. Run by Snakemake when it has made
# the conda environment of peer.yaml, with pip on the PATH: basic-pitch goes in without its own
# requirements (peer-overrides.in says which are wrong), which conda cannot tell pip.
set -eu
wanted="$(mktemp)"
trap 'rm -f "$wanted"' EXIT
echo "{pin}" >"$wanted"
python -m pip install --no-deps --require-hashes --requirement "$wanted"
"""


def resolve(uv: list[str], source: str, target: Path, *options: str) -> None:
    """Write the versions that ``source`` (in envs/) resolves to into ``target``."""
    command = [*uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", PYTHON, "--output-file", str(target), *options, source]
    done = subprocess.run(command, cwd=ENVS, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"make lock: {source} could not be resolved; uv says why above")


def loosened(text: str) -> str:
    """Return the lines of an .in file with ``name>=version`` for ``name==version``."""
    return re.sub(r"(?m)^([\w.-]+)==(\S+)$", r"\1>=\2", text)


def pinned(text: str, lock: str) -> str:
    """Return the lines of a loosened .in file, pinned to the versions of a lock file's text."""
    versions = {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", lock)
    }

    def pin(line: re.Match[str]) -> str:
        return f"{line[1]}=={versions[re.sub(r'[-_.]+', '-', line[1]).lower()]}"

    return re.sub(r"(?m)^([\w.-]+)>=(\S+)$", pin, text)


def raise_pins(lock: str) -> None:
    """Write the versions of a lock file just made into the .in files that it was made from."""
    content = (ENVS / lock).read_text(encoding="utf-8")
    for name, of in PINNED.items():
        if of == lock:
            path = ENVS / name
            path.write_text(pinned(path.read_text(encoding="utf-8"), content), encoding="utf-8")
    if found := re.search(r"(?m)^tensorflow-cpu==(\S+)", content):
        # The other build of the same version.
        path = ENVS / "requirements-gpu.in"
        text = re.sub(r"(?m)^(tensorflow\[and-cuda\])==\S+", rf"\1=={found[1]}", path.read_text())
        path.write_text(text, encoding="utf-8")


def hashed(pins: str, lock: str) -> dict[str, str]:
    """Return ``pins``, the lines of a pip requirements file, by package, with a lock's hashes.

    In one line each and not in a file of their own: Snakemake copies a conda environment's file to
    another folder before conda reads it.
    """
    hashes = {
        head.partition("==")[0]: re.findall(r"--hash=sha256:[0-9a-f]{64}", block)
        for block in re.split(r"\n(?=\S)", lock.strip())
        if (head := block.partition(" ")[0])
    }
    lines = [line.strip() for line in pins.splitlines() if line.strip()]
    names = [line.partition("==")[0] for line in lines]
    return {name: " ".join([line, *hashes[name]]) for name, line in zip(names, lines, strict=True)}


def conda_environment(group: str, lock: str, lines: Iterable[str]) -> str:
    """Return a conda environment file for the lines of a pip requirements file."""
    quoted = [f'      - "{line}"\n' if ";" in line else f"      - {line}\n" for line in lines]
    return HEADER.format(group=group, lock=lock, python=PYTHON) + "".join(quoted)


def main() -> None:
    """Resolve everything; leave the .in files as they were if that fails."""
    upgrade = "--upgrade" in sys.argv[1:]
    before = {name: (ENVS / name).read_text() for name in (*PINNED, "requirements-gpu.in")}
    if upgrade:
        for name in PINNED:
            (ENVS / name).write_text(loosened(before[name]))
    try:
        resolve_all(upgrade=upgrade)
    except BaseException:
        for name, text in before.items():
            (ENVS / name).write_text(text)
        raise


def resolve_all(*, upgrade: bool) -> None:
    """Write all lock files and conda environments."""
    with tempfile.TemporaryDirectory() as scratch:
        bin_folder = Path(scratch, "venv", "bin")
        subprocess.run([sys.executable, "-I", "-m", "venv", bin_folder.parent], check=True)
        pip = [str(bin_folder / "python"), "-I", "-m", "pip", "install", "--quiet"]
        pip += ["--require-hashes", "--requirement", str(ENVS / UV_LOCK)]
        subprocess.run(pip, check=True, env=os.environ | {"PIP_USER": "0"})
        uv = [str(bin_folder / "uv")]
        for source, lock in LOCKS.items():
            options = [*FOR_ALL_PYTHONS, "--generate-hashes", *(["--upgrade"] if upgrade else [])]
            options += FOR_PEER if source == "peer.in" else ()
            resolve(uv, source, ENVS / lock, *options)
            if upgrade:
                raise_pins(lock)
            print(f"envs/{lock}")
        for group, lock in GROUPS.items():
            pins = Path(scratch, f"{group}.txt")
            options = [*FOR_CONDA, "--constraint", lock]
            options += FOR_PEER if group == "peer" else ()
            resolve(uv, f"{group}.in", pins, *options)
            write_environment(group, lock, pins.read_text())
            print(f"envs/{group}.yaml")


def write_environment(group: str, lock: str, pins: str) -> None:
    """Write a group's conda environment, and what is done when it was made."""
    lines = hashed(pins, (ENVS / lock).read_text(encoding="utf-8"))
    if group == "peer":
        # conda gives pip no way to leave requirements out.
        script = POST_DEPLOY.format(pin=lines.pop("basic-pitch"))
        (ENVS / "peer.post-deploy.sh").write_text(script, encoding="utf-8")
    environment = conda_environment(group, lock, lines.values())
    (ENVS / f"{group}.yaml").write_text(environment, encoding="utf-8")


if __name__ == "__main__":
    main()
