"""MIDI, against mido's parser and a keyboard that is played event by event."""

from __future__ import annotations

import io
from collections import defaultdict
from fractions import Fraction

import mido
import numpy as np
from hypothesis import strategies as st

from at4ramt.corpus.midi import read_midi, sustain, write_midi
from at4ramt.errors import InputError
from fuzz.harness import Reader, case_file, expect

NAME = "piece.mid"
PIANOS = range(8)


def check(data: bytes) -> None:
    performance = read_midi(data, NAME)
    notes, pedal = performance.notes, performance.pedal
    expect(bool(np.all(notes["onset"] < notes["offset"])), "a note lasts no time")
    expect(bool(np.all(notes["onset"] >= 0)), "a note begins before the piece")
    expect(bool(np.all((notes["velocity"] > 0) & (notes["velocity"] < 128))), "odd velocity")
    for pitch in np.unique(notes["pitch"]):
        of_pitch = np.sort(notes[notes["pitch"] == pitch], order="onset")
        expect(
            bool(np.all(of_pitch["offset"][:-1] <= of_pitch["onset"][1:])),
            f"the key {pitch} is struck while it is down",
        )
    expect(bool(np.all(np.diff(pedal.ravel()) >= 0)), "pedal strokes are not in order")
    sounding = sustain(notes, pedal)
    expect(bool(np.all(sounding["offset"] >= notes["offset"])), "the pedal shortens a note")
    expected = _played(data)
    if expected is not None:
        found = notes[["onset", "offset", "pitch", "velocity"]].tolist()
        expect(len(found) == len(expected), f"{len(found)} notes, {len(expected)} were played")
        for ours, theirs in zip(sorted(found), sorted(expected), strict=True):
            near = all(abs(a - float(b)) <= 2e-9 for a, b in zip(ours[:2], theirs[:2], strict=True))
            expect(near and ours[2:] == theirs[2:], f"{ours} of {theirs}")
    _check_round_trip(performance)


def _check_round_trip(performance) -> None:
    """On the corpus's grid of 100 microseconds a performance survives being written."""
    if len(performance.notes) > 1000:
        return
    write_midi(case_file("again.mid", b""), performance)
    try:
        again = read_midi(case_file("again.mid", b"").parent / "again.mid")
    except InputError:
        # Shorter than the grid, all of them.
        return
    for field in ("onset", "offset"):
        expect(
            set(np.round(again.notes[field], 4))
            <= {round(round(each * 1e4) / 1e4, 4) for each in performance.notes[field]}
            | {round(round(each * 1e4) / 1e4, 4) for each in performance.notes["onset"]},
            f"{field}s appear that nobody wrote",
        )


def _played(data: bytes) -> list[tuple[Fraction, Fraction, int, int]] | None:
    """Return what is heard of a file that mido reads strictly; None if it does not."""
    try:
        content = mido.MidiFile(file=io.BytesIO(data))
    except Exception:
        return None
    if any(message.type == "unknown_meta" for track in content.tracks for message in track):
        # mido forgets the time before such an event: whatever follows it comes too early.
        return None
    events: dict[int, list] = defaultdict(list)
    tempos = {0: 500_000}
    programs = defaultdict(set)
    end = 0
    for track in content.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                tempos[tick] = message.tempo
            elif message.type == "program_change":
                programs[message.channel].add(message.program)
            elif message.type in ("note_on", "note_off") and message.channel != 9:
                events[tick].append(message)
        end = max(end, tick)
    struck = {
        message.channel
        for messages in events.values()
        for message in messages
        if message.type == "note_on" and message.velocity
    }
    others = {c for c in struck if programs[c] and programs[c].isdisjoint(PIANOS)}
    if others == struck:
        others = set()
    down: dict[tuple[int, int], tuple[int, int]] = {}
    held: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for tick in sorted(events):
        lifts: dict[tuple[int, int], int] = defaultdict(int)
        strikes: dict[tuple[int, int], list[int]] = defaultdict(list)
        for message in events[tick]:
            if message.channel in others:
                continue
            key = message.channel, message.note
            if message.type == "note_on" and message.velocity:
                strikes[key].append(message.velocity)
            else:
                lifts[key] += 1
        for key in {*lifts, *strikes}:
            left = lifts[key]
            if key in down:
                start, velocity = down.pop(key)
                held[key[1]].append((start, tick, velocity))
                left = max(0, left - 1)
            # As many as are lifted at once lasted no time.
            if len(strikes[key]) > left:
                down[key] = tick, max(strikes[key])
    for (_, pitch), (start, velocity) in down.items():
        held[pitch].append((start, end, velocity))
    seconds = _clock(tempos, content.ticks_per_beat)
    notes = []
    for pitch, strokes in held.items():
        starts: dict[Fraction, list[tuple[Fraction, int]]] = defaultdict(list)
        for start, stop, velocity in strokes:
            begin, finish = (round(seconds(tick), 9) for tick in (start, stop))
            if finish > begin:
                starts[begin].append((finish, velocity))
        ordered = sorted(starts)
        for begin, following in zip(ordered, [*ordered[1:], None], strict=False):
            finish = max(each[0] for each in starts[begin])
            finish = finish if following is None else min(finish, following)
            notes.append((begin, finish, pitch, max(each[1] for each in starts[begin])))
    return notes


