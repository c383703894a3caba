"""Measures against mir_eval, against loops over cells, and by their properties."""

from __future__ import annotations

import math

import mir_eval
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from at4ramt.errors import InputError
from at4ramt.evaluation import metrics

# the same examples each time, however busy the machine
steady = settings(deadline=None, derandomize=True, database=None)

LOWEST = 37
PITCHES = 56


def rolls(seed: int, frames: int = 300, truth_share: float = 0.06, flips: float = 0.03):
    generator = np.random.default_rng(seed)
    truth = generator.random((frames, PITCHES)) < truth_share
    estimate = truth ^ (generator.random(truth.shape) < flips)
    truth[:5], estimate[3:8] = False, False
    return truth, estimate


@st.composite
def roll_pairs(draw: st.DrawFn):
    shape = (draw(st.integers(0, 12)), draw(st.integers(1, 6)))
    return draw(arrays.arrays(bool, shape)), draw(arrays.arrays(bool, shape))


def ragged(roll: np.ndarray) -> list[np.ndarray]:
    return [440.0 * 2.0 ** ((np.flatnonzero(frame) + LOWEST - 69) / 12) for frame in roll]


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_mir_eval(seed: int) -> None:
    truth, estimate = rolls(seed, flips=[0.005, 0.03, 0.1, 0.3][seed])
    times = np.arange(len(truth)) * 512 / 16000
    theirs = mir_eval.multipitch.metrics(times, ragged(truth), times, ragged(estimate))
    tp, fp, fn, _ = metrics.pitch_counts(truth, estimate)
    precision, recall, f1 = metrics.pooled(tp, fp, fn)
    errors = metrics.frame_errors(truth, estimate)
    ours = [
        precision,
        recall,
        metrics.accuracy(tp, fp, fn),
        errors.e_sub / errors.n_ref,
        errors.e_miss / errors.n_ref,
        errors.e_fa / errors.n_ref,
        (errors.e_sub + errors.e_miss + errors.e_fa) / errors.n_ref,
    ]
    np.testing.assert_allclose(ours, theirs[:7], rtol=1e-12)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-12)


@steady
@given(roll_pairs())
def test_counts_and_frame_sums_equal_loops(pair) -> None:
    truth, estimate = pair
    frames, pitches = truth.shape
    expected = {"tp": [0] * pitches, "fp": [0] * pitches, "fn": [0] * pitches, "tn": [0] * pitches}
    e_sub = e_miss = e_fa = n_ref = 0
    f1_sum = 0.0
    for t in range(frames):
        for p in range(pitches):
            name = ("t" if truth[t, p] == estimate[t, p] else "f") + "np"[int(estimate[t, p])]
            expected[name][p] += 1
        sounding = {p for p in range(pitches) if truth[t, p]}
        found = {p for p in range(pitches) if estimate[t, p]}
        missed, extra = len(sounding - found), len(found - sounding)
        e_sub += min(missed, extra)
        e_miss += max(missed - extra, 0)
        e_fa += max(extra - missed, 0)
        n_ref += len(sounding)
        both = len(sounding) + len(found)
        f1_sum += 2 * len(sounding & found) / both if both else 1.0
    tp, fp, fn, tn = metrics.pitch_counts(truth, estimate)
    assert {"tp": tp.tolist(), "fp": fp.tolist(), "fn": fn.tolist(), "tn": tn.tolist()} == expected
    errors = metrics.frame_errors(truth, estimate)
    assert errors == (frames, pytest.approx(f1_sum), e_sub, e_miss, e_fa, n_ref)


@steady
@given(roll_pairs())
def test_properties_of_scores(pair) -> None:
    truth, estimate = pair
    counts = metrics.pitch_counts(truth, estimate)
    precision, recall, f1 = metrics.pooled(*counts[:3])
    swapped = metrics.pooled(*metrics.pitch_counts(estimate, truth)[:3])
    if not (truth.any() or estimate.any()):
        assert math.isnan(precision) and math.isnan(recall) and math.isnan(f1)
        return
    assert swapped == pytest.approx((recall, precision, f1))
    assert min(precision, recall) - 1e-12 <= f1 <= max(precision, recall) + 1e-12
    assert (f1 == 1.0) == bool((truth == estimate).all())
    per_pitch, macro = metrics.mean_pitch_f1(*counts[:3]), metrics.macro_f1(*counts[:3])
    if truth.any():
        assert per_pitch <= macro + 1e-12
    else:
        assert math.isnan(per_pitch) and math.isnan(macro)


