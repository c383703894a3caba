"""The adversary moves each bin by the same amount, the way that raises the loss."""

import numpy as np
import pytest

from at4ramt.training.adversary import perturb_rows, perturbation
from at4ramt.training.losses import LossWeights
from at4ramt.training.network import build_network

SETTINGS = {
    "bins": 168,
    "pitches": 56,
    "input_scale": 10.0,
    "dropout_convolution": 0.3,
    "dropout_dense": 0.3,
}
WEIGHTS = LossWeights(np.linspace(1, 5, 56, dtype=np.float32), np.ones(56, np.float32))


@pytest.fixture(scope="module")
def network():
    return build_network("small", **SETTINGS, seed=5)


@pytest.fixture(scope="module")
def piece():
    rng = np.random.default_rng(3)
    labels = (rng.random((40, 56)) < 0.1).astype(np.uint8)
    centre = rng.random(40) < 0.8
    centre[:3] = centre[-3:] = False
    return rng.random((40, 168), np.float32) * 0.1, labels, centre


def loss(network, magnitudes, labels, centre):
    logits = network.predict_on_batch(magnitudes[None])[0].astype(np.float64)
    truth, counted = labels[3:-3].astype(bool), centre[3:-3]
    plain = np.logaddexp(0, np.where(truth, -logits, logits))
    return (plain * np.where(truth, WEIGHTS.active, WEIGHTS.inactive))[counted].sum()


def test_the_direction_is_that_of_differences_of_the_loss(network, piece):
    magnitudes, labels, centre = piece
    moved = perturb_rows(network, magnitudes, labels, centre, WEIGHTS, 1e-3) - magnitudes
    rng = np.random.default_rng(0)
    agreeing = []
    for row, column in zip(rng.integers(5, 35, 40), rng.integers(0, 168, 40), strict=True):
        step = np.zeros_like(magnitudes)
        step[row, column] = 2e-3
        difference = loss(network, magnitudes + step, labels, centre) - loss(
            network, magnitudes - step, labels, centre
        )
        if abs(difference) > 1e-4:
            agreeing.append(np.sign(difference) == np.sign(moved[row, column]))
    assert len(agreeing) >= 15 and np.mean(agreeing) > 0.95


@pytest.mark.parametrize("steps", [1, 4])
def test_it_moves_every_bin_by_half_the_level(network, piece, steps):
    magnitudes, labels, centre = piece
    moved = perturb_rows(network, magnitudes, labels, centre, WEIGHTS, 0.1, steps) - magnitudes
    np.testing.assert_allclose(np.abs(moved), 0.05, rtol=1e-4)


def test_more_steps_hurt_at_least_as_much_and_both_more_than_noise(network, piece):
    magnitudes, labels, centre = piece
    random = np.random.default_rng(1).choice([-0.02, 0.02], magnitudes.shape).astype(np.float32)
    noisy = loss(network, magnitudes + random, labels, centre)
    one, five = (
        loss(network, perturb_rows(network, *piece, WEIGHTS, 0.04, steps), labels, centre)
        for steps in (1, 5)
    )
    clean = loss(network, magnitudes, labels, centre)
    assert one - clean > 3 * abs(noisy - clean)
    assert five > one


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        # 5/8 of the amount each: where three of four steps agree, the last does not decide.
        ([1, 1, 1, -1], 1),
        ([-1, -1, -1, 1], -1),
        # Back where it began: up or down as the last step, and not always up.
        ([1, -1, 1, -1], -1),
        ([-1, 1, -1, 1], 1),
    ],
)
def test_of_several_steps_all_decide(monkeypatch, gradients, expected):
    left = iter(gradients)
    shape = (1, 8, 168)
    monkeypatch.setattr(
        "at4ramt.training.adversary.gradient_of",
        lambda _, signal: np.full(shape, next(left), np.float32),
    )
    nothing = np.zeros(shape, np.float32)
    amount = np.full((1, 1, 1), 0.25, np.float32)
    moved = perturbation(None, nothing, nothing, nothing, nothing, amount, len(gradients))
    np.testing.assert_array_equal(moved, np.full(shape, 0.25 * expected, np.float32))


def test_who_knows_that_the_median_is_removed_does_more_harm_through_it(network, piece):
    _, labels, centre = piece
    knowing, unknowing = (
        perturb_rows(network, *piece, WEIGHTS, 0.04, median_removed=known)
        for known in (True, False)
    )
    heard, unheard = (
        loss(network, moved - np.median(moved, axis=1, keepdims=True), labels, centre)
        for moved in (knowing, unknowing)
    )
    assert heard > unheard


def test_a_long_piece_is_perturbed_as_a_whole(network, monkeypatch, piece):
    whole = perturb_rows(network, *piece, WEIGHTS, 0.1)
    monkeypatch.setattr("at4ramt.training.adversary.CHUNK_ROWS", 7)
    parts = perturb_rows(network, *piece, WEIGHTS, 0.1)
    # A sign may turn where the gradient is all but zero.
    assert np.mean(parts != whole) < 0.01
