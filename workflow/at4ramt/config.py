"""The configuration: checked before anything runs, and documented from its schema.

``python -m at4ramt.config`` prints config/README.md's table of keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from at4ramt.errors import InputError, shown, suggestion
from at4ramt.features.cqt import CqtSettings
from at4ramt.limits import DEEPEST, MOST_VALUES
from at4ramt.training.arms import OF_ROUNDS, OF_SECTIONS, REPORTED, is_acoustic

ROOT = Path(__file__).resolve().parents[2]
# PyYAML's loader in C, where it was built with it, is ten times as fast; every job waits for it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


# Stands for any name of a row, in the names of a table's keys.
ANY_NAME = "<name>"
# Keys of the section evaluation that the scores of a model depend on.
SCORED = ("levels", "noises", "noise_levels", "octaves_level", "splits")
LARGEST_NUMBER = 2**63
MOST_PROBLEMS, LONGEST_KEY = 50, 100


def check_config(config: dict[str, Any], schema_path: str | Path = SCHEMA) -> None:
    """Check a configuration as a whole.

    Args:
        config: the merged configuration, as Snakemake has it.
        schema_path: schema to check against.

    Raises:
        InputError: listing every wrong key with what was expected of it.
    """
    schema = _schema(str(schema_path))
    validator = _validator()(schema)
    problems = [
        line
        for error in validator.iter_errors(_with_string_keys(config))
        for line in _explain(error, schema)
    ]
    if not problems:
        problems = list(_contradictions(config))
    if problems:
        if len(problems) > MOST_PROBLEMS:
            problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more"]
        raise InputError(
            "the configuration is not usable:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nconfig/README.md explains every key."
        )


def round_settings(config: dict[str, Any], number: int, arm: str) -> dict[str, Any]:
    """Return section ``rounds`` as it applies to one round of one arm, which is in it as ``arm``.

    What the arm and then the round say in its place is merged in, and left out are
    the keys that decide only which rounds there are, or how an arm is reported, so
    that a round is not rerun because of them.
    """
    rounds = dict(config["rounds"])
    overrides = {int(key): value for key, value in rounds.pop("overrides").items()}
    for key in ("count", "arms"):
        rounds.pop(key)
    other = (*REPORTED, *OF_SECTIONS)
    row = {key: value for key, value in config["arms"][arm].items() if key not in other}
    rounds["search"] = rounds["search"] | row.pop("search", {})
    rounds |= {key: row.pop(key) for key in OF_ROUNDS if key in row}
    return rounds | overrides.get(number, {}) | {"arm": row}


def training_config(config: dict[str, Any], number: int, arm: str = "base") -> dict[str, Any]:
    """Return the sections that the training of one round depends on; 0 is the base."""
    own = (
        {"base": config["base"]} if number == 0 else {"rounds": round_settings(config, number, arm)}
    )
    row = {} if number == 0 else config["arms"][arm]
    shared = ("features", "shards", "network", "training")
    return {name: config[name] | row.get(name, {}) for name in shared} | own


def evaluation_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the scores of a model depend on, beside the model and the shards."""
    return {
        "features": config["features"],
        "evaluation": {key: config["evaluation"][key] for key in SCORED},
        "maximum_level": config["rounds"]["maximum_level"],
    }


def notes_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the note scores of a model depend on, beside the model and the pieces."""
    # Where recordings are, which model takes them and at which threshold is nothing to a score.
    other = ("input", "model", "roll", "threshold")
    rule = {key: value for key, value in config["transcription"].items() if key not in other}
    return {
        "features": config["features"],
        "transcription": rule,
        "evaluation": {"note_levels": config["evaluation"]["note_levels"]},
    }


def audio_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the scores in the audio's noise depend on, beside systems and pieces."""
    notes = notes_config(config)
    return mixing_config(config) | {"transcription": notes["transcription"]}


