"""Piano roll, confusion matrix and per-pitch table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation.tables import read_scores
from at4ramt.report import transcription


def test_roll_states() -> None:
    truth = np.array([[True, True], [False, False]])
    predicted = np.array([[True, False], [True, False]])
    assert transcription.roll_states(truth, predicted).tolist() == [[3, 2], [1, 0]]


def test_confusion_matrix_puts_masses_in_their_places() -> None:
    rows = pd.DataFrame(
        {
            "true_pitch": [40, 40, 0, 40],
            "predicted_pitch": [40, 41, 41, 0],
            "mass": [2.0, 0.5, 0.25, 1.0],
        }
    )
    matrix = transcription.confusion_matrix(pd.concat([rows, rows]), [40, 41])
    assert matrix.tolist() == [[0.0, 0.0, 0.5], [2.0, 4.0, 1.0], [0.0, 0.0, 0.0]]


def test_pitch_table_is_that_of_the_counts(made_up_run: Path) -> None:
    scores = read_scores(made_up_run / "results/evaluation/scores.parquet")
    table = transcription.pitch_table(scores, [0.0, 0.34])
    assert sorted(table["level"].unique()) == [0.0, 0.34]
    for row in table.sample(10, random_state=3).to_dict("records"):
        one = scores[
            (scores["split"] == row["split"])
            & (scores["arm"] == row["arm"])
            & (scores["level"] == row["level"])
            & (scores["pitch"] == row["pitch"])
            & (scores["threshold_kind"] == row["threshold_kind"])
        ]
        one = one[one["round"] == one["round"].max()]
        hit, false, missed = (one[name].sum() for name in ("tp", "fp", "fn"))
        assert row["active"] == hit + missed
        if hit + false + missed:
            assert row["f1"] == pytest.approx(2 * hit / (2 * hit + false + missed))
        assert row["loss"] == pytest.approx(one["loss_sum"].sum() / one["frames"].sum())


def test_example_without_truth_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "example.npz", times=np.arange(3.0))
    with pytest.raises(InputError, match=r"example\.npz: no array 'truth'"):
        transcription.read_example(tmp_path / "example.npz")
