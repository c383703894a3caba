"""One file per model: a Keras archive that also says what it was trained on.

The file is an ordinary ``.keras`` archive, which any Keras opens, with one
member more, ``at4ramt.json``: feature settings, loss weights, fitted threshold,
noise level, config digest and the parent it was trained from. Its bytes are a
function of its content: archive dates are fixed.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.archives import UNREADABLE, zip_content, zip_member
from at4ramt.errors import AGAIN, InputError, mend, told
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.stored_settings import stored_settings
from at4ramt.files import file_digest, parse_json, whole_file
from at4ramt.limits import LARGEST_CONTENT_BYTES
from at4ramt.training.losses import LossWeights
from at4ramt.training.network import known_layers

CARD = "at4ramt.json"
ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = frozenset((CARD, CONFIG, WEIGHTS, "metadata.json"))
LARGEST_JSON_BYTES = 16 << 20

# Keras imports what a file names. Even where it takes care of code, a layer may read other files,
# so only those classes are let through that our networks are made of, or might be. A network with
# another layer needs its name here.
CLASSES = frozenset((
    "__keras_tensor__", "Activation", "Adam", "AdamW", "Add", "Concatenate", "Constant", "Conv2D",
    "Cropping2D", "Dense", "DTypePolicy", "Dropout", "Functional", "FrameCrop", "FrameMedian",
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "InputLayer", "L1", "L1L2", "L2",
    "LayerNormalization", "LogMagnitude", "LossScaleOptimizer", "MaxPooling2D", "Ones",
    "Orthogonal", "PitchShifts", "PitchSummary", "RandomNormal", "RandomUniform", "Rescaling",
    "Reshape", "SGD", "SpatialDropout2D", "SteppedConvolution", "TruncatedNormal",
    "VarianceScaling", "ZeroPadding2D", "Zeros",
))  # fmt: skip
MODULES = ("keras", "at4ramt")
LARGEST_LAYER = 1 << 14
"""Units, filters and lengths of a layer; those of the paper's network are 2,800 at most."""
SIZES = frozenset((
    "units", "filters", "kernel_size", "pool_size", "strides", "dilation_rate", "padding",
    "cropping", "target_shape", "batch_shape", "pitches", "shifts", "frames", "step",
))  # fmt: skip


@dataclass(frozen=True)
class StoredModel:
    """A model as read from its file.

    Attributes:
        network: the Keras model; its optimiser holds the state it was saved with.
        card: the content of ``at4ramt.json``.
        path: where it was read from.
        digest: sha256 of the file.
    """

    network: Any
    card: dict[str, Any]
    path: str
    digest: str

    @property
    def loss_weights(self) -> LossWeights:
        """Loss weights per pitch that the model was trained with."""
        weights = self.card["loss_weights"]
        return LossWeights(
            np.asarray(weights["active"], np.float32), np.asarray(weights["inactive"], np.float32)
        )


def save_model(path: str | Path, network: Any, optimizer: Any, card: dict[str, Any]) -> None:
    """Write a model with its optimiser state and card, whole or not at all."""
    network.compile(optimizer=optimizer)
    with whole_file(path) as temporary:
        plain = temporary.with_name("plain.keras")
        network.save(plain)
        with (
            zipfile.ZipFile(plain) as source,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name.endswith(".json"):
                    content = _reproducible(content)
                target.writestr(zipfile.ZipInfo(name, ARCHIVE_DATE), content)
            text = json.dumps(card, indent=2, sort_keys=True)
            target.writestr(zipfile.ZipInfo(CARD, ARCHIVE_DATE), text)


def load_model(path: str | Path, features: Mapping[str, Any] | None = None) -> StoredModel:
    """Read a model and check that it was trained on the features it is to be given.

    Args:
        path: a file that :func:`save_model` wrote.
        features: the config's section that the frames were made with; None where
            they will be made with the model's own settings.

    Raises:
        InputError: if the file is missing, no such archive, or made for other features.
    """
    import keras

    card = read_card(path)
    check_features(path, card, features)
    check_network(path)
    # Keras must know the class before it reads of it.
    known_layers()
    try:
        network = keras.models.load_model(path, safe_mode=True)
    # Keras, its backend and h5py have errors of their own, with no base class but Exception.
    except Exception as error:
        raise InputError(
            f"{path}: Keras cannot read this model ({told(error)}); expected a model of this "
            f"workflow; {mend(error, AGAIN)}"
        ) from error
    return StoredModel(network, card, str(path), file_digest(path))


def check_features(
    path: str | Path, card: Mapping[str, Any], features: Mapping[str, Any] | None
) -> None:
    """Refuse a model whose features were made with other settings than those at hand.

    Another hop or another lowest pitch gives frames of the right size that mean
    something else: nothing but the settings in the model's file can tell.

    Args:
        path: the model's file, for the message.
        card: the content of its ``at4ramt.json``.
        features: the config's section ``features``; None if there is nothing to compare.

    Raises:
        InputError: naming each setting that differs, with both values.
    """
    if features is None:
        return
    learnt = card.get("features", {})
    learnt = CqtSettings.resolved(learnt if isinstance(learnt, Mapping) else {})
    here = CqtSettings.resolved(features)
    differing = [
        f"{name} {learnt.get(name, 'unknown')} (here {here[name]})"
        for name in CqtSettings.__dataclass_fields__
        if learnt.get(name) != here[name]
    ]
    if differing:
        raise InputError(
            f"{path}: the model was trained on other features: {', '.join(differing)}; train it "
            "again with this config (delete the file and run snakemake) or restore the config it "
            "was trained with"
        )


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the content of a model's ``at4ramt.json`` without loading the network.

    Raises:
        InputError: if the file is missing or was not written by this workflow.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            card = parse_json(zip_content(archive, CARD, LARGEST_JSON_BYTES))
            if not isinstance(card, dict):
                raise ValueError(f"{CARD} is no table")
    except FileNotFoundError:
        raise InputError(f"{path}: no such model; run snakemake {path} to train it") from None
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a model of this workflow ({told(error)}); expected a .keras archive with "
            f"a {CARD} in it; {mend(error, AGAIN)}"
        ) from error
    return card


