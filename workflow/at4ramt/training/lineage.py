"""Whether models, shards and scores are those that the configuration asks for.

Snakemake believes a queue: LSF's executor plugin counts a job whose host is lost
as successful, and if that job was to replace an older file, the older file looks
like its result. So what costs hours, or is published, is checked by what the
files say of themselves. It is checked when a job runs, and is no parameter of
any rule: nothing is rerun because of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from at4ramt.config import training_config
from at4ramt.errors import InputError
from at4ramt.files import read_json

_WHY = (
    "the job that was to make it anew was lost (LSF: UNKWN), or Snakemake was told to keep it "
    "(--touch, --rerun-triggers)"
)


def check_model(
    path: str | Path, card: Mapping[str, Any], config: Mapping[str, Any], shards: Mapping[str, str]
) -> None:
    """Refuse a model that was trained with another configuration or on other shards.

    Args:
        path: the model's file, for the message.
        card: what it says of its training.
        config: what :func:`at4ramt.config.training_config` says of it now.
        shards: sha256 of the training and validation shards, by path.

    Raises:
        InputError: naming each key that differs, with both values, or the shard.
    """
    if differing := list(_differences(card.get("config", {}), config)):
        raise _stale(path, f"was trained with {', '.join(differing)}")
    was_trained_on = card.get("shards", {})
    other = sorted(name for name in shards if was_trained_on.get(name) != shards[name])
    if other or len(was_trained_on) != len(shards):
        raise _stale(path, f"was not trained on {', '.join(other) or 'these shards alone'}")


def check_models(cards: Sequence[str], config: dict[str, Any], shards: Sequence[str]) -> None:
    """Check all models by their cards: :func:`check_model`, and each one's parent.

    Args:
        cards: paths of the cards, each a model's with the suffix ``.json``.
        config: the whole configuration.
        shards: the training and validation shards; their counts lie beside them.

    Raises:
        InputError: if a model is not what the configuration asks for, or was
            trained from another parent than the file that is there.
    """
    digests = {path: read_json(Path(path).with_suffix(".json"))["sha256"] for path in shards}
    models = {path: read_json(path) for path in cards}
    for path, card in models.items():
        model = Path(path).with_suffix(".keras")
        check_model(model, card, training_config(config, card["round"], card["arm"]), digests)
        parent = card["parent"]
        if parent is None:
            continue
        there = models[str(Path(parent).with_suffix(".json"))]["model_sha256"]
        if card["parent_digest"] != there:
            raise _stale(model, f"was trained from another {parent} than the one that is there")


def check_parts(
    parts: Mapping[str, Mapping[str, Any]], cards: Sequence[str], made_with: Mapping[str, Any]
) -> None:
    """Check that each model's part of a table was made from that model, as the config says.

    Args:
        parts: what each part says of itself (``model_sha256`` and the settings it
            was made with), by its path.
        cards: the models' cards, in the same order.
        made_with: the settings of the evaluation.

    Raises:
        InputError: naming the part that was made from another model or otherwise.
    """
    for (path, origin), card in zip(parts.items(), cards, strict=True):
        if origin.get("model_sha256") != read_json(card)["model_sha256"]:
            model = Path(card).with_suffix(".keras")
            raise _stale(path, f"was not made from the {model} that is there")
        check_made_with(path, origin, made_with)


def check_made_with(
    path: str | Path, origin: Mapping[str, Any], made_with: Mapping[str, Any]
) -> None:
    """Check that a file was made with these settings; ``origin`` is what it says of itself.

    Raises:
        InputError: naming each setting that differs, with both values.
    """
    if differing := list(_differences(origin.get("made_with", {}), made_with)):
        raise _stale(path, f"was made with {', '.join(differing)}")


def _differences(was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*was, *now}):
        old, new = was.get(key, "unknown"), now.get(key, "none")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} {old} (now {new})"


def _stale(path: str | Path, fault: str) -> InputError:
    return InputError(
        f"{path}: {fault}; expected the result of this configuration: {_WHY}; delete this file "
        "and run snakemake again"
    )
