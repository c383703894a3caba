"""How certain the study's networks are: the entropy of what they say, by level of the noise.

    PYTHONPATH=workflow .venv/bin/python benchmarks/certainty.py study/results TABLE.csv

after a `make study`. The paper reads a loss that rises more than F1 falls as probabilities that
move towards one half. The table has the mean entropy of a probability, in bits: of the base, of
the adversarial arm and of as many clean epochs, after the last round, in the scored frames of the
held-out pianos, in the noise of the scores; of all cells, of those that sound and of those that
do not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.evaluation.metrics import probabilities
from at4ramt.evaluation.score_model import load_pieces
from at4ramt.files import whole_file
from at4ramt.training.backend import start_backend

ARMS = ("base", "clean", "adversarial")
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.34)
SPLIT = "test_unseen_piano"


def main(results: Path, path: Path) -> None:
    """Write the entropies of each model at each level."""
    shards = sorted(str(found) for found in results.glob(f"shards/{SPLIT}/*.parquet"))
    models = [found for arm in ARMS for found in last_models(results, arm)]
    if not shards or not models:
        sys.exit(f"{results}: no models or no shards of {SPLIT}; run make study")
    start_backend(1, 0)
    rows = [row for model in models for row in certainty(model, shards)]
    with whole_file(path) as temporary:
        pd.DataFrame(rows).round(5).to_csv(temporary, index=False)


def last_models(results: Path, arm: str) -> list[Path]:
    """Return each seed's base, or its model after the last round of an arm."""
    if arm == "base":
        return sorted(results.glob("models/base/seed_*.keras"))
    folders = sorted(results.glob(f"models/{arm}/seed_*"))
    return [sorted(folder.glob("round_*.keras"))[-1] for folder in folders]


def certainty(path: Path, shards: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a row a level: the model, its cells and how many sound, and mean entropies."""
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.model_file import load_model

    model = load_model(path)
    card = model.card
    sums: dict[float, npt.NDArray[np.float64]] = {level: np.zeros(4) for level in LEVELS}
    pieces = load_pieces({SPLIT: shards}, card["features"], card["seed"], card["context_frames"])
    for piece in pieces:
        unit, truth = piece.noise("uniform"), piece.truth[piece.centre]
        for level in LEVELS:
            logits = predict_logits(model.network, piece.magnitudes + np.float32(level) * unit)
            bits = entropy_bits(probabilities(logits[piece.centre]))
            sums[level] += [truth.sum(), (~truth).sum(), bits[truth].sum(), bits[~truth].sum()]
    for level, (sounding, silent, of_sounding, of_silent) in sums.items():
        yield {
            "arm": card["arm"],
            "seed": card["seed"],
            "round": card["round"],
            "level": level,
            "cells": int(sounding + silent),
            "sounding": int(sounding),
            "entropy_bits": (of_sounding + of_silent) / (sounding + silent),
            "entropy_bits_sounding": of_sounding / sounding,
            "entropy_bits_silent": of_silent / silent,
        }


def entropy_bits(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the entropy of each probability, in bits: 1 at one half, 0 at 0 and 1."""
    result = np.zeros_like(probability)
    for part in (probability, 1 - probability):
        # What never happens tells nothing: 0 log 0 is 0.
        result -= part * np.log2(np.where(part > 0, part, 1))
    return result


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
