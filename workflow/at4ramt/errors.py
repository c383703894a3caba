"""Errors that a user can mend: each names the file, the row or key, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

AGAIN = "delete the file and run snakemake again"
"""How a damaged result is mended."""

LONGEST_SHOWN = 120
LONGEST_WORD = 60


class InputError(Exception):
    """Something the user supplied is wrong.

    The message names the file and the row, column or key, says what was
    expected and what was found, and ends with what to do about it.
    """


class Refused(InputError):
    """The system refused to read something that may be as it should be."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    # To compare a word takes time with its length, and a name is never a thousand letters.
    if len(word) > LONGEST_WORD:
        return ""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def shown(value: Any, longest: int = LONGEST_SHOWN) -> str:
    """Return a value as a message shows what was found: its repr, cut where it is long.

    What a file holds may be a megabyte long, or move the cursor of the terminal it is shown in.
    """
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]!r}… ({len(value)} characters)"
    text = repr(value)
    return text if len(text) <= 2 * longest else f"{text[: 2 * longest]}…"


def told(error: BaseException | str, longest: int = LONGEST_SHOWN) -> str:
    """Return what a library said of an error, on one line of printable characters, cut if long."""
    said = str(error) or type(error).__name__
    text = " ".join("".join(c if c.isprintable() else " " for c in said[: 10 * longest]).split())
    return text if len(text) <= 2 * longest else f"{text[: 2 * longest]}…"


_DISK, _NETWORK = "check the disk or the file system", "check the network file system"
# What the system refuses although nothing is wrong with the job, or with the file.
_REMEDIES = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space, or ask for a larger quota",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.EPERM: "check the permissions of the file and its folder",
    errno.EROFS: "make the file system writable",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.ENOMEM: "give the job more memory",
    **dict.fromkeys((errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENXIO, errno.ENODEV), _DISK),
    **dict.fromkeys(
        (
            *(errno.ESTALE, errno.ETIMEDOUT, errno.ESHUTDOWN, errno.ENOTCONN, errno.EREMOTEIO),
            *(errno.EKEYEXPIRED, errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTDOWN),
        ),
        _NETWORK,
    ),
}


# How ONNX Runtime, whose errors are of no class of Python's, says that there is no memory left.
_NO_MEMORY = ("bad_alloc", "Failed to allocate memory")


def _system_remedy(error: BaseException) -> str | None:
    if isinstance(error, MemoryError) or any(each in str(error) for each in _NO_MEMORY):
        return _REMEDIES[errno.ENOMEM]
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        # A library, or a program that was called, says it in its own message.
        number = next((each for each in _REMEDIES if os.strerror(each) in str(error)), None)
    return None if number is None else _REMEDIES.get(number)


def refusal(error: BaseException) -> BaseException | None:
    """Return what the system refused, if ``error`` is that or came of it."""
    met: BaseException | None = error
    # zipfile tells of a disk that fails as of a file that is no zip.
    while met is not None and _system_remedy(met) is None:
        met = met.__cause__ or met.__context__
    return met


def remedy(error: BaseException) -> str | None:
    """Return what to do where the system refused to read or write; None for another error."""
    what = _system_remedy(error)
    if what is None:
        return None
    return (
        f"{error}. No half-written output is left under its name: {what}, then run "
        "the same command again."
    )


def mend(error: BaseException, otherwise: str) -> str:
    """Return how a file is mended that cannot be read: ``otherwise``, but where the system refused.

    There the file may be as it should be, and nobody should delete it.
    """
    met = refusal(error)
    if met is None:
        return otherwise
    said = "" if met is error else f" ({told(met)})"
    return f"{_system_remedy(met)}{said}, then run the same command again"


def mended(error: BaseException, otherwise: str) -> str:
    """Return :func:`mend` as a sentence."""
    said = mend(error, otherwise)
    return f"{said[0].upper()}{said[1:].removesuffix('.')}."
