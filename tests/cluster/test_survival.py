"""Killed trainings and killed masters: started again, they end as if nothing had happened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from support.checkout import QUEUED, Checkout
from support.killing import (
    EPOCHS,
    Master,
    linked,
    log,
    model,
    nothing_is_left_over,
    remove,
    same_training,
    saved_states,
    states,
    went_on,
)
from support.lsf import Lsf

SCORES = "results/evaluation/scores.parquet"
EVALUATION = ("results/evaluation", "results/tables", "results/figures", "results/report.html")
# The profile as it is, but for the waits that are there for a busy LSF and a network file system.
LSF = (
    *("--profile", "profiles/lsf", "--max-jobs-per-timespan", "100/1s"),
    *("--seconds-between-status-checks", "1", "--latency-wait", "5"),
)


def through(lsf: Lsf, source: Checkout, path: Path, *config: str) -> Checkout:
    """A copy of a run that goes on through LSF."""
    environment = {"AT4RAMT_GPU": "optional", "AT4RAMT_CHECKPOINT_SECONDS": "0.2"}
    return linked(source, path, *QUEUED, *config, *LSF, **lsf.environment(), **environment)


# --- Trainings -----------------------------------------------------------------------------------

# What ends a training: the run limit, its owner, the death of its host.
Kill = Callable[[Lsf, int], object]
RUN_LIMIT: Kill = Lsf.exhaust
BKILL: Kill = lambda lsf, job: lsf.run("bkill", str(job))  # noqa: E731
HOST: Kill = Lsf.kill_host


@pytest.mark.parametrize(
    ("orphans", "kills"),
    [
        # What the job's first process leaves behind has time to save its state,
        ("leave", {"adversarial": (RUN_LIMIT, "on SIGUSR2"), "clean": (BKILL, "on SIGINT")}),
        # or is killed with it, in the middle of saving or before.
        ("kill", {"adversarial": (RUN_LIMIT, ""), "clean": (HOST, "in passing")}),
    ],
)
def test_a_killed_training_is_submitted_again_and_ends_like_one_left_alone(
    undisturbed: Checkout, tmp_path: Path, orphans: str, kills: dict[str, tuple[Kill, str]]
) -> None:
    with Lsf(tmp_path / "lsf", gpus=2, terminate_seconds=5, orphans=orphans) as lsf:
        checkout = through(lsf, undisturbed, tmp_path / "at4ramt", "longer.yaml")
        remove(checkout, "results/models/*/seed_0/round_*", "logs/train_round")
        alive = set(kills)

        def in_epoch_2() -> list[str]:
            return [arm for arm in alive if f"epoch 2/{EPOCHS}:" in log(checkout, arm)]

        with Master(checkout, *map(model, kills)) as master:
            while alive:
                master.await_("a training's second epoch", in_epoch_2)
                arm = in_epoch_2()[0]
                (job,) = (s.job_id for s in lsf.submissions() if f"arm={arm}," in s.job_name)
                assert lsf.state(job) == "RUN"
                kills[arm][0](lsf, job)
                assert lsf.wait(job) == "EXIT"
                master.await_("the end of its processes", lambda job=job: not lsf.processes(job))
                assert f"epoch {EPOCHS}/" not in log(checkout, arm)
                assert states(checkout, f"{arm}/seed_0/round_01")
                assert not (checkout.path / model(arm)).exists()
                alive.remove(arm)
            said = master.end()
        assert "TERM_RUNLIMIT" in said
        assert len(lsf.submissions()) == 2 * len(kills)
    for arm, (_, saved) in kills.items():
        found = re.search(r"going on from .*: epoch (\d+)/.* \(saved (.*),", log(checkout, arm))
        assert int(found[1]) >= 2
        assert found[2].startswith(saved)
        assert "epoch 1/" not in log(checkout, arm)
        same_training(checkout, undisturbed, arm)
    assert "found before the interruption" in log(checkout, "adversarial")
    assert nothing_is_left_over(checkout)


# --- Masters -------------------------------------------------------------------------------------

# Where the master is killed: in a job of this rule, as soon as such a file is there.
PHASES = {
    "extract_cqt": "results/features/*.parquet",
    "train_base": "results/checkpoints/base/seed_0/state_*",
    "train_round": "results/checkpoints/*/seed_0/round_02/state_*",
    "evaluate_model": "results/evaluation/models/**/*.scores.parquet",
    "plot_rounds": SCORES,
}


def await_phase(master: Master, checkout: Checkout, phase: str) -> None:
    def reached() -> bool:
        return any(checkout.path.glob(PHASES[phase])) and phase in master.jobs()

    master.await_(f"a job of {phase}", reached)


def finished_outputs(said: str) -> Iterator[str]:
    """Return the outputs of the jobs that a master reported as finished."""
    done = set(re.findall(r"Finished jobid: (\d+) ", said))
    for block in re.findall(r"rule \w+:\n((?:    .*\n)+)", said):
        output = re.search(r"^    output: (.*)$", block, re.MULTILINE)
        if output and re.search(r"^    jobid: (\d+)$", block, re.MULTILINE)[1] in done:
            yield from output[1].split(", ")


def made(checkout: Checkout, outputs: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return which files these outputs are, and when they were written."""
    stats = {output: (checkout.path / output).stat() for output in outputs}
    return {output: (stat.st_ino, stat.st_mtime_ns) for output, stat in stats.items()}


