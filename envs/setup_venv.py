"""Set up .venv or .venv-peer from a lock file, whole or not at all; say in a line what is missing.

Run by setup.sh with a Python that is known to fit; standard library only. A
stamp in it, written last, names what is installed: a second call finds it and
does nothing, and a set-up that was interrupted has none and is done again.

Variables (all optional): DISK_GB, the free space asked for; VENV, where the environment goes;
the peer's goes beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

ENVS = Path(__file__).resolve().parent
ROOT = ENVS.parent
LOCKS = {
    "run": ("lock.txt",),
    "test": ("lock.txt", "lock-test.txt"),
    "gpu": ("lock-gpu.txt",),
    "peer": ("lock-peer.txt",),
}
STAMP = "at4ramt-setup.json"
LOG = "setup.log"
# The package is not installed: its command runs the clone's. A caller's PYTHONPATH and
# modules in the folder it is called from (-P) must not get between.
COMMAND = """\
#!/bin/sh
# Written by envs/setup_venv.py.
unset PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE PYTHONWARNINGS
PYTHONPATH={workflow} exec {python} -sP -m at4ramt.cli "$@"
"""
# pip's own requirement for building the one package that has no wheel; see install().
BUILD_TOOLS = ("setuptools", "wheel", "packaging")
# Measured: 3.1 GB for .venv with the test tools, 0.7 GB of downloads while they
# are unpacked, about 1 GB of results; the rest is for pip's cache. With CUDA .venv
# is 7.7 GB, 11.4 GB beside its downloads, and pip's cache keeps these 3.5 GB again.
# The peer's is 0.9 GB, nearly all of it archives that .venv has, too.
DISK_GB = {"lock.txt": 5.0, "lock-gpu.txt": 15.0, "lock-peer.txt": 1.5}
DOWNLOAD_GB = {"lock.txt": 0.7, "lock-gpu.txt": 3.5, "lock-peer.txt": 0.2}
DISK_GB_TO_ADD_TOOLS = 0.5
# The newest tag among the locked wheels is manylinux_2_28.
GLIBC = (2, 28)
NO_NETWORK = (
    "Failed to establish a new connection|Temporary failure in name resolution|"
    "Name or service not known|No address associated with hostname|Network is unreachable|"
    "No route to host|Connection refused|Connection reset|ConnectTimeout|ReadTimeout|"
    "Read timed out|ProxyError|Max retries exceeded|Connection broken|IncompleteRead|"
    # What pip says of a package when the index gave it no answer at all.
    r"\(from versions: none\)"
)


class SetupError(Exception):
    """What is missing and what to do about it, in one line."""


def lock_digest(name: str) -> str:
    """Return the sha256 of a lock file, in hexadecimal."""
    return hashlib.sha256((ENVS / name).read_bytes()).hexdigest()


def python_of(venv: Path) -> str:
    """Return the version of an environment's Python in full, or nothing if it does not start."""
    command = [str(venv / "bin" / "python"), "-I", "-c", "import sys; print(sys.version)"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def read_stamp(venv: Path) -> dict[str, str]:
    """Return what a finished set-up wrote into ``venv``, or nothing if it is not usable.

    An environment that was copied or moved, or whose Python is gone, is not.
    """
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stamp, dict) or stamp.get("venv") != str(venv):
        return {}
    return stamp if stamp.get("python") == python_of(venv) else {}


def asked_disk(usual_gb: float) -> float:
    """Return the free space to ask for, in units of 10^9 bytes: DISK_GB, or the usual."""
    text = os.environ.get("DISK_GB") or str(usual_gb)
    try:
        return float(text)
    except ValueError:
        raise SetupError(f"DISK_GB={text} is not a number: write it as in DISK_GB=4.5") from None


def check_libc(name: str, version: str) -> None:
    """Raise :class:`SetupError` unless the C library is a glibc that the wheels run on."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if name != "glibc" or numbers < GLIBC:
        found = f"{name} {version}".strip() or "not glibc"
        raise SetupError(
            f"the C library is {found}, and the locked packages need glibc {GLIBC[0]}.{GLIBC[1]} "
            "or newer: use a distribution of 2020 or later that has it (not Alpine), or a container"
        )


def check_disk(folder: Path, needed_gb: float) -> None:
    """Raise :class:`SetupError` unless ``needed_gb`` (10^9 bytes) are free where ``folder`` is."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed_gb:
        raise SetupError(
            f"{free:.1f} GB are free at {folder}, and {needed_gb:g} GB are needed: make room, or "
            "clone to another disk (or, if you know that less will do: make DISK_GB=... )"
        )


