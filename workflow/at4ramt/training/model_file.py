"""One file per model: a Keras archive that also says what it was trained on.

The file is an ordinary ``.keras`` archive, which any Keras opens, with one
member more, ``at4ramt.json``: feature settings, loss weights, fitted threshold,
noise level, config digest and the parent it was trained from. Its bytes are a
function of its content: archive dates are fixed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings
from at4ramt.files import file_digest, whole_file
from at4ramt.training.losses import LossWeights
from at4ramt.training.network import known_layers

CARD = "at4ramt.json"
ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)


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
    # Keras must know the class before it reads of it.
    known_layers()
    try:
        network = keras.models.load_model(path, safe_mode=True)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: Keras cannot read this model ({error}); expected a model of this workflow; "
            "delete it and run snakemake again"
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
    learnt, here = CqtSettings.resolved(card.get("features", {})), CqtSettings.resolved(features)
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
            card = json.loads(archive.read(CARD))
    except FileNotFoundError:
        raise InputError(f"{path}: no such model; run snakemake {path} to train it") from None
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: not a model of this workflow ({error}); expected a .keras archive with a "
            f"{CARD} in it; delete it and run snakemake again"
        ) from error
    assert isinstance(card, dict)
    return card


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
