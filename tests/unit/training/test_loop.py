"""Training: it learns, it repeats itself to the bit, it keeps the best epoch and its optimiser."""

import keras
import numpy as np
import pytest

from at4ramt.training.jobs import _adam
from at4ramt.training.loop import (
    Plan,
    duration,
    kept_epoch,
    predict_logits,
    sample_loss,
    train,
    validate,
)
from at4ramt.training.losses import loss_weights
from at4ramt.training.model_file import load_model, save_model
from at4ramt.training.network import build_network

SETTINGS = {
    "bins": 168,
    "pitches": 56,
    "input_scale": 10.0,
    "dropout_convolution": 0.1,
    "dropout_dense": 0.1,
}


def plan(**changes) -> Plan:
    values = {
        "label": "test",
        "seed": 0,
        "keys": ("test",),
        "noise": "none",
        "level": 0.0,
        "drawn": False,
        "redraw": "round",
        "epochs": 2,
        "patience": 9,
        "monitor": "clean",
        "keep": "best",
        "monitored_level": 0.0,
        "segment_frames": 8,
        "batch_segments": 4,
    }
    return Plan(**(values | changes))


@pytest.fixture(scope="module")
def weights(training_matrix):
    active = training_matrix.labels[training_matrix.centre].sum(axis=0)
    return loss_weights("global", active, int(training_matrix.centre.sum()), cap=50)


def run(training_matrix, validation_matrix, weights, **changes):
    keras.utils.set_random_seed(3)
    network = build_network("small", **SETTINGS, seed=3)
    optimizer = _adam(0.004)
    state = train(network, optimizer, training_matrix, validation_matrix, weights, plan(**changes))
    return network, optimizer, state.history, kept_epoch(state)


def test_half_precision_learns_the_same_and_leaves_a_float32_model(
    training_matrix, validation_matrix, weights
):
    _, _, whole, _ = run(training_matrix, validation_matrix, weights, epochs=12)
    network, _, half, _ = run(
        training_matrix, validation_matrix, weights, epochs=12, precision="mixed_bfloat16"
    )
    assert [layer.compute_dtype for layer in network.layers] == ["float32"] * len(network.layers)
    differences = [
        a["training_loss"] / b["training_loss"] - 1 for a, b in zip(half, whole, strict=True)
    ]
    assert 0 < max(map(abs, differences)) < 0.05  # it did compute in another precision
    assert abs(half[-1]["training_f1"] - whole[-1]["training_f1"]) < 0.03
    # Its answers afterwards are those of float32, to the last bit the same after a copy of weights.
    copy = build_network("small", **SETTINGS, seed=4)
    copy.set_weights(network.get_weights())
    found = validate(network, validation_matrix, validation_matrix.magnitudes, weights)
    assert found == validate(copy, validation_matrix, validation_matrix.magnitudes, weights)


def test_it_learns_tones_and_the_history_agrees_with_the_model(
    training_matrix, validation_matrix, weights
):
    network, _, history, kept = run(training_matrix, validation_matrix, weights, epochs=30)
    measured = validate(network, validation_matrix, validation_matrix.magnitudes, weights)
    assert measured["f1"] == history[kept - 1]["validation_f1"]
    assert measured["f1"] == max(record["validation_f1"] for record in history)
    assert measured["f1"] > 0.8
    assert history[-1]["training_loss"] < 0.5 * history[0]["training_loss"]


@pytest.mark.parametrize(
    ("noise", "drawn"),
    [("uniform", False), ("uniform", True), ("pink", False), ("gradient", False)],
)
def test_two_runs_are_identical_to_the_bit(
    training_matrix, validation_matrix, weights, noise, drawn
):
    settings = {
        "noise": noise,
        "drawn": drawn,
        "level": 0.3,
        "monitored_level": 0.3,
        "monitor": "noisy",
        "epochs": 2,
    }
    first, _, records, _ = run(training_matrix, validation_matrix, weights, **settings)
    again, _, repeated, _ = run(training_matrix, validation_matrix, weights, **settings)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    timed = ("seconds", "windows_per_second")
    for a, b in zip(records, repeated, strict=True):
        assert {k: v for k, v in a.items() if k not in timed} == {
            k: v for k, v in b.items() if k not in timed
        }
    clean, *_ = run(training_matrix, validation_matrix, weights, epochs=2)
    pairs = zip(first.get_weights(), clean.get_weights(), strict=True)
    assert any((a != b).any() for a, b in pairs)


def test_it_stops_when_patience_ends(training_matrix, validation_matrix, weights):
    keras.utils.set_random_seed(3)
    network = build_network("small", **SETTINGS, seed=3)
    state = train(
        network,
        keras.optimizers.SGD(0.0),
        training_matrix,
        validation_matrix,
        weights,
        plan(epochs=9, patience=2),
    )
    assert (len(state.history), kept_epoch(state)) == (3, 1)


def test_a_model_read_back_goes_on_exactly_where_it_stood(
    tmp_path, training_matrix, validation_matrix, weights
):
    network, optimizer, _, _ = run(training_matrix, validation_matrix, weights)
    card = {
        "loss_weights": {"active": weights.active.tolist(), "inactive": weights.inactive.tolist()}
    }
    for name in ("a", "b"):
        save_model(tmp_path / f"{name}.keras", network, optimizer, card)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    stored = load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(stored.loss_weights.active, weights.active)
    for a, b in zip(stored.network.optimizer.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    results = []
    for net, opt in ((network, optimizer), (stored.network, stored.network.optimizer)):
        for layer in net.layers:
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([1, 2])
        train(net, opt, training_matrix, validation_matrix, weights, plan(keys=("more",)))
        results.append(net.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_sampled_loss_is_fixed_and_grows_with_the_level(
    training_matrix, validation_matrix, weights
):
    network, *_ = run(training_matrix, validation_matrix, weights, epochs=10)
    loss = sample_loss(network, training_matrix, weights, frames=64, seed=5)
    again = sample_loss(network, training_matrix, weights, frames=64, seed=5)
    assert loss(0.1) == again(0.1)
    assert loss(0.0) < loss(0.2) < loss(0.5)


def test_durations_read_as_people_write_them():
    assert [duration(s) for s in (0.4, 65, 3723)] == ["0:00", "1:05", "1:02:03"]


def test_what_is_no_number_is_no_silence():
    network = build_network("small", **SETTINGS, seed=0)
    *weights, bias = network.get_weights()
    bias[3] = np.nan
    network.set_weights([*weights, bias])
    with pytest.raises(FloatingPointError, match="no number"):
        predict_logits(network, np.zeros((30, 168), np.float32))
