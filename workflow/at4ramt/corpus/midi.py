"""Notes and pedal of a piano, out of and into Standard MIDI Files.

A performance is an array of notes (:data:`NOTE`, seconds and MIDI numbers) and
an array of pedal strokes, ``(n, 2)`` seconds of pressing and lifting. Notes end
where the *key* is released; :func:`sustain` turns that into where the *sound*
is damped, which is what MAPS labels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from at4ramt.corpus.midi_file import MidiFile, read_events
from at4ramt.errors import InputError, mended, told
from at4ramt.files import read_small, whole_file
from at4ramt.limits import LARGEST_MIDI_BYTES, LONGEST_HOURS, LONGEST_SECONDS, MOST_QUARTERS

logger = logging.getLogger("at4ramt.midi")

NOTE = np.dtype([("onset", "f8"), ("offset", "f8"), ("pitch", "i4"), ("velocity", "i4")])

# The upper halves of status bytes.
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC
SEQUENCES = 2
"""The kind of MIDI file whose tracks are played one after the other."""

SUSTAIN_CONTROLLER = 64
PEDAL_DOWN = 64
DRUM_CHANNEL = 9
PIANO_PROGRAMS = range(8)
"""The programs that General MIDI calls pianos, counted from 0."""

# Ticks of 100 microseconds: every time in the corpus is a whole number of them,
# so that the wav, the mid and the txt of a piece say exactly the same.
TICKS_PER_SECOND = 10_000
TICKS_PER_BEAT = 5_000
TEMPO = 500_000


@dataclass(frozen=True)
class Performance:
    """A piece as played.

    ``notes`` has dtype :data:`NOTE`, sorted by onset and pitch; ``pedal`` is
    ``(n, 2)`` seconds, sorted and disjoint; ``beats`` are the times in seconds
    of the quarters of the score.
    """

    notes: NDArray[np.void]
    pedal: NDArray[np.float64]
    beats: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def seconds(self) -> float:
        """Return the time at which the last key or the last sound is released."""
        if len(self.notes) == 0:
            return 0.0
        return float(sustain(self.notes, self.pedal)["offset"].max())


def _seconds_of_ticks(
    changes: list[tuple[int, int]], ticks: NDArray[np.int64], ticks_per_beat: int
) -> NDArray[np.float64]:
    """Return the seconds at ``ticks`` under ``changes``, pairs of tick and microseconds a beat.

    They are rounded to nanoseconds: a time that is a short decimal is then the double that
    reading this decimal from a text gives, on the same side of a frame's time.
    """
    ordered: dict[int, int] = {0: TEMPO}
    for tick, tempo in sorted(changes, key=lambda change: change[0]):
        ordered[tick] = tempo  # of several at one tick the last one counts
    starts = np.array(list(ordered), dtype=np.int64)
    rates = np.array(list(ordered.values()), dtype=np.float64) / 1e6 / ticks_per_beat
    at_start = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rates[:-1])])
    segment = np.searchsorted(starts, ticks, side="right") - 1
    seconds: NDArray[np.float64] = at_start[segment] + (ticks - starts[segment]) * rates[segment]
    return np.round(seconds, 9)


def _pair(ons: dict[int, list[int]], offs: dict[int, int], end: int) -> list[tuple[int, int, int]]:
    """Pair the note-ons and note-offs of one key of one channel into (on, off, velocity).

    At one tick a note that sounds already is ended before a new one begins,
    whatever order the file has them in. A key that is struck while it is down
    ends the note before. What lasts no time is dropped.
    """
    notes = []
    sounding: tuple[int, int] | None = None
    for tick in sorted(set(ons) | set(offs)):
        ending = offs.get(tick, 0)
        starting = ons.get(tick, [])
        if sounding is not None and (ending or starting):
            notes.append((sounding[0], tick, sounding[1]))
            sounding = None
            ending = max(0, ending - 1)
        if len(starting) > ending:
            sounding = (tick, max(starting))
    if sounding is not None and end > sounding[0]:
        notes.append((sounding[0], end, sounding[1]))
    return notes


def without_overlap(notes: NDArray[np.void]) -> NDArray[np.void]:
    """Return the notes as one keyboard can play them, sorted by onset and pitch.

    Of two notes of a pitch that begin together (two voices in unison) one is
    kept, with the later end and the greater velocity; a note that still sounds
    when its key is struck again ends there; notes without duration are dropped.
    """
    kept: list[tuple[float, float, int, int]] = []
    for pitch in np.unique(notes["pitch"]):
        of_pitch = np.sort(notes[notes["pitch"] == pitch], order=["onset", "offset"])
        last: list[tuple[float, float, int, int]] = []
        for onset, offset, _, velocity in of_pitch.tolist():
            if offset <= onset:
                continue
            if last and last[-1][0] == onset:
                before = last.pop()
                last.append((onset, max(offset, before[1]), int(pitch), max(velocity, before[3])))
                continue
            if last and last[-1][1] > onset:
                before = last.pop()
                last.append((before[0], onset, before[2], before[3]))
            last.append((onset, offset, int(pitch), velocity))
        kept += last
    return np.sort(np.array(kept, dtype=NOTE), order=["onset", "pitch"])


def pedal_strokes(events: list[tuple[float, int, int]], end: float) -> NDArray[np.float64]:
    """Return the ``(n, 2)`` strokes of pedal events ``(seconds, channel, value)``.

    The pedal is down while any channel's value is 64 or more (half of its
    travel); a stroke that is never lifted ends at ``end``.
    """
    values: dict[int, int] = {}
    strokes: list[tuple[float, float]] = []
    pressed: float | None = None
    for seconds, channel, value in events:
        values[channel] = value
        down = any(each >= PEDAL_DOWN for each in values.values())
        if down and pressed is None:
            pressed = seconds
        elif not down and pressed is not None:
            if seconds > pressed:
                strokes.append((pressed, seconds))
            pressed = None
    if pressed is not None and end > pressed:
        strokes.append((pressed, end))
    return np.array(strokes, dtype=np.float64).reshape(-1, 2)


def read_midi(source: str | Path | bytes, name: str | None = None) -> Performance:
    """Read the piano of a MIDI file: every track, every channel but those of other instruments.

    ``source`` is a path, or the bytes of a file that ``name`` names in errors.
    Tempo changes count for all tracks, wherever they stand. The drum channel is
    left out, and so are, with a warning, channels that are set to other programs
    of General MIDI than its pianos, if there is a channel that is not: a file of
    which no channel is a piano's is taken as it is.

    Raises:
        InputError: the file cannot be read as MIDI, counts time in SMPTE frames,
            holds pieces to be played one after the other, lasts longer than any
            recording, or has no note.
    """
    label = name or (str(source) if not isinstance(source, bytes) else "MIDI file")
    try:
        data = source if isinstance(source, bytes) else read_small(source, LARGEST_MIDI_BYTES)
        if len(data) > LARGEST_MIDI_BYTES:
            raise ValueError(
                f"it is {len(data)} bytes large; at most {LARGEST_MIDI_BYTES} are read"
            )
        content = read_events(data)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{label}: expected a Standard MIDI File, found something unreadable "
            f"({told(error)}). {mended(error, 'Check that the file is whole.')}"
        ) from error
    _check_kind(label, content)
    changes: list[tuple[int, int]] = []
    pedal: list[tuple[int, int, int, int]] = []
    ons: dict[tuple[int, int], dict[int, list[int]]] = {}
    offs: dict[tuple[int, int], dict[int, int]] = {}
    programs: dict[int, set[int]] = {}
    for number, track in enumerate(content.tracks):
        changes += track.tempos
        for tick, status, first, second in track.events:
            kind, channel = status >> 4, status & 0xF
            if channel == DRUM_CHANNEL:
                continue
            if kind in (NOTE_OFF, NOTE_ON):
                key = (channel, first)
                if kind == NOTE_ON and second > 0:
                    ons.setdefault(key, {}).setdefault(tick, []).append(second)
                else:
                    of_key = offs.setdefault(key, {})
                    of_key[tick] = of_key.get(tick, 0) + 1
            elif kind == CONTROL and first == SUSTAIN_CONTROLLER:
                pedal.append((tick, number, channel, second))
            elif kind == PROGRAM:
                programs.setdefault(channel, set()).add(first)
    end = max((track.end for track in content.tracks), default=0)
    _check_length(label, changes, end, content.division)

    others = _other_instruments({channel for channel, _ in ons}, programs)
    if others:
        logger.warning(
            "%s: the channels %s play no piano (General MIDI programs %s) and are left out",
            label,
            ", ".join(str(channel + 1) for channel in sorted(others)),
            ", ".join(str(p + 1) for channel in sorted(others) for p in sorted(programs[channel])),
        )
    pedal = [event for event in pedal if event[2] not in others]
    found = [
        (on, off, pitch, velocity)
        for (channel, pitch), starts in ons.items()
        if channel not in others
        for on, off, velocity in _pair(starts, offs.get((channel, pitch), {}), end)
    ]
    ticks = np.array([note[:2] for note in found], dtype=np.int64).reshape(-1, 2)
    seconds = _seconds_of_ticks(changes, ticks.ravel(), content.division).reshape(-1, 2)
    notes = np.zeros(len(found), NOTE)
    notes["onset"], notes["offset"] = seconds.T
    notes["pitch"] = [note[2] for note in found]
    notes["velocity"] = [note[3] for note in found]
    notes = without_overlap(notes)
    if len(notes) == 0:
        raise InputError(
            f"{label}: expected notes of a piano, found none outside the drum channel. "
            "Use a file that has them."
        )

    pedal.sort(key=lambda event: event[:2])
    pedal_ticks = np.array([event[0] for event in pedal] + [end], dtype=np.int64)
    pedal_seconds = _seconds_of_ticks(changes, pedal_ticks, content.division)
    strokes = pedal_strokes(
        [
            (float(at), event[2], event[3])
            for at, event in zip(pedal_seconds[:-1], pedal, strict=True)
        ],
        float(pedal_seconds[-1]),
    )
    beats = _seconds_of_ticks(
        changes, np.arange(0, end + 1, content.division, dtype=np.int64), content.division
    )
    return Performance(notes, strokes, beats)


def _check_kind(label: str, content: MidiFile) -> None:
    if content.division == 0 or content.division >= 0x8000:
        raise InputError(
            f"{label}: time is counted in SMPTE frames, expected ticks a beat. "
            "Export the file with metrical time."
        )
    if content.kind == SEQUENCES and len(content.tracks) > 1:
        raise InputError(
            f"{label}: expected a MIDI file of kind 0 or 1, found kind 2, whose "
            f"{len(content.tracks)} tracks are pieces of their own. Export the piece alone."
        )


def _check_length(label: str, changes: list[tuple[int, int]], end: int, division: int) -> None:
    """Refuse what would last for days: it is damaged, and would fill the memory with its beats."""
    quarters = end // division
    seconds = float(_seconds_of_ticks(changes, np.array([end], np.int64), division)[0])
    if seconds > LONGEST_SECONDS or quarters > MOST_QUARTERS:
        raise InputError(
            f"{label}: expected a piece of at most {LONGEST_HOURS} hours and {MOST_QUARTERS} "
            f"quarters, found one of {seconds / 3600:.1f} hours and {quarters} quarters. Check "
            "that the file is whole."
        )


def _other_instruments(channels: set[int], programs: dict[int, set[int]]) -> set[int]:
    """Return the channels that never play a piano, if another one of them does."""
    others = {
        channel
        for channel in channels
        if programs.get(channel) and programs[channel].isdisjoint(PIANO_PROGRAMS)
    }
    return others if channels - others else set()


def sustain(notes: NDArray[np.void], pedal: NDArray[np.float64]) -> NDArray[np.void]:
    """Return the notes with each offset moved to where the sound is damped.

    A note whose key is released while the pedal is down (``pressed <= release <
    lifted``) sounds until the pedal is lifted or the same key is struck again.
    This is the convention of MAPS (Emiya et al. 2010), under which some labels
    last 20 s.
    """
    extended = notes.copy()
    if len(notes) == 0 or len(pedal) == 0:
        return extended
    stroke = np.searchsorted(pedal[:, 0], notes["offset"], side="right") - 1
    held = (stroke >= 0) & (notes["offset"] < pedal[np.maximum(stroke, 0), 1])
    lifted = np.where(held, pedal[np.maximum(stroke, 0), 1], notes["offset"])
    again = np.full(len(notes), np.inf)
    for pitch in np.unique(notes["pitch"]):
        rows = np.flatnonzero(notes["pitch"] == pitch)
        rows = rows[np.argsort(notes["onset"][rows], kind="stable")]
        again[rows[:-1]] = notes["onset"][rows[1:]]
    extended["offset"] = np.where(
        held, np.maximum(notes["offset"], np.minimum(lifted, again)), notes["offset"]
    )
    return extended


def on_grid(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times rounded to the corpus's ticks of 100 microseconds."""
    rounded: NDArray[np.float64] = np.round(np.asarray(seconds) * TICKS_PER_SECOND)
    return rounded / TICKS_PER_SECOND


