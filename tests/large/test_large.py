"""What is long or many stays within the memory that is promised for any length."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = {
    "a recording of 20 minutes": ["check", "features", "transcribe"],
    "300 pieces of a second": ["plan", "features", "shard", "epoch"],
    "a work of 20 minutes": ["features", "shard", "epoch"],
}


@pytest.fixture(scope="module")
def rows(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The rows of benchmarks/large.py, at the size of a test."""
    folder = tmp_path_factory.mktemp("large")
    command = [sys.executable, str(root / "benchmarks/large.py"), "--json", f"--folder={folder}"]
    command += ["--minutes=20", "--pieces=300", "--work=20"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    # Not 0 where a bound of memory, the same for any size, is broken.
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def test_each_step_stays_within_the_bound_that_holds_for_any_length(rows: list[dict]) -> None:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["what"], []).append(row["step"])
    assert found == STEPS


def test_all_of_it_was_heard(rows: list[dict]) -> None:
    by = {(row["what"], row["step"]): row for row in rows}
    recording, pieces, work = STEPS
    assert by[recording, "transcribe"]["minutes"] > 19
    # As many for each piano, so a few more.
    assert 300 <= by[pieces, "features"]["made"] < 310
    # 31.25 frames a second, every second one of them kept.
    seconds = 20 * 60
    assert by[work, "shard"]["frames"] == pytest.approx(seconds * 31.25 / 2, rel=0.02)
    assert by[work, "epoch"]["epochs"] == 1
