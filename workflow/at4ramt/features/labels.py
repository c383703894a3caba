"""The notes of a piece, and which pitches sound in which frame.

Source: docs/method.md, "Features". A frame belongs to a note from its onset up
to, and not including, its offset; offsets are MAPS's, which the sustain pedal
extends.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.corpus.maps import LABEL, ONSET_SLACK_SECONDS, read_notes
from at4ramt.corpus.midi import read_midi, sustain
from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings
from at4ramt.files import file_of, read_small
from at4ramt.limits import LARGEST_MIDI_BYTES

log = logging.getLogger(__name__)

Notes = npt.NDArray[Any]
"""A structured array with the fields ``onset``, ``offset`` and ``pitch``, a row a note."""

MIDI_SUFFIXES = (".mid", ".midi")

LATE_NOTE_SECONDS = 1.0
"""How far the last offset may lie beyond the audio's end: a release tail that was cut."""

UNLABELLED_SECONDS = 10.0
"""How much audible audio may follow the last note before the notes are taken for another's."""

AUDIBLE_SHARE = 0.25
"""A frame is audible here if its level reaches this share of the labelled frames' median."""


def read_labels(path: str | Path, audio_seconds: float | None = None, member: str = "") -> Notes:
    """Return the notes of a piece, from a list as MAPS has them (.txt) or from MIDI.

    The notes of MIDI are extended by the pedal, as MAPS's lists are. They end with the
    recording at the latest: a pedal may be lifted long after the last sound.

    Args:
        path: the file, or the zip that has it.
        audio_seconds: length of the recording, if it should be compared.
        member: the file's path inside the zip.

    Returns:
        A structured array with ``onset`` and ``offset`` in seconds and MIDI ``pitch``.

    Raises:
        InputError: if the file is not what its suffix says, or a note begins after the
            end of the recording.
    """
    with file_of(path, member) as (place, name):
        try:
            if place.suffix.lower() not in MIDI_SUFFIXES:
                return read_notes(place, audio_seconds=audio_seconds)
            performance = read_midi(read_small(place, LARGEST_MIDI_BYTES), name)
        except OSError as error:
            raise InputError(
                f"{name}: the notes cannot be read ({error.strerror}); check the file"
            ) from error
        except InputError as error:
            # Of a zip's member, the message should not name the temporary copy.
            raise InputError(str(error).replace(str(place), name)) from error
    played = sustain(performance.notes, performance.pedal)
    notes = np.zeros(len(played), LABEL)
    for field in ("onset", "offset", "pitch"):
        notes[field] = played[field]
    if audio_seconds is not None:
        late = float(notes["onset"].max(initial=0.0))
        if late > audio_seconds + ONSET_SLACK_SECONDS:
            raise InputError(
                f"{name}: a note begins at {late:g} s, after the audio's end at "
                f"{audio_seconds:g} s. Check that recording and notes belong together."
            )
        notes["offset"] = np.minimum(notes["offset"], max(audio_seconds, late))
    return notes


def frame_labels(
    notes: Notes, frames: int, settings: CqtSettings, first_frame: int = 0
) -> npt.NDArray[np.uint8]:
    """Return which pitches are active in each of some successive frames.

    A note is active in frame ``t`` when ``onset <= s < offset`` for the frame's
    time ``s``, the double nearest to ``t * hop / rate``. Onsets and offsets read
    from text are the doubles nearest to their decimals as well, so a note written
    to begin at 1.024 s is active in the frame at 1.024 s, and one that ends
    there is not. A note that lies between two frames is active in none.

    Args:
        notes: a structured array with ``onset`` and ``offset`` in seconds and
            MIDI ``pitch``; pitches outside the range are left out.
        frames: number of frames.
        settings: gives the frame times and the range of pitches.
        first_frame: index of the first of them.

    Returns:
        1 where active, uint8, ``(frames, settings.all_pitches)``, the lowest
        pitch (``settings.first_pitch``) first.
    """
    pitches = settings.all_pitches
    column = notes["pitch"].astype(np.int64) - settings.first_pitch
    inside = (column >= 0) & (column < pitches)
    column = column[inside]
    times = settings.frame_seconds(frames, first_frame)
    # The first frame at or after a time, for an onset and for an offset alike.
    first = np.searchsorted(times, notes["onset"][inside], "left")
    end = np.searchsorted(times, notes["offset"][inside], "left")
    end = np.maximum(first, end)
    # Overlapping notes of one pitch count twice in the running sum, hence "> 0".
    change = np.zeros((frames + 1, pitches), dtype=np.int32)
    np.add.at(change, (first, column), 1)
    np.add.at(change, (end, column), -1)
    return (np.cumsum(change[:-1], axis=0, out=change[:-1]) > 0).astype(np.uint8)


def check_lengths(
    notes: Notes,
    level: npt.NDArray[np.float32],
    audio_seconds: float,
    settings: CqtSettings,
    *,
    audio_path: str | Path,
    notes_path: str | Path,
) -> None:
    """Check that audio and notes can be of the same piece, by their lengths.

    Notes may not end after the audio. Audio may go on after the last note, as
    recordings end in silence or in reverberation (a warning beyond 10 s), but
    not with 10 s of music that has no notes.

    Args:
        notes: as in :func:`frame_labels`.
        level: mean magnitude of each frame, ``(frames,)``.
        audio_seconds: length of the audio.
        settings: gives the frame times.
        audio_path: for the message.
        notes_path: for the message.

    Raises:
        InputError: if there are no notes, or if the lengths disagree.
    """
    if len(notes) == 0:
        raise InputError(
            f"{notes_path}: there are no notes; expected a line for each note of {audio_path}; "
            "replace the file or exclude its piece (corpus.exclude)"
        )
    last = float(notes["offset"].max())
    if last > audio_seconds + LATE_NOTE_SECONDS:
        raise InputError(
            f"{notes_path}: the last note ends at {last:.2f} s but {audio_path} lasts "
            f"{audio_seconds:.2f} s; expected an end at most {LATE_NOTE_SECONDS:g} s later; "
            "check that both files are of the same piece and that the audio is complete"
        )
    rest = audio_seconds - last
    if rest <= UNLABELLED_SECONDS:
        return
    times = settings.frame_seconds(len(level))
    before, after = level[times < last], level[times >= last]
    threshold = AUDIBLE_SHARE * float(np.median(before)) if len(before) else 0.0
    seconds_per_frame = settings.hop_length_samples / settings.sample_rate_hz
    audible = float(np.count_nonzero(after >= threshold)) * seconds_per_frame
    if audible > UNLABELLED_SECONDS:
        raise InputError(
            f"{notes_path}: the last note ends at {last:.2f} s but {audio_path} lasts "
            f"{audio_seconds:.2f} s, {audible:.1f} s of the rest as loud as music; expected "
            f"notes until the music ends, {UNLABELLED_SECONDS:g} s aside; "
            "check that both files are of the same piece and that the notes are complete"
        )
    log.warning(
        "%s goes on for %.1f s after the last note of %s, almost silent",
        audio_path,
        rest,
        notes_path,
    )
