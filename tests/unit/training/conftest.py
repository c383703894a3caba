"""A tiny training set: tones that a small network learns in seconds."""

import numpy as np
import pytest

from at4ramt.features.frames import FrameMatrix
from at4ramt.training.backend import start_backend

start_backend(1, 0)


def make_matrix(pieces: int, frames: int, edge: int, seed: int) -> FrameMatrix:
    """Frames in which active pitches put energy into their own bins."""
    rng = np.random.default_rng(seed)
    padding = 3
    magnitudes, labels, centre, piece, frame = [], [], [], [], []

    def silence(rows: int) -> None:
        magnitudes.append(np.zeros((rows, 168), np.float32))
        labels.append(np.zeros((rows, 56), np.uint8))
        centre.append(np.zeros(rows, bool))
        piece.append(np.full(rows, -1, np.int32))
        frame.append(np.full(rows, -1, np.int32))

    silence(edge)
    for number in range(pieces):
        if number:
            silence(padding)
        roll = np.repeat(rng.random((frames // 5 + 1, 56)) < 0.3, 5, axis=0)[:frames]
        roll[:, np.arange(56) % 8 != 0] = False
        tone = np.zeros((frames, 168), np.float32)
        tone[:, 0::3] = roll * 0.3
        magnitudes.append(tone + rng.random((frames, 168), dtype=np.float32) * 0.02)
        labels.append(roll.astype(np.uint8))
        centre.append(roll.any(axis=1))
        piece.append(np.full(frames, number, np.int32))
        frame.append(np.arange(frames, dtype=np.int32) * 2)
    silence(edge)
    return FrameMatrix(
        np.concatenate(magnitudes),
        np.concatenate(labels),
        np.concatenate(centre),
        np.concatenate(piece),
        np.concatenate(frame),
        tuple(f"piece_{number}" for number in range(pieces)),
        ("synthetic",) * pieces,
        padding,
        edge,
    )


@pytest.fixture(scope="session")
def training_matrix() -> FrameMatrix:
    return make_matrix(3, 150, 11, seed=1)


@pytest.fixture(scope="session")
def validation_matrix() -> FrameMatrix:
    return make_matrix(1, 150, 3, seed=2)
