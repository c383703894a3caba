"""The stand-in for LSF does what is documented of LSF: the other tests here lean on it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_lsf import Executor
from support.lsf import Lsf

# A job that writes down every signal it gets, and ends of none.
STUBBORN = (
    'for s in USR2 INT TERM; do trap "echo $s >> {log}" $s; done; echo ready >> {log}; '
    "while :; do sleep 0.1; done"
)


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[Lsf]:
    with Lsf(tmp_path / "lsf", slots=2, minute_seconds=1, terminate_seconds=0.5) as lsf:
        yield lsf


def submit(lsf: Lsf, *arguments: str) -> int:
    done = lsf.run("bsub", *arguments)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.removeprefix("Job <").partition(">")[0])


def wait_for(path: Path, text: str) -> None:
    until = time.monotonic() + 30
    while not path.exists() or text not in path.read_text(encoding="utf-8"):
        assert time.monotonic() < until, f"{path} has no {text!r}"
        time.sleep(0.05)


def test_a_submission_as_the_plugin_writes_it_runs_and_is_recorded(
    lsf: Lsf, tmp_path: Path
) -> None:
    log = tmp_path / "job.log"
    call = (
        f"bsub -J 'Snakemake_rule_train_base:seed=1___(f0-1)' -o {log} -e {log} -env all"
        " -P music -q gpu.4h -W 240 -n 2 -R rusage[mem=2000.0] -R span[hosts=1]"
        ' -R "rusage[ngpus_excl_p=1]" -R "select[gpu_mtotal0>=10240]"'
        f' -cwd {tmp_path} "pwd; echo gpu $CUDA_VISIBLE_DEVICES; echo careful >&2"'
    ).replace("$CUDA", "\\$CUDA")
    done = lsf.run("sh", "-c", call)
    assert done.stdout == "Job <1> is submitted to queue <gpu.4h>.\n"
    assert lsf.wait(1) == "DONE"
    (job,) = lsf.submissions()
    assert (job.project, job.queue, job.minutes, job.slots) == ("music", "gpu.4h", 240, 2)
    assert job.resources[0] == "rusage[mem=2000.0]"
    assert (job.gpus, job.gpu, job.directory) == (1, None, str(tmp_path))
    assert job.job_name == "Snakemake_rule_train_base:seed=1___(f0-1)"
    report = log.read_text(encoding="utf-8")
    assert "Successfully completed.\n" in report
    assert f"The output (if any) follows:\n\n{tmp_path}\ngpu 0\n" in report
    assert report.endswith("careful\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-x", "true"], "illegal option -- x"),
        ([], "Empty job"),
        (["-q", "gpu", "true"], "gpu: No such queue"),
        (["-W", "240.0", "true"], "240.0: Bad RUNLIMIT specification"),
        (["-W", "4h", "true"], "4h: Bad RUNLIMIT specification"),
        (["-W", "4:01", "true"], "RUNLIMIT: Cannot exceed queue's hard limit(s)"),
        (["-n", "0", "true"], "Bad argument for option -n"),
        (["-n", "3", "true"], "Too many processors requested"),
        (["-J", "piece[1]", "true"], "Bad job name"),
        (["-R", "rusage=[mem=20]", "true"], "Bad resource requirement syntax"),
        (["-R", "rusage[mem=4 GB]", "true"], "Error in rusage section"),
        (["-R", "rusage[gpus=1]", "true"], "Error in rusage section"),
        (["-R", "rusage[mem=1]", "-R", "rusage[mem=1]", "true"], "Error in rusage section"),
        (["-R", "usage[mem=1]", "true"], 'Error near "usage"'),
        (["-R", "select[mem>1] select[mem>1]", "true"], "duplicate section"),
        (["-R", "select[gpu_memory>=10240]", "true"], 'Error near "gpu_memory"'),
        (["-R", "select[mem>=]", "true"], "Error in select section"),
        (["-R", "span[host=1]", "true"], "Error in span section"),
        (["-gpu", "1", "true"], "Error in GPU requirement"),
    ],
)
def test_what_lsf_refuses_is_not_submitted(lsf: Lsf, arguments: list[str], message: str) -> None:
    done = lsf.run("bsub", *arguments)
    assert done.returncode == 255
    assert message in done.stderr
    assert done.stderr.endswith("Job not submitted.\n")
    assert lsf.submissions() == []


def test_a_job_has_its_own_environment_and_only_the_devices_it_asked_for(
    lsf: Lsf, tmp_path: Path
) -> None:
    command = "echo $LSB_JOBID $LSB_QUEUE $LSB_DJOB_NUMPROC ${CUDA_VISIBLE_DEVICES-none} $OURS"
    environment = {**lsf.environment(), "CUDA_VISIBLE_DEVICES": "7", "OURS": "kept"}
    for number, options in enumerate((["-n", "2"], ["-gpu", "num=1:mode=exclusive_process"])):
        call = ["bsub", "-q", "normal.24h", "-o", str(tmp_path / str(number)), *options, command]
        subprocess.run(call, env=environment, check=True, stdout=subprocess.DEVNULL)
        lsf.wait(number + 1)
    assert "\n1 normal.24h 2 none kept\n" in (tmp_path / "0").read_text(encoding="utf-8")
    assert "\n2 normal.24h 1 0 kept\n" in (tmp_path / "1").read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -TERM $$", 143)])
def test_a_failed_job_tells_its_exit_code(
    lsf: Lsf, tmp_path: Path, command: str, code: int
) -> None:
    job = submit(lsf, "-o", str(tmp_path / "log.%J"), command)
    assert lsf.wait(job) == "EXIT"
    assert lsf.exit_code(job) == code
    report = (tmp_path / f"log.{job}").read_text(encoding="utf-8")
    assert f"Exited with exit code {code}." in report


def test_a_job_waits_for_its_gpu_while_others_pass(lsf: Lsf) -> None:
    gpu = ("-R", "rusage[ngpus_excl_p=1]")
    first = submit(lsf, *gpu, "sleep 1")
    lsf.wait(first, "RUN")
    second = submit(lsf, *gpu, "sleep 0.5")
    other = submit(lsf, "true")
    lsf.wait(other)
    assert (lsf.state(first), lsf.state(second)) == ("RUN", "PEND")
    lsf.wait(second)
    runs = {run.job_id: run for run in lsf.intervals()}
    assert runs[second].start >= runs[first].end
    assert (runs[first].gpus, runs[other].gpus) == (1, 0)


def test_no_more_jobs_run_than_there_are_slots_and_none_is_lost(lsf: Lsf) -> None:
    with ThreadPoolExecutor(6) as pool:
        jobs = list(pool.map(lambda _: submit(lsf, "sleep 0.3"), range(6)))
    assert sorted(jobs) == list(range(1, 7))
    assert {lsf.wait(job) for job in jobs} == {"DONE"}
    runs = lsf.intervals()
    for run in runs:
        assert sum(other.start <= run.start < other.end for other in runs) <= 2


def test_the_run_limit_warns_every_process_of_the_job(lsf: Lsf, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = f"trap 'echo child >> {log}; exit' USR2; while :; do sleep 0.1; done"
    command = f'setsid sh -c "{child}" & wait'  # in a session and a process group of its own
    job = submit(lsf, "-o", str(tmp_path / "report"), "-W", "1", command)
    lsf.wait(job)
    assert (lsf.state(job), lsf.exit_code(job)) == ("EXIT", 140)
    wait_for(log, "child")
    report = (tmp_path / "report").read_text(encoding="utf-8")
    assert "TERM_RUNLIMIT: job killed after reaching LSF run time limit.\nExited" in report
    (run,) = lsf.intervals()
    assert 1 <= run.end - run.start < 5


def test_ten_minutes_after_the_warning_a_job_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Lsf(tmp_path / "lsf", minute_seconds=0.3, terminate_seconds=0.5) as lsf:
        job = submit(lsf, "-W", "2", STUBBORN.format(log=log))
        lsf.wait(job)
        (run,) = lsf.intervals()
        assert lsf.exit_code(job) == 137
    assert log.read_text(encoding="utf-8").split() == ["ready", "USR2", "INT", "TERM"]
    assert 12 * 0.3 + 2 * 0.5 <= run.end - run.start < 10


def test_bkill_sends_int_then_term_then_kill(lsf: Lsf, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = submit(lsf, "-o", str(tmp_path / "report"), STUBBORN.format(log=log))
    wait_for(log, "ready")
    assert lsf.run("bkill", str(job)).stdout == f"Job <{job}> is being terminated\n"
    lsf.wait(job)
    assert log.read_text(encoding="utf-8").split() == ["ready", "INT", "TERM"]
    assert "TERM_OWNER: job killed by owner." in (tmp_path / "report").read_text(encoding="utf-8")


def test_bkill_of_jobs_that_wait_have_ended_or_never_were(lsf: Lsf, tmp_path: Path) -> None:
    running = submit(lsf, "-n", "2", "sleep 60")
    waiting = submit(lsf, f"touch {tmp_path}/ran")
    lsf.wait(running, "RUN")
    done = lsf.run("bkill", str(waiting), "99")
    assert done.returncode == 255
    assert done.stderr == "Job <99>: No matching job found\n"
    assert lsf.state(waiting) == "EXIT"
    again = lsf.run("bkill", str(waiting), str(running))
    assert again.returncode == 255
    assert again.stderr == f"Job <{waiting}>: Job has already finished\n"
    assert lsf.wait(running) == "EXIT"
    assert lsf.exit_code(running) == 130
    assert not (tmp_path / "ran").exists()


def test_bjobs_finds_jobs_by_name_and_number(lsf: Lsf) -> None:
    done = submit(lsf, "-J", "Snakemake_rule_a___(u-1)", "true")
    lsf.wait(done)
    running = submit(lsf, "-J", "Snakemake_rule_b___(u-1)", "sleep 60")
    submit(lsf, "-J", "Snakemake_rule_b___(u-2)", "sleep 60")
    lsf.wait(running, "RUN")
    ours = lsf.run("bjobs", "-noheader", "-o", "jobid stat", "-aJ", "*u-1*")
    assert [line.split() for line in ours.stdout.splitlines()] == [
        [str(done), "DONE"],
        [str(running), "RUN"],
    ]
    assert len(lsf.run("bjobs").stdout.splitlines()) == 3  # a header, and what has not ended
    assert "DONE" in lsf.run("bjobs", "-w", str(done)).stdout
    for asked, message in (
        (("-aJ", "*u-3*"), "Job <*u-3*> is not found"),
        (("-w", "99"), "Job <99> is not found"),
    ):
        none = lsf.run("bjobs", *asked)
        assert (none.returncode, none.stdout, none.stderr) == (255, "", message + "\n")


def test_a_job_on_a_crashed_host_has_failed_or_is_unknown(lsf: Lsf, tmp_path: Path) -> None:
    for name, crash, state in (("a", lsf.kill_host, "EXIT"), ("b", lsf.lose, "UNKWN")):
        log = tmp_path / name
        job = submit(lsf, STUBBORN.format(log=log))
        wait_for(log, "ready")
        crash(job)
        assert lsf.processes(job) == []
        assert lsf.state(job) == state
        assert log.read_text(encoding="utf-8") == "ready\n"
        assert state in lsf.run("bjobs", "-a", str(job)).stdout
    assert lsf.running() == []


@pytest.mark.parametrize("orphans", ["leave", "kill"])
def test_processes_that_outlive_the_job(tmp_path: Path, orphans: str) -> None:
    with Lsf(tmp_path / "lsf", orphans=orphans) as lsf:
        job = submit(lsf, "sleep 300 >/dev/null 2>&1 & true")
        assert lsf.wait(job) == "DONE"
        assert len(lsf.processes(job)) == (1 if orphans == "leave" else 0)
    assert lsf.processes(job) == []


def test_a_job_that_submits_jobs_is_killed_without_them(lsf: Lsf, tmp_path: Path) -> None:
    master = submit(lsf, f"bsub sleep 60 > {tmp_path}/log; sleep 60")
    wait_for(tmp_path / "log", "Job <2> is submitted")
    lsf.wait(2, "RUN")
    lsf.run("bkill", str(master))
    lsf.wait(master)
    assert lsf.running() == [2]
    assert alive(lsf.supervisor(2))


def test_nothing_is_left_when_the_cluster_is_gone(tmp_path: Path) -> None:
    with Lsf(tmp_path / "lsf") as lsf:
        job = submit(lsf, STUBBORN.format(log=tmp_path / "log"))
        submit(lsf, "-n", "2", "true")
        wait_for(tmp_path / "log", "ready")
        supervisors = [lsf.supervisor(number) for number in (1, 2)]
        processes = [*lsf.processes(job), *supervisors]
    for process in processes:
        assert not alive(process)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_plugin_reads_the_configuration_and_every_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lsf(tmp_path / "lsf", clean_seconds=0) as lsf:
        for name, value in lsf.environment().items():
            monkeypatch.setenv(name, value)
        configuration = Executor.get_lsf_config()
        assert configuration["DEFAULT_QUEUE"] == "normal.4h"
        executor = SimpleNamespace(
            run_uuid="5f0c-1", lsf_config=configuration, logger=logging.getLogger("test")
        )
        name = "Snakemake_group_features:a__piece=x y,b=2___(5f0c-1)"
        resources = ("-R", "select[mem>1 && tmp>1]")
        jobs = [submit(lsf, "-J", name, *resources, c) for c in ("true", "exit 1", "sleep 60")]
        other = submit(lsf, "-J", "Snakemake_rule_a___(5f0c-2)", "true")
        for job in (*jobs[:2], other):
            lsf.wait(job)
        lsf.wait(jobs[2], "RUN")
        listed, _ = asyncio.run(Executor.job_stati_bjobs(executor))
        logged, _ = asyncio.run(Executor.job_stati_lsbevents(executor))
    assert listed == {"3": "RUN"}  # bjobs has forgotten the others
    assert logged == {"1": "DONE", "2": "EXIT", "3": "RUN"}


def test_queues_and_hosts_are_listed(lsf: Lsf) -> None:
    assert "gpu.24h" in lsf.run("bqueues", "-w").stdout
    assert " RUNLIMIT\n 1440.0 min" in lsf.run("bqueues", "-l", "gpu.24h").stdout
    unknown = lsf.run("bqueues", "gpu")
    assert (unknown.returncode, unknown.stderr) == (255, "gpu: No such queue\n")
    assert "ok" in lsf.run("bhosts").stdout
