"""The small experiment through a real Slurm: what reaches the queue, and what killed jobs leave."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.checkout import QUEUED, Checkout, copy_repository
from support.killing import (
    EPOCHS,
    Master,
    linked,
    log,
    model,
    nothing_is_left_over,
    remove,
    same_training,
    states,
)
from support.slurm import PROFILE, Job, Slurm

WITHOUT_GPU = {"AT4RAMT_GPU": "optional"}


@dataclass(frozen=True)
class Run:
    """The whole experiment, on its way through the queue or at its end."""

    checkout: Checkout
    slurm: Slurm
    said: Future[str]


@pytest.fixture(scope="module", autouse=True)
def in_background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Start the whole experiment: it waits more than it works, so other tests run meanwhile."""
    copy = copy_repository(tmp_path_factory.mktemp("queued") / "at4ramt")
    with ThreadPoolExecutor(1) as pool, Slurm() as slurm:
        environment = slurm.environment() | WITHOUT_GPU
        checkout = Checkout(copy.path, (*QUEUED, *PROFILE), environment)
        yield Run(checkout, slurm, pool.submit(checkout.snakemake))


@pytest.fixture(scope="module")
def queued(in_background: Run) -> Run:
    """The whole experiment at its end."""
    in_background.said.result(timeout=900)
    return in_background


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    """A Slurm with a GPU for each arm."""
    with Slurm(gpus=2) as running:
        yield running


def to_train(undisturbed: Checkout, slurm: Slurm, folder: Path, *arms: str) -> Checkout:
    """Copy the run in which the first rounds are long, and remove those of these arms."""
    options = (*QUEUED, "longer.yaml", *PROFILE)
    # At the end of each epoch, and now and then within.
    often = {"AT4RAMT_CHECKPOINT_SECONDS": "0.2"}
    environment = slurm.environment() | WITHOUT_GPU | often
    copy = linked(undisturbed, folder / "at4ramt", *options, **environment)
    for arm in arms:
        remove(copy, f"results/models/{arm}/seed_0/round_*", f"logs/train_round/{arm}")
    return copy


def frozen(master: Master, slurm: Slurm, checkout: Checkout, arm: str, *before: int) -> int:
    """Return the job that trains an arm's first round, standing still in the midst of it.

    What comes for a job that stands still cannot come too late.
    """

    def trains() -> int | None:
        job = re.search(r"SLURM_JOB_ID=(\d+)", words := log(checkout, arm))
        an_epoch_ended = re.search(rf"epoch \d+/{EPOCHS}: loss", words)
        saved = states(checkout, f"{arm}/seed_0/round_01")
        new = job and an_epoch_ended and saved and int(job[1]) not in before
        return int(job[1]) if new else None

    master.await_(f"an epoch of {arm}, after the jobs {before}", trains)
    job = trains()
    slurm.freeze(job, ".train_round.py")
    assert f"epoch {EPOCHS}/{EPOCHS}" not in log(checkout, arm)
    return job


def printed(checkout: Checkout, job: int) -> str:
    """Return what a job that did not succeed printed."""
    (path,) = checkout.path.glob(f".snakemake/slurm_logs/*/*/{job}.log")
    return path.read_text(encoding="utf-8")


def went_on(words: str, job: int, saved: str) -> bool:
    """Whether a training went on from the state that another job saved, and for what reason."""
    found = re.search(r"going on from the .*: epoch (\d+)/.* \(saved (.*)\)$", words, re.MULTILINE)
    epoch, state = found.groups()
    return int(epoch) > 1 and state.startswith(saved) and f"SLURM_JOB_ID={job}," in state


def test_a_promised_gpu_that_is_not_there_stops_the_training_and_the_terminal_says_why(
    linked_copy: Callable[..., Checkout], slurm: Slurm
) -> None:
    copy = linked_copy(*PROFILE, environment=slurm.environment())
    last = "results/models/clean/seed_0/round_02.keras"
    (copy.path / last).unlink()
    said = copy.snakemake("--retries", "0", last, fails=True)
    (job,) = slurm.jobs()
    assert job.state == "FAILED"
    assert "the profile promises this job a GPU" in said
    assert f"SLURM_JOB_ID={job.id}, CUDA_VISIBLE_DEVICES=0" in said
    assert "set AT4RAMT_GPU=optional before snakemake, or gpu_required: 0" in said
    assert not (copy.path / last).exists()


