"""Parameters are read from models' files without Keras, and measured as by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation import parameters

LAYERS = ["convolution_1", "convolution_2", "dense_1", "dense_2", "pitch_logits"]


@pytest.fixture(scope="module")
def network() -> Any:
    """A small network of the demo's kind."""
    from at4ramt.training.network import build_network

    return build_network(
        "small", bins=168, pitches=56, input_scale=10.0, dropout_convolution=0.1,
        dropout_dense=0.2, seed=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def saved(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float], Path]:
    """A function that saves the network with its weights times a factor."""
    import keras

    from at4ramt.training.model_file import save_model

    folder = tmp_path_factory.mktemp("models")
    start = [np.array(weight) for weight in network.get_weights()]

    def save(name: str, factor: float) -> Path:
        network.set_weights([factor * weight for weight in start])
        save_model(folder / f"{name}.keras", network, keras.optimizers.Adam(), {"arm": name})
        network.set_weights(start)
        return folder / f"{name}.keras"

    return save


def test_weights_are_those_of_keras_in_the_order_of_the_network(
    network: Any, saved: Callable[[str, float], Path]
) -> None:
    found = parameters.read_weights(saved("base", 1.0))
    assert list(found) == LAYERS
    for name, variables in found.items():
        ours = network.get_layer(name).get_weights()
        assert len(variables) == len(ours) == 2
        for read, kept in zip(variables, ours, strict=True):
            np.testing.assert_array_equal(read, kept)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"m\.keras: cannot be read as a model"):
        parameters.read_weights(tmp_path / "m.keras")


def test_distances_and_filters(network: Any, saved: Callable[[str, float], Path]) -> None:
    models = {
        ("base", 0, 0): saved("base", 1.0),
        ("base", 1, 0): saved("other", -1.0),
        ("clean", 0, 1): saved("near", 1.1),
        ("clean", 0, 2): saved("far", 1.5),
    }
    distances, filters = parameters.measure_parameters(models)
    relative = distances.set_index(["arm", "round", "layer"])["relative"]
    for layer in LAYERS:
        assert relative["clean", 1, layer] == pytest.approx(0.1, rel=1e-5)
        assert relative["clean", 2, layer] == pytest.approx(0.5, rel=1e-5)
        assert relative[parameters.BASES, 0, layer] == pytest.approx(2.0)
    kernel, bias = network.get_layer("dense_2").get_weights()
    norm = np.sqrt((kernel.astype(float) ** 2).sum() + (bias.astype(float) ** 2).sum())
    row = distances[(distances["layer"] == "dense_2") & (distances["round"] == 2)].iloc[0]
    assert row["norm_base"] == pytest.approx(norm)
    assert row["distance"] == pytest.approx(0.5 * norm)
    assert row["parameters"] == 400 * 200 + 200
    # Of the bases and the last round alone, every weight.
    named = filters[["arm", "seed", "round"]].drop_duplicates().itertuples(index=False, name=None)
    assert set(named) == {("base", 0, 0), ("base", 1, 0), ("clean", 0, 2)}
    assert len(filters) == 3 * 5 * 25 * 24
    first = network.get_layer("convolution_1").get_weights()[0]
    one = filters[(filters["arm"] == "clean") & (filters["filter"] == 7)]
    found = one.pivot_table(index="frame", columns="bin", values="weight").to_numpy()
    np.testing.assert_allclose(found, 1.5 * first[:, :, 0, 7], rtol=1e-6)


def test_a_seed_without_base_is_refused(saved: Callable[[str, float], Path]) -> None:
    with pytest.raises(InputError, match="'clean', seed 3: the base of this seed"):
        parameters.measure_parameters({("clean", 3, 1): saved("alone", 1.0)})


def test_a_network_that_sees_several_channels_has_no_filters() -> None:
    weights = {"mixing": [np.zeros((3, 3, 2, 4), np.float32)], "dense": [np.zeros((4, 4))]}
    assert parameters.first_kernel(weights).size == 0


def filters_of(arm: str, weights: list[list[float]]) -> pd.DataFrame:
    rows = [
        (arm, 0, 1, number, 0, place, weight)
        for number, kernel in enumerate(weights)
        for place, weight in enumerate(kernel)
    ]
    columns = ["arm", "seed", "round", "filter", "frame", "bin", "weight"]
    return pd.DataFrame(rows, columns=columns)


def test_response_is_the_sum_over_the_sum_of_absolute_values() -> None:
    table = parameters.offset_responses(
        filters_of("base", [[1.0, 2.0], [1.0, -1.0], [-3.0, 1.0], [0.0, 0.0]])
    )
    assert table["response"].tolist() == pytest.approx([1.0, 0.0, -0.5, 0.0])


def test_responses_are_compared_filter_by_filter() -> None:
    base = filters_of("base", [[1.0, 3.0], [-3.0, 1.0], [1.0, -1.0]])
    less = filters_of("adversarial", [[1.0, -3.0], [-3.0, 3.0], [1.0, -1.0]])
    responses = parameters.offset_responses(pd.concat([base, less]))
    table = parameters.response_differences(
        responses, [("adversarial", "base"), ("clean", "base")], draws=2000, base_seed=0
    )
    (row,) = table.to_dict("records")
    # Absolute responses 1, .5, 0 become .5, 0, 0.
    assert row["response_arm"] == pytest.approx(0.5 / 3)
    assert row["response_against"] == pytest.approx(0.5)
    assert row["difference"] == pytest.approx(-1 / 3)
    assert row["filters"] == 3
    # The mean of three draws of -.5, -.5 and 0 is between -.5 and 0, both reached in 1 of 27
    # or more.
    assert row["low"] == pytest.approx(-0.5) and row["high"] == pytest.approx(0.0)
