"""Shards of synthetic tones, for the tests of what reads shards."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from at4ramt.features.piece_features import extract_piece
from at4ramt.features.shards import build_shard

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def demo_config() -> dict:
    """The demo's configuration."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def write_pieces(demo_config: dict) -> Callable[[Path, Sequence[str]], list[Path]]:
    """A function that writes feature files of pieces with two notes each."""

    def write(folder: Path, names: Sequence[str]) -> list[Path]:
        made = []
        for number, name in enumerate(names):
            pitches = 57 + number, 69 + number
            onset = 0.5 + number / 8
            time = np.arange(16000 * (2 + number % 3)) / 16000
            tone = sum(np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * time) for p in pitches)
            wav, txt = folder / f"{name}.wav", folder / f"{name}.txt"
            soundfile.write(wav, 0.2 * tone * (time > onset), 16000, subtype="FLOAT")
            notes = "".join(f"{onset}\t{1.6 + number % 3}\t{pitch}\n" for pitch in pitches)
            txt.write_text("OnsetTime\tOffsetTime\tMidiPitch\n" + notes)
            made.append(folder / f"{name}.parquet")
            extract_piece(
                wav, txt, made[-1],
                piece=name, instrument="I", features=demo_config["features"],
            )  # fmt: skip
        return made

    return write


@pytest.fixture(scope="session")
def write_shard(write_pieces: Callable, demo_config: dict) -> Callable[..., str]:
    """A function that writes a shard of such pieces and returns its path."""

    def write(path: Path, names: Sequence[str], minimum_level: float = 1e-3) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        build_shard(
            write_pieces(path.parent, names), path,
            split="test", instrument=path.stem, features=demo_config["features"],
            frame_step=2, minimum_level=minimum_level,
        )  # fmt: skip
        return str(path)

    return write