def check_network(path: str | Path) -> None:
    """Refuse an archive that is not as :func:`save_model` writes it, before Keras opens it.

    Raises:
        InputError: if it has other members, larger or damaged ones, layers that are none of ours,
            or arrays that tell more than is there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if other := sorted(set(names) - MEMBERS) or len(names) != len(set(names)):
                raise ValueError(f"members that are none of ours: {other}")
            for name in names:
                zip_member(archive, name, LARGEST_CONTENT_BYTES)
            config = parse_json(zip_content(archive, CONFIG, LARGEST_JSON_BYTES))
            if not isinstance(config, dict):
                raise ValueError(f"{CONFIG} is no table")
            _check_classes(config)
            # Read to their end, and so compared with their checksum: where it differs, Keras does
            # not stop but tries another way to read them.
            _check_weights(zip_content(archive, WEIGHTS))
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a network of this workflow ({told(error)}); expected a .keras archive "
            f"that it wrote; {mend(error, AGAIN)}"
        ) from error


def _check_classes(part: Any) -> None:
    """Raise ValueError for a class that none of our networks has, or a layer beyond any size."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "class_name" and not (isinstance(value, str) and value in CLASSES):
            raise ValueError(f"a layer or object {str(value)[:60]!r}, which none of ours has")
        if key == "module" and value is not None and str(value).split(".")[0] not in MODULES:
            raise ValueError(f"an object of the module {str(value)[:60]!r}")
        if key in SIZES and _largest(value) > LARGEST_LAYER:
            raise ValueError(f"{key} is {str(value)[:60]}; expected at most {LARGEST_LAYER}")
        if isinstance(value, dict | list):
            _check_classes(value)


def _check_weights(content: bytes) -> None:
    """Raise ValueError for an array larger than all of the file.

    Keras takes as much memory as an array says, up to 4 GiB, before it looks for what is in it.
    """
    import h5py

    def look(name: str, part: Any) -> None:
        if not isinstance(part, h5py.Dataset):
            return
        size = math.prod(part.shape or ()) * part.dtype.itemsize
        if size > len(content):
            raise ValueError(f"the array {name[:60]!r} tells {size} bytes, {WEIGHTS} has fewer")

    try:
        with h5py.File(io.BytesIO(content), "r") as weights:
            weights.visititems(look)
    # What h5py raises of a damaged file has no base class but Exception.
    except Exception as error:
        raise ValueError(f"{WEIGHTS} cannot be read: {told(error)}") from error


def _largest(value: Any) -> float:
    if isinstance(value, list):
        return max(map(_largest, value), default=0)
    return abs(value) if isinstance(value, int | float) else 0


def check_card(path: str | Path, card: Mapping[str, Any]) -> None:
    """Refuse a card that does not say how its network is run.

    Raises:
        InputError: naming the key.
    """
    try:
        stored_settings(card.get("features"))
        for key, most in (("frame_step", 64), ("context_frames", 1023)):
            value = card.get(key)
            # To Python true is a number, one.
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{key} is {str(value)[:40]}; expected a number of 1 to {most}")
        if card["context_frames"] % 2 == 0:
            raise ValueError("context_frames is even; expected as many on either side of a frame")
        value = card.get("threshold_fitted")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"threshold_fitted is {str(value)[:40]}; expected one of 0 to 1")
    except ValueError as error:
        raise InputError(
            f"{path}: its {CARD} does not say how the network is run ({told(error)}); expected a "
            "model of this workflow; train it again, or name another one"
        ) from error


def snapshot(network: Any, optimizer: Any) -> list[npt.NDArray]:
    """Copy all variables of a network and its optimiser."""
    return [np.array(variable) for variable in [*network.variables, *optimizer.variables]]


def restore(network: Any, optimizer: Any, state: list[npt.NDArray]) -> None:
    """Put back what :func:`snapshot` copied."""
    variables = [*network.variables, *optimizer.variables]
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def _reproducible(content: bytes) -> bytes:
    # Keras writes the date, and addresses in memory as the identities of shared objects.
    values = json.loads(content)
    if isinstance(values, dict):
        values.pop("date_saved", None)
    identities: dict[int, int] = {}

    def renumber(part: Any) -> None:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "shared_object_id":
                part[key] = identities.setdefault(value, len(identities))
            elif isinstance(value, dict | list):
                renumber(value)

    renumber(values)
    return json.dumps(values, sort_keys=True).encode()
