"""Models with weights of every kind, for the tests of what reads their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from at4ramt.training.model_file import save_model
from at4ramt.training.network import build_network

ROOT = Path(__file__).resolve().parents[2]


def write_model(
    path: Path, name: str, *, seed: int = 1, card: dict[str, Any] | None = None
) -> Path:
    """Write an untrained network of the demo's features, with biases that are not zero."""
    import keras

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    features = config["features"]
    network = build_network(
        **config["network"] | {"name": name},
        bins=features["pitches"] * features["bins_per_pitch"],
        pitches=features["pitches"],
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    network.set_weights(
        [w + rng.normal(0, 0.1 if w.ndim == 1 else 0, w.shape) for w in network.get_weights()]
    )
    if card is None:
        card = {"features": features, "frame_step": 2, "context_frames": 7, "threshold_fitted": 0.5}
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    save_model(path, network, optimizer, card)
    return path
