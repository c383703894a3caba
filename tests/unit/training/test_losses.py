"""Balance weights and cross-entropies, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at4ramt.errors import InputError
from at4ramt.training.losses import cross_entropies, loss_weights


@given(
    st.lists(st.integers(1, 999), min_size=1, max_size=8), st.sampled_from(["global", "per_pitch"])
)
def test_a_constant_half_costs_ln_2(active, kind):
    weights = loss_weights(kind, active, 1000, cap=1e9)
    active = np.asarray(active)
    mass = weights.active * active + weights.inactive * (1000 - active)
    assert math.isclose(mass.sum() / (1000 * len(active)), 1.0, rel_tol=1e-5)
    if kind == "per_pitch":
        np.testing.assert_allclose(weights.active * active, 500, rtol=1e-5)


def test_the_weights_are_capped_and_silent_pitches_carry_no_active_weight():
    weights = loss_weights("per_pitch", [0, 1, 500, 1000], 1000, cap=50)
    np.testing.assert_allclose(weights.active, [0, 50, 1, 1])
    np.testing.assert_allclose(weights.inactive, [1, 1000 / (2 * 999), 1, 0], rtol=1e-6)


def test_the_cross_entropy_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (5, 4)).astype(np.float32)
    labels = (rng.random((5, 4)) < 0.5).astype(np.float32)
    pair = rng.random((2, 4)).astype(np.float32)
    weighted, plain = (np.asarray(part) for part in cross_entropies(labels, logits, pair))
    for row in range(5):
        for pitch in range(4):
            probability = 1 / (1 + math.exp(-float(logits[row, pitch])))
            active = labels[row, pitch] == 1
            expected = -math.log(probability if active else 1 - probability)
            assert plain[row, pitch] == pytest.approx(expected, rel=1e-4, abs=1e-6)
            weight = pair[1 if active else 0, pitch]
            assert weighted[row, pitch] == pytest.approx(weight * expected, rel=1e-4, abs=1e-6)


def test_huge_logits_stay_finite():
    labels = np.array([[1.0, 0.0]], np.float32)
    logits = np.array([[-200.0, 200.0]], np.float32)
    _, plain = cross_entropies(labels, logits, np.ones((2, 2), np.float32))
    np.testing.assert_allclose(np.asarray(plain), [[200, 200]])


def test_what_cannot_be_balanced_is_refused():
    with pytest.raises(InputError, match="Did you mean 'per_pitch'"):
        loss_weights("perpitch", [1], 10, cap=50)
    with pytest.raises(InputError, match="no pitch sounds"):
        loss_weights("per_pitch", [0, 0], 10, cap=50)
