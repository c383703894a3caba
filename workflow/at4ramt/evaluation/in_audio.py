"""Notes and frames found in recordings with noise in the audio.

All systems are counted here alike, ours and their peers: against the notes that the corpus
has, extended by the pedal, in the model's range of pitches, at the full frame rate and in
all frames. The criteria:

* ``frames``: cells of frame and pitch that the system says sound, before any note is formed;
* ``note_frames``: cells of frame and pitch within the notes that it writes;
* ``onset``, ``onset_offset``: notes, as :mod:`at4ramt.evaluation.notes` matches them.

Notes are formed without noise and in white noise, which the peers hear too; in other noise frames
are counted alone.

Kinds of thresholds: ``default``; ``fitted``, a model's own, of its card; and ``best``, for frames,
frames of notes and notes apart and for each condition apart those with the most F1 on pieces of
validation: what a system could reach if it knew how noisy it is. A peer's are fitted on the same
pieces, in the same noise.

Our networks hear the transform of the mixture, which is made once for all
of them (:mod:`at4ramt.audio_noise.mixing`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.mixing import condition_name, conditions, mixtures
from at4ramt.evaluation.notes import OFFSET_SHARES, heard_magnitudes, match_notes, notes_in_range
from at4ramt.evaluation.tables import audio_schema, conform, write_part
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import frame_labels, read_labels
from at4ramt.features.shards import fixed_list_values, read_features
from at4ramt.training.onnx_file import load_onnx
from at4ramt.transcription.models import Model
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

log = logging.getLogger("at4ramt")

NOTED_NOISES = ("none", "white")
"""Noise in which notes are scored, beside frames."""

USES = {"frames": "frames", "note_frames": "note_frames", "notes": "onset"}
"""What thresholds are fitted for, each apart, and the criterion that it is judged by."""

THRESHOLD_GRID = tuple(step / 20 for step in range(2, 19))
"""Among these is the best threshold of a model."""

Frames = npt.NDArray[np.bool_]
Magnitudes = npt.NDArray[np.float32]
Notes = npt.NDArray[np.void]
Counts = dict[str, tuple[int, int, int]]
"""For each criterion what there is, what was estimated, and what of it matches."""
CountsAt = Callable[[float], Counts]


@dataclass(frozen=True)
class SoundingPiece:
    """A piece to score: where its features, its recording, its notes and its mixtures are."""

    name: str
    instrument: str
    split: str
    features: str
    audio: str
    notes: str
    audio_member: str = ""
    notes_member: str = ""
    mixed: str = ""


Hear = Callable[[SoundingPiece], Iterator[tuple[dict[str, Any], Magnitudes]]]


@dataclass(frozen=True)
class Reference:
    """What sounds in a piece: ``frames``, ``(frames, pitches)``, and ``notes``."""

    frames: Frames
    notes: Notes


def read_reference(piece: SoundingPiece, settings: CqtSettings) -> Reference:
    """Return what sounds in a piece.

    Raises:
        InputError: if the feature file or the notes are unusable.
    """
    table = read_features(piece.features, columns=["labels"])
    labels = fixed_list_values(table, "labels").astype(bool)
    seconds = float(table.schema.metadata[b"seconds"])
    notes = read_labels(piece.notes, seconds, piece.notes_member)
    return Reference(labels, notes_in_range(notes, settings))


def rolled(notes: Notes, frames: int, settings: CqtSettings) -> Frames:
    """Return which pitches notes sound in, ``(frames, pitches)``, by the labels' own rule."""
    margin = settings.margin_pitches
    roll = frame_labels(notes, frames, settings)[:, margin : margin + settings.pitches]
    return roll.astype(bool)


def count_frames(reference: Frames, estimated: Frames) -> tuple[int, int, int]:
    """Return how many cells sound, are said to, and both."""
    both = np.count_nonzero(reference & estimated)
    return int(reference.sum()), int(estimated.sum()), int(both)


def count_notes(reference: Notes, estimated: Notes, criterion: str) -> tuple[int, int, int]:
    """Return how many notes there are, were written, and match."""
    pairs = match_notes(reference, estimated, criterion)
    return len(reference), len(estimated), len(pairs)


def count_all(
    reference: Reference, frames: Frames, notes: Notes, roll_of: Notes, settings: CqtSettings
) -> Counts:
    """Return the counts of every criterion.

    Args:
        reference: what sounds.
        frames: which cells the system says sound, ``(frames, pitches)``.
        notes: the notes that it writes.
        roll_of: the notes whose cells ``note_frames`` counts.
        settings: the frames and pitches.
    """
    notes = notes_in_range(notes, settings)
    roll = rolled(roll_of, len(reference.frames), settings)
    return {
        "frames": count_frames(reference.frames, frames),
        "note_frames": count_frames(reference.frames, roll),
    } | {criterion: count_notes(reference.notes, notes, criterion) for criterion in OFFSET_SHARES}


