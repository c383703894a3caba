"""Notes and frames found in recordings with noise in the audio.

All systems are counted here alike, ours and their peers: against the notes that the corpus
has, extended by the pedal, in the model's range of pitches, at the full frame rate and in
all frames. The criteria:

* ``frames``: cells of frame and pitch that the system says sound, before any note is formed;
* ``note_frames``: cells of frame and pitch within the notes that it writes;
* ``onset``, ``onset_offset``: notes, as :mod:`at4ramt.evaluation.notes` matches them.

Notes are formed without noise and in white noise, which the peers hear too; in other noise frames
are counted alone. Our networks hear the transform of the mixture, which is made once for all
of them (:mod:`at4ramt.audio_noise.mixing`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


def score_in_audio(
    model_path: str,
    pieces: Sequence[SoundingPiece],
    path: str,
    *,
    config: dict[str, Any],
    threads: int,
) -> None:
    """Write the counts of one model, a row a piece, condition, threshold and criterion.

    Thresholds are 0.5 (``default``) and the one fitted to the model (``fitted``), for frames
    and notes alike. The base is scored a second time as system ``offset_removed``, which hears
    magnitudes with each frame's median taken off.

    Args:
        model_path: the model's ONNX file: dozens of conditions take a third of the time by it.
        pieces: the pieces.
        path: Parquet file to write, with the columns :data:`audio_schema`.
        config: what :func:`at4ramt.config.audio_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if the model, a feature file, a file of mixtures or a note list is unusable.
    """
    settings = CqtSettings.from_config(config["features"])
    stored = load_onnx(model_path, config["features"], threads=threads)
    model = Model(model_path, stored.card, "ONNX Runtime", stored.logits)
    rules = {
        kind: NoteSettings.for_features(settings, threshold, **config["transcription"])
        for kind, threshold in (("default", 0.5), ("fitted", model.card["threshold_fitted"]))
    }
    arm = model.card["arm"]
    systems = [arm, "offset_removed"] if arm == "base" else [arm]
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        reference = read_reference(piece, settings)
        for condition, magnitudes in heard(piece, settings, config):
            for system in systems:
                seen = without_median(magnitudes) if system == "offset_removed" else magnitudes
                padded = np.pad(seen, ((model.margin_frames, model.margin_frames), (0, 0)))
                probabilities = model.probabilities(padded)
                about = {
                    "system": system,
                    "seed": model.card["seed"],
                    "split": piece.split,
                    "instrument": piece.instrument,
                    "piece": piece.name,
                    **condition,
                }
                for kind, rule in rules.items():
                    active = probabilities >= np.float32(rule.threshold)
                    counts = {"frames": count_frames(reference.frames, active)}
                    if condition["noise"] in NOTED_NOISES:
                        # Less than nothing has no logarithm.
                        sound = np.maximum(seen[:, : settings.pitches * settings.bins_per_pitch], 0)
                        notes = notes_from_probabilities(probabilities, rule, sound)
                        counts = count_all(reference, active, notes, notes, settings)
                    rows += rows_of(about, kind, counts)
        log.info("%s: %d notes", piece.name, len(reference.notes))
    table = conform(pd.DataFrame(rows), audio_schema, path)
    write_part(table, path, stored.keras_digest, config)


def heard(
    piece: SoundingPiece, settings: CqtSettings, config: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float32]]]:
    """Yield each condition with the magnitudes that networks hear, ``(frames, bins)``, all frames.

    Without noise they are those of the feature file, with it those of :func:`mix_piece`.

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


def without_median(magnitudes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return magnitudes ``(frames, bins)`` with each frame's median taken off."""
    return magnitudes - np.median(magnitudes, axis=1, keepdims=True)
