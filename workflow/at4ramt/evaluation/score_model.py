"""One model on every scored piece and noise: the counts that all results derive from.

Every scored model hears the paper's noise at all levels. The base and the last rounds hear
the further kinds of ``evaluation.noises`` too, uniform noise in one octave after another, and
what an adversary makes of the music that knows the very model (``gradient``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.evaluation.confusion import confusion_matrix, matrix_to_table
from at4ramt.evaluation.metrics import (
    binarise,
    cross_entropy_sums,
    frame_errors,
    pitch_counts,
    probabilities,
)
from at4ramt.evaluation.tables import scores_schema, write_part
from at4ramt.features.cqt import PITCHES_PER_OCTAVE, CqtSettings
from at4ramt.features.frames import FrameMatrix, load_frames
from at4ramt.features.shards import check_shards
from at4ramt.seeds import purpose_seed
from at4ramt.training.adversary import GRADIENT, perturb_rows
from at4ramt.training.backend import start_backend
from at4ramt.training.losses import LossWeights
from at4ramt.training.noise import EVALUATION_POOL, mean_of, unit_noise

log = logging.getLogger("at4ramt")

CONFUSION_KEY = ("arm", "seed", "round", "split", "noise", "level", "threshold_kind")
OFFSETS = {"offset_removed": "median", "mean_removed": "mean"}
"""Free controls: what is taken off the input of the untouched base, by the arm's name."""

# What tells a condition apart, and its columns with a value for each pitch.
Block = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Piece:
    """Kept frames of one piece, with half a window of silence at both ends.

    Attributes:
        magnitudes: ``(frames + 2 * padding, bins)``.
        noise_seed: seed of the noise that it is heard in, the same for all models of a seed.
        truth: ``(frames, pitches)``, bool.
        centre: ``(frames,)``, bool.
        frame: frame index at full rate, ``(frames,)``.
    """

    name: str
    instrument: str
    split: str
    magnitudes: npt.NDArray[np.float32]
    noise_seed: int
    truth: npt.NDArray[np.bool_]
    centre: npt.NDArray[np.bool_]
    frame: npt.NDArray[np.int32]

    def noise(self, kind: str) -> npt.NDArray[np.float32]:
        """Return unit noise of a kind, of the shape of ``magnitudes``."""
        rows, bins = self.magnitudes.shape
        return unit_noise(kind, self.noise_seed, np.arange(rows), bins, pool=EVALUATION_POOL)


@dataclass(frozen=True)
class Condition:
    """A noise that a model is scored in.

    Attributes:
        noise: what the tables call it.
        level: its level.
        kind: kind of unit noise.
        bins: first bin that it is in, and the one after the last; all if None.
    """

    noise: str
    level: float
    kind: str
    bins: tuple[int, int] | None = None

    @property
    def paper_s(self) -> bool:
        """Whether it is the paper's, of which every table has rows."""
        return self.noise in ("none", "uniform")

    @property
    def where(self) -> slice:
        """The bins that it is in."""
        return slice(*(self.bins or (None, None)))


def uniform(level: float) -> Condition:
    """Return the paper's noise at a level, which may be 0."""
    return Condition("uniform" if level else "none", float(level), "uniform")


@dataclass(frozen=True)
class Input:
    """How one arm sees a piece: which offset is taken off the magnitudes first."""

    arm: str
    offset: str


