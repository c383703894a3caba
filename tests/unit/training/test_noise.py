"""The counter-based noise: its distribution, its independence, and its sameness everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from at4ramt.seeds import purpose_seed
from at4ramt.training.noise import (
    ADDED_NOISES,
    COLOURS,
    EVALUATION_POOL,
    TRAINING_POOL,
    UnitNoise,
    coloured_pool,
    mean_of,
    seed_words,
    uniform_noise,
    unit_noise,
)

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


@pytest.mark.parametrize("kind", ADDED_NOISES)
def test_keras_draws_the_same_numbers_as_numpy(kind):
    rows = np.array([[0, 1, 7], [123456, 2**31 - 1, 5]], np.int32)
    words = np.array(seed_words(SEED), np.uint32)
    drawn = np.asarray(UnitNoise(kind, 168)(words, rows))
    tolerance = 1e-5 if kind.startswith("gaussian") else 0
    np.testing.assert_allclose(drawn, unit_noise(kind, SEED, rows, 168), rtol=tolerance, atol=1e-6)
    if not tolerance:
        np.testing.assert_array_equal(drawn, unit_noise(kind, SEED, rows, 168))


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


@pytest.mark.parametrize("kind", ADDED_NOISES)
def test_all_kinds_have_the_power_of_the_paper_s_but_the_centred_one(kind):
    drawn = unit_noise(kind, SEED, np.arange(6000), 168).astype(np.float64)
    power = 1 / 12 if kind == "uniform_centred" else 1 / 3
    assert np.mean(drawn**2) == pytest.approx(power, rel=0.02)
    assert drawn.mean() == pytest.approx(mean_of(kind), abs=0.02)


def test_centred_noise_is_the_paper_s_less_its_offset():
    rows = np.arange(50)
    centred = unit_noise("uniform_centred", SEED, rows, 168)
    np.testing.assert_array_equal(centred + np.float32(0.5), uniform_noise(SEED, rows, 168))


def test_gaussian_noise_is_gaussian_and_rectified_noise_its_absolute_value():
    drawn = unit_noise("gaussian", SEED, np.arange(2000), 168)
    assert stats.kstest(drawn.ravel()[::7] * np.sqrt(3), "norm").pvalue > 1e-3
    rectified = unit_noise("gaussian_rectified", SEED, np.arange(2000), 168)
    np.testing.assert_array_equal(rectified, np.abs(drawn))


def test_white_noise_along_the_bins_is_gaussian_noise_made_otherwise():
    white, gaussian = (
        unit_noise(kind, SEED, np.arange(2000), 168).astype(np.float64)
        for kind in ("white", "gaussian")
    )
    assert stats.ks_2samp(white.ravel()[::7], gaussian.ravel()[::7]).pvalue > 1e-3
    for drawn in (white, gaussian):
        for lag in (1, 2, 3, 16):
            correlation = np.mean(drawn[:, :-lag] * drawn[:, lag:]) * 3
            assert abs(correlation) < 5 / np.sqrt(drawn.size)


@pytest.mark.parametrize(("kind", "exponent"), COLOURS.items())
def test_the_power_of_coloured_noise_falls_along_the_bins_as_its_colour_says(kind, exponent):
    drawn = unit_noise(kind, SEED, np.arange(4000), 168).astype(np.float64)
    power = (np.abs(np.fft.rfft(drawn, axis=1)) ** 2).mean(axis=0)
    cycles = np.arange(2, 60)
    slope = np.polyfit(np.log(cycles), np.log(power[cycles]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


@pytest.mark.parametrize("kind", COLOURS)
def test_coloured_frames_differ_from_each_other(kind):
    drawn = unit_noise(kind, SEED, np.arange(500), 168)
    assert len({row.tobytes() for row in drawn}) == 500
    between = np.corrcoef(drawn) - np.eye(500)
    assert abs(between.mean()) < 0.01


@pytest.mark.parametrize("kind", COLOURS)
def test_no_frame_that_models_are_scored_in_has_noise_that_can_be_trained_in(kind):
    # A row that is turned along the bins has the same values.
    def values(rows):
        return {row.tobytes() for row in np.sort(rows, axis=1)}

    trained, kept = (
        values(coloured_pool(kind, 168, use)) for use in (TRAINING_POOL, EVALUATION_POOL)
    )
    assert len(trained) == len(kept) == 4096 and not trained & kept
    scored = values(unit_noise(kind, SEED, np.arange(200), 168, pool=EVALUATION_POOL))
    assert scored < kept
    assert values(unit_noise(kind, SEED, np.arange(200), 168)) < trained


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="unknown noise 'purple'"):
        unit_noise("purple", SEED, [0], 3)
    with pytest.raises(ValueError, match="unknown noise 'purple'"):
        UnitNoise("purple", 3)
