"""What the adapters of all corpora share: listing a folder, naming pieces, noting problems.

An adapter turns a corpus as it lies on a disk into :class:`Recording` rows. Nothing here opens
audio: adapters run whenever the Snakefile is parsed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from at4ramt.errors import InputError

AUDIO_SUFFIXES = frozenset((
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf",
    ".w64", ".rf64",
))  # fmt: skip
"""Suffixes of audio formats that libsndfile reads."""

OTHER_AUDIO_SUFFIXES = frozenset((".m4a", ".aac", ".mp4", ".wma", ".ape", ".wv", ".webm"))
"""Suffixes of audio formats that it does not read."""

MIDI_SUFFIXES = frozenset((".mid", ".midi"))
NOTES_SUFFIXES = MIDI_SUFFIXES | {".txt"}

LONGEST_NAME = 100
"""Characters of a piece's name: file names made of it stay below the usual limit of 255 bytes."""

PLAIN_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")

BRACES = frozenset("{}")
"""Snakemake has no way to tell a name with these from a wildcard."""

QUOTED_SIGNS = frozenset('"$`\\')
"""What a shell acts on even between double quotes."""

ACTIVE_SIGNS = QUOTED_SIGNS | {"'"}
"""Those, and what ends other quotes: none is in an input that stands in a job's command line."""

# Letters that Unicode does not take apart into a Latin letter and an accent.
LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
     "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "Þ": "Th", "ı": "i", "–": "-", "—": "-"}
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A piece as an adapter found it.

    ``name`` is its own name: the path under the corpus's folder without suffix, or what
    the corpus calls it. ``audio`` and ``notes`` are paths; ``audio_member`` and ``notes_member``
    are paths inside the zip that ``audio`` or ``notes`` names, or empty. ``split`` is empty
    where the corpus leaves it open.
    """

    name: str
    work: str
    instrument: str
    audio: str
    notes: str
    split: str = ""
    audio_member: str = ""
    notes_member: str = ""


@dataclass(frozen=True)
class LayoutProblem:
    """Something in a corpus's files that its user should know, found without opening audio.

    ``stops`` tells whether the run should stop until it is mended or the piece is excluded.
    ``piece`` is its name in the table of the corpus; empty where no single piece is meant.
    """

    piece: str
    path: str
    problem: str
    message: str
    stops: bool = True


def list_files(root: str, skip: Collection[str] = ()) -> list[str]:
    """Return the files below a folder, relative paths with ``/``, sorted.

    Links are followed, each folder once. Hidden files are left out, and folders whose name is
    in ``skip``.

    Raises:
        InputError: the folder is missing or cannot be listed.
    """
    if not os.path.isdir(root):
        raise InputError(
            f"{root}: expected the folder of the corpus, found no such folder. "
            "Set corpus.root to where it is, absolute or from the working directory."
        )
    found: list[str] = []
    seen = {os.path.realpath(root)}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            # In this order, so that of two ways to a folder the same is taken on every disk.
            entries = sorted(
                os.scandir(os.path.join(root, folder)),
                key=lambda entry: (entry.is_symlink(), entry.name),
            )
        except OSError as error:
            raise InputError(
                f"{os.path.join(root, folder)}: expected a folder to list, it cannot be read "
                f"({error.strerror}). Check its permissions."
            ) from error
        for entry in entries:
            if entry.name.startswith((".", "__MACOSX")):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_file():
                found.append(path)
            elif entry.is_dir() and entry.name not in skip:
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    waiting.append(path)
    return sorted(found)


def split_suffix(path: str) -> tuple[str, str]:
    """Return a path without its suffix, and the suffix in small letters."""
    stem, suffix = os.path.splitext(path)
    return stem, suffix.lower()


def same_name(path: str) -> str:
    """Return a path in the form in which composed and decomposed accents are equal."""
    return unicodedata.normalize("NFC", path)


def harmless_path(path: str, links: str | Path) -> str:
    """Return a path to a file without :data:`ACTIVE_SIGNS`: its own, or that of a link to it.

    Snakemake repeats the inputs of a job in its command line, so that a node waits until it sees
    them, and the executors for clusters put that line between the double quotes of a shell: a file
    called ``$(reboot).wav`` would be a command on the login node, and ``it's.wav`` a line that no
    shell can read. The link has the times of the file, so that it makes nothing stale.

    Args:
        path: of a file, absolute or from the working directory.
        links: folder for the links, made when needed.
    """
    if not ACTIVE_SIGNS & set(path):
        return path
    stem, suffix = split_suffix(path)
    link = Path(links) / (_piece_name(stem, ambiguous=True) + suffix)
    target = os.path.abspath(path)
    if not link.is_symlink() or os.readlink(link) != target:
        link.parent.mkdir(parents=True, exist_ok=True)
        # Each job of a run comes by here, many at once: the link appears as it is to be.
        unfinished = link.with_name(f".{link.name}.{os.uname().nodename}.{os.getpid()}")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(target)
        with suppress(FileNotFoundError):
            times = os.stat(target)
            ns = (times.st_atime_ns, times.st_mtime_ns)
            os.utime(unfinished, ns=ns, follow_symlinks=False)
        unfinished.replace(link)
    return str(link)


def check_folder(folder: str) -> None:
    """Refuse to work in a folder whose path cannot stand where Snakemake puts it.

    That is between the double quotes of a shell, for jobs that are Python code in a rule and for
    those of a queue.

    Raises:
        InputError: if a shell would act on it, or it cannot be printed in this locale.
    """
    if signs := sorted(QUOTED_SIGNS & set(folder)):
        raise InputError(
            f"{folder}: expected a folder without {' or '.join(signs)} in its path, on which a "
            "shell would act. Rename it, or move the clone."
        )
    if not folder.isprintable():
        raise InputError(
            f"{folder!r}: expected a folder whose path can be printed in this locale "
            f"({sys.getfilesystemencoding()}). Set LC_ALL=C.UTF-8, or rename it."
        )


def is_printable(path: str) -> bool:
    """Return whether a name can be written into a table: UTF-8, no tab, no new line."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return path.isprintable()


def piece_names(names: Iterable[str]) -> list[str]:
    """Return a name for each piece that may stand in a path, a shell word and a job's name.

    It has letters, digits and ``_.-`` only. What is such a name already stays; any other is
    transliterated and gets ten digits of its own digest, so that it does not depend on which other
    pieces there are. Names that differ in capitals only get one too: some file systems do not
    tell them apart.

    Raises:
        InputError: a name stands twice.
    """
    names = [same_name(name) for name in names]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise InputError(
            f"corpus: the piece {doubled[0]!r} stands twice. Rename or exclude one of them."
        )
    alike = Counter(name.casefold() for name in names)
    return [_piece_name(name, alike[name.casefold()] > 1) for name in names]


def _piece_name(name: str, ambiguous: bool) -> str:
    if PLAIN_NAME.fullmatch(name) and not ambiguous:
        return name
    plain = unicodedata.normalize("NFKD", name.translate(LATIN)).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_")
    # A name that begins like an option or a hidden file would be taken for one.
    plain = plain.lstrip("-.")[: LONGEST_NAME - 11]
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{plain.rstrip('_.-') or 'piece'}-{digest}"