def score_model(
    model_path: str,
    shards: dict[str, Sequence[str]],
    outputs: dict[str, str],
    *,
    config: dict[str, Any],
    shard_settings: dict[str, Any],
    further: bool,
    threads: int,
) -> None:
    """Score one model and write its part of every evaluation table.

    The base model is scored again as the arms :data:`OFFSETS`, with its input
    changed and the same weights and thresholds.

    Args:
        model_path: the model.
        shards: paths of the shards of each split.
        outputs: path to write for ``scores``, ``scores_all_frames``,
            ``frame_metrics`` and ``confusion``.
        config: what :func:`at4ramt.config.evaluation_config` gives.
        shard_settings: the config's section ``shards``, which the shards are to be made with.
        further: whether it hears more than the paper's noise.
        threads: CPU threads.

    Raises:
        InputError: if model or shards are unusable, or the shards were made with other settings.
    """
    device = start_backend(threads, 0)
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.model_file import load_model

    features, evaluation = config["features"], config["evaluation"]
    for paths in shards.values():
        check_shards(paths, {"features": features, "shards": shard_settings})
    model = load_model(model_path, features)
    card, weights = model.card, model.loss_weights
    inputs = [Input(card["arm"], "none")]
    if card["arm"] == "base":
        inputs += [Input(arm, offset) for arm, offset in OFFSETS.items()]
    thresholds = {"half": 0.5, "fitted": card["threshold_fitted"]}
    pitches = features["lowest_pitch"] + np.arange(features["pitches"])
    confused_levels = {0.0, _nearest(evaluation["levels"], config["maximum_level"])}
    heard = conditions(evaluation, features, further=further)
    log.info("device: %s; %s under %d conditions", device, model_path, len(heard))
    counted: dict[str, list[Block]] = {"scores": [], "scores_all_frames": []}
    errors: list[dict[str, Any]] = []
    confusion: dict[tuple[Any, ...], npt.NDArray[np.float64]] = {}
    for piece in load_pieces(shards, features, card["seed"], card["context_frames"]):
        subsets = {"scores": piece.centre, "scores_all_frames": np.ones_like(piece.centre)}
        unit: dict[str, npt.NDArray[np.float32]] = {}
        for condition in heard:
            if condition.noise in ("none", GRADIENT):
                noisy = piece.magnitudes
            else:
                if condition.kind not in unit:
                    # One kind at a time: an hour of noise is a hundred megabytes.
                    unit = {condition.kind: piece.noise(condition.kind)}
                noisy, where = piece.magnitudes.copy(), condition.where
                noisy[:, where] += np.float32(condition.level) * unit[condition.kind][:, where]
            tables_of = subsets if condition.paper_s else {"scores": piece.centre}
            for seen in inputs:
                if condition.noise == GRADIENT:
                    # Each is attacked as it hears, a free control through what it takes off.
                    noisy = _attacked(model, piece, condition.level, seen.offset == "median")
                logits = predict_logits(model.network, remove_offset(noisy, seen.offset, condition))
                probability = probabilities(logits)
                losses = {
                    name: _losses(piece.truth[chosen], logits[chosen], weights)
                    for name, chosen in tables_of.items()
                }
                about = {
                    "arm": seen.arm,
                    "seed": card["seed"],
                    "round": card["round"],
                    "split": piece.split,
                    "instrument": piece.instrument,
                    "piece": piece.name,
                    "noise": condition.noise,
                    "level": condition.level,
                }
                for kind, threshold in thresholds.items():
                    labelled = about | {"threshold_kind": kind}
                    active = binarise(probability, threshold)
                    for name, chosen in tables_of.items():
                        counts = pitch_counts(piece.truth[chosen], active[chosen])
                        columns = dict(zip(("tp", "fp", "fn", "tn"), counts, strict=True))
                        row = labelled | {"threshold": threshold, "frames": int(chosen.sum())}
                        counted[name].append((row, {"pitch": pitches} | columns | losses[name]))
                    if not condition.paper_s:
                        continue
                    truth, estimate = piece.truth[piece.centre], active[piece.centre]
                    errors.append(labelled | frame_errors(truth, estimate)._asdict())
                    if condition.level in confused_levels:
                        key = tuple(labelled[name] for name in CONFUSION_KEY)
                        matrix = confusion_matrix(truth, estimate)
                        confusion[key] = confusion.get(key, 0.0) + matrix
        log.info("%s: %d frames, %d centres", piece.name, len(piece.centre), piece.centre.sum())
    tables = {name: _stack(blocks) for name, blocks in counted.items()}
    tables["frame_metrics"] = pd.DataFrame(errors)
    tables["confusion"] = _confusion_table(confusion, features["lowest_pitch"])
    for name, path in outputs.items():
        write_part(tables[name], path, model.digest, config)


def conditions(
    evaluation: Mapping[str, Any], features: Mapping[str, Any], *, further: bool
) -> list[Condition]:
    """Return what a model hears: the paper's noise at each level, and perhaps further noise.

    Args:
        evaluation: the config's section.
        features: the config's section.
        further: whether there is more than the paper's noise.
    """
    heard = [uniform(level) for level in evaluation["levels"]]
    if not further:
        return heard
    heard += [
        Condition(kind, float(level), kind)
        for kind in evaluation["noises"]
        for level in evaluation["noise_levels"]
    ]
    if evaluation["octaves_level"] is not None:
        bins = features["pitches"] * features["bins_per_pitch"]
        octave = PITCHES_PER_OCTAVE * features["bins_per_pitch"]
        heard += [
            Condition(
                f"uniform_octave_{1 + first // octave}",
                float(evaluation["octaves_level"]),
                "uniform",
                (first, min(first + octave, bins)),
            )
            for first in range(0, bins, octave)
        ]
    return list(dict.fromkeys(heard))