def mixing_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return what mixtures of recordings and noise depend on, beside the pieces."""
    return {
        "features": config["features"],
        "evaluation": {key: config["evaluation"][key] for key in ("audio_noises", "audio_snr_db")},
        # One noise for all models, of whatever seed, and for the peers.
        "noise_seed": config["seeds"][0],
    }


def peer_config(audio: dict[str, Any]) -> dict[str, Any]:
    """Return what of :func:`audio_config` a peer depends on, which hears white noise alone."""
    evaluation = audio["evaluation"]
    heard = [noise for noise in evaluation["audio_noises"] if noise == "white"]
    return audio | {"evaluation": evaluation | {"audio_noises": heard}}


def pool_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the pools of noise for training depend on."""
    return {
        "features": config["features"],
        "frame_step": config["shards"]["frame_step"],
        "noise_seed": config["seeds"][0],
    }


def key_table(schema_path: str | Path = SCHEMA) -> str:
    """Return a Markdown table of every key, with type, unit, demo value and paper section."""
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    lines = [
        "| key | demo's value | unit | allowed | meaning | paper |",
        "|---|---|---|---|---|---|",
    ]
    for name, key in _leaves(schema):
        value: Any = values
        for part in name.split("."):
            value = None if part == ANY_NAME or value is None else value[part]
        merged = _resolve(key, schema)
        shown = "" if ANY_NAME in name else f"`{value}`"
        lines.append(
            f"| `{name}` | {shown} | {key.get('x-unit', '')} | {_allowed(merged, schema)} "
            f"| {' '.join(key['description'].split())} | {key.get('x-paper', '')} |"
        )
    return "\n".join(lines) + "\n"


def _leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in schema["properties"].items():
        if key.get("properties"):
            yield from _leaves(key, f"{prefix}{name}.")
        elif _rows(key):
            yield from _leaves(_rows(key), f"{prefix}{name}.{ANY_NAME}.")
        else:
            yield prefix + name, key