def _clock(tempos: dict[int, int], division: int):
    ordered = sorted(tempos)

    def seconds(tick: int) -> Fraction:
        total = Fraction(0)
        for change, following in zip(ordered, [*ordered[1:], None], strict=False):
            if change >= tick:
                break
            until = tick if following is None else min(tick, following)
            total += Fraction((until - change) * tempos[change], 1_000_000 * division)
        return total

    return seconds


def number(value: int) -> bytes:
    """Return a number of variable length."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | value & 0x7F)
    return bytes(reversed(parts))


def file(*tracks: bytes, division: int = 480, kind: int = 1) -> bytes:
    head = b"MThd" + bytes([0, 0, 0, 6, 0, kind]) + len(tracks).to_bytes(2) + division.to_bytes(2)
    return head + b"".join(b"MTrk" + len(each).to_bytes(4) + each for each in tracks)


def track(*events: tuple[int, bytes]) -> bytes:
    return b"".join(number(delta) + content for delta, content in (*events, (0, b"\xff\x2f\0")))


def seeds() -> dict[str, bytes]:
    tempo = (0, b"\xff\x51\x03\x07\xa1\x20")
    return {
        "one track": file(
            track(tempo, (0, b"\x90\x3c\x40"), (480, b"\x80\x3c\0"), (5, b"\xb0\x40\x7f")), kind=0
        ),
        "running status and pedal": file(
            track(tempo, (240, b"\xff\x51\x03\x03\x00\x00")),
            track(
                (0, b"\xc0\0"),
                (0, b"\xb0\x40\x7f"),
                (9, b"\x90\x3c\x40"),
                (9, b"\x40\x30"),
                (300, b"\x3c\0"),
                (1, b"\x40\0"),
                (200, b"\xb0\x40\0"),
                (9, b"\x90\x40\x22"),
            ),
        ),
        "texts and exclusive messages": file(
            track(
                (0, b"\xff\x03\x04name"),
                (0, b"\xf0\x03\x01\x02\xf7"),
                (1, b"\x91\x15\x01"),
                (0, b"\x91\x6c\x7f"),
                (99, b"\x81\x15\x40"),
                (0, b"\xe1\0\x40"),
                (9, b"\xd1\x07"),
            ),
            division=96,
        ),
    }


_channel = st.sampled_from((0, 0, 0, 1, 9))
_event = st.one_of(
    st.builds(
        lambda c, p, v: bytes([0x90 | c, p, v]), _channel, st.integers(58, 62), st.integers(0, 127)
    ),
    st.builds(lambda c, p: bytes([0x80 | c, p, 64]), _channel, st.integers(58, 62)),
    st.builds(lambda c, v: bytes([0xB0 | c, 64, v]), _channel, st.sampled_from((0, 63, 64, 127))),
    st.builds(lambda c, p: bytes([0xC0 | c, p]), _channel, st.sampled_from((0, 7, 8, 40))),
    st.builds(
        lambda t: b"\xff\x51\x03" + t.to_bytes(3), st.sampled_from((1, 250_000, 500_000, 0xFFFFFF))
    ),
    st.just(b"\xff\x51\x03\0\0\0"),
    st.builds(lambda text: b"\xff\x01" + number(len(text)) + text, st.binary(max_size=200)),
)
_delta = st.one_of(*[st.integers(0, 2000)] * 6, st.integers(0, 3), st.just(0x0FFFFFFF))


def drawn() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda tracks, division, kind: file(
            *(track(*events) for events in tracks), division=division, kind=kind
        ),
        st.lists(st.lists(st.tuples(_delta, _event), max_size=12), min_size=1, max_size=3),
        st.sampled_from((*[480] * 5, 96, 1, 0x7FFF, 0, 0x8000, 0xE728)),
        st.sampled_from((0, *[1] * 6, 2)),
    )


READER = Reader("midi", check, seeds, drawn, called=[NAME])