def test_zero_over_zero() -> None:
    # nothing predicted; nothing sounds; nothing at all
    precision, recall, f1 = metrics.precision_recall_f1([0, 0, 0], [0, 4, 0], [3, 0, 0])
    np.testing.assert_array_equal(precision, [0, 0, np.nan])
    np.testing.assert_array_equal(recall, [0, 0, np.nan])
    np.testing.assert_array_equal(f1, [0, 0, np.nan])


def test_pitch_averages_by_hand() -> None:
    # pitch 0: P 1, R 1/2, F 2/3; pitch 1: P 1/4, R 1, F 2/5; pitch 2 never sounds
    tp, fp, fn = [2, 1, 0], [0, 3, 9], [2, 0, 0]
    assert metrics.mean_pitch_f1(tp, fp, fn) == pytest.approx((2 / 3 + 2 / 5) / 2)
    p, r = (1 + 1 / 4) / 2, (1 / 2 + 1) / 2
    assert metrics.macro_f1(tp, fp, fn) == pytest.approx(2 * p * r / (p + r))
    assert metrics.pooled(tp, fp, fn)[2] == pytest.approx(2 * 3 / (2 * 3 + 12 + 2))


def test_pitch_averages_take_leading_axes() -> None:
    generator = np.random.default_rng(3)
    tp, fp, fn = generator.integers(0, 4, (3, 5, 7))
    for function in (metrics.mean_pitch_f1, metrics.macro_f1):
        rows = [function(tp[k], fp[k], fn[k]) for k in range(5)]
        np.testing.assert_allclose(function(tp, fp, fn), rows)


def brute_force_threshold(truth, probability, grid):
    scored = []
    for threshold in grid:
        estimate = probability >= probability.dtype.type(threshold)
        tp = int((truth & estimate).sum())
        f1 = 2 * tp / (int(truth.sum()) + int(estimate.sum()))
        scored.append((-f1, round(abs(threshold - 0.5), 9), threshold))
    best = min(scored)
    return best[2], -best[0]


@steady
@given(st.data())
def test_threshold_equals_brute_force(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4)))
    truth = data.draw(arrays.arrays(bool, shape).filter(lambda roll: roll.any()))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    # probabilities on the thresholds themselves: the hardest case for >= and for rounding
    percent = data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 100)))
    probability = (percent / 100).astype(dtype)
    grid = sorted(data.draw(st.sets(st.integers(1, 99), min_size=1, max_size=20)))
    grid = [value / 100 for value in grid]
    assert metrics.fit_threshold(truth, probability, grid) == brute_force_threshold(
        truth, probability, grid
    )


def test_threshold_is_what_is_scored_later() -> None:
    generator = np.random.default_rng(11)
    truth = generator.random((40_000, 8)) < 0.1  # more rows than one chunk
    noise = generator.normal(size=truth.shape)
    probability = (1 / (1 + np.exp(-(noise + 2.0 * truth)))).astype(np.float32)
    threshold, f1 = metrics.fit_threshold(truth, probability)
    counts = metrics.pitch_counts(truth, metrics.binarise(probability, threshold))
    assert metrics.pooled(*counts[:3])[2] == f1
    assert (threshold, f1) == brute_force_threshold(truth, probability, metrics.THRESHOLD_GRID)
    assert 0.7 < threshold < 0.95  # a rare class: the best threshold is high


def test_threshold_ties_go_to_one_half() -> None:
    truth = np.array([[True, False]])
    for dtype in (np.float32, np.float64):
        probability = np.array([[0.9, 0.1]], dtype=dtype)
        assert metrics.fit_threshold(truth, probability) == (0.5, 1.0)
        assert metrics.fit_threshold(truth, probability, [0.2, 0.3, 0.7, 0.8]) == (0.3, 1.0)
        assert metrics.fit_threshold(truth, probability, [0.8, 0.2, 0.6]) == (0.6, 1.0)


