"""Names that a shell would act on, through a run on this machine and through a queue."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mido
import pandas as pd
import pytest
from support.checkout import Checkout
from support.hostile import SHELL_NAMES, UNUSABLE_NAMES, canaries, hostile_folder
from support.lsf import Lsf
from support.models import write_model
from support.slurm import PROFILE as SLURM_PROFILE
from support.slurm import Slurm

from at4ramt.training.onnx_file import export_onnx

# What stands in a job's name, in the paths of its results and in the line that submits it.
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
LSF_PROFILE = (
    *("--profile", "profiles/lsf", "--max-jobs-per-timespan", "100/1s"),
    *("--seconds-between-status-checks", "1", "--latency-wait", "5"),
)
# Of a recording alone in a job's command line: quotes of both kinds, and blanks, and neither.
TRANSCRIBED = (SHELL_NAMES[0], SHELL_NAMES[1], SHELL_NAMES[2])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to transcribe with, so that none is trained."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(write_model(path.with_suffix(".keras"), "small"), path)
    return path


@pytest.fixture(params=["this machine", "LSF", "Slurm"])
def run(
    request: pytest.FixtureRequest, fresh_copy: Callable[..., Checkout], lsf: Lsf
) -> Iterator[Checkout]:
    """A copy of the repository that runs its jobs here, or through a queue."""
    if request.param == "LSF":
        yield fresh_copy(*LSF_PROFILE, environment=lsf.environment())
        assert lsf.submissions()
    elif request.param == "Slurm":
        with Slurm() as slurm:
            yield fresh_copy(*SLURM_PROFILE, environment=slurm.environment())
            jobs = slurm.jobs()
            assert jobs and {job.state for job in jobs} == {"COMPLETED"}
            for job in jobs:
                # The name is a digest; the rule and its wildcards are the comment.
                assert PLAIN.fullmatch(job.name) and PLAIN.fullmatch(job.comment), job
    else:
        yield fresh_copy("--cores", "2")


def configured(run: Checkout, content: dict[str, object]) -> Checkout:
    """The copy with further values in its configuration."""
    (run.path / "hostile.yaml").write_text(json.dumps(content), encoding="utf-8")
    small, *rest = run.options[1:]
    return Checkout(run.path, ("--configfile", small, "hostile.yaml", *rest), run.environment)


def nothing_ran(folder: Path, lsf: Lsf) -> None:
    """Assert that no name was run as a command, and that no queue was given one to run."""
    assert canaries(folder) == []
    for submission in lsf.submissions():
        assert PLAIN.fullmatch(re.sub(r"[:,=()]", "", submission.job_name)), submission.job_name
        assert not set("$`;|<>&") & set(submission.command), submission.command


def test_each_of_the_names_would_run_if_a_shell_saw_it(tmp_path: Path) -> None:
    """What the other tests look for can be found."""
    made = 0
    for number, name in enumerate(SHELL_NAMES[:-2]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for line in (f"echo {name}", f'echo "{name}"', f"echo '{name}'"):
            subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, check=False)
        made += bool(canaries(folder))
    assert made == len(SHELL_NAMES) - 2


def test_a_corpus_of_hostile_names_is_planned_and_its_features_are_made(
    run: Checkout, lsf: Lsf, tmp_path: Path
) -> None:
    root = hostile_folder(tmp_path / "a $(touch canary_0) 'corpus'", SHELL_NAMES)
    for name in UNUSABLE_NAMES:
        for suffix in (".wav", ".mid"):
            (root / f"{name}{suffix}").touch()
    corpus = {"kind": "folder", "root": str(root), "validation_share": 0.3}
    run = configured(run, {"corpus": corpus, "report": {"example_piece": None}})
    printed = run.snakemake("--dry-run", "corpus", "check_corpus", "features")
    features = sorted(set(re.findall(r"results/features/\S+\.parquet", printed)))
    assert len(features) == len(SHELL_NAMES)
    assert all(
        PLAIN.fullmatch(Path(each).stem) and Path(each).stem[0] not in "-." for each in features
    )
    chosen = [each for each in features if re.search(r"/(it_s_touch|touch_canary_1-)", each)]
    assert len(chosen) == 2
    run.snakemake("--", "results/tables/corpus_problems.csv", *chosen)
    assert all((run.path / each).stat().st_size > 1000 for each in chosen)
    problems = pd.read_csv(run.path / "results/tables/corpus_problems.csv")
    told = problems[problems["problem"] == "unusable name"]["message"]
    assert len(told) == 2 * 3 + 2  # what cannot be printed by the file, braces by the piece
    # Links stand in for the recordings; made anew, they make nothing stale.
    assert any((run.path / "results/links").iterdir())
    shutil.rmtree(run.path / "results/links")
    assert run.planned("--", *chosen) == {}
    nothing_ran(tmp_path, lsf)


def test_recordings_of_hostile_names_are_transcribed(
    run: Checkout, lsf: Lsf, tmp_path: Path, model: Path
) -> None:
    for name in TRANSCRIBED:
        hostile_folder(run.path / "input", (name,))
    run = configured(run, {"transcription": {"model": str(model)}})
    run.snakemake("transcribe")
    made = sorted((run.path / "results/transcriptions").glob("*.mid"))
    assert len(made) == len(TRANSCRIBED) and all(PLAIN.fullmatch(path.name) for path in made)
    # Whatever the file is called, the track within has the recording's own name.
    assert {mido.MidiFile(path).tracks[0].name for path in made} == set(TRANSCRIBED)
    nothing_ran(tmp_path, lsf)


def test_a_path_on_the_command_line_that_a_queue_s_shell_would_act_on_is_refused(
    fresh_copy: Callable[..., Checkout], lsf: Lsf, tmp_path: Path
) -> None:
    hostile_folder(tmp_path / "music", SHELL_NAMES[:1])
    audio = tmp_path / "music" / f"{SHELL_NAMES[0]}.wav"
    run = fresh_copy(*LSF_PROFILE, environment=lsf.environment())
    printed = run.snakemake("transcribe", "--config", f"audio={audio}", fails=True)
    assert "a shell would act on $ in this path" in printed
    nothing_ran(tmp_path, lsf)
