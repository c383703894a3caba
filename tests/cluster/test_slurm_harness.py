"""The Slurm of the cluster tests behaves as one: what they find out about it can be believed."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from support.slurm import Slurm


@pytest.fixture(scope="module")
def slurm():
    with Slurm() as running:
        yield running


def printed(folder: Path, job_id: int) -> str:
    return (folder / f"slurm-{job_id}.out").read_text()


def appears(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.1)


def test_a_job_runs_and_is_on_record_with_what_it_asked_for(slurm, tmp_path):
    options = ("--job-name=one", "--comment=rule_a", "--cpus-per-task=2", "--mem=4000", "--time=90")
    job = slurm.wait(slurm.submit("pwd; srun -n1 hostname", *options, directory=tmp_path))
    assert job.state == "COMPLETED"
    assert (job.name, job.comment, job.cpus, job.memory_mb) == ("one", "rule_a", 2, 4000)
    assert (job.minutes, job.gpus) == (90, 0)
    assert job.started <= job.ended <= time.time()
    assert printed(tmp_path, job.id).splitlines() == [str(tmp_path), os.uname().nodename]
    failed = slurm.wait(slurm.submit("exit 3", directory=tmp_path))
    assert failed.state == "FAILED"


def test_only_a_job_that_asks_for_the_gpu_sees_it(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    script = "echo batch=$CUDA_VISIBLE_DEVICES; srun -n1 sh -c 'echo step=$CUDA_VISIBLE_DEVICES'"
    without = slurm.wait(slurm.submit(script, directory=tmp_path))
    with_gpu = slurm.wait(slurm.submit(script, "--gpus=1", directory=tmp_path))
    assert printed(tmp_path, without.id).split() == ["batch=", "step="]
    assert printed(tmp_path, with_gpu.id).split() == ["batch=0", "step=0"]


def test_the_gpu_is_given_to_one_job_at_a_time(slurm, tmp_path):
    ids = [slurm.submit("sleep 1", "--gpus=1", directory=tmp_path) for _ in range(3)]
    assert [slurm.wait(job_id).state for job_id in ids] == ["COMPLETED"] * 3
    runs = sorted((job.started, job.ended) for job in slurm.jobs() if job.id in ids)
    assert all(one[1] <= following[0] for one, following in itertools.pairwise(runs))


SAVES = "trap 'echo TERM; exit 143' TERM; touch started; while :; do sleep 0.1; done"


def test_a_job_out_of_time_gets_a_term_and_may_save(slurm, tmp_path):
    script = f'srun -n1 sh -c "{SAVES}"'
    job_id = slurm.submit(script, "--time=5", directory=tmp_path)
    appears(tmp_path / "started")
    slurm.exhaust(job_id)
    assert slurm.wait(job_id).state == "TIMEOUT"
    assert "TERM" in printed(tmp_path, job_id).splitlines()


def test_a_cancelled_job_gets_a_term_and_a_killed_one_does_not(slurm, tmp_path):
    endings = {slurm.cancel: ("CANCELLED", True), slurm.kill: ("FAILED", False)}
    for number, (end, (state, saves)) in enumerate(endings.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        job_id = slurm.submit(f'srun -n1 sh -c "{SAVES}"', directory=folder)
        appears(folder / "started")
        end(job_id)
        assert slurm.wait(job_id).state == state
        assert ("TERM" in printed(folder, job_id).splitlines()) is saves


def running(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # empty: ended, not yet reaped
    except OSError:
        return False


@pytest.mark.parametrize("small_environment", [False, True])
def test_nothing_is_left_running(tmp_path, monkeypatch, small_environment):
    if small_environment:  # what slurmstepd writes over its environment may then be all of it
        monkeypatch.setattr("os.environ", {"PATH": os.environ["PATH"]})
    with Slurm() as slurm:
        job_id = slurm.submit("srun -n1 sh -c 'touch started; sleep 600'", directory=tmp_path)
        appears(tmp_path / "started")
        processes = slurm.processes()
        titles = [Path(f"/proc/{process}/cmdline").read_bytes() for process in processes]
        for part in (b"munged", b"slurmctld", b"slurmd", b"slurmstepd", b"sleep"):
            assert any(part in title for title in titles), f"{part} is not known to run"
        assert set(slurm.processes(job_id)) < set(processes)
    assert not any(running(process) for process in processes)
    assert not slurm.folder.exists()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "munged" else name)
    with pytest.raises(RuntimeError, match=r"no munged.*apt-get install slurm-wlm munge"), Slurm():
        pass
