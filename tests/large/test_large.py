"""What is long or many stays within the memory that is promised, and grows no more than that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Two of each, so that growth is seen and not only a total, and so far apart that what is left of a
# bound of growth is more than chance: two runs of a step differ by up to 15 MB, two machines by 40,
# most where TensorFlow runs. Recordings are read in blocks from ten minutes on.
SIZES = {"recording": [12, 30], "pieces": [60, 1000], "work": [12, 48]}
STEPS = {
    "recording": ["check", "features", "transcribe"],
    "pieces": ["plan", "features", "shard", "epoch"],
    "work": ["features", "shard", "epoch"],
}


@pytest.fixture(scope="module")
def rows(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The rows of benchmarks/large.py, at the size of a test."""
    folder = tmp_path_factory.mktemp("large")
    command = [sys.executable, str(root / "benchmarks/large.py"), "--json", f"--folder={folder}"]
    for name, sizes in zip(("--minutes", "--pieces", "--work"), SIZES.values(), strict=True):
        command += [name, *map(str, sizes)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    # Not 0 where a bound of memory or of its growth is broken.
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def test_each_step_stays_within_its_bound_and_so_does_its_growth(rows: list[dict]) -> None:
    peaks: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if "size" in row:
            assert row["peak_mb"] <= row["bound_mb"], row
            peaks.setdefault((row["kind"], row["step"]), []).append(row["peak_mb"])
    assert [*peaks] == [(kind, step) for kind, steps in STEPS.items() for step in steps]
    grown = {(row["kind"], row["step"]): row for row in rows if "sizes" in row}
    assert grown.keys() == peaks.keys()
    for (kind, step), (small, large) in peaks.items():
        least, most = SIZES[kind]
        # Told apart from the benchmark's own sum.
        each = (large - small) / (most - least)
        assert grown[kind, step]["each_mb"] == pytest.approx(each)
        assert each <= grown[kind, step]["bound_mb"], (kind, step)


def test_all_of_it_was_heard(rows: list[dict]) -> None:
    by = {(row["kind"], row["step"], row["size"]): row for row in rows if "size" in row}
    for minutes in SIZES["recording"]:
        assert by["recording", "transcribe", minutes]["minutes"] > minutes - 1
    for count in SIZES["pieces"]:
        # As many for each piano, so a few more.
        assert count <= by["pieces", "features", count]["made"] < count + 10
    for minutes in SIZES["work"]:
        # 31.25 frames a second, every second one of them kept.
        frames = 60 * minutes * 31.25 / 2
        assert by["work", "shard", minutes]["frames"] == pytest.approx(frames, rel=0.02)
        assert by["work", "epoch", minutes]["epochs"] == 1
