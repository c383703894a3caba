"""Intervals against a plain loop, and their coverage where the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation import bootstrap


def table(pieces: int, seed: int, arms=("base",), seeds=(0,), gain: float = 0.0) -> pd.DataFrame:
    """Return scores of pieces that differ in length and difficulty; later arms gain recall."""
    generator = np.random.default_rng(seed)
    notes = generator.integers(200, 1200, pieces)
    recall = generator.beta(6, 4, pieces)
    extra = generator.beta(3, 7, pieces)
    rows = []
    for place, arm in enumerate(arms):
        for training_seed in seeds:
            hit = generator.binomial(notes, np.minimum(recall + gain * place, 1.0))
            false = generator.binomial(notes, extra)
            rows.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "seed": training_seed,
                        "round": 0 if arm == "base" else 12,
                        "noise": "none",
                        "level": 0.0,
                        "threshold_kind": "half",
                        "piece": [f"piece_{k:03}" for k in range(pieces)],
                        "pitch": 60,
                        "tp": hit,
                        "fp": false,
                        "fn": notes - hit,
                        "loss_sum": generator.gamma(5, 0.1, pieces) * notes,
                        "bce_sum": generator.gamma(5, 0.05, pieces) * notes,
                        "frames": 3 * notes,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def f1_of(rows: pd.DataFrame) -> float:
    hit = rows["tp"].sum()
    return 2 * hit / (2 * hit + rows["fp"].sum() + rows["fn"].sum())


def test_equals_a_loop_over_draws() -> None:
    scores = table(9, 1, seeds=(0, 1))
    found = bootstrap.intervals(scores, ["arm"], draws=50, base_seed=4).iloc[0]
    names = sorted(scores["piece"].unique())
    values, losses = [], []
    for times in bootstrap.resample(names, 50, 4):
        drawn = [name for name, count in zip(names, times, strict=True) for _ in range(count)]
        per_seed, loss_per_seed = [], []
        for _, rows in scores.groupby("seed"):
            chosen = pd.concat([rows[rows["piece"] == name] for name in drawn])
            per_seed.append(f1_of(chosen))
            loss_per_seed.append(chosen["loss_sum"].sum() / chosen["frames"].sum())
        values.append(np.mean(per_seed))
        losses.append(np.mean(loss_per_seed))
    point = [f1_of(rows) for _, rows in scores.groupby("seed")]
    assert found["f1"] == pytest.approx(np.mean(point))
    assert found["f1_std"] == pytest.approx(np.std(point, ddof=1))
    assert [found["f1_low"], found["f1_high"]] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    assert [found["loss_low"], found["loss_high"]] == pytest.approx(
        np.percentile(losses, [2.5, 97.5])
    )
    assert (found["seeds"], found["pieces"]) == (2, 9)


def test_resampling_is_seeded_and_uniform() -> None:
    names = [f"p{k}" for k in range(8)]
    drawn = bootstrap.resample(names, 4000, 0)
    np.testing.assert_array_equal(drawn, bootstrap.resample(names, 4000, 0))
    assert (drawn != bootstrap.resample(names, 4000, 1)).any()
    assert (drawn.sum(axis=1) == 8).all()
    # counts are multinomial: mean 1, variance 1 - 1/8
    np.testing.assert_allclose(drawn.mean(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=0), 7 / 8, atol=0.08)


def test_coverage_of_the_interval() -> None:
    # population F1: hits are .6 of the notes, false alarms .3, lengths independent of both
    expected = 2 * 0.6 / (2 * 0.6 + 0.3 + 0.4)
    trials, covered = 250, 0
    for trial in range(trials):
        found = bootstrap.intervals(table(40, trial), ["arm"], draws=300, base_seed=trial).iloc[0]
        covered += found["f1_low"] <= expected <= found["f1_high"]
    # three standard errors about .95, and the percentile interval's known shortfall at n = 40
    assert 0.89 <= covered / trials <= 0.99


def test_coverage_and_gain_of_pairing() -> None:
    # the gain in recall is .05 at every piece, so the population's F1 is known for both arms
    def f1(recall: float) -> float:
        return 2 * recall / (recall + 0.3 + 1)

    expected = f1(0.65) - f1(0.6)
    trials, covered, widths = 120, 0, []
    for trial in range(trials):
        scores = table(40, 1000 + trial, arms=("base", "other"), gain=0.05)
        # pieces whose recall is cut at 1 would change the answer; beta(6, 4) has very few
        rows = bootstrap.paired_differences(scores, [], draws=300, base_seed=trial)
        other = rows[rows["arm"] == "other"].iloc[0]
        covered += other["f1_low"] <= expected <= other["f1_high"]
        alone = bootstrap.intervals(scores, ["arm", "round"], draws=300, base_seed=trial)
        unpaired = np.hypot(*(alone["f1_high"] - alone["f1_low"]))
        widths.append((other["f1_high"] - other["f1_low"]) / unpaired)
        base = rows[rows["arm"] == "base"].iloc[0]
        assert base["f1"] == base["f1_low"] == base["f1_high"] == 0
    assert 0.87 <= covered / trials <= 1
    assert np.mean(widths) < 0.6


def test_difference_is_a_difference_of_draws() -> None:
    scores = table(12, 3, arms=("base", "other"), seeds=(0, 1), gain=0.1)
    rows = bootstrap.paired_differences(scores, ["level"], draws=60, base_seed=9)
    other = rows[rows["arm"] == "other"].iloc[0]
    names = sorted(scores["piece"].unique())
    values = []
    for times in bootstrap.resample(names, 60, 9):
        weight = scores["piece"].map(dict(zip(names, times, strict=True)))
        weighted = scores.assign(**{c: scores[c] * weight for c in ("tp", "fp", "fn")})
        f1 = {key: f1_of(part) for key, part in weighted.groupby(["arm", "seed"])}
        values.append(np.mean([f1["other", s] - f1["base", s] for s in (0, 1)]))
    assert [other["f1_low"], other["f1_high"]] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    whole = bootstrap.intervals(scores, ["arm", "round"], draws=150).set_index("arm")["f1"]
    assert other["f1"] == pytest.approx(whole["other"] - whole["base"])


def test_seeds_are_matched() -> None:
    scores = table(6, 5, arms=("base", "other"), seeds=(0, 1))
    without = scores[(scores["arm"] == "base") | (scores["seed"] == 1)]
    other = bootstrap.paired_differences(without, [], draws=20).set_index("arm").loc["other"]
    one = {arm: f1_of(rows) for arm, rows in scores[scores["seed"] == 1].groupby("arm")}
    assert other["seeds"] == 1
    assert other["f1"] == pytest.approx(one["other"] - one["base"])


def test_pieces_of_a_work_can_be_drawn_together() -> None:
    # four copies of each piece tell nothing new: drawn as works, the interval does not shrink
    scores = table(10, 8)
    copies = pd.concat(
        [
            scores.assign(work=scores["piece"], piece=scores["piece"] + f"_{k}", seed=0)
            for k in range(4)
        ]
    )
    single = bootstrap.intervals(scores, ["arm"], draws=500).iloc[0]
    grouped = bootstrap.intervals(copies, ["arm"], draws=500, unit="work").iloc[0]
    loose = bootstrap.intervals(copies, ["arm"], draws=500).iloc[0]
    assert grouped["f1_low"] == pytest.approx(single["f1_low"])
    assert loose["f1_high"] - loose["f1_low"] < 0.7 * (single["f1_high"] - single["f1_low"])


def test_a_single_piece_has_no_interval() -> None:
    found = bootstrap.intervals(table(1, 0), ["arm"], draws=10).iloc[0]
    assert np.isfinite(found["f1"])
    assert np.isnan(found[["f1_low", "f1_high", "f1_std"]].astype(float)).all()


@pytest.mark.parametrize(("sounding", "known"), [(9, True), (3, True), (1, True), (0, False)])
def test_draws_without_a_measure_do_not_take_the_interval_away(sounding: int, known: bool) -> None:
    # An octave in which most pieces have no notes, and nothing is found in those.
    scores = table(10, 3)
    silent = scores["piece"] >= f"piece_{sounding:03}"
    scores.loc[silent, ["tp", "fp", "fn"]] = 0
    found = bootstrap.intervals(scores, ["arm"], draws=400).iloc[0]
    names = sorted(scores["piece"])
    values = []
    for times in bootstrap.resample(names, 400, 0):
        drawn = scores.loc[np.repeat(np.arange(10), times)]
        if drawn[["tp", "fp", "fn"]].to_numpy().sum():
            values.append(f1_of(drawn))
    assert (len(values) < 400) is (sounding < 9)
    if known:
        low, high = np.percentile(values, [2.5, 97.5])
        assert (found["f1_low"], found["f1_high"]) == pytest.approx((low, high))
    else:
        assert np.isnan(found["f1_low"]) and np.isnan(found["f1_high"])


def test_order_of_rows_does_not_matter() -> None:
    scores = table(8, 2, arms=("base", "other"), seeds=(0, 1))
    shuffled = scores.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        bootstrap.paired_differences(scores, [], draws=30),
        bootstrap.paired_differences(shuffled, [], draws=30),
    )


def test_bad_input_is_named() -> None:
    scores = table(5, 0, arms=("base", "other"), seeds=(0, 1))
    with pytest.raises(InputError, match="'arm'"):
        bootstrap.intervals(scores, [])
    with pytest.raises(InputError, match="no column 'work'"):
        bootstrap.intervals(scores, ["arm"], unit="work")
    with pytest.raises(InputError, match="bootstrap with 0 draws"):
        bootstrap.intervals(scores, ["arm"], draws=0)
    lacking = scores[(scores["seed"] == 0) | (scores["piece"] != "piece_002")]
    with pytest.raises(InputError, match="different pieces"):
        bootstrap.intervals(lacking, ["arm"])
    with pytest.raises(InputError, match="no 'baseline'"):
        bootstrap.paired_differences(scores, [], reference="baseline")
    lacking = scores[(scores["arm"] == "base") | (scores["piece"] != "piece_002")]
    with pytest.raises(InputError, match="arm 'other': scored on 4 pieces"):
        bootstrap.paired_differences(lacking, [])
