"""The note lists of MAPS: tab-separated onset, offset and pitch of every note."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from at4ramt.errors import InputError, mended, shown, told
from at4ramt.files import read_small, text_lines, whole_file
from at4ramt.limits import LONGEST_HOURS, LONGEST_SECONDS, MOST_NOTES

HEADER = ("OnsetTime", "OffsetTime", "MidiPitch")
LABEL = np.dtype([("onset", "f8"), ("offset", "f8"), ("pitch", "i4")])

# A label may begin this much after the last sample: MAPS's own txt and wav
# files were made by different programs and differ by up to a frame.
ONSET_SLACK_SECONDS = 0.05

# What programs write. float() would also take 1_0 for ten, and digits of other scripts.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.A | re.I)


def read_notes(path: str | Path, audio_seconds: float | None = None) -> NDArray[np.void]:
    """Return the notes of a MAPS txt file, dtype :data:`LABEL`, sorted by onset and pitch.

    Lines may stand in any order; blank lines are passed over. With
    ``audio_seconds`` an onset must not lie behind the end of the audio.

    Raises:
        InputError: naming file and line, if the file is missing or too large, has
            another header, not three columns, something that is no number, a
            negative onset, an offset before its onset or beyond the longest
            recording, a pitch that is not a whole number of 0..127, or an onset
            after the end of the audio.
    """
    try:
        lines = text_lines(read_small(path))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected the notes of a piece, found no such file. "
            "Put it beside the wav, or take the piece out of the table."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: expected a text file, could not read it ({told(error)}). "
            f"{mended(error, 'Check the file.')}"
        ) from error
    if len(lines) > MOST_NOTES:
        raise InputError(
            f"{path}: expected at most {MOST_NOTES} notes, found {len(lines)} lines. Check that "
            "these are the notes of one piece."
        )
    first = tuple(lines[0].rstrip().split("\t")) if lines else ()
    if first != HEADER:
        found = lines[0].rstrip() if lines else "an empty file"
        raise InputError(
            f"{path}, line 1: expected the header {'<TAB>'.join(HEADER)!r}, found {shown(found)}. "
            "Use a note list in the format of MAPS."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        fields = line.split()
        if len(fields) != 3:
            raise InputError(
                f"{where}: expected 3 columns (onset, offset, pitch), found {len(fields)}. "
                "Mend the line."
            )
        if not all(NUMBER.fullmatch(each) for each in fields):
            raise InputError(
                f"{where}: expected three numbers, found {shown(line.strip())}. Mend the line."
            )
        onset, offset, pitch = (float(each) for each in fields)
        if not (math.isfinite(onset) and math.isfinite(offset)):
            raise InputError(
                f"{where}: expected finite times, found {shown(line.strip())}. Mend it."
            )
        if onset < 0:
            raise InputError(
                f"{where}: expected an onset of 0 s or later, found {onset:g} s. Mend the line."
            )
        if offset < onset:
            raise InputError(
                f"{where}: expected an offset after the onset, found a duration of "
                f"{offset - onset:g} s. Mend the line."
            )
        if offset > LONGEST_SECONDS:
            raise InputError(
                f"{where}: expected times of at most {LONGEST_HOURS} hours, found an offset of "
                f"{offset:g} s. Mend the line."
            )
        if not pitch.is_integer() or not 0 <= pitch <= 127:
            raise InputError(
                f"{where}: expected a MIDI pitch, a whole number of 0 to 127, found "
                f"{fields[2][:20]}. Mend the line."
            )
        if audio_seconds is not None and onset > audio_seconds + ONSET_SLACK_SECONDS:
            raise InputError(
                f"{where}: the note begins at {onset:g} s, after the audio's end at "
                f"{audio_seconds:g} s. Check that wav and txt belong together and are whole."
            )
        rows.append((onset, offset, int(pitch)))
    return np.sort(np.array(rows, dtype=LABEL), order=["onset", "pitch"])


def write_notes(path: str | Path, notes: NDArray[np.void]) -> None:
    """Write notes (fields onset, offset, pitch) as a MAPS txt file, sorted, 6 decimals."""
    ordered = np.sort(notes, order=["onset", "pitch", "offset"])
    lines = ["\t".join(HEADER)]
    lines += [f"{note['onset']:.6f}\t{note['offset']:.6f}\t{note['pitch']}" for note in ordered]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
