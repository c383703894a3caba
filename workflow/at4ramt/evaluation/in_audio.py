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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.mixing import condition_name, conditions, mixtures
from at4ramt.evaluation.notes import OFFSET_SHARES, heard_magnitudes, match_notes, notes_in_range
from at4ramt.evaluation.tables import AUDIO_NOISES, audio_schema, conform, write_part
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import frame_labels, read_labels
from at4ramt.features.shards import fixed_list_values, read_features
from at4ramt.training.onnx_file import load_onnx
from at4ramt.transcription.models import Model
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

log = logging.getLogger("at4ramt")

NOTED_NOISES = ("none", "white")
"""Noise in which notes are scored, beside frames."""

USES = ("frames", "note_frames", "notes")
"""What thresholds are fitted for, each apart."""

THRESHOLD_GRID = tuple(step / 20 for step in range(2, 19))
"""Among these is the best threshold of a model."""

Frames = npt.NDArray[np.bool_]
Notes = npt.NDArray[np.void]
Counts = dict[str, tuple[int, int, int]]
"""For each criterion what there is, what was estimated, and what of it matches."""


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

    The default threshold is 0.5. The base is scored a second time as system ``offset_removed``,
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
    rule = NoteSettings.for_features(settings, 0.5, **config["transcription"])
    arm = model.card["arm"]
    systems = [arm, "offset_removed"] if arm == "base" else [arm]
    own = {"default": 0.5, "fitted": model.card["threshold_fitted"]}
    kinds = {kind: dict.fromkeys(USES, threshold) for kind, threshold in own.items()}
    chosen = [piece for piece in pieces if piece.name in set(fitting)]
    best = best_thresholds(model, systems, chosen, rule, config)
    for (system, heard_in), of_use in best.items():
        log.info("%s, %s: best thresholds %s", system, heard_in, of_use)
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        reference = read_reference(piece, settings)
        for condition, system, answer in answers(model, systems, piece, config):
            about = {
                "system": system,
                "seed": model.card["seed"],
                "split": piece.split,
                "instrument": piece.instrument,
                "piece": piece.name,
                **condition,
            }
            place = system, condition_name(condition["noise"], condition["snr_db"])
            fitted_here = {"best": best[place]} if place in best else {}
            for kind, of_use in (kinds | fitted_here).items():
                active = answer.frames(of_use["frames"])
                counts = {"frames": count_frames(reference.frames, active)}
                if condition["noise"] in NOTED_NOISES:
                    formed = {at: answer.notes(rule, at) for at in set(of_use.values())}
                    notes, roll_of = formed[of_use["notes"]], formed[of_use["note_frames"]]
                    counts = count_all(reference, active, notes, roll_of, settings)
                rows += rows_of(about, kind, counts)
        log.info("%s: %d notes", piece.name, len(reference.notes))
    table = conform(pd.DataFrame(rows), audio_schema, path)
    write_part(table, path, stored.keras_digest, config)


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


def answers(
    model: Model,
    systems: Sequence[str],
    piece: SoundingPiece,
    config: Mapping[str, Any],
    noises: Sequence[str] = AUDIO_NOISES,
) -> Iterator[tuple[dict[str, Any], str, Answer]]:
    """Yield condition, system and answer for every condition of a piece in some noises.

    Raises:
        InputError: if a file is unusable or was made with other settings.
    """
    settings = model.features
    for condition, magnitudes in heard(piece, settings, config, noises):
        for system in systems:
            seen = without_median(magnitudes) if system == "offset_removed" else magnitudes
            padded = np.pad(seen, ((model.margin_frames, model.margin_frames), (0, 0)))
            # Less than nothing has no logarithm.
            sound = np.maximum(seen[:, : settings.pitches * settings.bins_per_pitch], 0)
            yield condition, system, Answer(model.probabilities(padded), sound)


def best_thresholds(
    model: Model,
    systems: Sequence[str],
    pieces: Sequence[SoundingPiece],
    rule: NoteSettings,
    config: Mapping[str, Any],
) -> dict[tuple[str, str], dict[str, float]]:
    """Return for each system and condition, and each use, the threshold with the most F1.

    Only conditions in which notes are scored have one.
    """
    settings = model.features
    fits: dict[tuple[str, str], Fit] = {}
    for piece in pieces:
        reference = read_reference(piece, settings)
        for condition, system, answer in answers(model, systems, piece, config, NOTED_NOISES):
            place = system, condition_name(condition["noise"], condition["snr_db"])
            fit = fits.setdefault(place, Fit(dict.fromkeys(USES, THRESHOLD_GRID)))
            for at, threshold in enumerate(THRESHOLD_GRID):
                notes = notes_in_range(answer.notes(rule, threshold), settings)
                active = answer.frames(threshold)
                roll = rolled(notes, len(reference.frames), settings)
                fit.add("frames", at, count_frames(reference.frames, active))
                fit.add("note_frames", at, count_frames(reference.frames, roll))
                fit.add("notes", at, count_notes(reference.notes, notes, "onset"))
    return {
        place: {use: threshold for use, (threshold, _) in fit.best().items()}
        for place, fit in fits.items()
    }


def heard(
    piece: SoundingPiece,
    settings: CqtSettings,
    config: Mapping[str, Any],
    wanted: Sequence[str] = AUDIO_NOISES,
) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float32]]]:
    """Yield each condition in the wanted noises with what networks hear, ``(frames, bins)``.

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
            for condition in (each for each in noisy if each["noise"] in wanted):
                name = condition_name(condition["noise"], condition["snr_db"])
                yield condition, mixed[name].astype(np.float32)


def without_median(magnitudes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return magnitudes ``(frames, bins)`` with each frame's median taken off."""
    return magnitudes - np.median(magnitudes, axis=1, keepdims=True)
