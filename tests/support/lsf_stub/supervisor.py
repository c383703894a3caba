"""What sbatchd does for one job: start it, hold it to its run limit, kill it, report its end."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import time
from pathlib import Path

from support.lsf_stub.cluster import HOST, NAME, Cluster, Job

POLL_SECONDS = 0.2
# Between the warning at the run limit (SIGUSR2) and the killing: `bsub -W`, "ten minutes".
WARNING_MINUTES = 10
RUN_LIMIT = "TERM_RUNLIMIT: job killed after reaching LSF run time limit."
OWNER = "TERM_OWNER: job killed by owner."
NO_DIRECTORY = (
    "TERM_CWD_NOTEXIST: current working directory is not accessible or does not exist on the "
    "execution host."
)


def supervise(cluster: Cluster, job_id: int) -> None:
    """Wait for the job's turn, run it and record how it ended."""
    # A job gets its signals whatever the shell that submitted it had ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    while (job := cluster.dispatch(job_id)).state == "PEND":
        time.sleep(POLL_SECONDS)
    if job.state != "RUN":
        return
    spool = {name: cluster.home / f"{job_id}.{name}" for name in ("out", "err")}
    exit_code, reason = _run(cluster, job, spool)
    if job.submission.output:
        _report(job, exit_code, reason, spool)
    with cluster.changing() as jobs:
        cluster.finish(jobs[job_id], "EXIT" if exit_code else "DONE", exit_code, reason)


def _run(cluster: Cluster, job: Job, spool: dict[str, Path]) -> tuple[int, str]:
    """Run the job's command to its end; return its exit code and why it was killed, if it was."""
    settings = cluster.settings
    request = job.submission
    reason = ""
    signals: list[tuple[float, int]] = []
    with spool["out"].open("wb") as out, spool["err"].open("wb") as err:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", request.command],
                cwd=request.directory,
                env=_environment(job),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err if request.error else subprocess.STDOUT,
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return 2, NO_DIRECTORY
    limit = job.started + request.minutes * settings.minute_seconds
    exhausted = cluster.home / f"{request.job_id}.exhausted"
    while True:
        try:
            process.wait(POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            now = time.time()
        if reason != OWNER and cluster.jobs()[request.job_id].killed:
            reason, signals = OWNER, _terminate(now, settings.terminate_seconds)
        elif not reason and (now >= limit or exhausted.exists()):
            killing = now + WARNING_MINUTES * settings.minute_seconds
            signals = [(now, signal.SIGUSR2), *_terminate(killing, settings.terminate_seconds)]
            reason = RUN_LIMIT
        while signals and signals[0][0] <= now:
            cluster.signal(request.job_id, signals.pop(0)[1])
    if settings.orphans == "kill":
        cluster.destroy(request.job_id)
    code = process.returncode
    return (128 - code if code < 0 else code), reason


def _terminate(start: float, interval: float) -> list[tuple[float, int]]:
    """Return when which signal kills a job."""
    order = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    return [(start + i * interval, number) for i, number in enumerate(order)]


def _environment(job: Job) -> dict[str, str]:
    request = job.submission
    environment = {
        **os.environ,
        "LSB_JOBID": str(request.job_id),
        "LSB_JOBNAME": request.job_name,
        "LSB_QUEUE": request.queue,
        "LSB_DJOB_NUMPROC": str(request.slots),
        "LSB_HOSTS": " ".join([HOST] * request.slots),
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    if job.devices:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, job.devices))
    return environment


def _report(job: Job, exit_code: int, reason: str, spool: dict[str, Path]) -> None:
    """Append the job's report and output to its files, as LSF does when a job has ended."""
    request = job.submission
    user = getpass.getuser()
    rule = "-" * 60
    outcome = f"Exited with exit code {exit_code}." if exit_code else "Successfully completed."
    text = f"""Sender: LSF System <lsfadmin@{HOST}>
Subject: Job {request.job_id}: <{request.job_name}> in cluster <{NAME}> \
{"Exited" if exit_code else "Done"}

Job <{request.job_name}> was submitted from host <{HOST}> by user <{user}> in cluster <{NAME}> \
at {time.ctime(job.submitted)}
Job was executed on host(s) <{request.slots}*{HOST}>, in queue <{request.queue}>, as user <{user}> \
in cluster <{NAME}> at {time.ctime(job.started)}
<{request.directory}> was used as the working directory.
Started at {time.ctime(job.started)}
Terminated at {time.ctime()}
Results reported at {time.ctime()}

Your job looked like:

{rule}
# LSBATCH: User input
{request.command}
{rule}

{reason + chr(10) if reason else ""}{outcome}

Resource usage summary:

    Run time :                                   {time.time() - job.started:.0f} sec.
    Turnaround time :                            {time.time() - job.submitted:.0f} sec.

The output (if any) follows:

"""
    with open(request.output, "ab") as file:
        file.write(text.encode() + spool["out"].read_bytes() + b"\n\nPS:\n\n")
        if request.error:
            hint = f"Read file <{request.error}> for stderr output of this job.\n\n"
            file.write(hint.encode())
    if request.error:
        with open(request.error, "ab") as file:
            file.write(spool["err"].read_bytes())
