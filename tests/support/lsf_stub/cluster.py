"""The stand-in's cluster: its settings and jobs, in a folder that the commands share."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support.lsf_stub.request import Submission

HOME = "LSF_STUB_HOME"
NAME = "standin"
HOST = "standin-001"
CODES = {"RUN": 4, "EXIT": 32, "DONE": 64, "UNKWN": 65536}


@dataclass(frozen=True)
class Settings:
    slots: int
    gpus: int
    queues: dict[str, int]  # the run limit of each, in minutes
    minute_seconds: float
    terminate_seconds: float  # JOB_TERMINATE_INTERVAL
    clean_seconds: float  # CLEAN_PERIOD: how long bjobs remembers a finished job
    orphans: str  # "leave" or "kill": what outlives the job's first process


@dataclass
class Job:
    submission: Submission
    submitted: float
    supervisor: int
    state: str = "PEND"
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    reason: str = ""
    devices: list[int] = field(default_factory=list)
    killed: bool = False  # asked for by bkill; the job's supervisor sees to it


class Cluster:
    def __init__(self, home: str | Path) -> None:
        self.home = Path(home)
        self.events = self.home / "share" / NAME / "logdir" / "lsb.events"
        self.params = self.home / "conf" / "lsbatch" / NAME / "configdir" / "lsb.params"

    def create(self, settings: Settings) -> None:
        for file in (self.events, self.params):
            file.parent.mkdir(parents=True)
        self.events.write_text("#0\n", encoding="utf-8")
        self.params.write_text(
            "Begin Parameters\n"
            f"DEFAULT_QUEUE = {next(iter(settings.queues))}   # for who names none\n"
            f"JOB_TERMINATE_INTERVAL = {settings.terminate_seconds:g}\n"
            f"CLEAN_PERIOD = {settings.clean_seconds:g}\n"
            "End Parameters\n",
            encoding="utf-8",
        )
        (self.home / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
        self._write({})

    @property
    def settings(self) -> Settings:
        return Settings(**json.loads((self.home / "settings.json").read_text(encoding="utf-8")))

    def jobs(self) -> dict[int, Job]:
        """Return all jobs; the file is replaced whole, so reading needs no lock."""
        records = json.loads((self.home / "jobs.json").read_text(encoding="utf-8"))
        return {
            int(number): Job(**{**record, "submission": Submission(**record["submission"])})
            for number, record in records.items()
        }

    @contextmanager
    def changing(self) -> Iterator[dict[int, Job]]:
        """Give the jobs to change; what is done in the block is seen by others at once or never."""
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            jobs = self.jobs()
            yield jobs
            self._write(jobs)

    def _write(self, jobs: dict[int, Job]) -> None:
        new = self.home / "jobs.json.new"
        new.write_text(json.dumps({n: asdict(job) for n, job in jobs.items()}), encoding="utf-8")
        new.replace(self.home / "jobs.json")

    def log_new(self, request: Submission) -> None:
        """Log a submission, each field where lsb.events has it (the job's name is the 42nd)."""
        now = int(time.time())
        limits = [-1] * 9 + [request.minutes * 60, -1]
        self._log(
            *("JOB_NEW", "10.1", now, request.job_id, os.geteuid(), 0, request.slots),
            *(now, 0, 0, 0, 0, 0, getpass.getuser(), *limits, "", 1.0, 18, request.queue),
            *(" ".join(request.resources), HOST, request.directory, "", "", request.output or ""),
            *(request.error or "", "", str(request.job_id), 0, "", "", request.job_name),
            *(request.command, 0, "", request.project),
        )

    def set_state(self, job: Job, state: str) -> None:
        job.state = state
        number = job.submission.job_id
        self._log("JOB_STATUS", "10.1", int(time.time()), number, CODES[state], 0, 0)
        if state == "DONE":  # and again when its post-processing is done
            self._log("JOB_STATUS", "10.1", int(time.time()), number, CODES["DONE"] | 128, 0, 0)

    def finish(self, job: Job, state: str, exit_code: int | None, reason: str = "") -> None:
        job.ended, job.exit_code, job.reason = time.time(), exit_code, reason
        self.set_state(job, state)

    def _log(self, *fields: str | float) -> None:
        texts = (f'"{f}"'.replace("\n", " ") if isinstance(f, str) else str(f) for f in fields)
        with self.events.open("a", encoding="utf-8") as events:
            events.write(" ".join(texts) + "\n")

    def dispatch(self, job_id: int) -> Job:
        """Start this job if it is its turn; first come, first served among those that fit."""
        settings = self.settings
        with self.changing() as jobs:
            running = [job for job in jobs.values() if job.state == "RUN"]
            slots = settings.slots - sum(job.submission.slots for job in running)
            taken = {device for job in running for device in job.devices}
            devices = [device for device in range(settings.gpus) if device not in taken]
            for number, job in jobs.items():
                wanted = job.submission
                if job.state != "PEND" or wanted.slots > slots or wanted.gpus > len(devices):
                    continue
                slots -= wanted.slots
                held, devices = devices[: wanted.gpus], devices[wanted.gpus :]
                if number == job_id:
                    job.devices, job.started = held, time.time()
                    self.set_state(job, "RUN")
            return jobs[job_id]

    def processes(self, job_id: int | None = None) -> list[int]:
        """Return the processes of a job, or all that were started with this cluster's environment.

        They are known by their environment, so that none is lost that has left its parent, its
        process group or its session.
        """
        wanted = {f"{HOME}={self.home}".encode()}
        if job_id is not None:
            wanted.add(f"LSB_JOBID={job_id}".encode())
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = set((entry / "environ").read_bytes().split(b"\0"))
            except OSError:  # it has ended, or is not ours
                continue
            if wanted <= environment and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def signal(self, job_id: int | None, number: int) -> int:
        """Send a signal to every process of a job (or of the cluster); return how many."""
        processes = self.processes(job_id)
        for process in processes:
            send(process, number)
        return len(processes)

    def destroy(self, job_id: int | None = None) -> None:
        """Kill every process of a job, or of the cluster, and wait until none is left."""
        while self.signal(job_id, signal.SIGKILL):
            time.sleep(0.02)


def send(process: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(process, number)
