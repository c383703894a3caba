"""The events of a Standard MIDI File, read within bounds and never guessed.

Written from the Standard MIDI Files 1.0 specification (RP-001). What is read of a file is what
notes and pedal need: messages of channels and changes of tempo, at their ticks. What follows the
specification but is not needed is passed over: other meta events, system exclusive messages,
chunks of unknown names. Two liberties that files in use take are granted: messages of the system
within a track, and running status that goes on behind a meta event. Everything else that does not
follow it is refused with its byte, because a reader that has lost its place reads notes that
nobody played.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

LARGEST_NUMBER_BYTES = 4

SET_TEMPO = 0x51
META, SYSTEM_EXCLUSIVE, ESCAPE = 0xFF, 0xF0, 0xF7
# Data bytes that follow a status: by its upper half for channels, by itself for the system.
CHANNEL_DATA = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0} | dict.fromkeys(range(0xF8, 0xFF), 0)


class Event(NamedTuple):
    """A message of a channel: its tick, status byte and data bytes (0 where there is none)."""

    tick: int
    status: int
    first: int
    second: int


@dataclass
class Track:
    """A track: its messages in order, its changes of tempo, and the tick of its end.

    ``tempos`` are pairs of tick and microseconds a quarter.
    """

    events: list[Event] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0


class MidiFile(NamedTuple):
    """A file: its kind (0, 1 or 2), its word of division as it stands there, its tracks."""

    kind: int
    division: int
    tracks: list[Track]


def read_events(data: bytes) -> MidiFile:
    """Return what a Standard MIDI File holds.

    Raises:
        ValueError: if ``data`` is none; the message says at which byte, and what was expected.
    """
    if data[:4] != b"MThd" or len(data) < 14:
        raise ValueError("it does not begin as one")
    size, kind, count, division = struct.unpack_from(">IHHH", data, 4)
    if size < 6 or kind > 2:
        raise ValueError(f"a header of {size} bytes and kind {kind}; expected 6 and 0 to 2")
    position = 8 + size
    tracks: list[Track] = []
    while position < len(data):
        if len(tracks) == count and data[position : position + 4] != b"MTrk":
            break  # what some programs append is none of the file's
        if position + 8 > len(data):
            raise ValueError(f"byte {position}: the file ends within a chunk's head")
        name, size = struct.unpack_from(">4sI", data, position)
        position += 8
        if position + size > len(data):
            raise ValueError(
                f"byte {position}: a chunk of {size} bytes, of which {len(data) - position} are "
                "there; the file was cut off"
            )
        if name == b"MTrk":
            if len(tracks) == count:
                raise ValueError(f"byte {position}: more tracks than the {count} of its header")
            tracks.append(_read_track(data, position, position + size))
        position += size
    if len(tracks) != count:
        raise ValueError(f"{len(tracks)} tracks of the {count} that its header names")
    return MidiFile(kind, division, tracks)


def _read_track(data: bytes, position: int, end: int) -> Track:
    """Return the track between two bytes of a file."""
    track = Track()
    tick = 0
    running: int | None = None
    while position < end:
        start = position
        delta, position = _number(data, position, end)
        tick += delta
        if position >= end:
            raise ValueError(f"byte {start}: the track ends within an event")
        status = data[position]
        if status >= 0x80:
            position += 1
        elif running is None:
            raise ValueError(f"byte {position}: expected the status of a message, found {status}")
        else:
            status = running
        if status == META:
            if position >= end:
                raise ValueError(f"byte {start}: the track ends within an event")
            kind = data[position]
            content, position = _content(data, position + 1, end)
            if kind == SET_TEMPO:
                if len(content) != 3 or not any(content):
                    raise ValueError(
                        f"byte {start}: a tempo of {content.hex() or 'no'} as its bytes; expected "
                        "three, microseconds a quarter above 0"
                    )
                track.tempos.append((tick, int.from_bytes(content)))
        elif status in (SYSTEM_EXCLUSIVE, ESCAPE):
            _, position = _content(data, position, end)
            running = None
        else:
            system = status >= 0xF0
            length = SYSTEM_DATA.get(status) if system else CHANNEL_DATA[status >> 4]
            if length is None:
                raise ValueError(f"byte {start}: no message has the status {status:#x}")
            values = data[position : position + length]
            if position + length > end or any(value >= 0x80 for value in values):
                raise ValueError(
                    f"byte {start}: expected {length} data bytes below 128 behind the status "
                    f"{status:#x}, found {values.hex(' ') or 'none'}"
                )
            position += length
            if not system:
                running = status
                first, second = values[0], values[1] if length == 2 else 0
                track.events.append(Event(tick, status, first, second))
    track.end = tick
    return track


def _number(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return a number of variable length and the position behind it."""
    value = 0
    for place in range(position, min(position + LARGEST_NUMBER_BYTES, end)):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    raise ValueError(
        f"byte {position}: expected a number of at most {LARGEST_NUMBER_BYTES} bytes within its "
        "track"
    )


def _content(data: bytes, position: int, end: int) -> tuple[bytes, int]:
    """Return the content of a meta event or exclusive message and the position behind it."""
    length, start = _number(data, position, end)
    if start + length > end:
        raise ValueError(
            f"byte {position}: a message of {length} bytes, of which {end - start} are there"
        )
    return data[start : start + length], start + length
