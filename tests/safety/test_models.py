"""A stranger's model is a file of numbers: what else it holds is refused, and none of it runs."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import write_model

from at4ramt.errors import InputError
from at4ramt.training.checkpoint import Checkpoint, TrainingState
from at4ramt.training.model_file import load_model
from at4ramt.training.onnx_file import export_onnx, load_onnx

pytestmark = pytest.mark.usefixtures("keras_started")

Config = dict[str, Any]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("good") / "model.keras", "small")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and temporary folder, in which a canary would be seen."""
    folder = tmp_path / "here" / "below"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def changed(
    good: Path, path: Path, *, config: Config | None = None, members: dict[str, bytes] | None = None
) -> Path:
    """Write a model again with another config, or with further members."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json" and config is not None:
                content = json.dumps(config).encode()
            if name not in (members or {}):
                target.writestr(name, content)
        for name, content in (members or {}).items():
            target.writestr(name, content)
    return path


def config_of(good: Path) -> Config:
    with zipfile.ZipFile(good) as archive:
        return json.loads(archive.read("config.json"))


def with_activation(good: Path, activation: object) -> Config:
    config = config_of(good)
    (layer, *_) = (each for each in config["config"]["layers"] if each["class_name"] == "Conv2D")
    layer["config"]["activation"] = activation
    return config


def with_layer(good: Path, **layer: object) -> Config:
    config = config_of(good)
    (dropout, *_) = (each for each in config["config"]["layers"] if "Dropout" in each["class_name"])
    dropout.update(layer)
    return config


def lambda_layer(canary: Path) -> Config:
    """A layer whose bytes of code would make the canary: what Keras itself writes of a lambda."""
    import keras

    code = f"lambda x: (__import__('pathlib').Path({str(canary)!r}).touch(), x)[1]"
    return keras.saving.serialize_keras_object(keras.layers.Lambda(eval(code)))


HOSTILE: dict[str, Callable[[Path, Path], Config]] = {
    "lambda layer": lambda good, canary: with_layer(good, **lambda_layer(canary)),
    "lambda as activation": lambda good, canary: with_activation(
        good, lambda_layer(canary)["config"]["function"]
    ),
    "os.system as activation": lambda good, canary: with_activation(
        good,
        {
            "class_name": "function",
            "config": "system",
            "module": "os",
            "registered_name": "function",
        },
    ),
    "builtins.eval as activation": lambda good, canary: with_activation(
        good, {"class_name": "function", "config": "eval", "module": "builtins"}
    ),
    "subprocess.Popen as layer": lambda good, canary: with_layer(
        good,
        module="subprocess",
        class_name="Popen",
        registered_name="Popen",
        config={"args": ["touch", str(canary)]},
    ),
    "registered name of a stranger": lambda good, canary: with_layer(
        good, module=None, class_name="Own", registered_name="stranger>Own", config={}
    ),
    "function of Keras that fetches": lambda good, canary: with_layer(
        good,
        module="keras.utils",
        class_name="get_file",
        registered_name=None,
        config={"fname": str(canary), "origin": "file:///etc/hostname"},
    ),
    "layer that loads a TensorFlow model": lambda good, canary: with_layer(
        good,
        module="keras.layers",
        class_name="TFSMLayer",
        registered_name=None,
        config={"filepath": str(canary.parent), "call_endpoint": "serve", "name": "x"},
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_model_that_brings_code_is_refused(good: Path, tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    path = changed(good, tmp_path / "hostile.keras", config=HOSTILE[kind](good, canary))
    with pytest.raises(
        InputError, match=r"(?s)hostile\.keras: .*expected a \.keras archive that it wrote"
    ):
        load_model(path)
    assert not canary.exists()


def test_the_lambda_would_run_without_safe_mode(good: Path, tmp_path: Path) -> None:
    """The canary of the test above sings."""
    import keras

    canary = tmp_path / "canary"
    config = lambda_layer(canary)
    layer = keras.saving.deserialize_keras_object(config, safe_mode=False)
    layer(np.zeros((1, 2), np.float32))
    assert canary.exists()


@pytest.mark.parametrize(
    "name",
    ["../canary", "../../canary", "/{tmp}/canary", "assets/../../canary", "assets/{tmp}/canary"],
)
def test_members_of_a_model_are_written_nowhere(
    good: Path, tmp_path: Path, elsewhere: Path, name: str
) -> None:
    name = name.format(tmp=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    path = changed(good, tmp_path / "a.keras", members={name: b"x"})
    try:
        load_model(path)  # the numbers are a model's, and what else is in the archive is let be
    except InputError as error:
        assert "expected a .keras archive that it wrote" in str(error)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


def test_weights_that_point_to_another_file_are_refused(good: Path, tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.h5"
    with zipfile.ZipFile(good) as archive:
        weights = archive.read("model.weights.h5")
    secret.write_bytes(weights)
    inside = io.BytesIO(weights)
    with h5py.File(inside, "r+") as file:
        layers = [name for name in file["layers"] if "0" in file[f"layers/{name}/vars"]]
        place = f"layers/{layers[0]}/vars/0"
        del file[place]
        file[place] = h5py.ExternalLink(str(secret), place)
    path = changed(good, tmp_path / "a.keras", members={"model.weights.h5": inside.getvalue()})
    with pytest.raises(InputError, match=r"(?s)a\.keras: .*expected a model of this workflow"):
        load_model(path)


@pytest.mark.parametrize("location", ["../secret", "{tmp}/secret", "below/../../secret", "beside"])
def test_an_export_whose_weights_are_another_file_is_refused(
    good: Path, tmp_path: Path, elsewhere: Path, location: str
) -> None:
    """What ONNX calls external data would read any file of ours into a network's weights."""
    import onnx

    path = elsewhere / "model.onnx"
    export_onnx(good, path)
    model = onnx.load(path)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "secret").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location.format(tmp=tmp_path)
    path.write_bytes(model.SerializeToString())
    (elsewhere / "beside").write_bytes((tmp_path / "secret").read_bytes())
    with pytest.raises(InputError, match=r"(?s)model\.onnx: .*weights outside the file"):
        load_onnx(path)


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.path}'",)


def test_a_checkpoint_of_pickled_objects_is_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canary = tmp_path / "canary"
    checkpoint = Checkpoint(tmp_path / "checkpoint", "key")
    checkpoint.save(TrainingState(), [np.zeros(3, np.float32)])
    assert checkpoint.load() is not None
    with np.load(checkpoint.state_path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["variable_0000"] = np.array([Bomb(canary)], object)
    np.savez(checkpoint.state_path, **arrays)
    with caplog.at_level("WARNING", logger="at4ramt"):
        assert checkpoint.load() is None
    assert (
        "the saved state cannot be read" in caplog.text
        and str(checkpoint.state_path) in caplog.text
    )
    assert not canary.exists()
    with np.load(checkpoint.state_path, allow_pickle=True) as stored:
        assert len(stored["variable_0000"]) == 1
    assert canary.exists()  # it would have run
