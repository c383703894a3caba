"""Any folder of recordings with their notes beside them, paired by name."""

from __future__ import annotations

import os

from at4ramt.corpus.layout import (
    AUDIO_SUFFIXES,
    BRACES,
    MIDI_SUFFIXES,
    NOTES_SUFFIXES,
    OTHER_AUDIO_SUFFIXES,
    LayoutProblem,
    Recording,
    is_printable,
    list_files,
    same_name,
    split_suffix,
)
from at4ramt.corpus.maps import HEADER
from at4ramt.errors import InputError

INSTRUMENT = "unknown"
"""Instrument of a piece of which no sheet tells it."""


def find_pairs(root: str, labels: str) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the pairs ``x.<audio>`` and ``x.mid``, ``x.midi`` or ``x.txt`` below a folder.

    Capitals in suffixes, and how accents are composed, do not matter. Where a piece has both text
    and MIDI, ``labels`` (``txt`` or ``midi``) decides. A lone text file counts as notes only
    if it begins as MAPS's do; any other is somebody's remark. Until a sheet says otherwise the
    work is the file's name, so that recordings of one name in two folders are of one work.

    Raises:
        InputError: the folder is missing, or holds no pair.
    """
    audio: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    unreadable: dict[str, str] = {}
    problems: list[LayoutProblem] = []
    for path in list_files(root):
        stem, suffix = split_suffix(path)
        if suffix in AUDIO_SUFFIXES:
            kind = audio
        elif suffix in NOTES_SUFFIXES:
            kind = notes
        elif suffix in OTHER_AUDIO_SUFFIXES:
            unreadable[same_name(stem)] = path
            continue
        else:
            continue
        if is_printable(path):
            kind.setdefault(same_name(stem), []).append(path)
        else:
            problems.append(_odd_name(root, path))

    recordings = []
    for name in sorted(audio.keys() | notes.keys()):
        recorded, written = audio.get(name, []), _preferred(notes.get(name, []), labels)
        if not recorded and name not in unreadable and not _is_notes(root, written):
            continue
        if BRACES & set(name):
            problems.append(_braces(root, name, (recorded or written)[0]))
        elif not recorded or not written:
            problems.append(_missing(root, name, (recorded or written)[0], unreadable.get(name)))
        elif len(recorded) > 1 or len(written) > 1:
            problems.append(_several(root, name, recorded if len(recorded) > 1 else written))
        else:
            recordings.append(
                Recording(
                    name=name,
                    work=name.rpartition("/")[2],
                    instrument=INSTRUMENT,
                    audio=os.path.join(root, recorded[0]),
                    notes=os.path.join(root, written[0]),
                )
            )
    if not recordings:
        raise InputError(
            f"{root}: expected recordings ({', '.join(sorted(AUDIO_SUFFIXES))}) with notes of the "
            f"same name beside them ({', '.join(sorted(NOTES_SUFFIXES))}), found no pair. "
            + (problems[0].message if problems else "Set corpus.root to the folder that has them.")
        )
    return recordings, problems


def with_usable_names(
    root: str, recordings: list[Recording]
) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the recordings whose paths Snakemake and our tables can hold, and the others."""
    usable, problems = [], []
    for recording in recordings:
        paths = (recording.audio, recording.notes)
        if odd := [path for path in paths if not is_printable(path)]:
            problems.append(_odd_name(root, os.path.relpath(odd[0], root)))
        elif braced := [path for path in paths if BRACES & set(path)]:
            problems.append(_braces(root, recording.name, os.path.relpath(braced[0], root)))
        else:
            usable.append(recording)
    return usable, problems


def _preferred(written: list[str], labels: str) -> list[str]:
    """Return the notes of one kind, if a piece has both text and MIDI."""
    midi = [path for path in written if split_suffix(path)[1] in MIDI_SUFFIXES]
    text = [path for path in written if path not in midi]
    return (midi or text) if labels == "midi" else (text or midi)


def _is_notes(root: str, written: list[str]) -> bool:
    """Return whether notes without a recording are notes at all."""
    if not written or split_suffix(written[0])[1] in MIDI_SUFFIXES:
        return True
    try:
        with open(os.path.join(root, written[0]), "rb") as opened:
            return HEADER[0].encode() in opened.read(100)
    except OSError:
        return True


def _missing(root: str, name: str, path: str, unreadable: str | None) -> LayoutProblem:
    is_audio = split_suffix(path)[1] in AUDIO_SUFFIXES
    wanted = "notes (.txt, .mid or .midi)" if is_audio else "a recording (.wav, .flac, …)"
    found = "found no such file"
    if unreadable is not None and not is_audio:
        found = f"found {unreadable} only, which libsndfile cannot read; convert it to FLAC"
    return LayoutProblem(
        name,
        os.path.join(root, path),
        "missing partner",
        f"{os.path.join(root, path)}: expected {wanted} of the same name beside it, {found}. "
        "Add the file, or exclude the piece (corpus.exclude).",
    )


def _several(root: str, name: str, paths: list[str]) -> LayoutProblem:
    return LayoutProblem(
        name,
        os.path.join(root, paths[0]),
        "ambiguous",
        f"{os.path.join(root, paths[0])}: expected one recording and one list of notes of this "
        f"name, found {', '.join(paths)}. Move all but one elsewhere.",
    )


def _braces(root: str, name: str, path: str) -> LayoutProblem:
    return LayoutProblem(
        name,
        os.path.join(root, path),
        "unusable name",
        f"{os.path.join(root, path)}: expected a name without braces, in which Snakemake sees a "
        "wildcard. Rename its files, link to them, or exclude the piece (corpus.exclude).",
    )


def _odd_name(root: str, path: str) -> LayoutProblem:
    shown = repr(os.path.join(root, path))
    return LayoutProblem(
        "",
        shown,
        "unusable name",
        f"{shown}: expected a name of printable characters in UTF-8. Rename the file.",
    )