def rows_of(
    condition: Mapping[str, Any], threshold_kind: str, counts: Counts
) -> list[dict[str, Any]]:
    """Return the table's rows of one piece, condition and threshold."""
    return [
        {
            **condition,
            "threshold_kind": threshold_kind,
            "criterion": criterion,
            "reference": reference,
            "estimated": estimated,
            "matched": matched,
        }
        for criterion, (reference, estimated, matched) in counts.items()
    ]


class Fit:
    """Counts over pieces at each of some thresholds, for each use that they have.

    The uses are ``frames``, ``note_frames`` (most F1 of frames of the notes) and ``notes``
    (most F1 of notes by their onsets).
    """

    def __init__(self, thresholds: Mapping[str, Sequence[Any]]) -> None:
        self._thresholds = thresholds
        self._counts = {use: np.zeros((len(grid), 3), np.int64) for use, grid in thresholds.items()}

    def add(self, use: str, place: int, counts: tuple[int, int, int]) -> None:
        """Count what there is, was estimated, and matched, at one threshold of a use."""
        self._counts[use][place] += counts

    def best(self) -> dict[str, tuple[Any, float]]:
        """Return for each use the threshold with the most F1, of equals the first, and that F1."""
        found = {}
        for use, counts in self._counts.items():
            reference, estimated, matched = counts.T
            f1 = 2 * matched / np.maximum(reference + estimated, 1)
            place = int(np.argmax(f1))
            found[use] = self._thresholds[use][place], float(f1[place])
        return found


def score_in_audio(
    model_path: str,
    pieces: Sequence[SoundingPiece],
    path: str,
    *,
    fitting: Sequence[str],
    config: dict[str, Any],
    threads: int,
) -> None:
    """Write the counts of one model, a row a piece, condition, threshold and criterion.

    The base is scored a second time as system ``offset_removed``,
    which hears magnitudes with each frame's median taken off.

    Args:
        model_path: the model's ONNX file: dozens of conditions take a third of the time by it.
        pieces: the pieces.
        path: Parquet file to write, with the columns :data:`audio_schema`.
        fitting: names of the pieces among them that ``best`` thresholds are fitted on; with none
            there is no such row.
        config: what :func:`at4ramt.config.audio_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if the model, a feature file, a file of mixtures or a note list is unusable.
    """
    settings = CqtSettings.from_config(config["features"])
    stored = load_onnx(model_path, config["features"], threads=threads)
    model = Model(model_path, stored.card, "ONNX Runtime", stored.logits)
    arm = model.card["arm"]
    rows = score_pieces(
        model, [arm, "offset_removed"] if arm == "base" else [arm], pieces,
        hear=lambda piece: heard(piece, settings, config), fitting=fitting,
        rule=NoteSettings.for_features(settings, 0.5, **config["transcription"]),
        seed=model.card["seed"],
    )  # fmt: skip
    table = conform(pd.DataFrame(rows), audio_schema, path)
    write_part(table, path, stored.keras_digest, config)


