"""The smallest run elsewhere, by somebody else, at another time, and again: the same results."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from faults.sameness import made
from same.repeated import repeated
from same.surroundings import (
    SHORT,
    Surroundings,
    differing,
    forget_fractions,
    is_done,
    modes,
    surroundings,
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
    first, *others = repeated(run, 3, MODEL)
    for number, row in enumerate(others, start=2):
        assert row.files == first.files
        assert abs(row.megabytes - first.megabytes) < 0.001 * first.megabytes
        assert row.words == number
        assert row.scraps == first.scraps == 0
        assert row.home_files == first.home_files
        assert row.peak_mb < 1.1 * first.peak_mb


def test_a_folder_on_whose_name_a_shell_would_act_is_refused_before_anything_runs(
    folder: Path,
) -> None:
    run = surroundings(folder / "run", ())
    odd = replace(run, folder=folder / "a $(touch canary)")
    odd.folder.mkdir()
    run.checkout.rename(odd.checkout)
    with pytest.raises(RuntimeError, match=r"expected a folder without \$ in its path"):
        odd.snakemake("--dry-run", *SHORT)