def _attacked(
    model: Any, piece: Piece, level: float, median_removed: bool
) -> npt.NDArray[np.float32]:
    """Return a piece's magnitudes as an adversary leaves them that knows the model.

    In one step for all models, whatever they were trained against.
    """
    padding = (len(piece.magnitudes) - len(piece.truth)) // 2
    labels = np.pad(piece.truth.astype(np.uint8), ((padding, padding), (0, 0)))
    centre = np.pad(piece.centre, padding)
    return perturb_rows(
        model.network,
        piece.magnitudes,
        labels,
        centre,
        model.loss_weights,
        level,
        median_removed=median_removed,
    )


def load_pieces(
    shards: dict[str, Sequence[str]], features: dict[str, Any], seed: int, context: int
) -> Iterator[Piece]:
    """Yield the pieces of some shards with their evaluation noise, split by split.

    Noise is drawn per piece and frame index: which other pieces are scored
    beside it changes nothing. Each has silence for windows of ``context`` frames at both ends.
    """
    padding, bins = context // 2, CqtSettings.from_config(features).heard
    for split, paths in shards.items():
        matrix = load_frames(paths, padding=padding, bins=bins)
        for index, name in enumerate(matrix.pieces):
            yield _piece(matrix, index, name, split, seed)


def _piece(matrix: FrameMatrix, index: int, name: str, split: str, seed: int) -> Piece:
    rows = np.flatnonzero(matrix.piece == index)
    silence = np.zeros((matrix.padding, matrix.magnitudes.shape[1]), np.float32)
    magnitudes = np.concatenate([silence, matrix.magnitudes[rows], silence])
    return Piece(
        name=name,
        instrument=matrix.instruments[index],
        split=split,
        magnitudes=magnitudes,
        noise_seed=purpose_seed(seed, "evaluation noise", name),
        truth=matrix.labels[rows].astype(bool),
        centre=matrix.centre[rows],
        frame=matrix.frame[rows],
    )


def remove_offset(
    magnitudes: npt.NDArray[np.float32], offset: str, condition: Condition
) -> npt.NDArray[np.float32]:
    """Return magnitudes with an offset taken off each frame.

    Args:
        magnitudes: ``(frames, bins)``.
        offset: ``"none"``; ``"median"`` for the frame's own median; ``"mean"``
            for the noise's known mean, for ``uniform`` half the level.
        condition: the noise that they have.
    """
    if offset == "none":
        return magnitudes
    if offset == "mean":
        without = magnitudes.copy()
        without[:, condition.where] -= np.float32(condition.level * mean_of(condition.kind))
        return without
    if offset == "median":
        return np.asarray(magnitudes - np.median(magnitudes, axis=1, keepdims=True))
    raise ValueError(f"unknown offset {offset!r}; expected none or one of {OFFSETS.values()}")


def _nearest(levels: Sequence[float], wanted: float) -> float:
    return float(min(levels, key=lambda level: abs(level - wanted)))


def _losses(
    truth: npt.NDArray[np.bool_], logits: npt.NDArray[np.float32], weights: LossWeights
) -> dict[str, npt.NDArray[np.float64]]:
    loss, bce = cross_entropy_sums(truth, logits, weights.active, weights.inactive)
    return {"loss_sum": loss, "bce_sum": bce}


def _stack(blocks: Sequence[Block]) -> pd.DataFrame:
    # Column by column: a frame for each of a thousand conditions takes longer than scoring them.
    rows, columns = zip(*blocks, strict=True)
    lengths = [len(block["pitch"]) for block in columns]
    repeated = {name: np.repeat([row[name] for row in rows], lengths) for name in rows[0]}
    joined = {name: np.concatenate([block[name] for block in columns]) for name in columns[0]}
    return pd.DataFrame(repeated | joined)[list(scores_schema)]


def _confusion_table(
    confusion: dict[tuple[Any, ...], npt.NDArray[np.float64]], lowest_pitch: int
) -> pd.DataFrame:
    parts = []
    for key, matrix in confusion.items():
        table = matrix_to_table(matrix, lowest_pitch)
        for position, (name, value) in enumerate(zip(CONFUSION_KEY, key, strict=True)):
            table.insert(position, name, value)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)
