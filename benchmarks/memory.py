"""Memory and time of the steps between recordings and training, against the hours they are given.

    .venv/bin/python benchmarks/memory.py --hours 1 10 [--folder /scratch/x]

Each step runs in a process of its own, on synthetic recordings. A row has the step's peak of
resident memory, and how many times the data that is: of the features' numbers as they are stored
(float16) for what makes features and shards, of the frame matrix (float32) for what trains.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

PIECE_SECONDS = 600
RATE_HZ = 44_100


def features() -> dict[str, Any]:
    """Return the demo's settings."""
    import yaml

    content = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    section: dict[str, Any] = content["features"]
    return section


def write_recording(folder: Path, seconds: float) -> None:
    """Write x.wav, stereo at 44.1 kHz, and x.txt: a decaying tone every half second."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    time_seconds = np.arange(RATE_HZ // 2) / RATE_HZ
    lines = ["OnsetTime\tOffsetTime\tMidiPitch"]
    with soundfile.SoundFile(folder / "x.wav", "w", RATE_HZ, 2, "PCM_16") as wav:
        for step in range(round(2 * seconds)):
            pitch = int(rng.integers(40, 90))
            hz = 440 * 2 ** ((pitch - 69) / 12)
            tone = 0.3 * np.exp(-4 * time_seconds) * np.sin(2 * np.pi * hz * time_seconds)
            wav.write(tone[:, None] + 0.001 * rng.standard_normal((len(tone), 2)))
            lines.append(f"{step / 2:.3f}\t{step / 2 + 0.45:.3f}\t{pitch}")
    (folder / "x.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def check(folder: Path) -> int:
    """Listen to the recording."""
    from at4ramt.corpus.check import check_piece

    row = {"piece": "x", "split": "training", "audio_member": "", "notes_member": ""}
    check_piece({**row, "audio": f"{folder}/x.wav", "notes": f"{folder}/x.txt"}, features())
    return 0


def extract(folder: Path) -> int:
    """Make the recording's features; return the bytes of their numbers."""
    import pyarrow.parquet as pq

    from at4ramt.features.piece_features import extract_piece

    extract_piece(
        folder / "x.wav", folder / "x.txt", folder / "x.parquet",
        piece="x", instrument="X", features=features(),
    )  # fmt: skip
    metadata = pq.read_metadata(folder / "x.parquet")
    return int(metadata.num_rows) * numbers_a_frame()


def numbers_a_frame() -> int:
    """Return the bytes of a frame's numbers in a feature file, before compression."""
    from at4ramt.features.cqt import CqtSettings

    settings = CqtSettings.from_config(features())
    return 2 * 2 * settings.bins + settings.all_pitches


def copy_features(folder: Path, pieces: int) -> None:
    """Write the features of as many pieces, which differ in nothing but their name."""
    import pyarrow.parquet as pq

    from at4ramt.features.piece_features import parquet_writer

    table = pq.read_table(folder / "x.parquet", partitioning=None)
    for number in range(pieces):
        metadata = {**table.schema.metadata, b"piece": f"p{number}".encode()}
        named = table.replace_schema_metadata(metadata)
        with parquet_writer(folder / f"p{number}.parquet", named.schema) as writer:
            writer.write_table(named)


def shards(folder: Path, pieces: int) -> int:
    """Make shards of up to 60 pieces, as large as an instrument's; return the bytes read."""
    from at4ramt.features.shards import build_shard

    frames = 0
    for first in range(0, pieces, 60):
        paths = [folder / f"p{n}.parquet" for n in range(first, min(pieces, first + 60))]
        summary = build_shard(
            paths, folder / f"shard_{first}.parquet", split="training", instrument=f"I{first}",
            features=features(), frame_step=2, minimum_level=0.001,
        )  # fmt: skip
        frames += 2 * summary["rows"]
    return frames * numbers_a_frame()


def load(folder: Path, padding: int = 3) -> int:
    """Read all shards as training does; return the bytes of the frame matrix."""
    from at4ramt.features.cqt import CqtSettings
    from at4ramt.features.frames import load_frames

    settings = CqtSettings.from_config(features())
    shards = sorted(folder.glob("shard_*.parquet"))
    matrix = load_frames(shards, padding=padding, bins=settings.core, edge=64)
    return matrix.magnitudes.nbytes


STEPS: dict[str, Callable[..., Any]] = {
    "write_recording": write_recording,
    "check": check,
    "extract": extract,
    "copy_features": copy_features,
    "shards": shards,
    "load": load,
}


def run(step: str, *arguments: Any) -> dict[str, Any]:
    """Run a step in a process of its own; return its bytes of data, peak and seconds."""
    command = [sys.executable, __file__, "--step", step, *map(str, arguments)]
    printed = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def run_here(step: str, folder: str, *arguments: str) -> None:
    """Run a step in this process, and print what it took."""
    begin = time.monotonic()
    data = STEPS[step](Path(folder), *(int(value) for value in arguments))
    seconds = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"data": data or 0, "peak": peak, "seconds": seconds}))


def report(step: str, hours: float, took: dict[str, Any]) -> None:
    """Print a row."""
    data, peak = took["data"] / 1e6, took["peak"] / 1e6
    ratio = f"{peak / data:.2f}" if data else "-"
    print(f"| {step} | {hours:g} | {data:.0f} | {peak:.0f} | {ratio} | {took['seconds']:.0f} |")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--folder", help="where to write, for some 150 MB an hour")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_here(*options.step)
        return
    print("| step | hours | data [MB] | peak [MB] | peak / data | seconds |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for seconds in (3600, PIECE_SECONDS):
            run("write_recording", name, seconds)
            report("check a recording", seconds / 3600, run("check", name))
            report("features of a recording", seconds / 3600, run("extract", name))
        for hours in options.hours:
            pieces = hours * 3600 // PIECE_SECONDS
            run("copy_features", name, pieces)
            report("shards", hours, run("shards", name, pieces))
            report("frames to train on", hours, run("load", name))


if __name__ == "__main__":
    main()