def test_a_master_killed_in_each_phase_goes_on_where_it_was(
    finished: Checkout, tmp_path: Path
) -> None:
    checkout = linked(finished, tmp_path / "at4ramt", AT4RAMT_CHECKPOINT_SECONDS="0")
    for piece in ("*fur_elise-0_SalamC5*", "*Maestro_4-0*", "*Maestro_2-1*"):
        remove(checkout, f"results/corpus/*/MUS/{piece}", f"results/features/{piece}")
    remove(checkout, "results/noise", "results/shards", "results/models", *EVALUATION)
    files = (path for path in checkout.path.glob("results/**/*") if path.is_file())
    kept = made(checkout, (str(path.relative_to(checkout.path)) for path in files))
    texts = []
    interrupted: set[Path] = set()
    for phase in PHASES:
        with Master(checkout) as master:
            await_phase(master, checkout, phase)
            master.kill()
        assert made(checkout, kept) == kept
        kept |= made(checkout, finished_outputs(master.said))
        interrupted |= saved_states(checkout.path)
        texts.append(master.said)
        if len(texts) == 1:
            assert "LockException" in checkout.snakemake(fails=True)
        checkout.snakemake("--unlock")
    texts.append(checkout.snakemake())
    for phase, text in zip(PHASES, texts[1:], strict=True):
        assert f"rule {phase}:" in text, "no job of this phase was under way"
    assert made(checkout, kept) == kept
    assert (checkout.path / SCORES).read_bytes() == (finished.path / SCORES).read_bytes()
    assert (checkout.path / "results/report.html").exists()
    trainings = {state.relative_to("results/checkpoints").parts[0] for state in interrupted}
    assert "base" in trainings and len(trainings) > 1
    assert [state for state in interrupted if not went_on(checkout.path, state)] == []
    assert nothing_is_left_over(checkout)


def left_in_queue(lsf: Lsf, checkout: Checkout, *targets: str) -> dict[int, str]:
    """Kill a master while a training runs; return the jobs that it leaves, and their states."""
    remove(checkout, "logs/train_round")
    with Master(checkout, *targets) as master:
        master.await_("a training", lambda: any(checkout.path.glob("logs/train_round/**/*.log")))
        master.kill()
    return {job.job_id: lsf.state(job.job_id) for job in lsf.submissions()}


def test_jobs_that_a_killed_master_leaves_in_the_queue_are_ended_by_name(
    finished: Checkout, tmp_path: Path
) -> None:
    with Lsf(tmp_path / "lsf", gpus=1, terminate_seconds=5) as lsf:
        checkout = through(lsf, finished, tmp_path / "at4ramt")
        remove(checkout, "results/models/*/seed_0/round_02.*")
        remove(checkout, "results/evaluation/models/*/seed_0/round_02.*", SCORES)
        left = left_in_queue(lsf, checkout, SCORES)
        assert sorted(left.values()) == ["PEND", "RUN"]
        # As docs/cluster.md says.
        assert lsf.run("bkill", "-J", "Snakemake_*", "0").returncode == 0
        assert {lsf.wait(job) for job in left} == {"EXIT"}
        checkout.snakemake("--unlock")
        checkout.snakemake(SCORES)
    assert (checkout.path / SCORES).read_bytes() == (finished.path / SCORES).read_bytes()
    assert nothing_is_left_over(checkout)


def test_a_job_that_is_left_in_the_queue_does_work_twice_and_no_harm(
    undisturbed: Checkout, tmp_path: Path
) -> None:
    with Lsf(tmp_path / "lsf", gpus=1) as lsf:
        checkout = through(lsf, undisturbed, tmp_path / "at4ramt", "longer.yaml")
        remove(checkout, "results/models/clean")
        left = left_in_queue(lsf, checkout, model("clean"))
        assert list(left.values()) == ["RUN"]
        checkout.snakemake("--unlock")
        checkout.snakemake(model("clean"))
        old, new = lsf.intervals()
        assert new.submitted < old.end
        assert {lsf.state(old.job_id), lsf.state(new.job_id)} == {"DONE"}
    same_training(checkout, undisturbed, "clean")
    assert nothing_is_left_over(checkout)
