"""A Slurm of one node, started for the tests in a folder of its own, by any user."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

# A job's own `sbatch` and `srun` options would be taken for ours if the tests run in a Slurm job.
CLIENT_VARIABLES = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SCANCEL_", "SQUEUE_", "SINFO_")
# The profile as it is, but for its waits: for a busy Slurm, for a guest of a login node.
PROFILE = (
    *("--profile", "profiles/slurm", "--local-cores", "2"),
    # This Slurm has no accounting, and the profile says what to do then.
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
)
# Any device file does.
GPUS = ("/dev/null", "/dev/zero")
ENDED = {"CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}

# proctrack and task: without cgroups, which a container may not have. config_overrides: the node
# has the processors and the memory written here, whatever the machine has. MinJobAge: ended jobs
# stay on record, as there is no database. SchedulerParameters: without the usual half a minute of
# waiting. KillWait: from TERM to KILL, long enough to save a model.
SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=10
DefMemPerCPU=500
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus}
PartitionName=tests Nodes=node Default=YES State=UP DefaultTime=60
"""


@dataclass(frozen=True)
class Job:
    """A job as the controller knows it; times in seconds since 1970, None where there is none."""

    id: int
    name: str
    comment: str
    state: str
    cpus: int
    gpus: int
    memory_mb: int
    minutes: int
    submitted: float
    started: float | None
    ended: float | None


