"""Tables behind the figures of noisy evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.evaluation.tables import read_frame_metrics, read_scores
from at4ramt.report import noisy


@pytest.fixture(scope="module")
def evaluation(made_up_run: Path) -> Path:
    return made_up_run / "results/evaluation"


def test_measures_are_those_of_the_counts(evaluation: Path) -> None:
    scores = read_scores(evaluation / "scores.parquet")
    every = read_scores(evaluation / "scores_all_frames.parquet")
    frames = read_frame_metrics(evaluation / "frame_metrics.parquet")
    table = noisy.metrics_table(scores, every, frames)
    assert len(table) == 3 * 6 * 7 * 2
    assert set(table.loc[table["arm"] == "adversarial", "round"]) == {12}
    for row in table.sample(8, random_state=2).to_dict("records"):
        keys = ("split", "arm", "round", "level", "threshold_kind")

        def rows(frame: pd.DataFrame, row: dict = row, keys: tuple = keys) -> pd.DataFrame:
            return frame[np.logical_and.reduce([frame[key] == row[key] for key in keys])]

        one, all_, sums = rows(scores), rows(every), rows(frames)
        hit, false, missed = (one[name].sum() for name in ("tp", "fp", "fn"))
        assert row["f1"] == pytest.approx(2 * hit / (2 * hit + false + missed))
        assert row["precision"] == pytest.approx(hit / (hit + false))
        assert row["recall"] == pytest.approx(hit / (hit + missed))
        assert row["bce"] == pytest.approx(one["bce_sum"].sum() / one["frames"].sum())
        by_pitch = one.groupby("pitch")[["tp", "fp", "fn"]].sum()
        by_pitch = by_pitch[by_pitch["tp"] + by_pitch["fn"] > 0]
        each = 2 * by_pitch["tp"] / (2 * by_pitch["tp"] + by_pitch["fp"] + by_pitch["fn"])
        assert row["mean_pitch_f1"] == pytest.approx(each.mean())
        hit, false, missed = (all_[name].sum() for name in ("tp", "fp", "fn"))
        assert row["f1_all_frames"] == pytest.approx(2 * hit / (2 * hit + false + missed))
        assert row["mean_frame_f1"] == pytest.approx(
            sums["frame_f1_sum"].sum() / sums["frames"].sum()
        )
        assert row["e_tot"] == pytest.approx(
            sums[["e_sub", "e_miss", "e_fa"]].to_numpy().sum() / sums["n_ref"].sum()
        )


def test_seeds_are_averaged_not_pooled(evaluation: Path) -> None:
    scores = read_scores(evaluation / "scores.parquet")
    base = scores[(scores["arm"] == "base") & (scores["level"] == 0.0)]
    worse = base.assign(
        seed=1, fp=base["fp"] + np.minimum(base["tn"], 5), tn=base["tn"] - np.minimum(base["tn"], 5)
    )
    table = noisy._mean_over_seeds(pd.concat([base, worse]))
    for row in table.to_dict("records"):
        values = []
        for seed in (base, worse):
            one = seed[
                (seed["split"] == row["split"]) & (seed["threshold_kind"] == row["threshold_kind"])
            ]
            hit, false, missed = (one[name].sum() for name in ("tp", "fp", "fn"))
            values.append(2 * hit / (2 * hit + false + missed))
        assert row["f1"] == pytest.approx(np.mean(values))


def test_other_kinds_of_noise_are_left_out(evaluation: Path) -> None:
    scores = read_scores(evaluation / "scores.parquet")
    audio = scores[scores["level"] > 0].assign(noise="audio_white")
    kept = noisy.select_uniform(pd.concat([scores, audio]))
    assert len(kept) == len(scores)


def test_levels_of_noise_in_the_audio_are_told_in_decibels(
    made_up_run: Path, tmp_path: Path
) -> None:
    levels = pd.read_csv(made_up_run / "results/tables/levels.csv")
    noisy.write_levels_page(levels, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    # Once a round, not once a piano.
    assert page.count(">8.0000<") == page.count(">-18.1<") == levels["round"].nunique()
    noisy.write_levels_page(levels[levels["arm"] == "adversarial"], tmp_path / "page.html")
    assert "noise in the audio" not in (tmp_path / "page.html").read_text()


def test_nearest_levels() -> None:
    assert noisy.nearest_levels([0.0, 0.05, 0.2, 0.5], [0.0, 0.1, 0.34]) == [0.0, 0.05, 0.2]
    assert noisy.nearest_levels([0.0, 0.3], [0.0, 0.1, 0.34]) == [0.0, 0.3]


def test_lead_arm() -> None:
    assert noisy.lead_arm(["base", "fixed", "adversarial"]) == "adversarial"
    assert noisy.lead_arm(["base", "offset_removed", "fixed", "clean"]) == "clean"
    assert noisy.lead_arm(["base", "offset_removed"]) == "base"


def test_validation_is_no_test_split(evaluation: Path) -> None:
    scores = read_scores(evaluation / "scores.parquet")
    assert noisy.test_splits(scores) == ["test", "test_unseen_piano"]
    assert noisy.test_splits(scores[scores["split"] == "validation"]) == ["validation"]


def test_of_many_arms_the_standard_ones_are_drawn() -> None:
    few = ["clean", "base", "adversarial", "literal"]
    assert noisy.drawn_arms(few) == ["base", "clean", "adversarial", "literal"]
    many = [*few, "offset_removed", "mean_removed", *(f"a{number}" for number in range(9))]
    assert noisy.drawn_arms(many) == ["base", "offset_removed", "clean", "adversarial"]
    also = noisy.acoustic_arms({"a3": {"noise": "audio_white"}, "a4": {"noise": "uniform"}})
    assert noisy.drawn_arms(many, also) == [
        "base", "offset_removed", "clean", "adversarial", "a3",
    ]  # fmt: skip
    assert len(noisy.drawn_arms(many, many)) == noisy.MOST_ARMS
    others = ["base", *(f"a{number}" for number in range(9))]
    assert noisy.drawn_arms(others) == ["base", *(f"a{number}" for number in range(7))]