def test_killed_trainings_are_submitted_again_and_end_like_those_left_alone(
    undisturbed: Checkout, slurm: Slurm, tmp_path: Path
) -> None:
    copy = to_train(undisturbed, slurm, tmp_path, "adversarial", "clean")
    with Master(copy, "--", model("adversarial"), model("clean")) as master:
        out_of_time = frozen(master, slurm, copy, "adversarial")
        slurm.exhaust(out_of_time)
        killed = frozen(master, slurm, copy, "clean")
        slurm.kill(killed)
        cancelled = frozen(master, slurm, copy, "clean", killed)
        slurm.cancel(cancelled)
        master.end()
    jobs = slurm.jobs()
    assert Counter(map(arm, jobs)) == {"adversarial": 2, "clean": 3}
    ends = {out_of_time: "TIMEOUT", killed: "FAILED", cancelled: "CANCELLED"}
    assert {job.id: job.state for job in jobs if job.state != "COMPLETED"} == ends
    assert went_on(log(copy, "adversarial"), out_of_time, saved="on SIGTERM")
    assert went_on(printed(copy, cancelled), killed, saved="in passing")
    assert went_on(log(copy, "clean"), cancelled, saved="on SIGTERM")
    same_training(copy, undisturbed, "adversarial")
    same_training(copy, undisturbed, "clean")
    assert nothing_is_left_over(copy)


def arm(job: Job) -> str:
    return re.fullmatch(r"rule_train_round_wildcards_(\w+)_0_01", job.comment)[1]


def test_what_a_killed_master_leaves_in_the_queue_is_ended_by_its_name(
    undisturbed: Checkout, slurm: Slurm, tmp_path: Path
) -> None:
    copy = to_train(undisturbed, slurm, tmp_path, "clean")
    with Master(copy, model("clean")) as master:
        left = frozen(master, slurm, copy, "clean")
    # As docs/cluster.md says.
    slurm.run("scancel", "--me", f"--name={re.search(r'SLURM run ID: (.+)', master.said)[1]}")
    assert slurm.wait(left).state == "CANCELLED"
    copy.snakemake("--unlock")
    copy.snakemake(model("clean"))
    assert went_on(log(copy, "clean"), left, saved="on SIGTERM")
    same_training(copy, undisturbed, "clean")
    assert nothing_is_left_over(copy)


def test_the_experiment_ends_with_its_report_and_the_scores_of_a_local_run(
    queued: Run, finished: Checkout
) -> None:
    assert (queued.checkout.path / "results/report.html").exists()
    scores = "results/evaluation/scores.parquet"
    local, through_slurm = ((run.path / scores).read_bytes() for run in (finished, queued.checkout))
    assert through_slurm == local
    assert nothing_is_left_over(queued.checkout)


def test_small_jobs_are_submitted_in_groups_and_short_ones_not_at_all(queued: Run) -> None:
    # Fetching, tables, figures and the report run on the submit host.
    submitted = [re.sub("_wildcards.*", "", job.comment) for job in queued.slurm.jobs()]
    # Which kinds of scoring share a submission is left to Snakemake.
    submitted = [re.sub("(rule_evaluation)_.*", r"\1", name) for name in submitted]
    assert Counter(submitted) == {
        "rule_pianos_prepare_piano": 1,
        "rule_features_extract_cqt_render_piece": 1,
        "rule_mixing_mix_noise": 1,
        "rule_build_shard": 4,  # one of each split and piano
        "rule_train_base": 1,
        "rule_train_round": 4,
        "rule_evaluation": 3,  # 5 models on shards, 3 on notes, 3 in audio: 11, four at once
        "rule_transcription_export_onnx_transcribe_excerpts": 1,
    }
    assert {job.state for job in queued.slurm.jobs()} == {"COMPLETED"}


def test_trainings_ask_for_a_gpu_and_nothing_else_does(queued: Run) -> None:
    for job in queued.slurm.jobs():
        assert job.cpus == 1
        if job.comment.startswith("rule_train_"):
            assert (job.gpus, job.minutes, job.memory_mb) == (1, 240, 4000)
        else:
            assert job.gpus == 0
            assert job.minutes <= 240


def test_trainings_wait_for_the_gpu_in_the_queue_and_never_share_it(queued: Run) -> None:
    trainings = [job for job in queued.slurm.jobs() if job.gpus]
    pairs = list(itertools.pairwise(sorted(trainings, key=lambda job: job.started)))
    assert len(pairs) == 4
    assert all(before.ended <= after.started for before, after in pairs)
    # Not Snakemake keeps them apart: with two GPUs, two arms would train side by side.
    assert any(after.submitted < before.ended for before, after in pairs)
    logs = [path.read_text("utf-8") for path in queued.checkout.path.glob("logs/train_*/**/*.log")]
    devices = r"device: cpu \(.*SLURM_JOB_ID=(\d+), CUDA_VISIBLE_DEVICES=0\)"
    assert sorted(int(re.search(devices, words)[1]) for words in logs) == [j.id for j in trainings]