def _rows(key: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the rows of a table by name; empty for any other key."""
    rows: dict[str, Any] = next(iter(key.get("patternProperties", {}).values()), {})
    return rows if key.get("x-table") else {}


def _resolve(key: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = key.get("$ref")
    if reference is None:
        return key
    return {**schema["$defs"][reference.rsplit("/", 1)[1]], **key}


def _allowed(key: dict[str, Any], schema: dict[str, Any]) -> str:
    if "x-allowed" in key:
        return str(key["x-allowed"])
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if key.get("type") == "array":
        return "list of: " + _allowed(_resolve(key["items"], schema), schema)
    bounds = [
        f"{sign} {key[name]:g}"
        for name, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
            ("multipleOf", "multiple of"),
        )
        if name in key
    ]
    kinds = key.get("type", "")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return " ".join([kind, ", ".join(bounds)]).strip()


@cache
def _schema(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=LOADER)
    return content


@cache
def _validator() -> Any:
    """Return a validator that takes for a number only what can be computed with as one.

    JSON Schema takes 12.0 for a whole number, of which Python makes no range; a bound that is no
    number compares with nothing; and its ``$`` lets a line's end follow.
    """

    def is_number(_: Any, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return abs(value) < LARGEST_NUMBER and math.isfinite(value)

    def is_integer(checker: Any, value: Any) -> bool:
        return isinstance(value, int) and is_number(checker, value)

    def pattern(_: Any, wanted: str, value: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and (not re.search(wanted, value) or value.endswith("\n")):
            yield ValidationError(f"{value!r} does not match {wanted!r}")

    kinds = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": is_number, "integer": is_integer}
    )
    return extend(Draft202012Validator, {"pattern": pattern}, type_checker=kinds)


def _with_string_keys(config: Any) -> Any:
    """Return a configuration with its keys as strings, its aliases written out.

    YAML allows numbers as keys (rounds.overrides); JSON Schema knows only strings. A few lines of
    aliases of aliases stand for more values than any memory holds, so they are counted.
    """
    left = MOST_VALUES

    def plain(value: Any, where: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise InputError(
                f"the configuration is not usable: key '{where}' leads beyond {MOST_VALUES} values "
                f"or {DEEPEST} levels, its aliases written out; expected some hundred. Write it "
                "without aliases (&name, *name)."
            )
        if isinstance(value, dict):
            copied = {}
            for key, inner in value.items():
                name = str(key) if isinstance(key, str | int | float) else shown(key)
                if name in copied or not name.isprintable() or len(name) > LONGEST_KEY:
                    raise InputError(
                        f"the configuration is not usable: in '{where}' stands the key "
                        f"{shown(key)}; expected each key once, of at most {LONGEST_KEY} printable "
                        "characters. Rename it."
                    )
                copied[name] = plain(inner, f"{where}.{name}".lstrip("."), depth + 1)
            return copied
        if isinstance(value, list | tuple):
            return [plain(inner, where, depth + 1) for inner in value]
        return value

    return plain(config, "", 0)


def _explain(error: ValidationError, schema: dict[str, Any]) -> Iterator[str]:
    where = ".".join(str(part) for part in error.absolute_path)
    prefix = f"{where}." if where else ""
    limit: Any = error.validator_value
    wanted = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties":
        known = list(wanted.get("properties", {}))
        patterns = list(wanted.get("patternProperties", {}))
        for key in cast(dict[str, Any], error.instance):
            if key not in known and not any(re.search(pattern, key) for pattern in patterns):
                expected = ", ".join(known) if known else str(wanted["x-names"])
                yield f"unknown key '{prefix}{key}'; expected {expected}.{suggestion(key, known)}"
    elif error.validator == "required":
        for key in limit:
            if key not in cast(dict[str, Any], error.instance):
                yield f"key '{prefix}{key}' is missing; config/config.yaml has the demo's value"
    else:
        described = _describe(error, schema)
        yield f"key '{where}' is {shown(error.instance)}; expected {described}"


def _describe(error: ValidationError, schema: dict[str, Any]) -> str:
    wanted = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "enum":
        known = [str(value) for value in cast(list[Any], error.validator_value)]
        return f"one of {', '.join(known)}.{suggestion(str(error.instance), known)}"
    allowed = _allowed(_resolve(wanted, schema), schema)
    if wanted.get("type") == "array":
        unique = " without repetition" if wanted.get("uniqueItems") else ""
        return f"a {allowed}, at least {wanted.get('minItems', 0)}{unique}"
    pattern = f" matching {wanted['pattern']}" if "pattern" in wanted else ""
    return f"{allowed}{pattern}"


def _contradictions(config: dict[str, Any]) -> Iterator[str]:
    corpus = config["corpus"]
    if (corpus["kind"] == "embedded") != (corpus["root"] is None):
        yield (
            f"corpus.root is {corpus['root']!r} and corpus.kind is {corpus['kind']!r}; expected a "
            "folder for every kind but embedded, which has none"
        )
    for name, limits in corpus["variations"].items():
        if isinstance(limits, list) and limits[0] > limits[1]:
            yield f"corpus.variations.{name} is {limits}; expected the lower limit first"
    search = config["rounds"]["search"]
    if search["minimum_increase"] >= search["maximum_increase"]:
        yield (
            f"rounds.search.minimum_increase ({search['minimum_increase']}) is not below "
            f"maximum_increase ({search['maximum_increase']}); expected a range"
        )
    if not search["floor_level"] < search["start_level"] < search["cap_level"]:
        yield (
            "rounds.search: expected floor_level < start_level < cap_level, found "
            f"{search['floor_level']}, {search['start_level']}, {search['cap_level']}"
        )
    levels = config["evaluation"]["levels"]
    if levels[0] != 0 or list(levels) != sorted(levels):
        yield f"evaluation.levels is {levels}; expected ascending levels that begin with 0"
    features = config["features"]
    settings = CqtSettings.from_config(features)
    low, high = settings.first_pitch, settings.first_pitch + settings.all_pitches - 1
    if low < 12 or high > 127:
        yield f"features: pitches {low} to {high} with their margin; expected 12 to 127"
    above = settings.margin_above_pitches
    reach = config["training"]["transpose_pitches"]
    if not reach <= min(features["margin_pitches"], above - features["overtone_pitches"]):
        yield (
            f"training.transpose_pitches is {reach}; expected no more than features.margin_pitches "
            f"({features['margin_pitches']}) and than what of the pitches above ({above}) "
            f"overtone_pitches ({features['overtone_pitches']}) leaves"
        )
    highest_hz = 440.0 * 2 ** ((high + 1 - 69) / 12)
    if highest_hz > 0.5 * features["sample_rate_hz"]:
        yield (
            f"features: the highest bin lies near {highest_hz:.0f} Hz, above half of "
            f"sample_rate_hz ({features['sample_rate_hz']}); expected fewer pitches or more Hz"
        )
    extra = set(config["evaluation"]["every_round_of"]) - set(config["rounds"]["arms"])
    if extra:
        yield (
            f"evaluation.every_round_of names {', '.join(sorted(extra))}, which rounds.arms does "
            f"not train; expected some of {', '.join(config['rounds']['arms'])}"
        )
    others = [*config["arms"], "base", "offset_removed", "mean_removed", "basic_pitch"]
    for place, row in enumerate(config["evaluation"]["peer_models"]):
        if row["name"] in others:
            yield (
                f"evaluation.peer_models.{place}.name is {row['name']}, which is another system's; "
                "expected a name of its own"
            )
        others.append(row["name"])
    yield from _contradictions_of_arms(config)
    for number in config["rounds"]["overrides"]:
        if not 1 <= int(number) <= config["rounds"]["count"]:
            yield (
                f"rounds.overrides names round {number}; expected 1 to rounds.count = "
                f"{config['rounds']['count']}"
            )


def _contradictions_of_arms(config: dict[str, Any]) -> Iterator[str]:
    arms = config["arms"]
    for name in config["rounds"]["arms"]:
        if name not in arms:
            yield (
                f"rounds.arms names {name}, which the table arms does not have; expected some of "
                f"{', '.join(arms)}.{suggestion(name, arms)}"
            )
    for name, row in arms.items():
        if (row["noise"] == "none") == ("level" in row):
            yield (
                f"arms.{name}: noise is {row['noise']}, level {row.get('level', 'not given')}; "
                "expected a level for every noise but none, which has none"
            )
        if "gradient_steps" in row and row["noise"] != "gradient":
            yield f"arms.{name}.gradient_steps is for the noise gradient, found {row['noise']}"
        if (row.get("level") == "decibels") != ("snr_db" in row):
            yield (
                f"arms.{name}: level is {row.get('level', 'not given')}, snr_db "
                f"{row.get('snr_db', 'not given')}; expected a range with decibels alone"
            )
        if row.get("level") == "decibels" and not is_acoustic(row["noise"]):
            yield (
                f"arms.{name}.level is decibels, noise {row['noise']}; expected audio_..., "
                "the only noise whose ratio to the music is known"
            )
        if row.get("start") != "scratch" and not set(OF_SECTIONS).isdisjoint(row):
            yield (
                f"arms.{name} changes section network or training and starts from the base; "
                "expected start: scratch"
            )
        if row.get("against", name) not in {*arms, "base"}:
            yield (
                f"arms.{name}.against is {row['against']}, which is no arm; expected base or one "
                f"of {', '.join(arms)}.{suggestion(row['against'], arms)}"
            )
        # Of an arm without a search of its own, rounds.search is told once.
        search = config["rounds"]["search"] | row.get("search", {})
        if "search" in row and search["minimum_increase"] >= search["maximum_increase"]:
            yield (
                f"arms.{name}.search: minimum_increase ({search['minimum_increase']}) is not below "
                f"maximum_increase ({search['maximum_increase']}); expected a range"
            )


if __name__ == "__main__":
    print(key_table(), end="")
