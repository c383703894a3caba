"""The smallest run again and again in one folder: what grows, on the disk or in memory.

``python -m same.repeated --times 50 --folder /tmp/repeated`` prints a row a run, then what grew; if
anything did, it fails. Before each run but the first the results are deleted, as somebody does who
wants them made anew; logs, benchmarks and what Snakemake keeps stay where they are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from same.surroundings import TARGETS, Surroundings, surroundings

# Files for each call of snakemake, of the call's own words and of those it makes for the report.
WORDS = ".snakemake/log"


@dataclass(frozen=True)
class Run:
    """What one run left, and took.

    Attributes:
        files: files of the folder, but for :data:`WORDS`.
        megabytes: of these.
        words: files under :data:`WORDS`.
        scraps: files in the temporary folder.
        home_files: files in the home folder: caches.
        peak_mb: resident memory of the largest of the master and its jobs.
        seconds: wall time.
    """

    files: int
    megabytes: float
    words: int
    scraps: int
    home_files: int
    peak_mb: float
    seconds: float


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder; links are not followed."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def repeated(run: Surroundings, times: int, targets: Sequence[str] = TARGETS) -> Iterator[Run]:
    """Make the run so many times; yield what each left."""
    for number in range(times):
        if number:
            shutil.rmtree(run.checkout / "results")
        began = time.monotonic()
        ended = run.call(*targets)
        seconds = time.monotonic() - began
        words = files_of(run.checkout / WORDS)
        files = set(files_of(run.checkout)) - set(words)
        yield Run(
            files=len(files),
            megabytes=sum(path.stat().st_size for path in files) / 1e6,
            words=len(words),
            scraps=len(files_of(run.folder / "tmp")),
            home_files=len(files_of(run.folder / "home")),
            peak_mb=ended.peak_mb,
            seconds=seconds,
        )


def grown(first: Run, run: Run, number: int) -> list[str]:
    """Return what a run left or took that differs from the first; nothing if all is as it was."""
    found = [
        f"{now} {what}, expected {then}"
        for what, now, then in (
            ("files", run.files, first.files),
            ("of Snakemake's logs", run.words, number * first.words),
            ("files in TMPDIR", run.scraps, 0),
            ("files in HOME", run.home_files, first.home_files),
        )
        if now != then
    ]
    # Benchmarks and histories say times, in more digits or in fewer.
    if abs(run.megabytes - first.megabytes) > 0.001 * first.megabytes:
        found.append(f"{run.megabytes:.3f} MB, expected {first.megabytes:.3f} within a thousandth")
    if run.peak_mb > 1.1 * first.peak_mb:
        found.append(f"a peak of {run.peak_mb:.0f} MB, expected {first.peak_mb:.0f} within a tenth")
    return [f"run {number}: {each}" for each in found]


def main(arguments: Sequence[str] | None = None) -> int:
    """Repeat; print a row a run, and what grew; return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True, help="a new one, for some 300 MB")
    parser.add_argument("--targets", nargs="+", default=TARGETS[1:])
    options = parser.parse_args(arguments)
    if options.times < 2:
        parser.error(f"--times {options.times}: expected 2 or more, or nothing can grow")
    run = surroundings(options.folder.resolve(), ())
    print("| run | files | MB | Snakemake's logs | in TMPDIR | in HOME | peak [MB] | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    rows: list[Run] = []
    for row in repeated(run, options.times, ("--", *options.targets)):
        rows.append(row)
        cells = (len(rows), row.files, f"{row.megabytes:.2f}", row.words, row.scraps,
                 row.home_files, f"{row.peak_mb:.0f}", f"{row.seconds:.0f}")  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    found = [told for number, row in enumerate(rows, 1) for told in grown(rows[0], row, number)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
