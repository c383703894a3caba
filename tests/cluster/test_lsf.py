"""The small experiment through LSF: what reaches the queue, and what a failure there leaves."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import pytest
from support.checkout import QUEUED, Checkout, copy_repository
from support.killing import EPOCHS, LONGER
from support.lsf import Lsf
from support.lsf_stub.request import Submission

# The profile as it is, but for the waits that are there for a busy LSF and a network file system.
PROFILE = (
    *("--profile", "profiles/lsf", "--max-jobs-per-timespan", "100/1s"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "5"),
)
MODEL = "results/models/clean/seed_0/round_02.keras"
TRAINING_LOG = "logs/train_round/clean/seed_0/round_02.log"


@dataclass(frozen=True)
class Run:
    """The whole experiment, on its way through the queue or at its end."""

    checkout: Checkout
    lsf: Lsf
    printed: Future[str]


@pytest.fixture(scope="module", autouse=True)
def in_background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Start the whole experiment: it waits more than it works, so other tests run meanwhile."""
    folder = tmp_path_factory.mktemp("queued")
    copy = copy_repository(folder / "at4ramt")
    with ThreadPoolExecutor(1) as pool, Lsf(folder / "lsf", orphans="kill") as lsf:
        checkout = Checkout(copy.path, (*QUEUED, *PROFILE), without_gpu(lsf))
        yield Run(checkout, lsf, pool.submit(checkout.snakemake))


@pytest.fixture(scope="module")
def queued(in_background: Run) -> Run:
    """The whole experiment at its end."""
    in_background.printed.result(timeout=900)
    return in_background


@pytest.fixture
def ready(lsf: Lsf, linked_copy: Callable[..., Checkout]) -> Checkout:
    """A copy in which the clean arm's last round is still to be trained."""
    copy = linked_copy(*PROFILE, environment=without_gpu(lsf))
    (copy.path / MODEL).unlink()
    return copy


def without_gpu(lsf: Lsf) -> dict[str, str]:
    """The environment of a user who knows that this cluster's GPU is a promise only."""
    return {**lsf.environment(), "AT4RAMT_GPU": "optional"}


def kind(job: Submission) -> str:
    """The group or the rule that a submission is of."""
    return job.job_name.removeprefix("Snakemake_").partition(":")[0]


def memory(job: Submission) -> float:
    """Megabytes that a submission reserves by `rusage[mem]`, in LSF's way of counting."""
    (text,) = (text for text in job.resources if "mem=" in text)
    return float(text.removeprefix("rusage[mem=").removesuffix("]"))


def wait_for_training(copy: Checkout) -> None:
    """Wait until a second round trains in the queue: unlike the finished run's, its log says so."""
    until = time.monotonic() + 300
    logs = copy.path / "logs/train_round"
    while not any("LSB_JOBID" in log.read_text("utf-8") for log in logs.rglob("round_02.log")):
        assert time.monotonic() < until, "no training within five minutes"
        time.sleep(0.1)


def test_a_promised_gpu_that_is_not_there_stops_the_training_and_the_terminal_says_why(
    lsf: Lsf, ready: Checkout
) -> None:
    strict = Checkout(ready.path, ready.options, lsf.environment())
    printed = strict.snakemake("--retries", "0", MODEL, fails=True)
    assert "the profile promises this job a GPU" in printed
    assert "set AT4RAMT_GPU=optional before snakemake, or gpu_required: 0" in printed
    assert not (ready.path / MODEL).exists()


def test_a_failing_piece_fails_its_own_submission_only_and_is_named(
    lsf: Lsf, linked_copy: Callable[..., Checkout]
) -> None:
    copy = linked_copy(*PROFILE, environment=lsf.environment())
    features = sorted((copy.path / "results/features").iterdir())
    for file in features:
        file.unlink()
    wav = next((copy.path / "results/corpus").rglob("MAPS_MUS-Maestro_3-0_TimGM6mb.wav"))
    wav.unlink()
    wav.write_bytes(b"no audio")
    in_twos = ("--group-components", "features=2", "--retries", "1")
    printed = copy.snakemake(*in_twos, "features", fails=True)
    assert f"{wav.relative_to(copy.path)}: this is not audio that can be read" in printed
    left = [file for file in features if not file.exists()]
    assert len(left) == 2  # a group is made as a whole or not at all
    assert wav.stem in {file.stem for file in left}
    jobs = lsf.submissions()
    assert len(jobs) == len(features) / 2 + 1
    assert max(map(memory, jobs)) == 2 * min(map(memory, jobs))  # the retry asks for more


def test_ctrl_c_ends_what_runs_and_what_waits_and_the_next_call_goes_on(
    lsf: Lsf, ready: Checkout
) -> None:
    (ready.path / MODEL.replace("clean", "adversarial")).unlink()
    # The plugin bkills only what it knows of: not what is being submitted or looked at just then.
    with ready.start("--seconds-between-status-checks", "60", "rounds") as master:
        wait_for_training(ready)
        assert len(lsf.submissions()) == 2
        os.killpg(master.pid, signal.SIGINT)
        printed, _ = master.communicate(timeout=300)
    assert master.returncode == 1, printed
    for job in (1, 2):
        assert lsf.wait(job) == "EXIT"
        assert not lsf.processes(job)
    # No lock, and no question what to do with the outputs.
    assert ready.planned("rounds") == {"train_round": 2, "rounds": 1}
    assert not list((ready.path / ".snakemake").glob("locks/*"))


def test_a_lost_training_leaves_no_half_model_and_the_message_names_what_is_missing(
    lsf: Lsf, ready: Checkout
) -> None:
    with ready.start("--retries", "0", MODEL) as master:
        wait_for_training(ready)
        lsf.lose(1)
        printed, _ = master.communicate(timeout=300)
    assert master.returncode == 1, printed
    assert "MissingOutputException" in printed
    assert MODEL in printed
    assert not (ready.path / MODEL).exists()


