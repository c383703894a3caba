"""The set-up of `make demo` and `make test`: what it does once, and each way in which it fails.

The real scripts run, in a copy of their folder, with a PATH that holds nothing
but fakes, and with lock files of one or two small packages made here. Nothing is fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = Path(sys._base_executable)  # type: ignore[attr-defined]


class Clone:
    """A folder with our set-up scripts, a PATH of its own, and an index of wheels made here."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        self.bin = folder / "bin"
        self.wheels = folder / "wheels"
        for made in (self.root / "envs", self.bin, self.wheels, folder / "home"):
            made.mkdir(parents=True)
        for script in ("setup.sh", "setup_venv.py"):
            shutil.copy2(ROOT / "envs" / script, self.root / "envs" / script)
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(folder / "home"),
            "DISK_GB": "0.01",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
        }
        self.command("uname", '[ "$1" = -s ] && echo Linux || echo x86_64')
        self.lock("lock.txt", demo="1.0")
        self.lock("lock-test.txt", demo="1.0", tools="1.0")
        self.lock("lock-gpu.txt", demo="1.0", cuda="1.0")
        self.lock("lock-peer.txt", demo="1.0", peer="1.0")

    def command(self, name: str, script: str) -> None:
        """Put a shell script on the PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def python(self, name: str = "python3", version: str = "", venv: bool = True) -> None:
        """Put the Python of this run on the PATH, pretending another version or no venv module."""
        asked_version = f'*version_info*) echo "{version}"; exit 0;;' if version else ""
        asked_venv = "*ensurepip*) echo no module >&2; exit 1;;" if not venv else ""
        self.command(
            name, f'case "$*" in {asked_version}{asked_venv} esac\nexec {BASE_PYTHON} "$@"'
        )

    def lock(self, name: str, digest: str = "", **packages: str) -> None:
        """Write a lock file for tiny packages, and their wheels."""
        lines = []
        for package, version in packages.items():
            wheel = make_wheel(self.wheels, package, version)
            found = hashlib.sha256(wheel.read_bytes()).hexdigest()
            lines.append(f"{package}=={version} \\\n    --hash=sha256:{digest or found}\n")
        (self.root / "envs" / name).write_text("".join(lines))

    def run(self, kind: str = "run", **extra: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up."""
        return subprocess.run(
            ["/bin/sh", str(self.root / "envs" / "setup.sh"), kind],
            env=self.environment | extra,
            cwd=self.root,
            capture_output=True,
            text=True,
        )

    def refuses(self, *words: str, kind: str = "run", **extra: str) -> str:
        """Run the set-up; assert that it ends in one line that holds ``words``; return the line."""
        done = self.run(kind, **extra)
        assert done.returncode == 2, done
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("set-up: ")
        for word in words:
            assert word in lines[0]
        assert "Traceback" not in done.stdout + done.stderr
        assert not (self.root / ".venv" / "at4ramt-setup.json").exists()
        return lines[0]

    def imports(self, module: str, venv: str = ".venv") -> bool:
        """Say whether the environment that was made has a module."""
        python = self.root / venv / "bin" / "python"
        return not subprocess.run(
            [python, "-I", "-c", f"import {module}"], capture_output=True
        ).returncode


def make_wheel(folder: Path, package: str, version: str) -> Path:
    """Write the smallest wheel of a package with one module of the same name."""
    info = f"{package}-{version}.dist-info"
    files = {
        f"{package}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record.append(f"{name},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture(scope="module")
def setup_venv() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / "envs" / "setup_venv.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sets_up_once_and_adds_the_test_tools(clone, setup_venv):
    clone.python()
    first = clone.run()
    assert first.returncode == 0, first
    assert clone.imports("demo") and not clone.imports("tools")
    assert (clone.root / ".venv" / "setup.log").read_text().count("Successfully installed") == 1
    compiled = list((clone.root / ".venv" / "lib").rglob("demo.*.pyc"))
    assert compiled, "byte code is compiled while installing"

    log = (clone.root / ".venv" / "setup.log").read_bytes()
    started = time.monotonic()
    second = clone.run()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert time.monotonic() - started < 2
    assert (clone.root / ".venv" / "setup.log").read_bytes() == log

    marker = clone.root / ".venv" / "marker"
    marker.touch()
    third = clone.run("test")
    assert third.returncode == 0 and "adding the test tools" in third.stdout, third
    assert marker.exists() and clone.imports("tools")
    assert clone.run("run").stdout == clone.run("test").stdout == ""

    # With another lock file it begins anew, and so it would in another place.
    clone.lock("lock.txt", demo="2.0")
    assert "lock file changed" in clone.run().stdout
    assert not marker.exists() and not clone.imports("tools")
    environment = clone.root / ".venv"
    assert setup_venv.read_stamp(environment)["lock.txt"]
    moved = environment.rename(clone.root / "moved")
    assert setup_venv.read_stamp(moved) == {}


def test_the_command_runs_the_clone_s_package_from_anywhere(clone, tmp_path):
    package = clone.root / "workflow" / "at4ramt"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("import sys, json; print(json.dumps(sys.argv[1:]))")
    clone.python()
    assert clone.run().returncode == 0
    command = clone.root / ".venv" / "bin" / "at4ramt"
    elsewhere = tmp_path / "it's here"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemExit('a module of the user')")
    (elsewhere / "at4ramt").mkdir()

    def says(*arguments: str) -> list[str]:
        done = subprocess.run(
            [command, *arguments], cwd=elsewhere, capture_output=True, text=True, check=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(elsewhere), "PYTHONHOME": "/nowhere"},
        )  # fmt: skip
        return json.loads(done.stdout)

    assert says("transcribe", "a song.wav", "$HOME") == ["transcribe", "a song.wav", "$HOME"]

    # An environment of before there was the command gets it; one that has it is left alone.
    command.unlink()
    assert clone.run().returncode == 0
    assert says() == []
    made = command.stat().st_mtime_ns
    clone.run()
    assert command.stat().st_mtime_ns == made