def explain(output: str, log: Path, needed_gb: float) -> str:
    """Return one line that says why pip failed, and what to do, from all that it printed."""
    if "DO NOT MATCH THE HASHES" in output:
        found = re.search(r"^\s+([A-Za-z0-9][\w.-]*==\S+) from ", output, re.MULTILINE)
        return (
            f"the checksum of {found[1] if found else 'a package'} as downloaded differs from the "
            "lock file's, so it was not installed: empty pip's cache (python3 -m pip cache purge) "
            f"and try again; if it stays, that source serves another file than was locked ({log})"
        )
    if re.search(r"No space left on device|Disk quota exceeded|Errno 28\b|Errno 122\b", output):
        return (
            f"the disk or your quota is full: make {needed_gb:g} GB of room and try again ({log})"
        )
    if re.search(r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed", output):
        return (
            "the package index's certificate is not trusted (a company's proxy does that): "
            f"set PIP_CERT to the file of the proxy's certificate and try again ({log})"
        )
    if re.search(NO_NETWORK, output):
        return (
            "no network, or the package index does not answer: connect (behind a proxy, set "
            f"https_proxy) and try again; what was fetched is kept in pip's cache ({log})"
        )
    errors = re.findall(r"^ERROR: (.+)$", output, re.MULTILINE)
    return f"pip failed{': ' + errors[-1] if errors else ''}: see {log}, mend that, and try again"


def pip_environment(venv: Path) -> dict[str, str]:
    """Return pip's environment: the user's index and proxy, none of their install options."""
    disturbing = {
        "TARGET",
        "PREFIX",
        "ROOT",
        "CONSTRAINT",
        "BUILD_CONSTRAINT",
        "REQUIREMENT",
        "NO_COMPILE",
        "NO_BINARY",
        "ONLY_BINARY",
        "REQUIRE_VIRTUALENV",
        "DRY_RUN",
        "IGNORE_INSTALLED",
        "FORCE_REINSTALL",
        "UPGRADE",
        "PYTHON",
        "PLATFORM",
        "PYTHON_VERSION",
        "EDITABLE",
        "LOG",
        "QUIET",
        "VERBOSE",
        "REPORT",
        "PRE",
        "NO_DEPS",
        "SRC",
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON")
        and not (name.startswith("PIP_") and name.removeprefix("PIP_") in disturbing)
    }
    # /tmp is a small file system of its own on many machines; ours was checked for room.
    temporary = venv / "tmp"
    temporary.mkdir(exist_ok=True)
    return kept | {
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
    }


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"set-up: {text}", flush=True)


def run_pip(
    venv: Path,
    arguments: list[str],
    environment: Mapping[str, str],
    needed_gb: float,
    packages: int = 0,
) -> None:
    """Run pip with its output in the log; raise :class:`SetupError` if it fails.

    With ``packages``, their number, the terminal is told how far it is.
    """
    log = venv / LOG
    output = []
    seen = 0
    live = sys.stdout.isatty()
    command = [str(venv / "bin" / "python"), "-I", "-m", "pip", *arguments]
    with open(log, "a", encoding="utf-8") as written:
        written.write(f"\n$ {' '.join(command)}\n")
        with subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                output.append(line)
                written.write(line)
                written.flush()
                if packages and line.startswith("Collecting "):
                    seen += 1
                    if live:
                        print(
                            f"\rset-up: package {seen} of {packages} fetched ", end="", flush=True
                        )
                elif packages and line.startswith("Installing collected packages"):
                    if live:
                        print(flush=True)
                    say("unpacking and compiling them; this takes a minute or two")
    if process.returncode:
        if live and seen:
            print()
        raise SetupError(explain("".join(output), log, needed_gb))


def read_lock(name: str) -> dict[str, str]:
    """Return the lines of a lock file, hashes and all, by package."""
    blocks = re.split(r"\n(?=\S)", (ENVS / name).read_text(encoding="utf-8").strip())
    return {block.split("==")[0]: block for block in blocks}


def install(venv: Path, packages: Mapping[str, str], needed_gb: float) -> None:
    """Install the packages of a lock file, each archive checked against its hash.

    One package (connection-pool) exists as source only. Left to itself pip would
    build it with whatever setuptools is newest that day, unchecked; so the locked
    build tools go in first and the build uses them.
    """
    environment = pip_environment(venv)
    options = ["install", "--require-hashes", "--no-deps", "--no-build-isolation", "--compile"]
    build_tools = [packages[name] for name in BUILD_TOOLS if name in packages]
    for number, blocks in enumerate((build_tools, list(packages.values()))):
        if blocks:
            requirements = venv / "tmp" / f"requirements-{number}.txt"
            requirements.write_text("\n".join([*blocks, ""]), encoding="utf-8")
            arguments = [*options, "-r", str(requirements)]
            run_pip(venv, arguments, environment, needed_gb, number * len(blocks))
    shutil.rmtree(venv / "tmp", ignore_errors=True)


