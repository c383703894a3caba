"""An input becomes unreadable at each of the moments that can be drawn, and readable again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults.campaign import HERE, await_readable, prepare

INPUT = "results/a.txt"
# Reads its input twice, and says how far it came.
JOB = f"""
for time in (1, 2):
    with open({INPUT!r}) as opened:
        print(time, opened.read(), flush=True)
"""


def struck_job(path: Path, seed: float, opened: dict[str, int]) -> tuple[int, str, dict]:
    """Run a job that is struck; return its status, what it said, and what its strike told."""
    strike = {"fault": "unreadable", "seed": seed, "inputs": [INPUT], "opened": opened}
    prepare(path, {"read": strike})
    command = [sys.executable, ".snakemake/scripts/tmp.read.py"]
    environment = {"PYTHONPATH": "workflow"}
    done = subprocess.run(
        command, cwd=path, env=environment, capture_output=True, text=True, check=False
    )
    await_readable(path)
    told = json.loads((path / ".faults/struck/read.json").read_text(encoding="utf-8"))
    if done.returncode:
        assert "Input/output error" in done.stderr
    return done.returncode, done.stdout, told


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("workflow", ".snakemake/scripts", "results"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(HERE / "injected/sitecustomize.py", tmp_path / "workflow")
    (tmp_path / ".snakemake/scripts/tmp.read.py").write_text(JOB, encoding="utf-8")
    (tmp_path / INPUT).write_text("read", encoding="utf-8")
    return tmp_path


def test_an_input_becomes_unreadable_at_the_start_or_at_any_opening(place: Path) -> None:
    came = {}
    for seed in range(12):
        status, said, told = struck_job(place, seed, {INPUT: 2})
        assert status
        assert told["input"] == INPUT
        came[told["where"]] = said
        assert (place / INPUT).read_text(encoding="utf-8") == "read"
    assert came == {
        INPUT: "",
        f"{INPUT} from its opening number 1 on": "",
        f"{INPUT} from its opening number 2 on": "1 read\n",
    }


def test_an_opening_that_does_not_come_is_told_and_nothing_is_unreadable(place: Path) -> None:
    came = [struck_job(place, seed, {INPUT: 4}) for seed in range(12)]
    late = {told["where"] for status, said, told in came if status == 0}
    assert late == {f"{INPUT}, of which opening number {number} did not come" for number in (3, 4)}