def test_an_environment_for_a_gpu_is_not_replaced_by_the_other(clone):
    clone.python()
    clone.run("run")
    made = clone.run("gpu")
    assert made.returncode == 0 and "without GPU support" in made.stdout, made
    assert clone.imports("demo") and clone.imports("cuda") and not clone.imports("tools")

    marker = clone.root / ".venv" / "marker"
    marker.touch()
    clone.lock("lock-test.txt", demo="1.0", tools="1.0", digest="0" * 64)
    assert "checksum of tools==1.0" in clone.run("test").stderr
    assert clone.run("run").stdout == clone.run("gpu").stdout == ""
    clone.lock("lock-test.txt", demo="1.0", tools="1.0")
    tools = clone.run("test")
    assert tools.returncode == 0 and "adding the test tools" in tools.stdout, tools
    assert marker.exists() and clone.imports("tools") and clone.imports("cuda")
    for kind in ("run", "test", "gpu"):
        assert clone.run(kind).stdout == ""

    # What only the other environment is made from does not concern this one; its own lock
    # file does, and it is made anew as what it was.
    clone.lock("lock.txt", demo="1.0", other="1.0")
    clone.lock("lock-test.txt", demo="1.0", other="1.0", tools="1.0")
    clone.lock("lock-gpu.txt", demo="1.0", cuda="2.0")
    anew = clone.run("run")
    assert anew.returncode == 0 and "lock file changed" in anew.stdout, anew
    assert not marker.exists() and clone.imports("cuda") and not clone.imports("other")
    assert clone.run("gpu").stdout == ""


def test_the_peer_has_an_environment_of_its_own(clone):
    clone.python()
    assert clone.run("run").returncode == 0
    made = clone.run("peer")
    assert made.returncode == 0 and "making .venv-peer" in made.stdout, made
    assert clone.imports("peer", ".venv-peer") and clone.imports("demo", ".venv-peer")
    assert not clone.imports("peer")
    assert clone.run("peer").stdout == clone.run("run").stdout == ""
    # It has no command of ours, and a change of its lock file makes it alone anew.
    assert not (clone.root / ".venv-peer" / "bin" / "at4ramt").exists()
    markers = [clone.root / name / "marker" for name in (".venv", ".venv-peer")]
    for marker in markers:
        marker.touch()
    clone.lock("lock-peer.txt", demo="1.0", peer="2.0")
    assert "lock file changed: making .venv-peer anew" in clone.run("peer").stdout
    assert [marker.exists() for marker in markers] == [True, False]


def test_settings_of_the_user_do_not_disturb(clone, tmp_path):
    clone.python()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "venv.py").write_text("raise SystemExit('a module of the user')")
    done = clone.run(
        PYTHONPATH=str(tmp_path / "elsewhere"),
        PYTHONHOME="/nowhere",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONWARNINGS="error",
        VIRTUAL_ENV=str(tmp_path / "other"),
        PIP_TARGET=str(tmp_path / "target"),
        PIP_USER="1",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_NO_BINARY=":all:",
        HOME="/nonexistent/home",
    )
    assert done.returncode == 0, done
    assert clone.imports("demo")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["python3.13", "python3.12", "python3.11"])
def test_finds_a_python_that_is_not_called_python3(clone, name):
    clone.python("python3", version="3.9")
    clone.python(name, version=name.removeprefix("python"))
    done = clone.run("python")
    assert done.returncode == 0 and done.stdout.strip() == str(clone.bin / name)


