"""Errors that a user can mend: each names the file, the row or key, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Something the user supplied is wrong.

    The message names the file and the row, column or key, says what was
    expected and what was found, and ends with what to do about it.
    """


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


# What the system refuses although nothing is wrong with the job.
_REMEDIES = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space, or ask for a larger quota",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EIO: "check the disk or the file system",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.EPERM: "check the permissions of the file and its folder",
    errno.EROFS: "make the file system writable",
    errno.ESTALE: "check the network file system",
}


def remedy(error: BaseException) -> str | None:
    """Return what to do where the system refused to read or write; None for another error."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        # A library, or a program that was called, says it in its own message.
        number = next((each for each in _REMEDIES if os.strerror(each) in str(error)), None)
    if number not in _REMEDIES:
        return None
    return (
        f"{error}. No half-written output is left under its name: {_REMEDIES[number]}, then run "
        "the same command again."
    )
