"""The smallest run in other surroundings, compared with a plain one.

``python -m same.surroundings --folder /tmp/same`` makes one run of ``tests/faults/smallest.yaml``
as anybody would, and one that differs in everything in :data:`VARIED`; then it says which results
differ, and which processes saw nothing of what was varied. ``--only tz locale`` varies these alone:
so one finds what a difference comes from. The plain run is kept in the folder for the next call.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from faults.sameness import differences, leftovers, made
from same.injected.sitecustomize import MOMENT
from support.checkout import PARTS, ROOT

HERE = Path(__file__).resolve().parent
CONFIGURATION = "tests/faults/smallest.yaml"
TARGETS = ("--", "all", "corpus", "check_corpus", "transcribe")
# Half of the jobs, and one of each kind of result.
SHORT = (
    *("--", "results/tables/headline.csv", "results/figures/headline.svg"),
    *("results/rule_graph.dot", "onnx", "check_corpus", "transcribe"),
)
# What says when and on what a run was made; where it stands is in the report alone.
OF_THE_MACHINE = {"results/tables/provenance.html"}
COARSE_NS = 2_000_000_000

VARIED = {
    "folder": "a working directory with blanks, quotes and accents in its path",
    "user": "another user, in no table of users; settings of Keras and matplotlib in the home "
    "folder",
    "tz": "the time of the Chatham Islands, 12:45 or 13:45 h ahead, against UTC",
    "locale": "a German ISO 8859-1, with a decimal comma",
    "cores": "one core, and processes that see no other, against two; OMP_NUM_THREADS=3",
    "hash_seed": "another PYTHONHASHSEED",
    "order": "every folder is listed from its last name to its first, against first to last",
    "umask": "umask 027 against 022",
    "times": "times of files in steps of two seconds, as on FAT",
    "date": "jobs believe that it is 29 February 2028",
}
# Not in the table of users: what asks for the user's name gets none.
SOMEBODY = 54_321
# Pacific/Chatham, written out: a name that the machine's tables of zones lack counts as UTC.
CHATHAM = "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"
HOME = {
    ".keras/keras.json": json.dumps({"floatx": "float64", "epsilon": 0.01, "backend": "jax"}),
    ".config/matplotlib/matplotlibrc": "lines.linewidth: 9\nsavefig.bbox: tight\n",
    ".config/snakemake/default/config.yaml": "cores: 7\nkeep-going: true\n",
}
# Jobs of every phase that any of these runs has.
WITNESSES = {"render_piece", "extract_cqt", "build_shard", "train_base", "train_round",
             "evaluate_model", "transcribe_recording"}  # fmt: skip
Told = dict[str, Any]
DAY_SECONDS = 86_400
RULES = sorted(path.name for path in (ROOT / "workflow/rules").iterdir())
# Of each thing: what is looked at in what a process tells, and what that is in the plain run and
# in one in which it is varied.
EFFECTS: dict[str, tuple[Callable[[Told], object], object, object]] = {
    "folder": (lambda told: "où l'on est" in told["folder"], False, True),
    "user": (
        lambda told: (told["uid"], told["furnished"]), (os.geteuid(), False), (SOMEBODY, True)
    ),
    "tz": (lambda told: told["seconds_ahead"] in (45_900, 49_500), False, True),
    "locale": (lambda told: told["decimal_point"], ".", ","),
    "cores": (lambda told: told["cores"] == 1, False, True),
    "hash_seed": (lambda told: told["hashes_randomised"], False, True),
    "order": (lambda told: told["first_listed"], [RULES[0]] * 2, [RULES[-1]] * 2),
    "umask": (lambda told: told["umask"], 0o022, 0o027),
    "times": (lambda told: told["fraction_ns"] == 0, False, True),
    "date": (lambda told: abs(told["time"] - MOMENT) < DAY_SECONDS, False, True),
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """What a run printed, and the megabytes of its largest process."""

    said: str
    peak_mb: float


@dataclass(frozen=True)
class Surroundings:
    """What a run is called with; `lacks` says what this machine cannot vary, and how it could."""

    folder: Path
    prefix: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        """The copy of the repository in it."""
        return self.folder / "at4ramt"

    def call(self, *arguments: str, seconds: float = 1800) -> Ended:
        """Run snakemake to its end.

        Raises:
            RuntimeError: if it fails, or does not end in time.
        """
        command = [*self.prefix, sys.executable, "-m", "snakemake", "--configfile", CONFIGURATION]
        command += [*self.options, *arguments]
        with tempfile.TemporaryFile() as words:
            process = subprocess.Popen(
                command, cwd=self.checkout, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=words, stderr=words,
            )  # fmt: skip
            clock = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
            clock.start()
            try:
                # Its own peak and that of its jobs, and of no other child of this process.
                _, status, used = os.wait4(process.pid, 0)
            finally:
                clock.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            words.seek(0)
            said = words.read().decode("utf-8", "backslashreplace")
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{said}")
        return Ended(said, used.ru_maxrss * 1024 / 1e6)

    def snakemake(self, *arguments: str) -> str:
        """Run snakemake to its end; return what it printed."""
        return self.call(*arguments).said


def other_user(folder: Path) -> tuple[str, ...]:
    """Return what starts a program as :data:`SOMEBODY`; nothing where this machine does not.

    Root becomes that user; where the interpreter is in a folder of root's, one who may read
    everything (not write). Anybody else is called by that number in a namespace of their own.
    """
    ways: list[tuple[str, ...]] = [
        ("unshare", "--user", f"--map-user={SOMEBODY}", f"--map-group={SOMEBODY}")
    ]
    if os.geteuid() == 0:
        became = ("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups")
        ways = [became]
        for capability in ("+dac_read_search", "+dac_override"):
            ways.append((*became, *(f"--{kind}-caps={capability}" for kind in ("inh", "ambient"))))
    for way in ways:
        tried = [*way, sys.executable, "-c", "import sys, snakemake; print(sys.version)"]
        if not shutil.which(way[0]):
            continue
        ended = subprocess.run(tried, cwd=folder, capture_output=True, text=True, check=False)
        # Where it may not read the interpreter, another Python of the system is found.
        if ended.returncode == 0 and ended.stdout.strip() == sys.version:
            return way
    return ()


def german(folder: Path) -> dict[str, str]:
    """Return the environment of a German locale, made in a folder; nothing if it cannot be made."""
    name = "de_DE.ISO-8859-1"
    make = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / name)]
    if shutil.which("localedef") and subprocess.run(make, capture_output=True).returncode == 0:
        return {"LC_ALL": name, "LANG": name, "LOCPATH": str(folder)}
    return {}


def surroundings(folder: Path, varied: Collection[str]) -> Surroundings:
    """Return surroundings in a new folder that differ from the plain ones in what is named.

    Raises:
        ValueError: if something is named that :data:`VARIED` does not have.
    """
    if unknown := set(varied) - set(VARIED):
        raise ValueError(f"{unknown}: expected some of {', '.join(VARIED)}")
    if "folder" in varied:
        folder = folder / "où l'on est" / "it's here"
    folder.mkdir(parents=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHON"))}
    environment |= {
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(folder / "at4ramt" / "workflow"),
        # Neither run finds what the other, or somebody, has put into a cache.
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home" / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "AT4RAMT_SURROUNDINGS": ",".join(varied),
    }
    for name in ("home", "tmp", "locale", "witnesses"):
        (folder / name).mkdir()
    lacks: dict[str, str] = {}
    prefix: tuple[str, ...] = ()
    options: tuple[str, ...] = ("--cores", "2", "--resources", "gpu=2")
    if "tz" in varied:
        environment["TZ"] = CHATHAM
    if "locale" in varied:
        # Where there is none, ASCII; Python would take UTF-8 instead.
        ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        made_here = german(folder / "locale")
        environment |= made_here or ascii_only
        if not made_here:
            lacks["locale"] = (
                "localedef can make no de_DE.ISO-8859-1: install the sources of locales "
                "(Debian, Ubuntu: apt-get install locales)"
            )
    if "hash_seed" in varied:
        environment["PYTHONHASHSEED"] = "4711"
    if "cores" in varied:
        options = ("--cores", "1", "--resources", "gpu=1")
        prefix = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))
        # As a module of a cluster sets it.
        environment |= {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
        if len(os.sched_getaffinity(0)) == 1:
            lacks["cores"] = "this process may use one core, as the varied run does: give it two"
    user = other_user(folder) if "user" in varied else ()
    if "user" in varied:
        prefix = (*prefix, *user)
        if not user:
            lacks["user"] = (
                f"no program starts as user {SOMEBODY}: start the tests as root with setpriv, or "
                "let users have namespaces, for unshare --map-user (both of util-linux)"
            )
        environment = {k: v for k, v in environment.items() if k not in ("USER", "LOGNAME")}
        furnish(folder / "home")
    mask = "027" if "umask" in varied else "022"
    prefix = ("sh", "-c", f'umask {mask}; exec "$@"', "sh", *prefix)
    made = Surroundings(folder, prefix, options, environment, lacks)
    copy(made.checkout)
    if user and os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    return made


def furnish(home: Path) -> None:
    """Write what somebody has set for work of their own."""
    for name, content in HOME.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content, encoding="utf-8")


def copy(path: Path) -> None:
    """Copy what a run needs, with something to transcribe."""
    path.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, path / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, path / part)
    (path / "tests/faults").mkdir(parents=True)
    for name in ("smallest.yaml", "smallest_pieces.tsv"):
        shutil.copy(ROOT / "tests/faults" / name, path / "tests/faults")
    shutil.copy(HERE / "injected/sitecustomize.py", path / "workflow")
    for link in ("resources", ".venv-peer", "models"):
        (path / link).symlink_to(ROOT / link)
    (path / "input").mkdir()
    seconds = np.arange(3 * 22_050) / 22_050
    tone = 0.3 * np.exp(-seconds) * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(path / "input" / "a song.wav", tone, 22_050)


def telling(run: Surroundings) -> Surroundings:
    """Return the same surroundings, in which each process tells what it sees."""
    witnesses = {"AT4RAMT_WITNESSES": str(run.folder / "witnesses")}
    return replace(run, environment=run.environment | witnesses)


def unaffected(run: Surroundings, what: str, *, varied: bool) -> list[str]:
    """Return which processes of a run that told what they see saw else than is meant."""
    look, plain, other = EFFECTS[what]
    expected = other if varied else plain
    said = [json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((run.folder / "witnesses").glob("*.json"))]  # fmt: skip
    jobs = [told for told in said if told["rule"]]
    silent = WITNESSES - {told["rule"] for told in jobs}
    wrong = [f"{what}: {rule} told nothing into {run.folder}/witnesses" for rule in silent]
    # The clock is moved in jobs alone.
    for told in jobs if what == "date" else said:
        if (found := look(told)) != expected:
            wrong.append(f"{what}: {told['rule'] or 'snakemake'} saw {found}, expected {expected}")
    return sorted(set(wrong))


def differing(one: Surroundings, other: Surroundings) -> list[str]:
    """Return in what two finished runs differ, and what either has left behind."""
    here, there = one.checkout, other.checkout
    wrong = differences(here, there, among=set(made(here)) - OF_THE_MACHINE)
    wrong += [f"{path}: is missing" for path in sorted(set(made(there)) - set(made(here)))]
    wrong += [f"{path}: was left behind" for path in leftovers(here)]
    return wrong


def modes(run: Surroundings) -> dict[str, int]:
    """Return the permissions of each result."""
    path = run.checkout
    results = (name for name in made(path) if name.startswith("results/"))
    return {name: (path / name).stat().st_mode & 0o777 for name in results}


def forget_fractions(run: Surroundings) -> None:
    """Give all files of a run times in steps of two seconds."""
    for path in run.checkout.rglob("*"):
        stat = path.lstat()
        at = stat.st_mtime_ns // COARSE_NS * COARSE_NS
        os.utime(path, ns=(at, at), follow_symlinks=False)


def is_done(run: Surroundings, targets: Sequence[str] = TARGETS) -> bool:
    """Whether nothing would run."""
    return "Nothing to be done" in run.snakemake("--dry-run", *targets)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs; print what differs; return 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=VARIED, default=list(VARIED), metavar="WHAT",
                        help=", ".join(VARIED))  # fmt: skip
    parser.add_argument("--folder", type=Path, required=True, help="of the runs; some 300 MB each")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    plain, finished = folder / "plain", folder / "plain.json"
    if not finished.exists():
        shutil.rmtree(plain, ignore_errors=True)
        reference = surroundings(plain, ())
        reference.snakemake(*TARGETS)
        finished.write_text(json.dumps(reference.environment), encoding="utf-8")
    reference = Surroundings(plain)
    name = "all" if len(options.only) == len(VARIED) else "_".join(options.only)
    shutil.rmtree(folder / name, ignore_errors=True)
    began = time.monotonic()
    other = surroundings(folder / name, options.only)
    telling(other).snakemake(*TARGETS)
    found = differing(other, reference)
    unseen = [told for what in options.only for told in unaffected(other, what, varied=True)]
    for what in options.only:
        print(f"{what}: {other.lacks.get(what) or VARIED[what]}")
    count = len(made(reference.checkout))
    print(f"{count} files, {len(found)} differ; {time.monotonic() - began:.0f} s")
    print("\n".join(found + unseen))
    return bool(found or unseen)


if __name__ == "__main__":
    sys.exit(main())