def test_passes_over_a_python_without_venv(clone):
    clone.python("python3", venv=False)
    clone.python("python3.12", version="3.12")
    assert clone.run("python").stdout.strip() == str(clone.bin / "python3.12")


def test_no_python(clone):
    clone.refuses("no Python found", "install Python 3.11, 3.12 or 3.13", "PYTHON=")


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.10"])
def test_python_too_old(clone, version):
    clone.python(version=version)
    clone.refuses("Python 3.11, 3.12 or 3.13 is needed", f"python3 is {version}", "install")


@pytest.mark.parametrize("version", ["3.14", "3.20", "4.0"])
def test_python_too_new(clone, version):
    clone.python(version=version)
    clone.refuses(f"python3 is {version}", "TensorFlow 2.21 has no wheel", "PYTHON=")


def test_python_asked_for_is_not_there_or_not_fit(clone):
    clone.python()
    clone.refuses("PYTHON=python9 is not a command", PYTHON="python9")
    clone.python("ancient", version="3.8")
    clone.refuses("ancient is 3.8", PYTHON="ancient")


def test_no_venv_module(clone):
    clone.python(version="3.11", venv=False)
    clone.refuses("no venv module", "apt-get install python3.11-venv", "PYTHON=")


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_other_machine(clone, system, machine):
    clone.python()
    clone.command("uname", f'[ "$1" = -s ] && echo {system} || echo {machine}')
    clone.refuses(f"this machine is {system} {machine}", "Linux on x86-64")


def test_no_network(clone):
    clone.python()
    del clone.environment["PIP_NO_INDEX"], clone.environment["PIP_FIND_LINKS"]
    # Port 9 of this very machine: nothing listens there.
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "no_proxy": "127.0.0.1"}
    clone.refuses("no network", "https_proxy", "try again", ".venv/setup.log", **index)


def test_checksum_differs(clone):
    clone.python()
    clone.lock("lock.txt", demo="1.0", digest="0" * 64)
    clone.refuses("checksum of demo==1.0", "lock file", "pip cache purge", ".venv/setup.log")
    assert not clone.imports("demo")


def test_no_disk_space(clone):
    clone.python()
    clone.refuses("GB are free at", "1e+09 GB are needed", "make room", DISK_GB="1e9")
    assert not (clone.root / ".venv").exists()
    clone.refuses("DISK_GB=lots is not a number", DISK_GB="lots")


def test_something_else_is_in_the_way(clone):
    clone.python()
    (clone.root / ".venv").mkdir()
    (clone.root / ".venv" / "thesis.txt").write_text("years of work")
    clone.refuses("is in the way", "move it")
    assert (clone.root / ".venv" / "thesis.txt").read_text() == "years of work"


def test_a_killed_set_up_is_done_again(clone):
    clone.python()
    started = subprocess.Popen(
        ["/bin/sh", str(clone.root / "envs" / "setup.sh"), "run"],
        env=clone.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    config = clone.root / ".venv" / "pyvenv.cfg"
    deadline = time.monotonic() + 20
    while not config.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    done = clone.run()
    assert done.returncode == 0 and "unfinished" in done.stdout, done
    assert clone.imports("demo")
    stamp = json.loads((clone.root / ".venv" / "at4ramt-setup.json").read_text())
    lock = (clone.root / "envs" / "lock.txt").read_bytes()
    assert stamp["lock.txt"] == hashlib.sha256(lock).hexdigest()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("OSError: [Errno 28] No space left on device\n", "full"),
        ("OSError: [Errno 122] Disk quota exceeded\n", "quota"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))\n", "PIP_CERT"),
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution\n", "no network"),
        ("ReadTimeoutError: Read timed out.\n", "no network"),
        ("ERROR: No matching distribution found for demo==1.0\n", "No matching distribution"),
        ("Killed\n", "see "),
    ],
)
def test_each_failure_of_pip_is_one_line(setup_venv, tmp_path, output, words):
    line = setup_venv.explain(output, tmp_path / "setup.log", 14.0)
    assert words in line and "again" in line and str(tmp_path / "setup.log") in line
    assert "\n" not in line


@pytest.mark.parametrize(("name", "version"), [("", ""), ("glibc", "2.17"), ("libc", "1.2.3")])
def test_c_library_that_has_no_wheels(setup_venv, name, version):
    with pytest.raises(setup_venv.SetupError, match=r"glibc 2\.28 or newer"):
        setup_venv.check_libc(name, version)
    setup_venv.check_libc("glibc", "2.28")
    setup_venv.check_libc("glibc", "3.0")