def test_binarise_includes_the_threshold_itself() -> None:
    for dtype in (np.float32, np.float64):
        assert metrics.binarise(np.array([0.69, 0.7, 0.71], dtype=dtype), 0.7).tolist() == [
            False,
            True,
            True,
        ]


def test_cross_entropy_equals_the_textbook() -> None:
    generator = np.random.default_rng(5)
    truth, _ = rolls(5, frames=200)
    logits = generator.normal(scale=3, size=truth.shape).astype(np.float32)
    active, inactive = generator.uniform(0, 50, PITCHES), generator.uniform(0.5, 1, PITCHES)
    loss, bce = metrics.cross_entropy_sums(truth, logits, active, inactive)
    expected_loss, expected_bce = np.zeros(PITCHES), np.zeros(PITCHES)
    for p in range(PITCHES):
        for t in range(len(truth)):
            probability = 1 / (1 + math.exp(-float(logits[t, p])))
            cost = -math.log(probability) if truth[t, p] else -math.log(1 - probability)
            expected_bce[p] += cost
            expected_loss[p] += cost * (active[p] if truth[t, p] else inactive[p])
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-9)
    np.testing.assert_allclose(bce, expected_bce, rtol=1e-9)


def test_cross_entropy_of_large_logits_and_of_chance() -> None:
    truth = np.array([[True, False, True, False]])
    _, bce = metrics.cross_entropy_sums(truth, np.array([[1e4, 1e4, -1e4, -1e4]]), 1.0, 1.0)
    np.testing.assert_array_equal(bce, [0, 1e4, 1e4, 0])
    # balanced weights at logit 0 give ln 2 a cell, whatever the share of active frames
    truth = np.zeros((20_000, 2), dtype=bool)
    truth[:700, 0], truth[:15_000, 1] = True, True
    sounding = truth.sum(axis=0)
    loss, _ = metrics.cross_entropy_sums(
        truth, np.zeros(truth.shape), 20_000 / (2 * sounding), 20_000 / (2 * (20_000 - sounding))
    )
    np.testing.assert_allclose(loss / 20_000, math.log(2), rtol=1e-12)


ROLL = np.ones((2, 3), dtype=bool)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.pitch_counts(ROLL, ROLL[:1]), r"\(2, 3\).*\(1, 3\)"),
        (lambda: metrics.frame_errors(ROLL[0], ROLL[0]), "frames, pitches"),
        (lambda: metrics.pitch_counts(ROLL.astype(int), ROLL), "truth has type int64.*bool"),
        (lambda: metrics.pitch_counts(ROLL, ROLL * 0.5), "estimate has type float64.*binarise"),
        (lambda: metrics.fit_threshold(~ROLL, ROLL * 0.5), "no active label"),
        (lambda: metrics.fit_threshold(ROLL, ROLL * np.nan), "not finite"),
        (lambda: metrics.fit_threshold(ROLL, ROLL * 0.5, []), "grid is empty"),
        (lambda: metrics.cross_entropy_sums(ROLL, ROLL * np.nan, 1, 1), "not finite"),
        (lambda: metrics.cross_entropy_sums(ROLL, ROLL * 0.5, np.ones(2), 1), "weight_active"),
    ],
)
def test_bad_input_is_named(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_conditions_are_not_pooled_by_accident() -> None:
    table = pd.DataFrame(
        {
            "arm": ["base"] * 3,
            "seed": [0, 0, 0],
            "noise": ["none", "uniform", "uniform"],
            "level": [0.0, 0.1, 0.34],
            "tp": [1, 2, 3],
        }
    )
    metrics.check_single_condition(table, ["level"])
    metrics.check_single_condition(table.iloc[:1], [])
    for by in ([], ["noise"], ["arm", "seed"]):
        with pytest.raises(InputError, match=r"'level'|'noise'"):
            metrics.check_single_condition(table, by)
    with pytest.raises(InputError, match=r"cannot group by .*lvl"):
        metrics.check_single_condition(table, ["lvl"])
