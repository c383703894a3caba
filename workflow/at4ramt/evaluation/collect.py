"""Tables of all models from those of each, the example that the report shows, the levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from at4ramt.config import peer_config
from at4ramt.errors import InputError
from at4ramt.evaluation.metrics import probabilities
from at4ramt.evaluation.snr import SNR_COLUMNS, magnitude_statistics, snr_table
from at4ramt.evaluation.tables import (
    write_audio_counts,
    write_frame_metrics,
    write_note_counts,
    write_scores,
)
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.frames import load_frames
from at4ramt.files import read_json, whole_file
from at4ramt.parquet import read_frame, write_frame
from at4ramt.training.arms import is_acoustic
from at4ramt.training.lineage import check_made_with, check_parts

WRITERS = {
    "scores": write_scores,
    "scores_all_frames": write_scores,
    "frame_metrics": write_frame_metrics,
    "notes": write_note_counts,
    "audio": write_audio_counts,
}


def collect_table(
    parts: Sequence[str],
    cards: Sequence[str],
    path: str,
    *,
    made_with: dict[str, Any],
    peers: Sequence[str] = (),
) -> None:
    """Write the rows of all parts into one Parquet file, sorted by what identifies them.

    Args:
        parts: a part for each model.
        cards: the models' cards, in the same order.
        path: the file to write.
        made_with: what :func:`at4ramt.config.evaluation_config` gives, or that of the table.
        peers: parts of systems that are no models of ours.

    Raises:
        InputError: if a part was made from another model than is there, or with
            other settings.
    """
    tables = {part: read_frame(part) for part in parts}
    check_parts({part: frame.attrs for part, frame in tables.items()}, cards, made_with)
    for part in peers:
        tables[part] = read_frame(part)
        check_made_with(part, tables[part].attrs, peer_config(made_with))
    table = pd.concat(tables.values(), ignore_index=True)
    # What a single model's part says of itself is not true of the whole.
    table.attrs = {}
    if writer := WRITERS.get(Path(path).stem):
        writer(table, path)
        return
    write_frame(table, path)


def write_levels(
    cards: Sequence[str], shards: dict[str, Sequence[str]], path: str, features: dict[str, Any]
) -> None:
    """Write the noise level of every round with its signal-to-noise ratios, as CSV.

    A row for each model, split and instrument, because the same level is
    another ratio on a louder piano; the four ratios are those of
    :mod:`at4ramt.evaluation.snr`, over the centres' magnitudes. Its formulas are those of
    uniform noise: arms with another have no ratio, but those with noise in the audio
    one of their own, ``snr_audio_db``, in which the piano makes no difference.
    """
    statistics = []
    bins = CqtSettings.from_config(features).core
    for split, paths in shards.items():
        for shard in paths:
            matrix = load_frames([shard], padding=0, bins=bins)
            mean, mean_square = magnitude_statistics([matrix.magnitudes[matrix.centre]])
            statistics.append(
                {
                    "split": split,
                    "instrument": Path(shard).stem,
                    "mean_magnitude": mean,
                    "mean_square_magnitude": mean_square,
                }
            )
    rounds = [card for card in map(read_json, cards) if card["level"] > 0]
    levels = pd.DataFrame(rounds, columns=["arm", "seed", "round", "level", "search_status"])
    noise = pd.Series([card["config"]["rounds"]["arm"]["noise"] for card in rounds], dtype=str)
    table = snr_table(levels.assign(noise=noise), pd.DataFrame(statistics))
    table.loc[table["noise"] != "uniform", list(SNR_COLUMNS)] = np.nan
    ratio = -20 * np.log10(table["level"])
    table["snr_audio_db"] = ratio.where(table["noise"].map(is_acoustic).astype(bool))
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def write_example(
    models: dict[str, str],
    shards: dict[str, Sequence[str]],
    path: str,
    *,
    config: dict[str, Any],
    threads: int,
) -> None:
    """Write magnitudes, truth and probabilities of the excerpt that the report shows.

    Args:
        models: path of the model shown under each name.
        shards: paths of the shards of each split, one of which holds the piece.
        path: ``.npz`` file to write.
        config: sections ``features``, ``shards``, ``report`` and ``maximum_level``.
        threads: CPU threads.

    Raises:
        InputError: if no shard holds the piece or the excerpt lies outside it.
    """
    from at4ramt.training.backend import start_backend

    start_backend(threads, 0)
    from at4ramt.evaluation.score_model import load_pieces
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.model_file import load_model

    features, report = config["features"], config["report"]
    loaded = {name: load_model(model, features) for name, model in models.items()}
    card = next(iter(loaded.values())).card
    context = card["context_frames"]
    scored = load_pieces(shards, features, card["seed"], context)
    pieces = (piece for piece in scored if piece.name == report["example_piece"])
    piece = next(pieces, None)
    if piece is None:
        raise InputError(
            f"config key report.example_piece: no frame of '{report['example_piece']}' is in the "
            f"scored shards; expected a piece of {', '.join(shards)}"
        )
    seconds = piece.frame * features["hop_length_samples"] / features["sample_rate_hz"]
    first = report["example_start_seconds"]
    shown = (seconds >= first) & (seconds < first + report["example_seconds"])
    if not shown.any():
        raise InputError(
            f"config key report.example_start_seconds is {first}; the piece "
            f"'{report['example_piece']}' ends at {seconds[-1]:.1f} s; expected an earlier start"
        )
    padding = context // 2
    content: dict[str, Any] = {
        "times": seconds[shown],
        "truth": piece.truth[shown],
        "magnitudes": piece.magnitudes[padding:-padding][shown],
    }
    noise = piece.noise("uniform")
    shown_levels = (config["start_level"], config["maximum_level"])
    for level in shown_levels:
        noisy = piece.magnitudes + np.float32(level) * noise
        content[f"magnitudes_{level}"] = noisy[padding:-padding][shown]
    for name, model in loaded.items():
        content[f"threshold_{name}"] = model.card["threshold_fitted"]
        for level in (0.0, config["maximum_level"]):
            noisy = piece.magnitudes + np.float32(level) * noise
            probability = probabilities(predict_logits(model.network, noisy)[shown])
            content[f"probability_{name}_{level}"] = probability.astype(np.float32)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **content)