class Slurm:
    """A running Slurm with one node, one partition and a GPU or two (which are not GPUs).

    With this as a context manager the node is ready; `environment()` is what a process needs to
    submit to it. Leaving kills everything, running jobs included.
    """

    def __init__(self, cpus: int = 4, memory_mb: int = 32000, gpus: int = 1) -> None:
        self.cpus, self.memory_mb, self.gpus = cpus, memory_mb, gpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        # Not pytest's folder: a socket's path has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-")).resolve()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def environment(self) -> dict[str, str]:
        """Return the environment in which `sbatch`, `srun` and the rest talk to this Slurm."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(CLIENT_VARIABLES)}
        # Only Slurm may say which GPU a job sees.
        inherited.pop("CUDA_VISIBLE_DEVICES", None)
        return inherited | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{inherited.get('PATH', os.defpath)}",
        }

    def run(self, *command: str) -> str:
        """Run a command in this Slurm's environment and return what it printed."""
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def submit(self, script: str, *options: str, directory: Path) -> int:
        """Submit a shell script, whose output goes to `directory`/slurm-<id>.out; return the id."""
        wrapped = ("--chdir", str(directory), "--wrap", script)
        return int(self.run("sbatch", "--parsable", *options, *wrapped))

    def jobs(self) -> list[Job]:
        """Return every job since the start, in the order of submission."""
        listed = self.run("scontrol", "--oneliner", "show", "job").splitlines()
        found = [_job(line) for line in listed if line.startswith("JobId=")]
        return sorted(found, key=lambda job: job.id)

    def job(self, job_id: int) -> Job:
        """Return one job."""
        return next(job for job in self.jobs() if job.id == job_id)

    def wait(self, job_id: int, *states: str, seconds: float = 60) -> Job:
        """Wait until a job is in one of the states (ended, if none is named) and return it."""
        wanted = set(states) or ENDED
        _wait(
            lambda: self.job(job_id).state in wanted,
            seconds,
            lambda: f"job {job_id} is {self.job(job_id).state}, not {' or '.join(sorted(wanted))}",
        )
        return self.job(job_id)

    def cancel(self, job_id: int) -> None:
        """Cancel a job as a user does: TERM, and KILL ten seconds later."""
        self.run("scancel", str(job_id))

    def freeze(self, job_id: int, program: str) -> None:
        """Let a program of a job stand still until the job is ended: Slurm sends a CONT before."""
        for process in self.processes(job_id):
            if program.encode() in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGSTOP)

    def exhaust(self, job_id: int) -> None:
        """Let a running job's time be up; the controller looks every 30 seconds."""
        self.run("scontrol", "update", f"JobId={job_id}", "TimeLimit=0")

    def kill(self, job_id: int) -> None:
        """Kill a job's processes without a warning, as when memory runs out."""
        _kill(self.processes(job_id))

    def processes(self, job_id: int | None = None) -> list[int]:
        """Return the processes of a job, or all of this Slurm: daemons, jobs and clients."""
        mark = f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()
        job = f"SLURM_JOB_ID={job_id}".encode()

        def belongs(process: Path) -> bool:
            environment = (process / "environ").read_bytes().split(b"\0")
            if job_id is not None:
                return mark in environment and job in environment
            # The watchers of jobs (slurmstepd) write their title over their environment.
            return mark in environment or (process / "cwd").readlink() == self.folder

        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                if belongs(process):
                    found.append(int(process.name))
        return found

    def _start(self) -> None:
        folder, environment = self.folder, self.environment()
        path = f"{environment['PATH']}:/usr/sbin"
        names = ("munged", "slurmctld", "slurmd", "srun")
        programs = {name: shutil.which(name, path=path) for name in names}
        if missing := [name for name, found in programs.items() if found is None]:
            raise RuntimeError(
                f"no {' or '.join(missing)} on this machine: the cluster tests start a Slurm; "
                "on Debian and Ubuntu, `apt-get install slurm-wlm munge`"
            )
        for name in ("bin", "state", "spool"):
            (folder / name).mkdir()
        # Snakemake's Slurm jobs call srun without SLURM_*, so without SLURM_CONF: a site has its
        # configuration in /etc/slurm, where only root could put this one.
        srun = folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {programs["srun"]} "$@"\n')
        srun.chmod(0o755)
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        controller_port, node_port = _free_ports(2)
        settings = SLURM_CONF.format(
            host=socket.gethostname().partition(".")[0],
            user=os.geteuid(),
            folder=folder,
            controller_port=controller_port,
            node_port=node_port,
            cpus=self.cpus,
            memory=self.memory_mb,
            gpus=self.gpus,
        )
        (folder / "slurm.conf").write_text(settings)
        devices = "".join(f"Name=gpu File={device}\n" for device in GPUS[: self.gpus])
        (folder / "gres.conf").write_text(devices)

        files = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log"}
        files |= {"pid-file": "munged.pid", "seed-file": "munged.seed"}
        # --force: munged objects to a private folder, into which other users cannot reach.
        munged = ["--foreground", "--force", "--num-threads=10"]
        munged += [f"--{option}={folder / name}" for option, name in files.items()]
        for name, options in {"munged": munged, "slurmctld": ["-D"], "slurmd": ["-D"]}.items():
            with (folder / f"{name}.out").open("wb") as output:
                self._daemons[name] = subprocess.Popen(
                    # A test run that is killed takes its daemons with it.
                    ["setpriv", "--pdeathsig", "KILL", programs[name], *options],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            if name == "munged":
                _wait((folder / "munge.socket").exists, 10, self._complaint)
        _wait(self._ready, 30, self._complaint)

    def _ready(self) -> bool:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise RuntimeError(f"{name} ended with {daemon.returncode}; {self._complaint()}")
        sinfo = ["sinfo", "--noheader", "--format=%t"]
        asked = subprocess.run(sinfo, env=self.environment(), capture_output=True, text=True)
        return asked.stdout.strip() == "idle"

    def _complaint(self) -> str:
        logs = "\n".join(
            f"{log.name}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self.folder.glob("*.out"))
        )
        return f"Slurm did not start:\n{logs}"

    def _stop(self) -> None:
        # Nothing of it is worth an orderly end. Again until none is left: a process that forks
        # while it is looked for escapes once.
        while processes := self.processes():
            _kill(processes)
            time.sleep(0.05)
        for daemon in self._daemons.values():
            daemon.wait()
        shutil.rmtree(self.folder)


def _job(line: str) -> Job:
    fields = dict(re.findall(r"([\w/]+)=(\S*)", line))
    tres = dict(entry.partition("=")[::2] for entry in fields["TRES"].split(","))
    state = fields["JobState"]
    return Job(
        id=int(fields["JobId"]),
        name=fields["JobName"],
        comment=fields.get("Comment", ""),
        state=state,
        cpus=int(tres["cpu"]),
        gpus=int(fields.get("TresPerJob", "0").rpartition(":")[2]),  # gres:gpu:1, from --gpus
        memory_mb=_megabytes(tres["mem"]),
        minutes=_minutes(fields["TimeLimit"]),
        submitted=datetime.fromisoformat(fields["SubmitTime"]).timestamp(),
        # Of a job that waits or runs these are the scheduler's expectation.
        started=_time(fields["StartTime"]) if state != "PENDING" else None,
        ended=_time(fields["EndTime"]) if state in ENDED else None,
    )


def _megabytes(text: str) -> int:
    return int(float(text[:-1]) * {"M": 1, "G": 1024, "T": 1024**2}[text[-1]])


def _minutes(text: str) -> int:
    days, _, clock = text.rpartition("-")
    hours, minutes, _ = map(int, clock.split(":"))
    return (int(days or 0) * 24 + hours) * 60 + minutes


def _time(text: str) -> float | None:
    return None if text in ("Unknown", "None") else datetime.fromisoformat(text).timestamp()


def _wait(ready: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s: {complaint()}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _kill(processes: list[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
