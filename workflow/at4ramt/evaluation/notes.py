"""Note-level scores: how many notes of a piece a model finds.

Frames are what a model is trained on; notes are what a listener hears. A note of
the reference is found by an estimated note of its pitch whose onset is within
50 ms of its own (criterion ``onset``) and, for ``onset_offset``, whose offset is
also within 50 ms or a fifth of its duration, whichever is more. Each note finds
one at most: the counts are those of a largest matching, by ``mir_eval.transcription``
(Raffel et al. 2014; the conventions of MIREX).

The reference are the notes of the corpus in the model's range of pitches, with
offsets where the sound is damped (MAPS's convention). A note without duration
sounds nowhere and is left out. Notes are estimated from frames at the full rate,
by the rule of :mod:`at4ramt.transcription.notes`, as a transcription's are.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.evaluation.score_model import OFFSETS, Input, remove_offset, uniform
from at4ramt.evaluation.tables import conform, notes_schema, write_part
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import read_labels
from at4ramt.features.shards import fixed_list_values, read_features
from at4ramt.seeds import purpose_seed
from at4ramt.training.noise import uniform_noise
from at4ramt.transcription.models import Model
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

log = logging.getLogger("at4ramt")

ONSET_SECONDS = 0.05
OFFSET_SHARES = {"onset": None, "onset_offset": 0.2}
"""For each criterion how far an offset may be off, as a share of the note's duration."""


@dataclass(frozen=True)
class NotedPiece:
    """A piece to score: where its features and its notes are."""

    name: str
    instrument: str
    split: str
    features: str
    notes: str
    notes_member: str = ""


def score_notes(
    model_path: str,
    pieces: Sequence[NotedPiece],
    path: str,
    *,
    config: dict[str, Any],
    threads: int,
) -> None:
    """Write the counts of one model's notes, a row a condition, piece and criterion.

    Arms, thresholds and noise are those of :func:`~at4ramt.evaluation.score_model.score_model`;
    noise is drawn for each frame of the full rate.

    Args:
        model_path: the model.
        pieces: the pieces.
        path: Parquet file to write, with the columns :data:`notes_schema`.
        config: what :func:`at4ramt.config.notes_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if the model, a feature file or a note list is unusable.
    """
    evaluation = config["evaluation"]
    settings = CqtSettings.from_config(config["features"])
    model, digest = keras_model(model_path, config["features"], threads=threads)
    card = model.card
    inputs = [Input(card["arm"], "none")]
    if card["arm"] == "base":
        inputs.append(Input("offset_removed", OFFSETS["offset_removed"]))
    rules = {
        kind: NoteSettings.for_features(settings, threshold, **config["transcription"])
        for kind, threshold in (("half", 0.5), ("fitted", card["threshold_fitted"]))
    }
    log.info("notes of %s at levels %s", model_path, evaluation["note_levels"])
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        magnitudes, seconds = heard_magnitudes(piece.features, settings)
        reference = read_labels(piece.notes, seconds, piece.notes_member)
        reference = notes_in_range(reference, settings)
        seed = purpose_seed(card["seed"], "evaluation noise, full rate", piece.name)
        for level, seen in itertools.product(evaluation["note_levels"], inputs):
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
            heard = _heard(magnitudes, model.margin_frames, level, seen.offset, seed)
            for kind, estimated in _estimates(model, heard, rules).items():
                rows += [
                    condition
                    | {
                        "threshold_kind": kind,
                        "criterion": criterion,
                        "reference": len(reference),
                        "estimated": len(estimated),
                        "matched": len(match_notes(reference, estimated, criterion)),
                    }
                    for criterion in OFFSET_SHARES
                ]
        log.info("%s: %d notes", piece.name, len(reference))
    write_part(conform(pd.DataFrame(rows), notes_schema, path), path, digest, config)