def test_the_older_model_that_a_lost_training_leaves_is_not_taken_for_its_result(
    lsf: Lsf, ready: Checkout
) -> None:
    (ready.path / "longer.yaml").write_text(LONGER, encoding="utf-8")
    longer = Checkout(ready.path, (*QUEUED, "longer.yaml", *PROFILE), ready.environment)
    first = MODEL.replace("02", "01")
    gpu = ("-R", "rusage[ngpus_excl_p=1]")
    assert lsf.run("bsub", "-q", "gpu.4h", "-W", "60", *gpu, "sleep 600").returncode == 0
    with longer.start("--retries", "0", MODEL) as master:
        # It waits for the GPU: nothing of it has run when its host is lost.
        lsf.wait_for_submissions(2)
        lsf.lose(2)
        lsf.run("bkill", "1")
        printed, _ = master.communicate(timeout=300)
    assert master.returncode == 1, printed
    assert f"{first}: was trained with rounds.epochs 1 (now {EPOCHS})" in printed
    assert "delete this file and run snakemake again" in printed
    assert not (ready.path / MODEL).exists()
    (ready.path / first).unlink()
    assert longer.planned(MODEL)["train_round"] == 2


def test_memory_per_job_and_the_newer_gpu_option_are_lines_to_change(
    lsf: Lsf, ready: Checkout
) -> None:
    profile = ready.path / "profiles/lsf/config.yaml"
    text = profile.read_text(encoding="utf-8")
    newer = re.search(r"^ *# +(lsf_extra: '-gpu .+')$", text, re.MULTILINE)[1]
    text, count = re.subn(r"^    lsf_extra: .+$", f"    {newer}", text, flags=re.MULTILINE)
    assert count == 2
    profile.write_text(text, encoding="utf-8")
    scores = [
        f"results/evaluation/models/{model}.scores.parquet"
        for model in ("base/seed_0", "adversarial/seed_0/round_02")
    ]
    for path in scores:
        (ready.path / path).unlink()
    per_job = Checkout(
        ready.path, ready.options, {**ready.environment, "SNAKEMAKE_LSF_MEMFMT": "perjob"}
    )
    printed = per_job.snakemake(MODEL, *scores)
    jobs = {kind(job): job for job in lsf.submissions()}
    assert jobs["rule_train_round"].gpu == "num=1:mode=exclusive_process"
    assert not any("ngpus" in text for text in jobs["rule_train_round"].resources)
    assert jobs["group_evaluation"].gpus == 0
    assert "CUDA_VISIBLE_DEVICES=0" in (ready.path / TRAINING_LOG).read_text("utf-8")
    of_rule = re.search(r"rule evaluate_model:.+?mem_mb=(\d+)", printed, re.DOTALL)[1]
    assert jobs["group_evaluation"].slots == 2
    assert memory(jobs["group_evaluation"]) == 2 * int(of_rule)


def test_the_experiment_ends_with_its_report_and_the_scores_of_a_local_run(
    queued: Run, finished: Checkout
) -> None:
    assert (queued.checkout.path / "results/report.html").exists()
    local, through_lsf = (
        pd.read_parquet(run.path / "results/evaluation/scores.parquet")
        for run in (finished, queued.checkout)
    )
    pd.testing.assert_frame_equal(local, through_lsf, check_exact=True)
    assert not (queued.checkout.path / "results/checkpoints").exists()


def test_small_jobs_are_submitted_in_groups_and_short_ones_not_at_all(queued: Run) -> None:
    # Fetching, tables, figures and the report run on the submit host.
    assert Counter(map(kind, queued.lsf.submissions())) == {
        "group_pianos": 1,
        "group_features": 1,
        "group_mixing": 1,
        "rule_build_shard": 4,  # one of each split and piano
        "rule_train_base": 1,
        "rule_train_round": 4,
        "group_evaluation": 2,  # 5 models on shards, 3 on notes, 3 in audio: 11, eight at once
        "group_transcription": 1,
    }


def test_every_submission_says_what_leonhard_wants_to_know(queued: Run) -> None:
    for job in queued.lsf.submissions():
        given = dict(zip(job.argv[::2], job.argv[1::2], strict=False))
        assert given["-P"] == "at4ramt"
        assert given["-W"].isdigit()
        assert given["-n"].isdigit()
        assert memory(job).is_integer()
        if kind(job).startswith("rule_train_"):
            assert (given["-q"], job.minutes, job.slots, memory(job)) == ("gpu.4h", 240, 1, 4000)
            assert job.resources[-2:] == ["rusage[ngpus_excl_p=1]", "select[gpu_mtotal0>=10240]"]
        else:
            assert given["-q"] == "normal.4h"
            assert "gpu" not in " ".join(job.resources)
        assert "-gpu" not in job.argv


def test_trainings_wait_for_the_gpu_in_the_queue_and_never_share_it(queued: Run) -> None:
    trainings = [run for run in queued.lsf.intervals() if run.gpus]
    in_order = sorted(trainings, key=lambda run: run.start)
    pairs = list(pairwise(in_order))
    assert len(pairs) == 4
    assert all(before.end <= after.start for before, after in pairs)
    # Not Snakemake keeps them apart: with two GPUs, two arms would train side by side.
    assert any(after.submitted < before.end for before, after in pairs)
    for log in (queued.checkout.path / "logs").glob("train_*/**/*.log"):
        assert re.search(r"LSB_JOBID=\d+, CUDA_VISIBLE_DEVICES=0\)", log.read_text("utf-8"))
