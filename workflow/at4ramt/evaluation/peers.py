"""What a peer answered, counted by the code that counts ours."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.mixing import conditions
from at4ramt.corpus.maps import LABEL
from at4ramt.errors import InputError
from at4ramt.evaluation.in_audio import SoundingPiece, count_all, read_reference, rolled, rows_of
from at4ramt.evaluation.tables import audio_schema, conform, write_part
from at4ramt.features.cqt import CqtSettings
from at4ramt.parquet import read_frame
from at4ramt.training.lineage import check_made_with

log = logging.getLogger("at4ramt")

PEER_SEED = -1

ANSWERS = {
    "default": {
        "frames": "frames_default",
        "note_frames": "notes_default",
        "notes": "notes_default",
    },
    "best": {"frames": "frames_best", "note_frames": "note_frames_best", "notes": "notes_best"},
}
"""By threshold kind, which answers of a peer are its frames, its notes' frames and its notes."""


def score_peer(
    name: str,
    answers: Sequence[str],
    pieces: Sequence[SoundingPiece],
    path: str,
    *,
    config: Mapping[str, Any],
) -> None:
    """Write the counts of a peer, a row a piece, condition, threshold and criterion.

    Args:
        name: what the table calls the system.
        answers: its answers, a Parquet file a split.
        pieces: the pieces that are scored.
        path: Parquet file to write, with the columns :data:`audio_schema`.
        config: what :func:`at4ramt.config.peer_config` gives.

    Raises:
        InputError: if answers lack a piece or are of other settings, or a feature file or a note
            list is unusable.
    """
    settings = CqtSettings.from_config(config["features"])
    evaluation = config["evaluation"]
    tables = [read_answers(answer, config) for answer in answers]
    answered = {piece for table in tables for piece in table.attrs["pieces"]}
    found = {
        key: rows
        for table in tables
        for key, rows in table.groupby(["piece", "snr_db", "answer"], sort=False)
    }
    nothing = pd.DataFrame(np.zeros(0, LABEL))
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        if piece.name not in answered:
            raise InputError(
                f"{', '.join(answers)}: no answer to {piece.name}; expected one to each piece "
                "that is scored; delete these files and run snakemake again"
            )
        reference = read_reference(piece, settings)
        for condition in conditions(evaluation["audio_noises"], evaluation["audio_snr_db"]):
            about = {
                "system": name,
                "seed": PEER_SEED,
                "split": piece.split,
                "instrument": piece.instrument,
                "piece": piece.name,
                **condition,
            }
            for kind, names in ANSWERS.items():
                of_use = {
                    use: as_notes(found.get((piece.name, condition["snr_db"], answer), nothing))
                    for use, answer in names.items()
                }
                frames = rolled(of_use["frames"], len(reference.frames), settings)
                counts = count_all(
                    reference, frames, of_use["notes"], of_use["note_frames"], settings
                )
                rows += rows_of(about, kind, counts)
    write_part(conform(pd.DataFrame(rows), audio_schema, path), path, None, config)


def as_notes(rows: pd.DataFrame) -> npt.NDArray[np.void]:
    """Return rows of answers as notes of dtype :data:`LABEL`."""
    notes = np.zeros(len(rows), LABEL)
    for field in ("onset", "offset", "pitch"):
        notes[field] = rows[field]
    return notes


def read_answers(path: str | Path, config: Mapping[str, Any]) -> pd.DataFrame:
    """Return a peer's answers to a split.

    Raises:
        InputError: if the file cannot be read or was made with another configuration.
    """
    table = read_frame(path, what="a peer's answers")
    check_made_with(path, table.attrs, config)
    return table
