"""Strikes one job of a rule, in its own process, at a drawn moment.

A copy of this file stands in a checkout's ``workflow/``, which the workflow puts on the path of its
jobs: Python imports it at the start of each, and of nothing else. ``.faults/plan.json`` in the
checkout says which rule is struck how; the first job of the rule that starts takes the strike. No
privilege is needed for any of it, and every error comes from the kernel:

* a signal, or the death of all processes of the run, comes when the job has used a share of its
  processor time, or just before one of its changes to files under ``results/`` and ``resources/``;
* a full disk is a link to ``/dev/full`` in place of an output that is being written (ENOSPC);
* a limit of the size of files (RLIMIT_FSIZE) stops a write at a drawn byte (EFBIG);
* a file that cannot be read is a link to ``/proc/self/mem`` in its place (EIO), from the start of
  the job or from just before one of the times that it opens the file, until the job ends;
* a write cut short is an output of which only a part was written when the process was killed.

A clock is moved for the job alone, in what it asks the time and in the times of what it writes.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / ".faults"
SIGNALS = {"KILL", "TERM", "INT", "USR2"}
PEER_RULES = {"fit": "fit_peer", "answer": "answer_peer"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
OURS = re.compile(r"(^|/)(results|resources)/")
PART = re.compile(r"/\.(?P<name>[^/]+)\.[^./]+\.part$")


def rule_of(command: list[str]) -> str | None:
    """Return the rule whose job a command line is."""
    for index, word in enumerate(command):
        if found := re.search(r"\.snakemake/scripts/\w+\.(\w+)\.py$", word):
            return found[1]
        if word.endswith("run_basic_pitch.py"):
            return PEER_RULES[command[index + 1]]
    # A rule with Python code in it runs in a snakemake of its own.
    if "--target-jobs" in command and "subprocess" in command:
        return command[command.index("--target-jobs") + 1].partition(":")[0]
    return None


def text_of(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""


class Job:
    """This process: what it has done so far, and the strike that it takes."""

    def __init__(self, rule: str, strike: dict | None) -> None:
        self.rule = rule
        self.strike = strike
        self.changes = 0
        self.largest = 0
        self.parts = 0
        self.opened: Counter[str] = Counter()
        self.awaited: tuple[str, int] | None = None
        self.struck = False
        self.jump = 0.0
        self.waiting: threading.Thread | None = None
        self.busy = threading.local()

    # --- What it does ----------------------------------------------------------------------------

    def watch(self) -> None:
        """Count the changes to files, and strike where the plan says."""
        atexit.register(self.end)
        sys.addaudithook(self.hook)
        if self.strike is None:
            return
        fault = self.strike["fault"]
        if fault == "limit":
            self.limit()
        elif fault == "unreadable":
            self.unreadable()
        elif fault == "full":
            self.full()
        elif "seconds" in self.strike:
            self.waiting = threading.Thread(target=self.wait, daemon=True)
            self.waiting.start()

    def hook(self, event: str, arguments: tuple) -> None:
        if event not in CHANGES or getattr(self.busy, "now", False):
            return
        path = text_of(arguments[0])
        if not (found := OURS.search(path)):
            return
        self.busy.now = True
        try:
            if event == "open" and not (arguments[2] or 0) & WRITING:
                self.opening(path[found.start(2) :])
            else:
                self.changes += 1
                self.changing(event, path)
        finally:
            self.busy.now = False

    def opening(self, path: str) -> None:
        self.opened[path] += 1
        if (path, self.opened[path]) == self.awaited:
            self.make_unreadable(f"{path} from its opening number {self.opened[path]} on")

    def changing(self, event: str, path: str) -> None:
        renamed = event == "os.rename"
        size = os.path.getsize(path) if renamed and os.path.isfile(path) else 0
        self.largest = max(self.largest, size)
        self.parts += renamed
        if self.strike is None:
            return
        fault = self.strike["fault"]
        if fault == "cut":
            if renamed and not self.struck and self.parts >= self.strike["part"]:
                kept = int(self.strike["share"] * size)
                os.truncate(path, kept)
                self.told(f"{path} after {kept} of {size} bytes")
                os.kill(os.getpid(), signal.SIGKILL)
        elif self.changes == self.strike.get("change"):
            self.hit(f"{event} {path}")
        if renamed and self.jump:
            moved = time.time_ns()
            os.utime(path, ns=(moved, moved))

    def wait(self) -> None:
        self.busy.now = True
        while time.process_time() < self.strike["seconds"]:
            time.sleep(0.002)
        self.hit(f"after {self.strike['seconds']:.2f} s of processor time")

    def end(self) -> None:
        """Strike at last, where the job had less to do than expected; else note what it did."""
        self.busy.now = True
        if self.struck and self.waiting is not None:
            # It is telling of its strike at this moment, and would die with this process.
            self.waiting.join(10)
        if self.strike is not None and not self.struck and {"seconds", "change"} & set(self.strike):
            self.hit("at its end")
        if self.awaited and not self.struck:
            self.told("{}, of which opening number {} did not come".format(*self.awaited))
        if self.strike is not None:
            return
        line = {
            "rule": self.rule,
            "seconds": time.process_time(),
            "changes": self.changes,
            "parts": self.parts,
            "largest": self.largest,
            "opened": self.opened,
        }
        with open(HERE / "jobs.jsonl", "a", encoding="utf-8") as jobs:
            jobs.write(json.dumps(line) + "\n")

    # --- What strikes it -------------------------------------------------------------------------

    def told(self, where: str) -> None:
        """Write down that the strike has come, before it comes."""
        self.struck = True
        part = HERE / "struck" / f".{self.rule}"
        # Not one that is being written, in a folder of its own.
        found = Path("results/checkpoints").rglob("state_*.npz")
        states = [str(path) for path in found if path.parent.suffix != ".part"]
        told = {**self.strike, "where": where, "states": states}
        part.write_text(json.dumps(told), encoding="utf-8")
        part.rename(part.with_name(f"{self.rule}.json"))

    def hit(self, where: str) -> None:
        if self.struck:
            return
        fault = self.strike["fault"]
        self.told(where)
        if fault in SIGNALS:
            os.kill(os.getpid(), getattr(signal, f"SIG{fault}"))
        elif fault == "reboot":
            reboot()
        elif fault == "clock":
            self.move_clock()
        elif fault == "second":
            # The campaign starts another master meanwhile.
            asked = time.monotonic()
            ended = HERE / "struck" / f"{self.rule}.ended"
            while not ended.exists() and time.monotonic() - asked < 300:
                time.sleep(0.05)

    def move_clock(self) -> None:
        self.jump = self.strike["jump_seconds"]
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() + self.jump
        time.time_ns = lambda: now_ns() + round(self.jump * 1e9)

    def limit(self) -> None:
        import resource

        largest = int(self.strike["share"] * self.strike["largest"])
        self.told(f"no file beyond {largest} of {self.strike['largest']} bytes")
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    def full(self) -> None:
        mkdir, made = os.mkdir, 0

        def planting(path, *arguments, **options):
            nonlocal made
            mkdir(path, *arguments, **options)
            found = PART.search(text_of(path))
            if found and OURS.search(text_of(path)):
                made += 1
                if made == self.strike["part"] and not self.struck:
                    os.symlink("/dev/full", os.path.join(path, found["name"]))
                    self.told(f"all of {text_of(path)}")

        os.mkdir = planting

    def unreadable(self) -> None:
        """Draw one of the job's inputs and when it becomes unreadable."""
        script = next((word for word in sys.orig_argv if ".snakemake/scripts/" in word), None)
        named = Path(script).read_text(encoding="utf-8") if script else None
        inputs = [
            path
            for path in self.strike["inputs"]
            if os.path.isfile(path) and (named is None or path in named)
        ]
        if not inputs:
            return
        draw = random.Random(self.strike["seed"])
        # What libraries in C open is not seen: that can only be unreadable from the start.
        times = {
            path: self.strike["opened"][path] for path in inputs if path in self.strike["opened"]
        }
        seen = times and draw.random() < 0.5
        path = draw.choice(list(times) if seen else inputs)
        self.strike["input"] = path
        aside = HERE / "aside" / self.rule
        readable, writable = os.pipe()
        if os.fork() == 0:
            # This one outlives the job, whatever ends it, and nothing waits for it.
            os.setsid()
            os.close(writable)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            os.read(readable, 1)
            with contextlib.suppress(FileNotFoundError):
                os.replace(aside, path)
            os._exit(0)
        os.close(readable)
        # Held open by this process and, since it is not inherited, by no child of it.
        self.held = writable
        if seen:
            self.awaited = path, draw.randint(1, times[path])
        else:
            self.make_unreadable(path)

    def make_unreadable(self, where: str) -> None:
        path = self.strike["input"]
        os.rename(path, HERE / "aside" / self.rule)
        os.symlink("/proc/self/mem", path)
        self.told(where)


def reboot() -> None:
    """Kill the master and all that runs in its session; none hears of it."""
    session, me = os.getsid(0), os.getpid()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and int(entry.name) != me:
            found.append(int(entry.name))
    # The master first, before it can hear of the death of a job.
    for process in sorted(found, key=lambda process: process != session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    os.kill(me, signal.SIGKILL)


def claimed(rule: str) -> dict | None:
    """Return the rule's strike if no other job of the rule has taken it."""
    plan = json.loads((HERE / "plan.json").read_text(encoding="utf-8"))
    if rule not in plan:
        return None
    try:
        os.close(os.open(HERE / "struck" / f"{rule}.taken", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return None
    return plan[rule]


if (HERE / "plan.json").exists() and (ours := rule_of(sys.orig_argv)):
    Job(ours, claimed(ours)).watch()