def score_pieces(
    model: Model,
    systems: Sequence[str],
    pieces: Sequence[SoundingPiece],
    *,
    hear: Hear,
    fitting: Sequence[str],
    rule: NoteSettings,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the table's rows of one model, at 0.5, at its own threshold and at the best ones.

    Args:
        model: the model.
        systems: what the table calls it; as ``offset_removed`` it hears less each frame's median.
        pieces: the pieces; each is heard once.
        hear: gives each condition of a piece and what the network hears, ``(frames, bins)``.
        fitting: names of the pieces that ``best`` thresholds are fitted on.
        rule: how notes are formed; its threshold is replaced.
        seed: what stands in the column ``seed``.

    Raises:
        InputError: if a file is unusable or the network answers with what is no number.
    """
    own = {"default": 0.5, "fitted": float(model.card["threshold_fitted"])}
    best = BestThresholds()
    rows: list[dict[str, Any]] = []
    fits = {piece.name: piece.name in set(fitting) for piece in pieces}
    for fitted_on in (True, False):
        for piece in (piece for piece in pieces if fits[piece.name] == fitted_on):
            for about, at in counted(model, systems, piece, hear, rule, seed):
                for kind, threshold in own.items():
                    rows += rows_of(about, kind, at(threshold))
                if about["noise"] in NOTED_NOISES:
                    if fitted_on:
                        best.try_all(about, at)
                    else:
                        rows += best.rows(about, at)
        if fitted_on:
            rows += best.rows_of_tried()
    order = {name: place for place, name in enumerate(fits)}
    return sorted(rows, key=lambda row: order[row["piece"]])


class BestThresholds:
    """Of each system and condition, the threshold with the most F1 for each use.

    First all pieces that they are fitted on are tried; their counts at every threshold are kept
    until then, so that no piece is heard twice.
    """

    def __init__(self) -> None:
        self._fits: dict[tuple[str, str], Fit] = {}
        self._tried: list[tuple[dict[str, Any], dict[float, Counts]]] = []

    def try_all(self, about: Mapping[str, Any], at: CountsAt) -> None:
        """Count a piece that they are fitted on at every threshold of the grid."""
        counts = {threshold: at(threshold) for threshold in THRESHOLD_GRID}
        self._tried.append((dict(about), counts))
        fit = self._fits.setdefault(self._place(about), Fit(dict.fromkeys(USES, THRESHOLD_GRID)))
        for place, found in enumerate(counts.values()):
            for use, criterion in USES.items():
                fit.add(use, place, found[criterion])

    def rows_of_tried(self) -> list[dict[str, Any]]:
        """Return the rows of the pieces that they are fitted on, and log what was found."""
        for (system, condition), fit in self._fits.items():
            log.info("%s, %s: best thresholds and their F1 %s", system, condition, fit.best())
        return [
            row for about, counts in self._tried for row in self.rows(about, counts.__getitem__)
        ]

    def rows(self, about: Mapping[str, Any], at: CountsAt) -> list[dict[str, Any]]:
        """Return the rows of a piece and condition; none, if nothing was tried."""
        fit = self._fits.get(self._place(about))
        if fit is None:
            return []
        of_use = {use: at(threshold) for use, (threshold, _) in fit.best().items()}
        counts = {
            "frames": of_use["frames"]["frames"],
            "note_frames": of_use["note_frames"]["note_frames"],
        } | {criterion: of_use["notes"][criterion] for criterion in OFFSET_SHARES}
        return rows_of(about, "best", counts)

    @staticmethod
    def _place(about: Mapping[str, Any]) -> tuple[str, str]:
        return about["system"], condition_name(about["noise"], about["snr_db"])


def counted(
    model: Model,
    systems: Sequence[str],
    piece: SoundingPiece,
    hear: Hear,
    rule: NoteSettings,
    seed: int,
) -> Iterator[tuple[dict[str, Any], CountsAt]]:
    """Yield of each condition and system the table's first columns, and its counts.

    What is yielded second gives the counts at a threshold: in noise in which notes are not scored
    those of frames alone.
    """
    reference = read_reference(piece, model.features)
    for condition, magnitudes in hear(piece):
        for system in systems:
            answer = answered(model, system, magnitudes)
            about = {
                "system": system,
                "seed": seed,
                "split": piece.split,
                "instrument": piece.instrument,
                "piece": piece.name,
                **condition,
            }
            # Thresholds of several kinds and uses may be the same.
            yield about, cache(partial(counts_at, model, reference, answer, rule, condition))
    log.info("%s: %d notes", piece.name, len(reference.notes))


def counts_at(
    model: Model,
    reference: Reference,
    answer: Answer,
    rule: NoteSettings,
    condition: Mapping[str, Any],
    threshold: float,
) -> Counts:
    """Return the counts of an answer in a condition at one threshold."""
    active = answer.frames(threshold)
    if condition["noise"] not in NOTED_NOISES:
        return {"frames": count_frames(reference.frames, active)}
    notes = answer.notes(rule, threshold)
    return count_all(reference, active, notes, notes, model.features)


@dataclass(frozen=True)
class Answer:
    """A model's answer to a piece: ``probabilities``, ``(frames, pitches)``, and what it heard."""

    probabilities: npt.NDArray[np.floating]
    sound: npt.NDArray[np.float32]

    def frames(self, threshold: float) -> Frames:
        """Return which cells sound."""
        return self.probabilities >= np.float32(threshold)

    def notes(self, rule: NoteSettings, threshold: float) -> Notes:
        """Return the notes by the rule, but for its threshold."""
        rule = replace(rule, threshold=threshold)
        return notes_from_probabilities(self.probabilities, rule, self.sound)


def answered(model: Model, system: str, magnitudes: Magnitudes) -> Answer:
    """Return a model's answer to what it hears of a piece, ``(frames, bins)``."""
    seen = without_median(magnitudes) if system == "offset_removed" else magnitudes
    padded = np.pad(seen, ((model.margin_frames, model.margin_frames), (0, 0)))
    settings = model.features
    # Less than nothing has no logarithm.
    sound = np.maximum(seen[:, : settings.pitches * settings.bins_per_pitch], 0)
    return Answer(model.probabilities(padded), sound)


def heard(
    piece: SoundingPiece, settings: CqtSettings, config: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Magnitudes]]:
    """Yield each condition with what networks hear, ``(frames, bins)``.

    These are magnitudes of all frames: without noise those of the feature file, with it those of
    :func:`mix_piece`.

    Raises:
        InputError: if a file is unusable or was made with other settings.
    """
    noises, ratios = (config["evaluation"][key] for key in ("audio_noises", "audio_snr_db"))
    clean, *noisy = conditions(noises, ratios)
    yield clean, heard_magnitudes(piece.features, settings)[0]
    if noisy:
        with mixtures(piece.mixed, config) as mixed:
            for condition in noisy:
                name = condition_name(condition["noise"], condition["snr_db"])
                yield condition, mixed[name].astype(np.float32)


def without_median(magnitudes: Magnitudes) -> Magnitudes:
    """Return magnitudes ``(frames, bins)`` with each frame's median taken off."""
    return magnitudes - np.median(magnitudes, axis=1, keepdims=True)