def write_midi(path: str | Path, performance: Performance, title: str = "") -> None:
    """Write notes and pedal as a MIDI file of one track, in ticks of 100 microseconds.

    The pedal is written as pressed (127) and lifted (0).
    """
    import mido

    # At one tick: keys and pedal up before down, so that a repeated note is
    # two notes; the pedal goes down before keys do.
    events: list[tuple[int, int, int, mido.Message]] = []
    for onset, offset, pitch, velocity in performance.notes.tolist():
        start, stop = round(onset * TICKS_PER_SECOND), round(offset * TICKS_PER_SECOND)
        events.append((start, 3, pitch, mido.Message("note_on", note=pitch, velocity=velocity)))
        events.append((stop, 0, pitch, mido.Message("note_off", note=pitch, velocity=0)))
    for pressed, lifted in performance.pedal.tolist():
        for seconds, order, value in ((pressed, 2, 127), (lifted, 1, 0)):
            events.append(
                (
                    round(seconds * TICKS_PER_SECOND),
                    order,
                    0,
                    mido.Message("control_change", control=SUSTAIN_CONTROLLER, value=value),
                )
            )
    events.sort(key=lambda event: event[:3])
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name=title))
    track.append(mido.MetaMessage("set_tempo", tempo=TEMPO))
    track.append(mido.Message("program_change", program=0))
    last = 0
    for tick, _, _, message in events:
        track.append(message.copy(time=tick - last))
        last = tick
    track.append(mido.MetaMessage("end_of_track"))
    content = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT)
    content.tracks.append(track)
    with whole_file(path) as temporary:
        content.save(temporary)
