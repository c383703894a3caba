"""Other surroundings for the processes of a run: how folders are listed, what the clock says.

A copy of this file stands in a checkout's ``workflow/``, which is on the path of the master and of
its jobs: Python imports it at the start of each. ``AT4RAMT_SURROUNDINGS`` names what is changed;
each process tells what it sees then in a file of the folder ``AT4RAMT_WITNESSES``, if there is one.
"""

from __future__ import annotations

import json
import locale
import os
import re
import sys
import time

NAMES = set(os.environ.get("AT4RAMT_SURROUNDINGS", "").split(","))
SCRIPT = re.search(r"/\.snakemake/scripts/[^/ ]*?(\w+)\.py", " ".join(sys.orig_argv))
# A leap day, in another year and another half of it than any run of these tests.
MOMENT = 1_835_437_000.0  # 2028-02-29 10:03:20 UTC
COARSE_NS = 2_000_000_000


class Sorted:
    """The entries of a folder by their names, or the last name first."""

    def __init__(self, scanned: object, *, backwards: bool) -> None:
        with scanned as entries:
            names = sorted(entries, key=lambda entry: entry.name, reverse=backwards)
        self._entries = iter(names)

    def __iter__(self) -> Sorted:
        return self

    def __next__(self) -> os.DirEntry:
        return next(self._entries)

    def __enter__(self) -> Sorted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def list_sorted(*, backwards: bool) -> None:
    """Let every folder be listed by its names, whose order on the disk may be any."""
    listdir, scandir = os.listdir, os.scandir
    os.listdir = lambda *path: sorted(listdir(*path), reverse=backwards)
    os.scandir = lambda *path: Sorted(scandir(*path), backwards=backwards)


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


def testify(folder: str) -> None:
    """Write what this process sees around it."""
    name = os.path.join(folder, str(os.getpid()))
    with open(name + ".new", "w", encoding="utf-8"):
        pass
    os.replace(name + ".new", name)
    numbers = locale.setlocale(locale.LC_NUMERIC)
    locale.setlocale(locale.LC_NUMERIC, "")
    mask = os.umask(0)
    # A folder with many files.
    listed = os.listdir(os.path.join(os.path.dirname(__file__), "rules"))
    with os.scandir(os.path.join(os.path.dirname(__file__), "rules")) as entries:
        scanned = [entry.name for entry in entries]
    told = {
        "rule": SCRIPT[1] if SCRIPT else "",
        "folder": os.fsencode(os.getcwd()).decode("utf-8", "replace"),
        "uid": os.getuid(),
        # Keras writes a keras.json of its own.
        "furnished": os.path.exists(os.path.expanduser("~/.config/matplotlib/matplotlibrc")),
        "seconds_ahead": time.localtime().tm_gmtoff,
        "decimal_point": locale.localeconv()["decimal_point"],
        "cores": len(os.sched_getaffinity(0)),
        "hashes_randomised": bool(sys.flags.hash_randomization),
        "first_listed": [listed[0], scanned[0]],
        "umask": mask,
        "fraction_ns": os.stat(name).st_mtime_ns % COARSE_NS,
        "time": time.time(),
    }
    os.umask(mask)
    locale.setlocale(locale.LC_NUMERIC, numbers)
    with open(name + ".json", "w", encoding="utf-8") as written:
        json.dump(told, written)


if "AT4RAMT_SURROUNDINGS" in os.environ:
    list_sorted(backwards="order" in NAMES)
if "times" in NAMES:
    forget_fractions()
# Jobs alone: Snakemake compares its clock with that of the file system.
if "date" in NAMES and SCRIPT:
    move_clock()
if "AT4RAMT_WITNESSES" in os.environ:
    testify(os.environ["AT4RAMT_WITNESSES"])
