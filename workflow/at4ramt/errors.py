"""Errors that a user can mend: each names the file, the row or key, and what to do."""

from __future__ import annotations

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
