"""Note lists as MAPS has them, against a reading of the text by decimal numbers."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np
from hypothesis import strategies as st

from at4ramt.corpus.maps import read_notes
from at4ramt.errors import InputError
from at4ramt.features.labels import read_labels
from fuzz.harness import Reader, case_file, expect

NAME = "piece.txt"
HEADER = b"OnsetTime\tOffsetTime\tMidiPitch"
SECONDS = 20.0


def check(data: bytes) -> None:
    path = case_file(NAME, data)
    try:
        notes = read_notes(path)
    except InputError:
        expect(_plain_reading(data) is None, "a list is refused that says nothing odd")
        raise
    expected = _plain_reading(data)
    expect(expected is not None, "a list is taken that an independent reading refuses")
    found = sorted((float(n["onset"]), float(n["offset"]), int(n["pitch"])) for n in notes)
    expect(found == sorted(expected or []), f"{found[:3]} read of {(expected or [])[:3]}")
    order = notes[["onset", "pitch"]].tolist()
    expect(order == sorted(order), "the notes are not sorted")
    heard = read_labels(path, SECONDS)
    expect(bool(np.all(heard["onset"] <= SECONDS + 0.05)), "a note begins after the audio")


def _plain_reading(data: bytes) -> list[tuple[float, float, int]] | None:
    """Return the notes of a text; None if a line of it is no note. Slow, and sure."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    head, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if head.rstrip().split("\t") != HEADER.decode().split("\t"):
        return None
    notes = []
    for line in lines:
        if not line.strip():
            continue
        values = []
        for field in line.split():
            if not field.isascii() or "_" in field:
                return None
            try:
                values.append(Decimal(field))
            except InvalidOperation:
                return None
        if len(values) != 3 or not all(value.is_finite() for value in values):
            return None
        onset, offset = float(values[0]), float(values[1])
        if not 0 <= onset <= offset <= 86400 or float(values[2]) not in range(128):
            return None
        notes.append((onset, offset, int(float(values[2]))))
    return notes


def seeds() -> dict[str, bytes]:
    return {
        "as MAPS has them": HEADER + b"\r\n1.5\t2.0\t60\r\n0.5\t0.81972789\t64\r\n\r\n",
        "with a mark": b"\xef\xbb\xbf" + HEADER + b"\n0\t1\t21\n0.1\t1e1\t108\n",
        "none": HEADER + b"\n",
    }


_times = st.floats(0, 30).map(lambda value: f"{value:.6f}")
_fields = st.one_of(
    _times,
    st.integers(0, 127).map(str),
    st.floats().map(repr),
    st.sampled_from(("nan", "-inf", "1e400", "1_0", "٣", "0x10", "+.5", "5.", "60.0", "1e1", "-0")),
    st.text("0 1.e-é\x1c\u2028\x1b", max_size=4),
)
_row = st.one_of(
    st.tuples(st.floats(0, 9), st.floats(0, 9), st.integers(0, 127)).map(
        lambda row: f"{row[0]!r}\t{row[0] + row[1]!r}\t{row[2]}"
    ),
    st.lists(_fields, min_size=1, max_size=4).map("\t".join),
)


def drawn() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda rows, end: (end.join([HEADER.decode(), *rows]) + end).encode("utf-8", "replace"),
        st.lists(_row, max_size=5),
        st.sampled_from(("\n", "\r\n", "\r", "\x85", "\n\n")),
    )


READER = Reader("notes", check, seeds, drawn, called=[NAME])
