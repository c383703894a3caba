"""The confusion matrix against its definition, frame by frame, and its masses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from at4ramt.evaluation import confusion
from at4ramt.evaluation.metrics import frame_errors

# the same examples each time, however busy the machine
steady = settings(deadline=None, derandomize=True, database=None)


@st.composite
def roll_pairs(draw: st.DrawFn):
    shape = (draw(st.integers(0, 10)), draw(st.integers(1, 6)))
    return draw(arrays.arrays(bool, shape)), draw(arrays.arrays(bool, shape))


def by_loop(truth: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    pitches = truth.shape[1]
    matrix = np.zeros((pitches + 1, pitches + 1))
    for sounding_row, found_row in zip(truth, estimate, strict=True):
        sounding, found = set(np.flatnonzero(sounding_row)), set(np.flatnonzero(found_row))
        missed, extra = sounding - found, found - sounding
        swapped = min(len(missed), len(extra))
        for i in sounding & found:
            matrix[i, i] += 1
        for i in missed:
            matrix[i, pitches] += (len(missed) - swapped) / len(missed)
            for j in extra:
                matrix[i, j] += swapped / (len(missed) * len(extra))
        for j in extra:
            matrix[pitches, j] += (len(extra) - swapped) / len(extra)
    return matrix


@steady
@given(roll_pairs())
def test_equals_the_definition_and_conserves_mass(pair) -> None:
    truth, estimate = pair
    matrix = confusion.confusion_matrix(truth, estimate)
    np.testing.assert_allclose(matrix, by_loop(truth, estimate), atol=1e-9)
    np.testing.assert_allclose(matrix[:-1].sum(axis=1), truth.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(matrix[:, :-1].sum(axis=0), estimate.sum(axis=0), atol=1e-9)
    errors, found = frame_errors(truth, estimate), confusion.masses(matrix)
    assert found.hit == (truth & estimate).sum()
    assert found[1:] == pytest.approx((errors.e_sub, errors.e_miss, errors.e_fa), abs=1e-9)
    # transcribing the other way round swaps misses and false alarms
    np.testing.assert_allclose(confusion.confusion_matrix(estimate, truth), matrix.T, atol=1e-9)


def test_full_size_over_several_chunks() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((20_000, 56)) < 0.05
    estimate = truth ^ (generator.random(truth.shape) < 0.02)
    matrix = confusion.confusion_matrix(truth, estimate)
    np.testing.assert_allclose(matrix[:-1].sum(axis=1), truth.sum(axis=0))
    halves = [slice(0, 9_001), slice(9_001, None)]
    added = sum(confusion.confusion_matrix(truth[half], estimate[half]) for half in halves)
    np.testing.assert_allclose(matrix, added)
    np.testing.assert_allclose(matrix, by_loop(truth, estimate), atol=1e-6)


def test_one_frame_by_hand() -> None:
    # sounding 0 1 2, found 2 3: 2 is hit, one of 0 and 1 is taken for 3, the other is missed
    truth, estimate = np.zeros((2, 1, 4), dtype=bool)
    truth[0, [0, 1, 2]], estimate[0, [2, 3]] = True, True
    expected = np.zeros((5, 5))
    expected[2, 2] = 1
    expected[[0, 1], 3] = 0.5
    expected[[0, 1], 4] = 0.5
    np.testing.assert_array_equal(confusion.confusion_matrix(truth, estimate), expected)


def test_a_perfect_transcription_is_diagonal() -> None:
    truth = np.random.default_rng(1).random((50, 6)) < 0.5
    matrix = confusion.confusion_matrix(truth, truth)
    np.testing.assert_array_equal(matrix, np.diag([*truth.sum(axis=0), 0]))


@steady
@given(roll_pairs())
def test_the_table_holds_the_cells_of_the_matrix(pair) -> None:
    matrix = confusion.confusion_matrix(*pair)
    pitches = len(matrix) - 1
    table = confusion.matrix_to_table(matrix, 37)
    assert (table["mass"] > 0).all()
    assert set(table["true_pitch"]) | set(table["predicted_pitch"]) <= {0, *range(37, 37 + pitches)}
    back = np.zeros_like(matrix)
    for row in table.itertuples():
        place = [p - 37 if p else pitches for p in (row.true_pitch, row.predicted_pitch)]
        back[tuple(place)] += row.mass
    np.testing.assert_array_equal(back, matrix)
