"""A model without training, and music whose notes are known."""

from collections.abc import Callable

import numpy as np
import pytest
from support.replicas import TICKS_PER_SECOND, Music

from at4ramt.corpus.midi import NOTE
from at4ramt.transcription.models import Model


def hear_fundamentals(frames: np.ndarray) -> np.ndarray:
    """Return logits as a network would, positive where a pitch's own bin stands out.

    It hears what is at least half as loud as the loudest bin of the frame, and not
    softer than a bin of which it is a harmonic.
    """
    heard = frames[3:-3]
    own = heard.reshape(len(heard), -1, 3)[:, :, 0]
    below = 0.5 * heard.max(axis=1, keepdims=True) * np.ones_like(own)
    for harmonic in (12, 19, 24, 28, 31, 34, 36):
        below[:, harmonic:] = np.maximum(below[:, harmonic:], own[:, :-harmonic])
    return (200 * (own - 0.03) - 400 * np.maximum(below - own, 0)).astype(np.float32)


@pytest.fixture
def detector(demo_config: dict) -> Model:
    """A model of the demo's features that finds the loud fundamentals."""
    card = {
        "features": demo_config["features"],
        "frame_step": 2,
        "context_frames": 7,
        "threshold_fitted": 0.5,
    }
    return Model("detector.keras", card, "none", hear_fundamentals)


@pytest.fixture(scope="session")
def notes_of() -> Callable[[Music], np.ndarray]:
    """A function that returns the notes of some music as they sound."""

    def made(played: Music) -> np.ndarray:
        rows = [
            (onset / TICKS_PER_SECOND, offset / TICKS_PER_SECOND, pitch, velocity)
            for onset, offset, pitch, velocity in played.sounding()
        ]
        return np.sort(np.array(rows, NOTE), order=["onset", "pitch"])

    return made
