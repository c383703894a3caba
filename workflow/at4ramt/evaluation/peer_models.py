"""Trained models of other runs, on the recordings that this run's models are scored on.

Such a model may have features of its own: it hears the same recordings, the same noise at the same
ratios, transformed as it was trained, and is asked for every frame. Pitches and frames
must be this run's, or cells could not be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from at4ramt.audio_noise.mixing import magnitude_blocks, mixed_samples, piece_power
from at4ramt.errors import InputError
from at4ramt.evaluation.in_audio import Magnitudes, SoundingPiece, score_pieces
from at4ramt.evaluation.peers import PEER_SEED
from at4ramt.evaluation.tables import audio_schema, conform, write_part
from at4ramt.features.audio import audio_blocks, open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.transcription.models import open_model
from at4ramt.transcription.notes import NoteSettings

SHARED = ("sample_rate_hz", "hop_length_samples", "lowest_pitch", "pitches")
"""Features that a model must have as this run has them."""


def score_peer_model(
    name: str,
    model_path: str,
    pieces: Sequence[SoundingPiece],
    path: str,
    *,
    fitting: Sequence[str],
    config: Mapping[str, Any],
    threads: int,
) -> None:
    """Write the counts of a model, as :func:`~at4ramt.evaluation.in_audio.score_in_audio` does.

    Args:
        name: what the table calls it.
        model_path: a ``.keras`` archive or its export.
        pieces: the pieces.
        path: Parquet file to write, with the columns :data:`audio_schema`.
        fitting: names of the pieces among them that ``best`` thresholds are fitted on.
        config: what :func:`at4ramt.config.peer_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if the model is unusable or has other pitches or frames than the run, or a
            recording, a feature file or a note list is unusable.
    """
    model = open_model(model_path, threads=threads)
    for key in SHARED:
        found, wanted = model.card["features"][key], config["features"][key]
        if found != wanted:
            raise InputError(
                f"evaluation.peer_models, {name}: {model_path} has features.{key} {found}; "
                f"expected {wanted}, as in this run, or its frames could not be compared; name "
                "another model"
            )
    rows = score_pieces(
        model, [name], pieces,
        hear=partial(heard_by, model.features, config=config), fitting=fitting,
        rule=NoteSettings.for_features(model.features, 0.5, **config["transcription"]),
        seed=PEER_SEED,
    )  # fmt: skip
    write_part(conform(pd.DataFrame(rows), audio_schema, path), path, None, config)


def heard_by(
    settings: CqtSettings, piece: SoundingPiece, *, config: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Magnitudes]]:
    """Yield each condition of a piece with what a model hears that was trained on these features.

    That is ``(frames, bins)``.

    Raises:
        InputError: if the recording or its feature file is unusable.
    """
    evaluation, rate = config["evaluation"], settings.sample_rate_hz

    def magnitudes(samples: Magnitudes) -> Magnitudes:
        return np.concatenate(list(magnitude_blocks(samples, settings)))

    with open_audio(piece.audio, piece.audio_member) as opened:
        yield (
            {"noise": "none", "snr_db": np.inf},
            magnitudes(np.concatenate(list(audio_blocks(opened, rate)))),
        )
        mixed = mixed_samples(
            piece.name, opened, rate, piece_power(piece.features), evaluation["audio_noises"],
            evaluation["audio_snr_db"], noise_of=config["noise_seed"], excerpts=None,
        )  # fmt: skip
        for noise, snr_db, samples in mixed:
            yield {"noise": noise, "snr_db": float(snr_db)}, magnitudes(samples)
