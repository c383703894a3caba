"""Other surroundings for the processes of a run: how folders are listed, what the clock says.

A copy of this file stands in a checkout's ``workflow/``, which is on the path of the master and of
its jobs: Python imports it at the start of each. ``AT4RAMT_SURROUNDINGS`` names what is changed.
"""

from __future__ import annotations

import os
import sys
import time

NAMES = set(os.environ.get("AT4RAMT_SURROUNDINGS", "").split(","))
# A leap day, in another year and another half of it than any run of these tests.
MOMENT = 1_835_437_000.0  # 2028-02-29 10:03:20 UTC
COARSE_NS = 2_000_000_000


class Reversed:
    """The entries of a folder, the last name first."""

    def __init__(self, scanned: object) -> None:
        with scanned as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self) -> Reversed:
        return self

    def __next__(self) -> os.DirEntry:
        return next(self._entries)

    def __enter__(self) -> Reversed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def list_backwards() -> None:
    """Let every folder be listed from its last name to its first."""
    listdir, scandir = os.listdir, os.scandir
    os.listdir = lambda *path: sorted(listdir(*path), reverse=True)
    os.scandir = lambda *path: Reversed(scandir(*path))


def forget_fractions() -> None:
    """Let what gets its final name have its times in steps of two seconds, as on FAT."""
    replace = os.replace

    def coarse(source: object, target: object, **keywords: object) -> None:
        replace(source, target, **keywords)
        if not keywords:
            stat = os.lstat(target)
            times = tuple(
                at // COARSE_NS * COARSE_NS for at in (stat.st_atime_ns, stat.st_mtime_ns)
            )
            os.utime(target, ns=times, follow_symlinks=False)

    os.replace = coarse


class Moved:
    """A function of time that takes now for another moment; no method of what holds it."""

    def __init__(self, function: object, place: int = 0) -> None:
        self._function = function
        self._place = place

    def __call__(self, *given: object) -> object:
        if len(given) <= self._place or given[self._place] is None:
            now = time.time() if self._place == 0 else time.localtime()
            given = (*given[: self._place], now)
        return self._function(*given)


def move_clock() -> None:
    """Let the process begin at another time of another year."""
    now, now_ns = time.time, time.time_ns
    shift = MOMENT - now()
    time.time = lambda: now() + shift
    time.time_ns = lambda: now_ns() + int(shift * 1e9)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, Moved(getattr(time, name)))
    time.strftime = Moved(time.strftime, 1)


if "order" in NAMES:
    list_backwards()
if "times" in NAMES:
    forget_fractions()
# Jobs alone: Snakemake compares its clock with that of the file system.
if "date" in NAMES and any("/.snakemake/scripts/" in word for word in sys.orig_argv):
    move_clock()
