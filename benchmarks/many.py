"""Thousands of pieces through Snakemake itself: `snakemake features check_corpus`, by hand.

    PYTHONPATH=workflow .venv/bin/python -m benchmarks.many --pieces 10000 --folder /scratch

The pieces are of a second, and hard links to a few recordings. What is reported is what the run
leaves, in files and on the disk, the peak of the master's own memory, and the seconds; then the
same of a second call, which has nothing to do. Exit code 1 if a piece has no features, or if the
second call runs a job.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data
from benchmarks.features import snakemake, workflow_folder
from benchmarks.measure import ROOT, environment

PIECE_SECONDS = 1.0
TARGETS = ("features", "check_corpus")
PARTS = ("results", "logs", "benchmarks", ".snakemake/metadata", ".snakemake")
"""What the run leaves in its folder; the last has the one before in it."""

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Ran:
    """What a call of Snakemake took: seconds, the master's peak in MB, and what it said."""

    seconds: float
    peak_mb: float
    said: str


def run(work: Path, cores: int) -> Ran:
    """Make the targets in a working folder.

    Raises:
        RuntimeError: if Snakemake fails, with the end of what it said.
    """
    command = snakemake(
        "--directory", work, "--configfile", work / "config.yaml", "--cores", str(cores), *TARGETS
    )
    begin, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        # What the system counts when it ends is the largest process, a job's perhaps.
        while process.poll() is None:
            peak = max(peak, _peak_mb(process.pid))
            time.sleep(POLL_SECONDS)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise RuntimeError(f"snakemake ended with {process.returncode}:\n{text[-3000:]}")
    return Ran(time.monotonic() - begin, peak, text)


def _peak_mb(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0  # it has just ended
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peaks[0] * 1024 / 1e6 if peaks else 0.0


def left(folder: Path) -> tuple[int, float, float]:
    """Return the files in a folder, their bytes in MB, and what they take of the disk in MB."""
    found = list(_files(folder))
    size = sum(each.st_size for each in found) / 1e6
    return len(found), size, sum(512 * each.st_blocks for each in found) / 1e6


def _files(folder: Path) -> Iterator[os.stat_result]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield os.lstat(os.path.join(place, name))


def main() -> int:
    """Run, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pieces", type=int, required=True, help="of a second each")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="all by default")
    parser.add_argument("--folder", help="where to write, for some 150 KB a piece")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        data.corpus(folder / "corpus", options.pieces, PIECE_SECONDS)
        work = workflow_folder(folder, folder / "corpus")
        first, second = run(work, options.cores), run(work, options.cores)
        made = len(list((work / "results" / "features").glob("*.parquet")))
        print(f"{made:,} of {options.pieces:,} pieces have features, {options.cores} cores.\n")
        print("| call | seconds | master's peak [MB] |\n|---|---|---|")
        for what, ran in (("from nothing", first), ("again", second)):
            print(f"| {what} | {ran.seconds:.0f} | {ran.peak_mb:.0f} |")
        print("\n| folder | files | MB | MB on the disk |\n|---|---|---|---|")
        for part in PARTS:
            files, size, disk = left(work / part)
            print(f"| {part} | {files:,} | {size:.1f} | {disk:.1f} |")
    idle = "Nothing to be done" in second.said
    if not idle:
        print(f"the second call ran jobs:\n{second.said[-3000:]}", file=sys.stderr)
    return int(made != options.pieces or not idle)


if __name__ == "__main__":
    sys.exit(main())
