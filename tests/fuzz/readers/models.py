"""Models: what their files say of themselves, and what is let through to Keras and ONNX Runtime."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from at4ramt.features.cqt import CqtSettings
from at4ramt.training.model_file import CARD, check_card, check_network, read_card
from at4ramt.training.onnx_file import INPUT, KERAS_DIGEST, OUTPUT, load_onnx
from at4ramt.transcription.models import open_model
from fuzz.harness import Reader, case_file, expect, taken_by_one

NAME = "model"
FEATURES = {
    "sample_rate_hz": 16000,
    "hop_length_samples": 512,
    "bins_per_pitch": 1,
    "lowest_pitch": 60,
    "pitches": 2,
    "margin_pitches": 0,
    "margin_above_pitches": 0,
    "overtone_pitches": 0,
}
GOOD = {"features": FEATURES, "frame_step": 2, "context_frames": 3, "threshold_fitted": 0.5}


def check(data: bytes) -> None:
    taken_by_one((_keras, _onnx), (data,), [NAME])


def _keras(data: bytes) -> None:
    """Look at an archive as far as Keras is not needed for it."""
    path = case_file(f"{NAME}.keras", data)
    card = read_card(path)
    check_card(path, card)
    check_network(path)
    settings = CqtSettings.from_config(card["features"])
    expect(0 < settings.bins < 1 << 16, f"{settings.bins} bins are taken")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        expect(names <= {CARD, "config.json", "metadata.json", "model.weights.h5"}, str(names))
        expect(b"Lambda" not in archive.read("config.json"), "code is let through to Keras")


def _onnx(data: bytes) -> None:
    path = case_file(f"{NAME}.onnx", data)
    load_onnx(path)
    model = open_model(path)
    frames = 2 * model.margin_frames + 4
    heard = model.features.heard
    given = np.linspace(0, 1, frames * (heard.stop - heard.start), dtype=np.float32)
    probabilities = model.probabilities(given.reshape(frames, -1))
    expect(probabilities.shape == (4, model.features.pitches), f"{probabilities.shape}")


LAYER = {
    "class_name": "InputLayer",
    "module": "keras.layers",
    "registered_name": None,
    "config": {"batch_shape": [None, None, 2], "dtype": "float32", "name": "cqt_magnitude"},
}


def keras(
    card: Any = None,
    *,
    layer: Any = None,
    text: str | None = None,
    more: dict[str, bytes] | None = None,
) -> bytes:
    content = io.BytesIO()
    config = {
        "class_name": "Functional",
        "module": "keras.src.models.functional",
        "registered_name": "Functional",
        "config": {"layers": [LAYER, LAYER | (layer or {})]},
    }
    members = {
        CARD: (json.dumps(GOOD if card is None else card) if text is None else text).encode(),
        "config.json": json.dumps(config).encode(),
        "metadata.json": b"{}",
        "model.weights.h5": b"\x89HDF\r\n\x1a\n",
    } | (more or {})
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return content.getvalue()


def onnx(card: Any = None, *, text: str | None = None, bins: int = 2, pitches: int = 2) -> bytes:
    """Return a network that adds three neighbouring frames."""
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.ones((1, 1, 3, 1), np.float32)
    nodes = [
        helper.make_node("Reshape", [INPUT, "shape"], ["image"]),
        helper.make_node("Conv", ["image", "kernel"], ["added"]),
        helper.make_node("Reshape", ["added", "back"], ["whole"]),
        helper.make_node("Slice", ["whole", "first", "end", "axis"], ["cut"]),
        helper.make_node("Identity", ["cut"], [OUTPUT]),
    ]
    constants = {
        "kernel": kernel,
        "shape": np.array([1, 1, -1, bins]),
        "back": np.array([1, -1, bins]),
        "first": np.array([0]),
        "end": np.array([pitches]),
        "axis": np.array([2]),
    }
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    signal = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", bins])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "f", pitches])
    model = helper.make_model(
        helper.make_graph(nodes, "made", [signal], [logits], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    said = json.dumps(GOOD if card is None else card) if text is None else text
    helper.set_model_props(model, {CARD: said, KERAS_DIGEST: "0" * 64})
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def hostile_onnx(what: str) -> bytes:
    """Return a file with what none of our exports has."""
    from onnx import TensorProto, helper

    signal = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", 2])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)
    weights = []
    if what == "constant of a shape":
        weights = [helper.make_tensor("size", TensorProto.INT64, [1], [1 << 34])]
        nodes = [
            helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"]),
            helper.make_node("Add", [INPUT, "sum"], [OUTPUT]),
        ]
    elif what == "endless loop":
        inside = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["on"]),
                helper.make_node("Identity", ["x"], ["y"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
            ],
        )
        weights = [
            helper.make_tensor("count", TensorProto.INT64, [], [1 << 40]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ]
        nodes = [helper.make_node("Loop", ["count", "yes", INPUT], [OUTPUT], body=inside)]
    else:
        outside = helper.make_tensor("kernel", TensorProto.FLOAT, [2], [0.0, 0.0])
        outside.ClearField("float_data")
        outside.data_location = TensorProto.EXTERNAL
        entry = outside.external_data.add()
        entry.key, entry.value = "location", "../../../../etc/hostname"
        weights = [outside]
        nodes = [helper.make_node("Add", [INPUT, "kernel"], [OUTPUT])]
    model = helper.make_model(
        helper.make_graph(nodes, "made", [signal], [logits], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    helper.set_model_props(model, {CARD: json.dumps(GOOD), KERAS_DIGEST: "0" * 64})
    written: bytes = model.SerializeToString(deterministic=True)
    return written


@cache
def seeds() -> dict[str, bytes]:
    return {"keras": keras(), "onnx": onnx()}


_numbers = st.sampled_from(
    (None, 0, 1, -1, 2, 3, 10**9, 10**400, 0.5, "3", True, [], {}, float("nan"))
)


def drawn() -> st.SearchStrategy[bytes]:
    of_features = st.tuples(st.sampled_from([*FEATURES]), _numbers).map(
        lambda change: GOOD | {"features": FEATURES | dict([change])}
    )
    of_card = st.tuples(st.sampled_from([*GOOD]), _numbers).map(
        lambda change: GOOD | dict([change])
    )
    cards = st.one_of(st.just(GOOD), of_features, of_card, st.sampled_from(([], {}, 1, "x")))
    layers = st.one_of(
        st.none(),
        st.sampled_from(
            (
                {"class_name": "Lambda"},
                {"module": "os"},
                {"class_name": ["Dense"]},
                {"class_name": None},
                {"config": {"units": 10**9}},
                {"config": {"batch_shape": [None, 10**12]}},
                {"class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}},
                {"config": {"units": [[1e300]]}},
            )
        ),
    )
    more = st.sampled_from(
        ({}, {}, {"../escaped": b""}, {"assets/x": b"a"}, {"config.json": b"[" * 9999})
    )
    texts = st.one_of(
        st.none(),
        st.none(),
        st.sampled_from(("", "[" * 5000, "{", "9" * 5000, '"\\ud800"', "\x1b[2J")),
    )
    sizes = st.sampled_from(((2, 2), (2, 2), (3, 2), (4, 4)))
    return st.one_of(
        st.builds(
            lambda card, layer, more, text: keras(card, layer=layer, more=more, text=text),
            cards,
            layers,
            more,
            texts,
        ),
        st.builds(
            lambda card, text, size: onnx(card, text=text, bins=size[0], pitches=size[1]),
            cards,
            texts,
            sizes,
        ),
        st.sampled_from(("constant of a shape", "endless loop", "outside")).map(hostile_onnx),
    )


READER = Reader("models", check, seeds, drawn, called=[NAME], megabytes=1024, largest=1 << 13)