def create(venv: Path, needed_gb: float) -> None:
    """Make an empty environment with pip in it, in place of an unfinished one."""
    if venv.is_symlink() or venv.exists():
        foreign = not venv.is_dir() or any(venv.iterdir())
        if foreign and not (venv / "pyvenv.cfg").exists():
            raise SetupError(
                f"{venv} is in the way and is no Python environment: move it and try again"
            )
        if venv.is_symlink():
            venv.unlink()
        else:
            shutil.rmtree(venv)
    check_disk(venv.parent, asked_disk(needed_gb))
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))
    }
    made = subprocess.run(
        [sys.executable, "-I", "-m", "venv", str(venv)],
        capture_output=True,
        text=True,
        env=clean,
        stdin=subprocess.DEVNULL,
    )
    if made.returncode:
        said = " ".join((made.stdout + made.stderr).split())[-300:]
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise SetupError(
            f"{sys.executable} -m venv failed ({said}): install its venv module (Debian, Ubuntu: "
            f"apt-get install {package}), or name another Python: make PYTHON=..."
        )


def write_command(venv: Path) -> None:
    """Put the command ``at4ramt`` into the environment's ``bin``, if it is not there as it is."""
    text = COMMAND.format(
        workflow=shlex.quote(str(ROOT / "workflow")),
        python=shlex.quote(str(venv / "bin" / "python")),
    )
    path = venv / "bin" / "at4ramt"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    unfinished = path.with_name("at4ramt.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.chmod(0o755)
    unfinished.replace(path)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other set-up runs in ``folder``; go on where the file system cannot lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running here; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def set_up(kind: str, venv: Path) -> None:
    """Bring ``venv`` to what ``kind`` needs (a key of LOCKS); do nothing if it is there.

    An environment for a GPU does all that the other does. It stays one whatever
    is asked for: cluster jobs may be running in it, and it is a long download.
    """
    stamp = read_stamp(venv)
    base, *more = LOCKS[kind]
    if "lock-gpu.txt" in stamp:
        base = "lock-gpu.txt"
    wanted = {name: lock_digest(name) for name in (base, *more)}
    has_command = kind != "peer"
    if wanted.items() <= stamp.items():
        if has_command:
            write_command(venv)
        return
    if os.environ.get("MACHINE_CHECK") != "off":
        check_libc(*platform.libc_ver())
    started = time.monotonic()
    # lock-test.txt holds lock.txt, and lock-gpu.txt has the same versions
    # (tests/unit/test_envs.py), so the test tools can be put on top of either, and
    # a failure of that leaves what was there, and its stamp, as they were.
    held = read_lock("lock.txt")
    packages = {
        package: lines
        for name in more
        for package, lines in read_lock(name).items()
        if package not in held
    }
    needed_gb = DISK_GB[base]
    if stamp.get(base) == wanted[base] and not stamp.keys() & set(more):
        needed_gb = DISK_GB_TO_ADD_TOOLS
        check_disk(venv, asked_disk(needed_gb))
        say(f"adding the test tools to {venv.name}; pip's output is in {venv.name}/{LOG}")
    else:
        if (venv / "pyvenv.cfg").exists() and base in stamp:
            say(f"the lock file changed: making {venv.name} anew")
        elif "lock.txt" in stamp:
            say(f"{venv.name} has TensorFlow without GPU support: making it anew")
        elif (venv / "pyvenv.cfg").exists():
            say(f"{venv.name} is unfinished, or moved, or its Python changed: making it anew")
        create(venv, needed_gb)
        version = ".".join(map(str, sys.version_info[:3]))
        say(
            f"making {venv.name} from envs/{[base, *more][-1]} with Python {version}, a download "
            f"of about {DOWNLOAD_GB[base]:g} GB; pip's output is in {venv.name}/{LOG}"
        )
        packages = read_lock(base) | packages
    install(venv, packages, needed_gb)
    if has_command:
        write_command(venv)
    content = wanted | {"venv": str(venv), "python": python_of(venv)}
    unfinished = venv / f"{STAMP}.part"
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(venv / STAMP)
    say(f"{venv.name} is ready ({time.monotonic() - started:.0f} s)")


def main() -> NoReturn:
    """Set up what the command line asks for; exit 0, 2 (with one line) or 130 (interrupted)."""
    if len(sys.argv) != 2 or sys.argv[1] not in LOCKS:
        print(f"usage: setup.sh {'|'.join(LOCKS)}|python", file=sys.stderr)
        sys.exit(2)
    venv = Path(os.environ.get("VENV") or ROOT / ".venv").absolute()
    if sys.argv[1] == "peer":
        venv = venv.with_name(f"{venv.name}-peer")
    try:
        with alone(venv.parent):
            set_up(sys.argv[1], venv)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the next call begins it again", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        hint = "make room" if error.errno in (28, 122) else "mend that"
        print(
            f"set-up: {error.strerror}: {error.filename or venv}; {hint} and try again",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
