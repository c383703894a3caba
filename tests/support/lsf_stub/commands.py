"""The commands of LSF that a workflow calls, as far as it calls them."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from support.lsf_stub.cluster import HOME, HOST, NAME, Cluster, Job
from support.lsf_stub.request import Refused, read_submission
from support.lsf_stub.supervisor import supervise

FINISHED = ("DONE", "EXIT")
FAILED = 255


def bsub(cluster: Cluster, argv: list[str]) -> int:
    settings = cluster.settings
    # The supervisor is no process of the job in which this bsub may itself run.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LSB_")}
    with cluster.changing() as jobs:
        number = len(jobs) + 1
        try:
            request = read_submission(number, argv, settings.queues, settings.slots)
        except Refused as error:
            print(f"{error}. Job not submitted.", file=sys.stderr)
            return FAILED
        with (cluster.home / "supervisors.log").open("ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-E", Path(__file__).with_name("__main__.py"), "job", str(number)],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        jobs[number] = Job(request, time.time(), supervisor.pid)
        cluster.log_new(request)
    print(f"Job <{number}> is submitted to queue <{request.queue}>.")
    return 0


def bjobs(cluster: Cluster, argv: list[str]) -> int:
    parser = _Parser("bjobs")
    for flag in ("-a", "-w", "-noheader"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-o", default="jobid user stat queue exec_host job_name submit_time")
    parser.add_argument("-J")
    parser.add_argument("ids", nargs="*", type=int)
    asked = parser.parse_args(argv)
    forgotten = time.time() - cluster.settings.clean_seconds
    known = {n: j for n, j in cluster.jobs().items() if (j.ended or time.time()) > forgotten}
    chosen = {n: j for n, j in known.items() if asked.a or j.state not in FINISHED}
    missing = []
    if asked.ids:
        chosen = {n: known[n] for n in asked.ids if n in known}
        missing = [n for n in asked.ids if n not in known]
    elif asked.J:
        chosen = {n: j for n, j in chosen.items() if _is_named(j, asked.J)}
        missing = [] if chosen else [asked.J]
    fields = asked.o.split()
    if chosen and not asked.noheader:
        print("  ".join(name.upper() for name in fields))
    for job in chosen.values():
        print("  ".join(_describe(job)[name] for name in fields))
    for name in missing:
        print(f"Job <{name}> is not found", file=sys.stderr)
    if not chosen and not missing:
        print(f"No {'' if asked.a else 'unfinished '}job found", file=sys.stderr)
    return 0 if chosen and not missing else FAILED


def _describe(job: Job) -> dict[str, str]:
    request = job.submission
    return {
        "jobid": str(request.job_id),
        "user": getpass.getuser(),
        "stat": job.state,
        "queue": request.queue,
        "exec_host": HOST if job.started else "-",
        "job_name": request.job_name,
        "submit_time": time.strftime("%b %d %H:%M", time.localtime(job.submitted)),
        "exit_code": "-" if job.exit_code is None else str(job.exit_code),
        "proj_name": request.project,
        "slots": str(request.slots),
    }


def _is_named(job: Job, pattern: str) -> bool:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(expression, job.submission.job_name) is not None


def bkill(cluster: Cluster, argv: list[str]) -> int:
    """Ask for the end of jobs; `0` is all, or all of a name. What still waits ends at once."""
    parser = _Parser("bkill")
    parser.add_argument("-J", default="*")
    parser.add_argument("ids", nargs="+", type=int)
    asked = parser.parse_args(argv)
    ids = asked.ids
    failed = False
    with cluster.changing() as jobs:
        if ids == [0]:
            left = {n: job for n, job in jobs.items() if job.state not in FINISHED}
            ids = [number for number, job in left.items() if _is_named(job, asked.J)]
            if not ids:
                print("No matching job found", file=sys.stderr)
                return FAILED
        for number in ids:
            job = jobs.get(number)
            if job is None or job.state in FINISHED:
                why = "Job has already finished" if job else "No matching job found"
                print(f"Job <{number}>: {why}", file=sys.stderr)
                failed = True
                continue
            job.killed = True
            if job.state == "PEND":
                cluster.finish(job, "EXIT", None)
            print(f"Job <{number}> is being terminated")
    return FAILED if failed else 0


def badmin(cluster: Cluster, argv: list[str]) -> int:
    if argv not in (["showconf", "mbd"], ["showconf", "mbd", "all"]):
        print(f"badmin: the stand-in knows `showconf mbd` only, not {argv}", file=sys.stderr)
        return FAILED
    print(f"MBD configuration at {time.ctime()}")
    for name, value in {
        "LSB_SHAREDIR": cluster.home / "share",
        "LSF_CONFDIR": cluster.home / "conf",
        "LSF_UNIT_FOR_LIMITS": "MB",
    }.items():
        print(f"        {name} = {value}")
    return 0


def lsclusters(cluster: Cluster, argv: list[str]) -> int:
    print("CLUSTER_NAME   STATUS   MASTER_HOST   ADMIN      HOSTS  SERVERS")
    print(f"{NAME:<14} ok       {HOST:<13} lsfadmin       1        1")
    return 0


def bqueues(cluster: Cluster, argv: list[str]) -> int:
    parser = _Parser("bqueues")
    for flag in ("-l", "-w"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("queues", nargs="*")
    asked = parser.parse_args(argv)
    limits = cluster.settings.queues
    if not asked.l:
        print("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP")
    for queue in asked.queues or limits:
        if queue not in limits:
            print(f"{queue}: No such queue", file=sys.stderr)
            return FAILED
        if asked.l:
            print(f"\nQUEUE: {queue}\n\nMAXIMUM LIMITS:\n RUNLIMIT")
            print(f" {limits[queue]}.0 min of {HOST}")
            continue
        states = [j.state for j in cluster.jobs().values() if j.submission.queue == queue]
        pending, running = states.count("PEND"), states.count("RUN")
        counts = f"{pending + running:5d} {pending:5d} {running:5d}     0"
        print(f"{queue:<15} 30  Open:Active       -    -    -    - {counts}")
    return 0


def bhosts(cluster: Cluster, argv: list[str]) -> int:
    running = [job for job in cluster.jobs().values() if job.state == "RUN"]
    used, total = sum(job.submission.slots for job in running), cluster.settings.slots
    status = "ok" if used < total else "closed_Full"
    print("HOST_NAME          STATUS          JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV")
    print(f"{HOST:<18} {status:<15} -   {total:6d} {used:6d} {used:6d}      0      0      0")
    return 0


class _Parser(argparse.ArgumentParser):
    def __init__(self, command: str) -> None:
        super().__init__(prog=command, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> None:
        self.exit(FAILED, f"{self.prog}: {message}\n")


COMMANDS = {
    command.__name__: command
    for command in (bsub, bjobs, bkill, badmin, lsclusters, bqueues, bhosts)
}


def main() -> int:
    name, *argv = sys.argv[1:]
    cluster = Cluster(os.environ[HOME])
    if name == "job":
        supervise(cluster, int(argv[0]))
        return 0
    return COMMANDS[name](cluster, argv)
