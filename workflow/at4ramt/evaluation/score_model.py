"""One model on every scored piece and noise level: the counts that all results derive from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.frames import FrameMatrix, load_frames
from at4ramt.features.shards import check_shards
from at4ramt.seeds import purpose_seed
from at4ramt.training.backend import start_backend
from at4ramt.training.losses import LossWeights
from at4ramt.training.network import CONTEXT_FRAMES
from at4ramt.training.noise import uniform_noise

log = logging.getLogger("at4ramt")

CONFUSION_KEY = ("arm", "seed", "round", "split", "noise", "level", "threshold_kind")
OFFSETS = ("none", "median", "mean")

# What tells a condition apart, and its columns with a value for each pitch.
Block = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Piece:
    """Kept frames of one piece, with half a window of silence at both ends.

    Attributes:
        magnitudes: ``(frames + 2 * padding, bins)``.
        noise: uniform noise in [0, 1) of the same shape, the same for all models of a seed.
        truth: ``(frames, pitches)``, bool.
        centre: ``(frames,)``, bool.
        frame: frame index at full rate, ``(frames,)``.
    """

    name: str
    instrument: str
    split: str
    magnitudes: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    truth: npt.NDArray[np.bool_]
    centre: npt.NDArray[np.bool_]
    frame: npt.NDArray[np.int32]


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
    threads: int,
) -> None:
    """Score one model and write its part of every evaluation table.

    The base model is scored a second time as arm ``offset_removed``, with its
    input changed as ``evaluation.offset`` says and the same weights and
    thresholds.

    Args:
        model_path: the model.
        shards: paths of the shards of each split.
        outputs: path to write for ``scores``, ``scores_all_frames``,
            ``frame_metrics`` and ``confusion``.
        config: what :func:`at4ramt.config.evaluation_config` gives.
        shard_settings: the config's section ``shards``, which the shards are to be made with.
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
        inputs.append(Input("offset_removed", evaluation["offset"]))
    thresholds = {"half": 0.5, "fitted": card["threshold_fitted"]}
    pitches = features["lowest_pitch"] + np.arange(features["pitches"])
    confused_levels = {0.0, _nearest(evaluation["levels"], config["maximum_level"])}
    log.info("device: %s; %s at %d levels", device, model_path, len(evaluation["levels"]))
    counted: dict[str, list[Block]] = {"scores": [], "scores_all_frames": []}
    errors: list[dict[str, Any]] = []
    confusion: dict[tuple[Any, ...], npt.NDArray[np.float64]] = {}
    for piece in load_pieces(shards, features, card["seed"]):
        subsets = {"scores": piece.centre, "scores_all_frames": np.ones_like(piece.centre)}
        for level in evaluation["levels"]:
            noisy = piece.magnitudes + np.float32(level) * piece.noise
            for seen in inputs:
                logits = predict_logits(model.network, remove_offset(noisy, seen.offset, level))
                probability = probabilities(logits)
                losses = {
                    name: _losses(piece.truth[chosen], logits[chosen], weights)
                    for name, chosen in subsets.items()
                }
                condition = {
                    "arm": seen.arm,
                    "seed": card["seed"],
                    "round": card["round"],
                    "split": piece.split,
                    "instrument": piece.instrument,
                    "piece": piece.name,
                    "noise": "uniform" if level else "none",
                    "level": float(level),
                }
                for kind, threshold in thresholds.items():
                    labelled = condition | {"threshold_kind": kind}
                    active = binarise(probability, threshold)
                    for name, chosen in subsets.items():
                        counts = pitch_counts(piece.truth[chosen], active[chosen])
                        columns = dict(zip(("tp", "fp", "fn", "tn"), counts, strict=True))
                        row = labelled | {"threshold": threshold, "frames": int(chosen.sum())}
                        counted[name].append((row, {"pitch": pitches} | columns | losses[name]))
                    truth, estimate = piece.truth[piece.centre], active[piece.centre]
                    errors.append(labelled | frame_errors(truth, estimate)._asdict())
                    if level in confused_levels:
                        key = tuple(labelled[name] for name in CONFUSION_KEY)
                        matrix = confusion_matrix(truth, estimate)
                        confusion[key] = confusion.get(key, 0.0) + matrix
        log.info("%s: %d frames, %d centres", piece.name, len(piece.centre), piece.centre.sum())
    tables = {name: _stack(blocks) for name, blocks in counted.items()}
    tables["frame_metrics"] = pd.DataFrame(errors)
    tables["confusion"] = _confusion_table(confusion, features["lowest_pitch"])
    for name, path in outputs.items():
        write_part(tables[name], path, model.digest, config)


def load_pieces(
    shards: dict[str, Sequence[str]], features: dict[str, Any], seed: int
) -> Iterator[Piece]:
    """Yield the pieces of some shards with their evaluation noise, split by split.

    Noise is drawn per piece and frame index: which other pieces are scored
    beside it changes nothing.
    """
    padding, bins = CONTEXT_FRAMES // 2, CqtSettings.from_config(features).core
    for split, paths in shards.items():
        matrix = load_frames(paths, padding=padding, bins=bins)
        for index, name in enumerate(matrix.pieces):
            yield _piece(matrix, index, name, split, seed)


def _piece(matrix: FrameMatrix, index: int, name: str, split: str, seed: int) -> Piece:
    rows = np.flatnonzero(matrix.piece == index)
    silence = np.zeros((matrix.padding, matrix.magnitudes.shape[1]), np.float32)
    magnitudes = np.concatenate([silence, matrix.magnitudes[rows], silence])
    noise_seed = purpose_seed(seed, "evaluation noise", name)
    return Piece(
        name=name,
        instrument=matrix.instruments[index],
        split=split,
        magnitudes=magnitudes,
        noise=uniform_noise(noise_seed, np.arange(len(magnitudes)), magnitudes.shape[1]),
        truth=matrix.labels[rows].astype(bool),
        centre=matrix.centre[rows],
        frame=matrix.frame[rows],
    )


def remove_offset(
    magnitudes: npt.NDArray[np.float32], offset: str, level: float
) -> npt.NDArray[np.float32]:
    """Return magnitudes with an offset taken off each frame.

    Args:
        magnitudes: ``(frames, bins)``.
        offset: ``"none"``; ``"median"`` for the frame's own median; ``"mean"``
            for the noise's known mean, ``level / 2``.
        level: noise level.
    """
    if offset == "none":
        return magnitudes
    if offset == "mean":
        return magnitudes - np.float32(level / 2)
    if offset == "median":
        return np.asarray(magnitudes - np.median(magnitudes, axis=1, keepdims=True))
    raise ValueError(f"unknown offset {offset!r}; expected one of {OFFSETS}")


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
