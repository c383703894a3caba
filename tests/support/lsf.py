"""A stand-in for LSF that runs the jobs it is given, on this machine.

IBM's LSF cannot be installed from a package registry. What stands in for it takes the options that
the executor plugin and Leonhard's dialect use, refuses what LSF refuses, runs each job in the
background with its slots, its GPU, its run limit and LSF's signals, and keeps a record. It does not
enforce memory, and does not look whether a host fulfils a `select`.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.lsf_stub.cluster import HOME, Cluster, Settings, send
from support.lsf_stub.commands import COMMANDS
from support.lsf_stub.request import Submission

QUEUES = {"normal.4h": 240, "normal.24h": 1440, "gpu.4h": 240, "gpu.24h": 1440}


@dataclass(frozen=True)
class Interval:
    """From when to when a job ran; no end while it does."""

    job_id: int
    submitted: float
    start: float
    end: float | None
    gpus: int


class Lsf:
    """A cluster of one host; after the `with` block nothing that it started is left.

    A minute of a run limit lasts `minute_seconds`; so do the ten between SIGUSR2 and the killing.
    INT, TERM and KILL are `terminate_seconds` apart. bjobs forgets a job `clean_seconds` after its
    end. A job has ended with its first process; of the others, LSF kills those that it tracks by
    cgroups (`orphans="kill"`) and loses sight of them where it does not ("leave").
    """

    def __init__(
        self,
        folder: Path,
        slots: int = 4,
        gpus: int = 1,
        minute_seconds: float = 60,
        queues: dict[str, int] | None = None,
        *,
        terminate_seconds: float = 10,
        clean_seconds: float = 3600,
        orphans: Literal["leave", "kill"] = "leave",
    ) -> None:
        self._settings = Settings(
            slots=slots,
            gpus=gpus,
            queues=queues or QUEUES,
            minute_seconds=minute_seconds,
            terminate_seconds=terminate_seconds,
            clean_seconds=clean_seconds,
            orphans=orphans,
        )
        self._cluster = Cluster(Path(folder).resolve())
        self._commands = self._cluster.home / "bin"

    def __enter__(self) -> Lsf:
        self._cluster.create(self._settings)
        self._commands.mkdir()
        program = Path(__file__).with_name("lsf_stub") / "__main__.py"
        for name in COMMANDS:
            call = shlex.join([sys.executable, "-E", str(program), name])
            command = self._commands / name
            command.write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
            command.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.destroy()

    def environment(self) -> dict[str, str]:
        """Return the environment of a user of this cluster."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("LSB_", "BSUB_"))}
        path = f"{self._commands}{os.pathsep}{ours['PATH']}"
        return {**ours, "PATH": path, HOME: str(self._cluster.home)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user of this cluster."""
        return subprocess.run(
            command, env=self.environment(), text=True, capture_output=True, check=False
        )

    def submissions(self) -> list[Submission]:
        return [job.submission for job in self._cluster.jobs().values()]

    def state(self, job_id: int) -> str:
        return self._cluster.jobs()[job_id].state

    def exit_code(self, job_id: int) -> int | None:
        return self._cluster.jobs()[job_id].exit_code

    def wait(self, job_id: int, *states: str, seconds: float = 60) -> str:
        """Wait until a job is in one of these states, or has ended where none is given."""
        until = time.monotonic() + seconds
        while (state := self.state(job_id)) not in (states or ("DONE", "EXIT")):
            if time.monotonic() > until:
                raise TimeoutError(f"job {job_id} is {state} after {seconds} s")
            time.sleep(0.05)
        return state

    def wait_for_submissions(self, count: int, seconds: float = 120) -> None:
        """Wait until so many jobs have been submitted."""
        until = time.monotonic() + seconds
        while len(self.submissions()) < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(self.submissions())} jobs after {seconds} s, not {count}")
            time.sleep(0.05)

    def running(self) -> list[int]:
        return [number for number, job in self._cluster.jobs().items() if job.state == "RUN"]

    def processes(self, job_id: int) -> list[int]:
        """Return the processes of a job that are alive, whatever its state."""
        return self._cluster.processes(job_id)

    def supervisor(self, job_id: int) -> int:
        """Return the process that looks after a job."""
        return self._cluster.jobs()[job_id].supervisor

    def intervals(self) -> list[Interval]:
        """Return when each job ran, in the order of submission."""
        return [
            Interval(number, job.submitted, job.started, job.ended, job.submission.gpus)
            for number, job in self._cluster.jobs().items()
            if job.started is not None
        ]

    def exhaust(self, job_id: int) -> None:
        """Let a job's run limit come now."""
        (self._cluster.home / f"{job_id}.exhausted").touch()

    def kill_host(self, job_id: int) -> None:
        """Kill a job as a crash of its host does, which LSF has noticed: it has failed."""
        self._crash(job_id, "EXIT")

    def lose(self, job_id: int) -> None:
        """Kill a job as a crash of its host does, of which LSF knows no more: UNKWN for ever."""
        self._crash(job_id, "UNKWN")

    def _crash(self, job_id: int, state: str) -> None:
        send(self.supervisor(job_id), signal.SIGKILL)
        self._cluster.destroy(job_id)
        with self._cluster.changing() as jobs:
            exit_code = 128 + signal.SIGKILL if state == "EXIT" else None
            self._cluster.finish(jobs[job_id], state, exit_code)
