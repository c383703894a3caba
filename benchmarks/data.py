"""Recordings, corpora and frames to measure with: synthetic, the same each time."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from benchmarks.measure import ROOT

RATE_HZ = 44_100
LOWEST, HIGHEST = 40, 88
TONE_SECONDS = 1.5
HARMONICS = 6
DISTINCT = 4
"""Recordings that differ, in a corpus: the others are links to these."""

PIECE_ROWS = 469
"""Kept frames of 30 s, and the share of them that are centres, as in the demo."""
CENTRE_SHARE = 0.9


def config() -> dict[str, Any]:
    """Return the demo's configuration."""
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def recording(folder: Path, name: str, seconds: float) -> Path:
    """Write name.wav, stereo 16 bit at 44.1 kHz, and name.txt; return the first if there already.

    Chords of one to three decaying tones of six harmonics, some four a second, and a little noise.
    """
    import soundfile

    wav = folder / f"{name}.wav"
    if wav.exists():
        return wav
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(name.encode()))
    samples = round(seconds * RATE_HZ)
    audio = 0.0005 * rng.standard_normal((samples, 2)).astype(np.float32)
    rows: list[tuple[float, float, int]] = []
    free = dict.fromkeys(range(LOWEST, HIGHEST + 1), 0.0)
    now = 0.25
    while now < seconds - 0.5:
        pitches = [pitch for pitch, at in free.items() if at <= now]
        for pitch in rng.choice(pitches, rng.integers(1, 4), replace=False).tolist():
            length = min(float(rng.uniform(0.15, TONE_SECONDS)), seconds - 0.2 - now)
            tone = _tone(pitch)[: round(length * RATE_HZ)].copy()
            fade = min(len(tone), RATE_HZ // 50)
            tone[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            begin = round(now * RATE_HZ)
            audio[begin : begin + len(tone)] += float(rng.uniform(0.3, 1)) * tone[:, None]
            rows.append((now, now + length, pitch))
            free[pitch] = now + length + 0.05
        now += float(rng.uniform(0.1, 0.45))
    temporary = folder / f"{name}.part"
    scaled = 0.5 * audio / np.abs(audio).max()
    soundfile.write(temporary, scaled, RATE_HZ, subtype="PCM_16", format="WAV")
    lines = [f"{onset:.4f}\t{offset:.4f}\t{pitch}" for onset, offset, pitch in rows]
    text = "\n".join(["OnsetTime\tOffsetTime\tMidiPitch", *lines]) + "\n"
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    temporary.replace(wav)
    return wav


@cache
def _tone(pitch: int) -> npt.NDArray[np.float32]:
    at = np.arange(round(TONE_SECONDS * RATE_HZ)) / RATE_HZ
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    waves = [np.sin(2 * np.pi * hertz * n * at) / n for n in range(1, HARMONICS + 1)]
    decay = np.exp(-1.5 * at) * np.minimum(1, at / 0.003)
    return np.asarray(0.1 * decay * np.sum(waves, axis=0), dtype=np.float32)


def corpus(folder: Path, pieces: int, seconds: float) -> list[Path]:
    """Make a folder of so many recordings with notes; return the recordings.

    A few are made, the others are links: what reads them finds files of their own.
    """
    made = [
        recording(folder.parent / f"made_{seconds:g}", f"music_{number}", seconds)
        for number in range(min(DISTINCT, pieces))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(pieces):
        path = folder / f"piece_{number:05d}.wav"
        for suffix in (".wav", ".txt"):
            to = path.with_suffix(suffix)
            if not to.exists():
                os.link(made[number % len(made)].with_suffix(suffix), to)
        paths.append(path)
    return paths


def frame_matrix(rows: int, *, edge: int = 16, seed: int = 0) -> Any:
    """Return a FrameMatrix of so many frames in pieces of 30 s that a network can learn.

    A pitch sounds for stretches of 8 frames; its fundamental's bin is louder then, over noise.
    """
    from at4ramt.features.frames import FrameMatrix, aligned_zeros

    padding = 3
    rng = np.random.default_rng(seed)
    section = config()["features"]
    pitches, bins = section["pitches"], section["pitches"] * section["bins_per_pitch"]
    total = rows + 2 * edge
    magnitudes = aligned_zeros((total, bins), np.float32)
    rng.random(out=magnitudes, dtype=np.float32)
    magnitudes *= np.float32(0.03)
    stretches = rng.random((total // 8 + 1, pitches), np.float32) < 0.06
    labels = aligned_zeros((total, pitches), np.uint8)
    labels[:] = np.repeat(stretches, 8, axis=0)[:total]
    for first in range(0, total, 65_536):  # little memory beside the matrix itself
        part = slice(first, first + 65_536)
        magnitudes[part, :: section["bins_per_pitch"]] += np.float32(0.1) * labels[part]
    inner = np.arange(total) - edge
    within = (inner >= 0) & (inner < rows)
    centre = within & (inner % PIECE_ROWS >= (1 - CENTRE_SHARE) * PIECE_ROWS)
    labels[~within] = 0
    magnitudes[~within] = 0
    piece = np.where(within, inner // PIECE_ROWS, -1).astype(np.int32)
    frame = np.where(within, inner % PIECE_ROWS * 2, -1).astype(np.int32)
    names = tuple(f"p{number}" for number in range(-(-rows // PIECE_ROWS)))
    return FrameMatrix(
        magnitudes, labels, centre, piece, frame, names, ("X",) * len(names), padding, edge
    )


def network(name: str | None = None, seed: int = 0) -> Any:
    """Return a fresh network of the demo's settings, or of another name; start Keras before."""
    from at4ramt.training.network import build_network

    content = config()
    section = content["network"] | ({"name": name} if name else {})
    features = content["features"]
    bins = features["pitches"] * features["bins_per_pitch"]
    return build_network(**section, bins=bins, pitches=features["pitches"], seed=seed)


def weights(matrix: Any) -> Any:
    """Return the loss weights of a frame matrix's centres."""
    from at4ramt.training.losses import loss_weights

    section = config()["training"]
    active = matrix.labels[matrix.centre].sum(axis=0, dtype=np.int64)
    count = int(np.count_nonzero(matrix.centre))
    return loss_weights(section["loss"], active, count, cap=section["weight_cap"])


def shards_of(folder: Path, pieces: int, seconds: float) -> dict[str, Path]:
    """Make recordings, their features and two shards; return the shards by split."""
    from at4ramt.features.piece_features import extract_piece
    from at4ramt.features.shards import build_shard

    content = config()
    made = {}
    for path in corpus(folder / "corpus", pieces, seconds):
        out = folder / "features" / f"{path.stem}.parquet"
        out.parent.mkdir(parents=True, exist_ok=True)
        if not out.exists():
            extract_piece(
                path, path.with_suffix(".txt"), out,
                piece=path.stem, instrument="X", features=content["features"],
            )  # fmt: skip
        made[path.stem] = out
    names = sorted(made)
    held = max(1, len(names) // 6)
    for split, chosen in (("training", names[held:]), ("validation", names[:held])):
        shard = folder / "shards" / split / "X.parquet"
        shard.parent.mkdir(parents=True, exist_ok=True)
        build_shard(
            [made[name] for name in chosen], shard, split=split, instrument="X",
            features=content["features"], **content["shards"],
        )  # fmt: skip
    return {split: folder / "shards" / split / "X.parquet" for split in ("training", "validation")}


def plan(**changed: Any) -> Any:
    """Return a training plan of the demo's settings, for ``training.loop.train``."""
    from at4ramt.training.loop import Plan

    section = config()["training"]
    settings: dict[str, Any] = {
        "label": "benchmark",
        "seed": 0,
        "keys": ("benchmark",),
        "noise": "none",
        "level": 0.0,
        "drawn": False,
        "redraw": "round",
        "epochs": 1,
        "patience": 1000,
        "monitor": "clean",
        "keep": "last",
        "monitored_level": 0.0,
        "segment_frames": section["segment_frames"],
        "batch_segments": section["batch_segments"],
    }
    return Plan(**(settings | changed))
