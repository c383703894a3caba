"""The smallest run elsewhere, by somebody else, at another time, and again: the same results."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from faults.sameness import made
from same.repeated import Run, grown, main, repeated
from same.surroundings import (
    SHORT,
    VARIED,
    WITNESSES,
    Surroundings,
    differing,
    forget_fractions,
    is_done,
    modes,
    surroundings,
    unaffected,
)

MODEL = ("--", "results/models/base/seed_0.keras")
PIECES = "tests/faults/smallest_pieces.tsv"
CHECKED = {
    "results/evaluation/scores.parquet",
    "results/models/base/seed_0.keras",
    "results/models/adversarial/seed_0/round_01.keras",
    "results/tables/headline.csv",
}


def test_a_run_that_differs_in_all_its_surroundings_makes_the_same(
    runs: tuple[Surroundings, Surroundings],
) -> None:
    plain, run = runs
    # What a failure comes from: python -m same.surroundings --only …
    assert set(made(plain.checkout)) >= CHECKED
    assert differing(run, plain) == []
    # What a group shares stays readable for the group, and for nobody else.
    assert set(modes(run).values()) == {0o640}
    assert is_done(run, SHORT)
    # Nor has anybody else anything to make again in that folder.
    as_usual = replace(plain, folder=run.folder)
    assert is_done(as_usual, SHORT)


@pytest.mark.parametrize("what", VARIED)
def test_the_processes_of_both_runs_saw_what_is_varied(
    what: str, runs: tuple[Surroundings, Surroundings]
) -> None:
    plain, run = runs
    if what in run.lacks:
        pytest.skip(run.lacks[what])
    assert unaffected(plain, what, varied=False) == []
    assert unaffected(run, what, varied=True) == []
    # Had it come to nothing, this would have been told of it.
    assert len(unaffected(plain, what, varied=True)) >= len(WITNESSES)


def test_times_in_steps_of_two_seconds_make_nothing_stale_and_hide_no_change(
    runs: tuple[Surroundings, Surroundings], folder: Path
) -> None:
    plain, _ = runs
    run = replace(plain, folder=folder)
    shutil.copytree(plain.checkout, run.checkout, symlinks=True)
    forget_fractions(run)
    assert is_done(run, SHORT)
    audio = next((run.checkout / "results/corpus").rglob("MAPS_MUS-bach*.wav"))
    after = max(path.lstat().st_mtime for path in run.checkout.rglob("*")) + 2
    # Other samples: of a file this small, Snakemake looks at what it says as well.
    content = audio.read_bytes()
    audio.write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
    os.utime(audio, (after, after))
    planned = run.snakemake("--dry-run", *SHORT)
    assert "extract_cqt" in planned and "train_base" in planned
    assert "render_piece" not in planned


def test_a_run_that_is_made_again_and_again_grows_neither_on_the_disk_nor_in_memory(
    folder: Path,
) -> None:
    run = surroundings(folder / "again", ())
    rows = list(repeated(run, 3, MODEL))
    assert [grown(rows[0], row, number) for number, row in enumerate(rows, start=1)] == [[], [], []]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"files": 101}, "run 2: 101 files, expected 100\n"),
        ({"megabytes": 2.01}, "run 2: 2.010 MB, expected 2.000 within a thousandth\n"),
        ({"words": 4}, "run 2: 4 of Snakemake's logs, expected 2\n"),
        ({"scraps": 1}, "run 2: 1 files in TMPDIR, expected 0\n"),
        ({"home_files": 6}, "run 2: 6 files in HOME, expected 5\n"),
        ({"peak_mb": 600.0}, "run 2: a peak of 600 MB, expected 500 within a tenth\n"),
    ],
    ids=["nothing", "files", "megabytes", "words", "scraps", "home_files", "peak_mb"],
)
def test_what_grows_is_told_and_fails_the_command(
    changed: dict[str, float],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = Run(
        files=100, megabytes=2.0, words=1, scraps=0, home_files=5, peak_mb=500.0, seconds=9.0
    )
    rows = [first, replace(first, **{"words": 2} | changed)]
    monkeypatch.setattr("same.repeated.surroundings", lambda *_: None)
    monkeypatch.setattr("same.repeated.repeated", lambda *_: iter(rows))
    assert main(["--times", "2", "--folder", str(tmp_path)]) == bool(told)
    assert capsys.readouterr().out.rpartition("|\n")[2] == (told or "\n")


def test_one_run_shows_no_growth_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--times", "1", "--folder", str(tmp_path)])
    assert ended.value.code == 2


def test_a_folder_on_whose_name_a_shell_would_act_is_refused_before_anything_runs(
    folder: Path,
) -> None:
    run = surroundings(folder / "run", ())
    odd = replace(run, folder=folder / "a $(touch canary)")
    odd.folder.mkdir()
    run.checkout.rename(odd.checkout)
    with pytest.raises(RuntimeError, match=r"expected a folder without \$ in its path"):
        odd.snakemake("--dry-run", *SHORT)