def keras_model(path: str, features: dict[str, Any], *, threads: int) -> tuple[Model, str]:
    """Return a model that runs by Keras, and the digest of its file.

    Not its export, which need not be there: scores should not depend on what else was made.

    Args:
        path: the model.
        features: the config's section, which it has to be trained with.
        threads: CPU threads.

    Raises:
        InputError: if the file is no model, or one of other features.
    """
    from at4ramt.training.backend import start_backend

    device = start_backend(threads, 0)
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.model_file import load_model

    stored = load_model(path, features)
    log.info("device: %s", device)
    return Model(path, stored.card, "Keras", partial(predict_logits, stored.network)), stored.digest


def _heard(
    magnitudes: npt.NDArray[np.float32], margin: int, level: float, offset: str, seed: int
) -> npt.NDArray[np.float32]:
    """Return what an arm hears of a piece in noise, with ``margin`` rows around it."""
    padded = np.pad(magnitudes, ((margin, margin), (0, 0)))
    if level:
        noise = uniform_noise(seed, np.arange(len(padded)), padded.shape[1])
        padded += np.float32(level) * noise
    return remove_offset(padded, offset, uniform(level))


def _estimates(
    model: Model, heard: npt.NDArray[np.float32], rules: Mapping[str, NoteSettings]
) -> dict[str, npt.NDArray[np.void]]:
    """Return the notes by each rule."""
    probabilities = model.probabilities(heard)
    # Taking an offset off can leave less than nothing, of which there is no logarithm.
    core = model.features.pitches * model.features.bins_per_pitch
    magnitudes = np.maximum(heard[model.margin_frames : -model.margin_frames, :core], 0)
    return {
        kind: notes_from_probabilities(probabilities, rule, magnitudes)
        for kind, rule in rules.items()
    }


def heard_magnitudes(path: str, settings: CqtSettings) -> tuple[npt.NDArray[np.float32], float]:
    """Return the magnitudes of a feature file and the recording's length in seconds.

    Magnitudes are those of all frames, float32, ``(frames, bins)`` of what the networks hear.

    Raises:
        InputError: if the file is missing, damaged or no feature file.
    """
    table = read_features(path, columns=["real", "imag"])
    real, imag = (fixed_list_values(table, name)[:, settings.heard] for name in ("real", "imag"))
    magnitudes = np.hypot(real.astype(np.float32), imag.astype(np.float32))
    return magnitudes, float(table.schema.metadata[b"seconds"])


def notes_in_range(notes: npt.NDArray[np.void], settings: CqtSettings) -> npt.NDArray[np.void]:
    """Return the notes that have a duration and a pitch that the model can answer."""
    pitch = notes["pitch"] - settings.lowest_pitch
    inside = (pitch >= 0) & (pitch < settings.pitches)
    return notes[inside & (notes["offset"] > notes["onset"])]


def match_notes(
    reference: npt.NDArray[np.void], estimated: npt.NDArray[np.void], criterion: str
) -> npt.NDArray[np.int64]:
    """Return a largest matching of two lists of notes, ``(pairs, 2)``: indices into both.

    Args:
        reference: notes with the fields ``onset``, ``offset`` (s) and ``pitch`` (MIDI),
            each of some duration.
        estimated: likewise.
        criterion: a key of :data:`OFFSET_SHARES`.
    """
    from mir_eval.transcription import match_notes as match

    pairs: list[npt.NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    # A pitch at a time: notes of two pitches never match, and all distances at once would fill
    # gigabytes for an hour of music.
    for pitch in np.intersect1d(reference["pitch"], estimated["pitch"]):
        places = [np.flatnonzero(notes["pitch"] == pitch) for notes in (reference, estimated)]
        of_pitch = [notes[at] for notes, at in zip((reference, estimated), places, strict=True)]
        spans = [np.stack([notes["onset"], notes["offset"]], axis=1) for notes in of_pitch]
        found = match(
            spans[0],
            np.ones(len(spans[0])),
            spans[1],
            np.ones(len(spans[1])),
            onset_tolerance=ONSET_SECONDS,
            offset_ratio=OFFSET_SHARES[criterion],
        )
        if found:
            one, other = np.array(found).T
            pairs.append(np.stack([places[0][one], places[1][other]], axis=1))
    joined = np.concatenate(pairs)
    return joined[np.argsort(joined[:, 0])]
