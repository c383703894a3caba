"""MAPS as it is distributed: folders or zips of an instrument, of which the music (MUS) is used.

Source: Emiya, Bertin, David and Badeau, MAPS, 2010. A piece is
``…/MUS/MAPS_MUS-<work>_<INSTRUMENT>.{wav,mid,txt}``, wherever below the corpus's folder, in a
folder or in a zip of any name (the distribution's are called ``MAPS_AkPnBcht_1.zip``, and their
members begin with ``AkPnBcht/``). Zips stay packed: only their lists of members are read.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter

from at4ramt.archives import UNREADABLE
from at4ramt.corpus.layout import LayoutProblem, Recording, list_files, split_suffix
from at4ramt.errors import InputError, mended, told

INSTRUMENTS = (
    "AkPnBcht", "AkPnBsdf", "AkPnCGdD", "AkPnStgb", "ENSTDkAm", "ENSTDkCl", "SptkBGAm", "SptkBGCl",
    "StbgTGd2",
)  # fmt: skip
PIECES_PER_INSTRUMENT = 30

# The other parts of MAPS are isolated notes and chords: tens of thousands of files.
OTHER_PARTS = frozenset(("ISOL", "RAND", "UCHO"))
STEM = re.compile(r"(?:.*/)?(MAPS_MUS-([^/]+)_([A-Za-z0-9]+))")

# One recording of AkPnCGdD is there twice, the second time under this name (A-MAPS, Ycart and
# Benetos 2018): the work must not be on both sides of a split.
SECOND_COPY = "-format0"

Place = tuple[str, str]
"""A path, and the path inside it if it is a zip, else an empty string."""

Files = dict[str, dict[str, list[Place]]]
"""Where the files of each piece are, by its name and their suffix."""


def find_maps(root: str, labels: str) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the pieces of MAPS below a folder, and what is wrong with them.

    ``labels`` tells which notes are used, ``txt`` or ``midi``. A piece that is both in a folder
    and in a zip is taken from the folder.

    Raises:
        InputError: the folder is missing, or holds no piece of MAPS.
    """
    pieces: Files = {}
    files = list_files(root, OTHER_PARTS)
    for path in files:
        _note(pieces, path, (os.path.join(root, path), ""))
    archives = [os.path.join(root, path) for path in files if path.lower().endswith(".zip")]
    problems = [problem for archive in archives for problem in _note_members(pieces, archive)]
    if not pieces:
        raise InputError(
            f"{root}: expected MAPS, <INSTRUMENT>/MUS/MAPS_MUS-<piece>_<INSTRUMENT>.wav with .mid "
            f"and .txt or zips of these, found none among {len(files)} files. "
            + (problems[0].message if problems else "Set corpus.root to the folder that has them.")
        )
    recordings = []
    notes_suffix = ".mid" if labels == "midi" else ".txt"
    for name, places in sorted(pieces.items()):
        match = STEM.fullmatch(name)
        assert match is not None
        missing = [suffix for suffix in (".wav", notes_suffix) if suffix not in places]
        if match[3] not in INSTRUMENTS:
            problems.append(_unknown(name, match[3], next(iter(places.values()))[0]))
        elif missing:
            problems.append(_missing(name, next(iter(places.values()))[0], missing[0]))
        else:
            audio, notes = places[".wav"], places[notes_suffix]
            problems += [_twice(name, found) for found in (audio, notes) if _copies(found) > 1]
            recordings.append(
                Recording(
                    name=name,
                    work=match[2].removesuffix(SECOND_COPY),
                    instrument=match[3],
                    audio=audio[0][0],
                    audio_member=audio[0][1],
                    notes=notes[0][0],
                    notes_member=notes[0][1],
                )
            )
    return recordings, problems + _incomplete(root, recordings)


def _note(pieces: Files, path: str, place: Place) -> None:
    """Enter a file or member under its piece and suffix, if it is one of a piece of music."""
    stem, suffix = split_suffix(path)
    match = STEM.fullmatch(stem)
    if match and suffix in (".wav", ".mid", ".txt"):
        pieces.setdefault(match[1], {}).setdefault(suffix, []).append(place)


def _note_members(pieces: Files, archive: str) -> list[LayoutProblem]:
    """Enter the members of a zip; return the problem if it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if "MAPS_MUS-" in name)
    except UNREADABLE as error:
        message = (
            f"{archive}: expected a zip of MAPS, it cannot be read ({told(error)}). "
            f"{mended(error, 'Download it again, or move it elsewhere.')}"
        )
        return [LayoutProblem("", archive, "unreadable", message)]
    for member in members:
        _note(pieces, member, (archive, member))
    return []


def _copies(found: list[Place]) -> int:
    """Return how often a file is there; unpacked beside its zip counts as once."""
    return max(sum(not member for _, member in found), sum(bool(member) for _, member in found))


def _unknown(name: str, instrument: str, place: Place) -> LayoutProblem:
    message = (
        f"{': '.join(filter(None, place))}: expected one of MAPS's instruments "
        f"({', '.join(INSTRUMENTS)}), found {instrument!r}; the piece is left out. Use "
        "corpus.kind: folder for recordings of your own."
    )
    return LayoutProblem(name, place[0], "unknown instrument", message, stops=False)


def _missing(name: str, place: Place, suffix: str) -> LayoutProblem:
    message = (
        f"{': '.join(filter(None, place))}: expected {name}{suffix} beside it, found no such file. "
        "Unpack or download the corpus again, or exclude the piece (corpus.exclude)."
    )
    return LayoutProblem(name, place[0], "missing partner", message)


def _twice(name: str, found: list[Place]) -> LayoutProblem:
    listed = ", ".join(": ".join(filter(None, place)) for place in found)
    message = (
        f"{name}: expected one file, found {listed}; the first is used. Move the others elsewhere."
    )
    return LayoutProblem(name, found[0][0], "found twice", message, stops=False)


def _incomplete(root: str, recordings: list[Recording]) -> list[LayoutProblem]:
    count = Counter(recording.instrument for recording in recordings)
    short = {name: count[name] for name in INSTRUMENTS if count[name] < PIECES_PER_INSTRUMENT}
    if not short:
        return []
    listed = ", ".join(f"{name} {number}" for name, number in short.items())
    message = (
        f"{root}: expected {PIECES_PER_INSTRUMENT} pieces of each of MAPS's {len(INSTRUMENTS)} "
        f"instruments, found fewer of {listed}. Scores on a part of MAPS cannot be compared with "
        "published ones."
    )
    return [LayoutProblem("", root, "incomplete", message, stops=False)]
