"""Configurations: what is taken must be of use to all that reads it, and refused in seconds."""

from __future__ import annotations

import copy
import math
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from at4ramt.config import (
    LOADER,
    audio_config,
    check_config,
    evaluation_config,
    notes_config,
    peer_config,
    pool_config,
    round_settings,
    training_config,
)
from at4ramt.corpus.variations import draw_variation
from at4ramt.features.cqt import CqtSettings
from at4ramt.files import value_digest
from fuzz.harness import Reader, expect

FOLDER = Path(__file__).resolve().parents[3] / "config"
NAMES = ("config", "paper", "robust", "study", "maps", "maestro", "folder")


@cache
def _demo_text() -> str:
    return (FOLDER / "config.yaml").read_text(encoding="utf-8")


@cache
def demo() -> dict[str, Any]:
    """Return the demo's configuration; not to be changed."""
    content: dict[str, Any] = yaml.load(_demo_text(), Loader=LOADER)
    return content


def check(data: bytes) -> None:
    try:
        changes = yaml.load(data, Loader=LOADER)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError):
        # Snakemake reads the file before we see anything of it, and says so.
        return
    if not isinstance(changes, dict):
        return
    config = _merged(demo(), changes)
    check_config(config)
    _check_numbers(config)
    CqtSettings.from_config(config["features"])
    rounds = [f"{number:02d}" for number in range(1, config["rounds"]["count"] + 1)]
    expect(len(rounds) <= 99, "more rounds than a file's name has digits for")
    for arm in config["rounds"]["arms"]:
        expect(arm.isidentifier() and arm.isascii(), f"an arm is called {arm!r}")
        for number in (1, len(rounds)):
            value_digest(round_settings(config, number, arm))
            value_digest(training_config(config, number, arm))
    value_digest(training_config(config, 0))
    for section in (evaluation_config, notes_config, pool_config):
        value_digest(section(config))
    value_digest(peer_config(audio_config(config)))
    if config["corpus"]["variations"]:
        draw_variation(config["corpus"]["variations"], "a", "0", 1)


def _check_numbers(value: Any) -> None:
    if isinstance(value, float):
        expect(math.isfinite(value), f"{value} is taken")
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _check_numbers(inner)


def _merged(config: dict[str, Any], changes: dict[Any, Any]) -> dict[str, Any]:
    """Return a configuration with changes merged in, as Snakemake does with --configfile."""
    result = copy.copy(config)
    for key, value in changes.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key in config:
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result


def seeds() -> dict[str, bytes]:
    found = {name: (FOLDER / f"{name}.yaml").read_bytes() for name in NAMES}
    found["small"] = b"rounds: {count: 3, overrides: {2: {epochs: 1}}}\nseeds: [1, 2]\n"
    found["arms"] = (
        b"arms:\n  loud: {noise: pink, level: maximum, against: fixed}\n"
        b"rounds: {arms: [adversarial, loud]}\nfeatures: {pitches: 48}\n"
    )
    return found


def _paths(value: Any, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, (*path, key))
    return found


_values = st.one_of(
    st.sampled_from(
        (
            None,
            True,
            0,
            1,
            -1,
            2,
            0.5,
            1.0,
            12.0,
            1e308,
            math.nan,
            math.inf,
            -math.inf,
            2**64,
            10**30,
            "",
            "x",
            "a\n",
            "x.tsv\n",
            "none",
            "{a}",
            [],
            {},
            [0],
            [0, 1],
            [1, 0],
            [math.nan, 1],
            [[0]],
            {"a": 1},
            {1: 2},
            "\x1b[2J",
            "9" * 5000,
        )
    ),
    st.integers(-3, 200),
    st.floats(),
    st.lists(
        st.sampled_from((0, 0.1, 0.5, 1, "clean", "white", "test", "adversarial")), max_size=3
    ),
)
_names = st.sampled_from(
    ("adversarial", "new", "a\n", "A b", "$(id)", "x" * 200, 1, 2.5, None, "1")
)


def _nested(changes: list[tuple[tuple, Any, Any]]) -> bytes:
    config: dict[Any, Any] = {}
    for path, name, value in changes:
        place = config
        full = (*path, name) if name != "" else path
        for key in full[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[full[-1]] = value
    return yaml.safe_dump(config).encode()


def drawn() -> st.SearchStrategy[bytes]:
    path = st.sampled_from(_paths(demo()))
    change = st.tuples(path, st.one_of(st.just(""), st.just(""), st.just(""), _names), _values)
    return st.lists(change, min_size=1, max_size=3).map(_nested)


READER = Reader("config", check, seeds, drawn, called=["configuration"], largest=1 << 12)
