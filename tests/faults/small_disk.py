"""A run on a disk that gets full again and again: whatever could not be written, it goes on.

``unshare --mount python -m faults.small_disk UNDISTURBED FOLDER`` mounts a disk in memory on the
folder, which only this process and its children see and which goes with them. Everything that a run
writes is there: results, logs, benchmarks, Snakemake's own records, scraps. The disk has room for a
drawn number of files, or of bytes, less than the run still needs; when the run has stopped, it has
room for some more, and the same command is given again; at last it has enough.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from faults.campaign import (
    LONGEST_SECONDS,
    OPTIONS,
    TARGETS,
    THERE,
    Reference,
    ended,
    environment,
    logs,
    made_twice,
    prepare,
)
from faults.sameness import differences, leftovers, made
from support.checkout import Checkout

FILLS = 6
# Of what the run still needs, so that there is something left to be refused to each.
LARGEST_SHARE = 0.5
ENOUGH = {"size": 4 << 30, "nr_inodes": 1_000_000}
MADE_BY_A_RUN = shutil.ignore_patterns(
    *("results", "resources", "logs", "benchmarks", ".snakemake", ".faults", "__pycache__")
)
REFUSED = os.strerror(errno.ENOSPC)


def used(path: Path) -> dict[str, int]:
    """Return how many bytes and files a disk has."""
    disk = os.statvfs(path)
    return {
        "size": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        "nr_inodes": disk.f_files - disk.f_ffree,
    }


def needed(path: Path) -> dict[str, int]:
    """Return how many bytes and files a run has on the disk."""
    stats = [entry.lstat() for entry in path.rglob("*") if ".faults" not in entry.parts]
    return {"size": sum(512 * stat.st_blocks for stat in stats), "nr_inodes": len(stats)}


def mount(path: Path, *options: str, **limits: int) -> None:
    """Mount a disk in memory, or give it other limits."""
    told = [*options, *(f"{name}={value}" for name, value in {**ENOUGH, **limits}.items())]
    command = ["mount", "-t", "tmpfs", "-o", ",".join(told), "tmpfs", str(path)]
    subprocess.run(command, check=True)


def filled(reference: Reference, path: Path, seed: int, targets: Sequence[str]) -> list[str]:
    """Bring a run to its end on such a disk; return what is wrong."""
    path.mkdir()
    mount(path)
    path = path / "run"
    shutil.copytree(reference.path, path, symlinks=True, ignore=MADE_BY_A_RUN)
    (path / THERE).parent.mkdir()
    shutil.copy2(reference.path / THERE, path / THERE)
    prepare(path, {})
    # Nothing is struck, and nothing noted.
    (path / ".faults/plan.json").unlink()
    whole, draw, wrong, refused = needed(reference.path), random.Random(seed), [], 0
    with environment(path) as variables:
        run = replace(reference.checkout, path=path, environment=variables)
        for fill in range(FILLS + 1):
            limits = {}
            if fill < FILLS:
                # A file that is refused may be a log or a record as well as a result.
                kind = ("nr_inodes", "size")[fill % 2]
                there = used(path)[kind]
                left = max(0, whole[kind] - there)
                limits = {kind: there + 1 + int(draw.uniform(0, LARGEST_SHARE) * left)}
            mount(path.parent, "remount", **limits)
            with ended(run.start(*targets)) as process:
                said, _ = process.communicate(timeout=LONGEST_SECONDS)
            print(f"{limits or 'enough'}: ended with {process.returncode}", flush=True)
            refused += REFUSED in said
            wrong += differences(path, reference.path)
            if process.returncode and (not limits or REFUSED not in said):
                wrong.append(f"with {limits or 'enough'} the run ended so:\n{said[-6000:]}")
            if wrong:
                return wrong
            if any((path / ".snakemake/locks").glob("*")):
                mount(path.parent, "remount")
                run.snakemake("--unlock", *targets)
        if refused < FILLS // 2:
            wrong.append(f"only {refused} of {FILLS} times something was refused")
        stale = run.snakemake("--dry-run", *targets)
        if "Nothing to be done" not in stale:
            wrong.append(f"something is left to do:\n{stale[-3000:]}")
    if targets == TARGETS:
        missing = set(made(reference.path)) - set(made(path))
        wrong += [f"{file}: is missing" for file in sorted(missing)]
    wrong += [f"{file}: was left behind" for file in leftovers(path)]
    return wrong + made_twice(logs(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 if the run did not end as an undisturbed one does."""
    parser = argparse.ArgumentParser(prog="python -m faults.small_disk", description=__doc__)
    parser.add_argument("undisturbed", type=Path, help="the run to compare with")
    parser.add_argument("folder", type=Path, help="a new folder, to mount the disk on")
    parser.add_argument("targets", nargs="*", default=TARGETS, help="make only these files")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    options = parser.parse_args(arguments)
    reference = Reference(Checkout(options.undisturbed.resolve(), OPTIONS))
    wrong = filled(reference, options.folder.resolve(), options.seed, options.targets)
    print("\n".join(wrong) or "as if nothing had happened")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
