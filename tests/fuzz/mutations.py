"""Damaged files: what disks, networks, editors and ill will do to a valid one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

MOST_EDITS = 6

TOKENS = (
    b"", b"\0", b"\n", b"\r", b"\t", b",", b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J",
    b"nan", b"-inf", b"1e999", b"-1", b"0", b"1_0", b"\xd9\xa3", b"\xc2\x85", b"\xe2\x80\xa8",
    b"../../etc/passwd", b"{piece}", b"$(id)", b"\xed\xb2\x80", b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"9" * 5000,
)  # fmt: skip
"""What is written into a file: what means something to a text, a table, a shell, a header."""

_places = st.floats(0, 1, exclude_max=True)
_lengths = st.sampled_from((1, 1, 2, 4, 8, 16, 64, 512))

_edit = st.one_of(
    st.tuples(st.just("flip"), _places, st.integers(0, 7)),
    st.tuples(st.just("set"), _places, st.integers(0, 255)),
    st.tuples(st.just("cut"), _places, st.none()),
    st.tuples(st.just("delete"), _places, _lengths),
    st.tuples(st.just("repeat"), _places, _lengths),
    st.tuples(st.just("insert"), _places, st.sampled_from(TOKENS)),
    st.tuples(st.just("replace"), _places, st.sampled_from(TOKENS)),
    st.tuples(st.just("swap"), _places, _places),
)


def damaged(files: Mapping[str, bytes] | Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of copies of one of some files with a few edits."""
    contents = list(files.values() if isinstance(files, Mapping) else files)
    return st.builds(
        _edited,
        st.integers(0, len(contents) - 1).map(contents.__getitem__),
        st.lists(_edit, min_size=1, max_size=MOST_EDITS),
    )


def _edited(data: bytes, edits: Sequence[tuple[str, float, Any]]) -> bytes:
    for kind, where, what in edits:
        place = int(where * len(data))
        before, after = data[:place], data[place:]
        if kind == "flip":
            data = before + bytes([after[0] ^ 1 << what]) + after[1:] if after else data
        elif kind == "set":
            data = before + bytes([what]) + after[1:]
        elif kind == "cut":
            data = before
        elif kind == "delete":
            data = before + after[what:]
        elif kind == "repeat":
            data = before + after[:what] + after
        elif kind == "insert":
            data = before + what + after
        elif kind == "replace":
            data = before + what + after[len(what) :]
        else:
            other = int(what * len(data))
            first, second = sorted((place, other))
            size = min(8, second - first)
            data = (
                data[:first]
                + data[second : second + size]
                + data[first + size : second]
                + data[first : first + size]
                + data[second + size :]
            )
    return data
