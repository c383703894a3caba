"""The counter-based noise: its distribution, its independence, and its sameness everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from at4ramt.seeds import purpose_seed
from at4ramt.training.noise import seed_words, uniform_noise, uniform_noise_ops

SEED = purpose_seed(0, "test of noise")


def reference(seed: int, row: int, column: int) -> float:
    """The generator in Python's unbounded integers, one cell at a time."""
    mask = 0xFFFFFFFF

    def mix(word: int) -> int:
        word = (word ^ (word >> 16)) * 0x7FEB352D & mask
        word = (word ^ (word >> 15)) * 0x846CA68B & mask
        return word ^ (word >> 16)

    low, high = seed & mask, seed >> 32 & mask
    keyed = mix(mix(row & mask ^ low) + high & mask)
    return (mix(keyed + column * 0x9E3779B9 & mask) >> 8) / 2**24


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**31 - 1), st.integers(0, 400))
def test_each_cell_is_a_function_of_seed_row_and_bin(seed, row, column):
    assert uniform_noise(seed, [row], column + 1)[0, column] == reference(seed, row, column)


def test_keras_draws_the_same_numbers_as_numpy():
    rows = np.array([[0, 1, 7], [123456, 2**31 - 1, 5]], np.int32)
    words = np.array(seed_words(SEED), np.uint32)
    drawn = np.asarray(uniform_noise_ops(words, rows, 168))
    np.testing.assert_array_equal(drawn, uniform_noise(SEED, rows, 168))


def test_the_distribution_is_uniform():
    drawn = uniform_noise(SEED, np.arange(4000), 168).ravel()
    assert drawn.min() >= 0 and drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 * np.sqrt(1 / 12 / drawn.size)
    assert abs(drawn.var() - 1 / 12) < 1e-3
    counts, _ = np.histogram(drawn, bins=256, range=(0, 1))
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lag", [1, 2, 3, 16])
def test_neighbouring_cells_are_independent(axis, lag):
    drawn = uniform_noise(SEED, np.arange(3000), 168).astype(np.float64) - 0.5
    first = np.take(drawn, np.arange(drawn.shape[axis] - lag), axis)
    second = np.take(drawn, np.arange(lag, drawn.shape[axis]), axis)
    correlation = np.mean(first * second) * 12
    assert abs(correlation) < 5 / np.sqrt(first.size)


def test_other_purposes_and_repetitions_are_independent():
    seeds = [
        purpose_seed(0, "training noise", "adversarial", 1),
        purpose_seed(0, "training noise", "adversarial", 2),
        purpose_seed(1, "training noise", "adversarial", 1),
        purpose_seed(0, "level search", "adversarial", 1),
    ]
    drawn = np.stack([uniform_noise(s, np.arange(1000), 168).ravel() for s in seeds])
    correlation = np.corrcoef(drawn) - np.eye(len(seeds))
    assert np.abs(correlation).max() < 5 / np.sqrt(drawn.shape[1])
