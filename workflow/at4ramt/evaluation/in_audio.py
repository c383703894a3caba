"""Notes and frames found in recordings with white noise in the audio.

All systems are counted here alike, ours and their peers: against the notes that the corpus
has, extended by the pedal, in the model's range of pitches, at the full frame rate and in
all frames. The criteria:

* ``onset``, ``onset_offset``: notes, as :mod:`at4ramt.evaluation.notes` matches them;
* ``frames``: cells of frame and pitch that the system says sound, before any note is formed;
* ``note_frames``: cells of frame and pitch within the notes that it writes.

Our networks hear the constant-Q transform of the recording with noise. It is linear: the
noise is transformed once and added to the features at each ratio, which is what the
transform of the mixture would be (tests/unit/evaluation/test_in_audio.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.evaluation.audio_noise import measure, noise_gain, noise_seed, resampled, unit_noise
from at4ramt.evaluation.notes import OFFSET_SHARES, keras_model, match_notes, notes_in_range
from at4ramt.evaluation.tables import audio_schema, conform, write_part
from at4ramt.features.audio import open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import frame_labels, read_labels
from at4ramt.features.shards import fixed_list_values, read_features
from at4ramt.features.stream import cqt_blocks
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

log = logging.getLogger("at4ramt")

Frames = npt.NDArray[np.bool_]
Notes = npt.NDArray[np.void]
Counts = dict[str, tuple[int, int, int]]
"""For each criterion what there is, what was estimated, and what of it matches."""


@dataclass(frozen=True)
class SoundingPiece:
    """A piece to score: where its features, its recording and its notes are."""

    name: str
    instrument: str
    split: str
    features: str
    audio: str
    notes: str
    audio_member: str = ""
    notes_member: str = ""


@dataclass(frozen=True)
class Reference:
    """What sounds in a piece: ``frames``, ``(frames, pitches)``, and ``notes``."""

    frames: Frames
    notes: Notes


def conditions(snr_db: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield the columns ``noise`` and ``snr_db`` of each condition: none, then each ratio."""
    yield {"noise": "none", "snr_db": np.inf}
    for ratio in snr_db:
        yield {"noise": "white", "snr_db": float(ratio)}


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
    and notes alike.

    Args:
        model_path: the model.
        pieces: the pieces.
        path: Parquet file to write, with the columns :data:`audio_schema`.
        config: what :func:`at4ramt.config.audio_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if the model, a feature file, a recording or a note list is unusable.
    """
    settings = CqtSettings.from_config(config["features"])
    model, digest = keras_model(model_path, config["features"], threads=threads)
    rules = {
        kind: NoteSettings.for_features(settings, threshold, **config["transcription"])
        for kind, threshold in (("default", 0.5), ("fitted", model.card["threshold_fitted"]))
    }
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        reference = read_reference(piece, settings)
        for condition, magnitudes in heard(piece, settings, config):
            padded = np.pad(magnitudes, ((model.margin_frames, model.margin_frames), (0, 0)))
            probabilities = model.probabilities(padded)
            about = {
                "system": model.card["arm"],
                "seed": model.card["seed"],
                "split": piece.split,
                "instrument": piece.instrument,
                "piece": piece.name,
                **condition,
            }
            for kind, rule in rules.items():
                notes = notes_from_probabilities(probabilities, rule, magnitudes)
                active = probabilities >= np.float32(rule.threshold)
                counts = count_all(reference, active, notes, notes, settings)
                rows += rows_of(about, kind, counts)
        log.info("%s: %d notes", piece.name, len(reference.notes))
    write_part(conform(pd.DataFrame(rows), audio_schema, path), path, digest, config)


def heard(
    piece: SoundingPiece, settings: CqtSettings, config: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float32]]]:
    """Yield each condition with the core's magnitudes, ``(frames, bins)``, of all frames.

    Without noise they are those of the feature file.
    """
    table = read_features(piece.features, columns=["real", "imag"])
    real, imag = (
        fixed_list_values(table, name)[:, settings.core].astype(np.float32)
        for name in ("real", "imag")
    )
    snr_db = config["evaluation"]["audio_snr_db"]
    noise, power = np.zeros((0, 0), np.complex64), 0.0
    if snr_db:
        noise, power = transformed_noise(piece, settings, config["noise_seed"], len(real))
    for condition in conditions(snr_db):
        if condition["noise"] == "none":
            yield condition, np.hypot(real, imag)
        else:
            gain = np.float32(noise_gain(power, condition["snr_db"]))
            yield condition, np.hypot(real + gain * noise.real, imag + gain * noise.imag)


def transformed_noise(
    piece: SoundingPiece, settings: CqtSettings, seed: int, frames: int
) -> tuple[npt.NDArray[np.complex64], float]:
    """Return the core's transform of unit noise, ``(frames, bins)``, and the recording's power."""
    with open_audio(piece.audio, piece.audio_member) as audio:
        samples, power = measure(audio)
    blocks = resampled(unit_noise(samples, noise_seed(seed, piece.name)), settings.sample_rate_hz)
    core = [block[:, settings.core] for block in cqt_blocks(blocks, settings)]
    noise = np.concatenate(core)
    # Resampled on another way, the recording may have a sample less or more, and so a frame.
    lacking = max(0, frames - len(noise))
    return np.pad(noise, ((0, lacking), (0, 0)))[:frames], power
