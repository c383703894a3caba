"""MIDI reading against hand-made files and pretty_midi; the pedal against a brute force."""

import tempfile
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.corpus import midi
from at4ramt.corpus.midi import NOTE, Performance
from at4ramt.errors import InputError


def save(path, *tracks, ticks_per_beat=100, kind=1):
    content = mido.MidiFile(type=kind, ticks_per_beat=ticks_per_beat)
    for messages in tracks:
        track = mido.MidiTrack()
        last = 0
        for tick, message in messages:
            track.append(message.copy(time=tick - last))
            last = tick
        content.tracks.append(track)
    content.save(path)
    return path


def on(note, velocity=64, channel=0):
    return mido.Message("note_on", note=note, velocity=velocity, channel=channel)


def off(note, channel=0):
    return mido.Message("note_off", note=note, channel=channel)


def tempo(microseconds):
    return mido.MetaMessage("set_tempo", tempo=microseconds)


def rows(performance):
    return [(round(o, 6), round(f, 6), p, v) for o, f, p, v in performance.notes.tolist()]


def test_tempo_changes_of_one_track_hold_for_the_other(tmp_path):
    path = save(
        tmp_path / "x.mid",
        [(0, tempo(1_000_000)), (200, tempo(500_000))],
        [(100, on(60, 50)), (300, off(60)), (400, on(62, 70)), (500, off(62))],
    )
    # 100 ticks last 1 s up to tick 200, then 0.5 s.
    performance = midi.read_midi(path)
    assert rows(performance) == [(1.0, 2.5, 60, 50), (3.0, 3.5, 62, 70)]
    np.testing.assert_allclose(performance.beats, [0, 1, 2, 2.5, 3, 3.5])


def test_running_status_is_read(tmp_path):
    # One status byte 0x90 for three messages; velocity 0 ends a note.
    track = bytes([0, 0x90, 60, 64, 50, 60, 0, 0, 62, 30, 50, 62, 0, 0, 0xFF, 0x2F, 0])
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1, 0, 100])
    path = tmp_path / "x.mid"
    path.write_bytes(header + b"MTrk" + len(track).to_bytes(4, "big") + track)
    assert rows(midi.read_midi(path)) == [(0.0, 0.25, 60, 64), (0.25, 0.5, 62, 30)]


def test_a_key_struck_again_ends_the_note_before(tmp_path):
    path = save(
        tmp_path / "x.mid", [(0, on(60, 10)), (100, on(60, 20)), (200, off(60)), (300, off(60))]
    )
    assert rows(midi.read_midi(path)) == [(0.0, 0.5, 60, 10), (0.5, 1.0, 60, 20)]


def test_order_within_a_tick_does_not_matter(tmp_path):
    first = save(
        tmp_path / "a.mid", [(0, on(60, 10)), (100, off(60)), (100, on(60, 20)), (200, off(60))]
    )
    second = save(
        tmp_path / "b.mid", [(0, on(60, 10)), (100, on(60, 20)), (100, off(60)), (200, off(60))]
    )
    assert (
        rows(midi.read_midi(first))
        == rows(midi.read_midi(second))
        == [(0.0, 0.5, 60, 10), (0.5, 1.0, 60, 20)]
    )


def test_notes_of_no_duration_and_drums_are_left_out(tmp_path):
    path = save(
        tmp_path / "x.mid",
        [
            (0, on(60)),
            (0, off(60)),
            (10, on(61)),
            (20, on(40, channel=9)),
            (30, off(40, channel=9)),
            (110, off(61)),
        ],
    )
    assert rows(midi.read_midi(path)) == [(0.05, 0.55, 61, 64)]


def test_voices_in_unison_are_one_note(tmp_path):
    path = save(
        tmp_path / "x.mid",
        [(0, on(60, 40)), (100, off(60))],
        [(0, on(60, 70, channel=1)), (200, off(60, channel=1))],
    )
    assert rows(midi.read_midi(path)) == [(0.0, 1.0, 60, 70)]


def test_a_note_never_released_ends_with_the_file(tmp_path):
    path = save(tmp_path / "x.mid", [(0, on(60)), (100, on(62)), (200, off(62))])
    assert rows(midi.read_midi(path)) == [(0.0, 1.0, 60, 64), (0.5, 1.0, 62, 64)]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"MThd\0\0\0\6\0\0\0\1"])
def test_what_is_no_midi_is_named(tmp_path, content):
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.mid"):
        midi.read_midi(path)


def test_a_file_of_drums_only_is_named(tmp_path):
    path = save(tmp_path / "d.mid", [(0, on(40, channel=9)), (10, off(40, channel=9))])
    with pytest.raises(InputError, match=r"d\.mid.*found none outside the drum channel"):
        midi.read_midi(path)


def program(number, channel):
    return mido.Message("program_change", program=number, channel=channel)


def test_other_instruments_are_left_out_with_their_pedal(tmp_path, caplog):
    path = save(
        tmp_path / "band.mid",
        [(0, program(5, 0)), (0, on(60)), (100, off(60))],
        [(0, program(40, 3)), (0, on(76, channel=3)),
         (0, mido.Message("control_change", control=64, value=127, channel=3)),
         (100, off(76, channel=3))],
        [(0, on(64, channel=4)), (200, off(64, channel=4))],
    )  # fmt: skip
    performance = midi.read_midi(path)
    # Channel 5 names no program: General MIDI's default is the piano.
    assert rows(performance) == [(0.0, 0.5, 60, 64), (0.0, 1.0, 64, 64)]
    assert len(performance.pedal) == 0
    assert "band.mid: the channels 4 play no piano (General MIDI programs 41)" in caplog.text


def test_a_file_without_a_piano_is_taken_as_it_is(tmp_path, caplog):
    # Many a piano recording is set to strings or to nothing known.
    path = save(tmp_path / "x.mid", [(0, program(48, 0)), (0, on(60)), (100, off(60))])
    assert rows(midi.read_midi(path)) == [(0.0, 0.5, 60, 64)]
    assert caplog.text == ""


@pytest.mark.parametrize("resolution", [25_000, 32_767])
def test_times_of_high_resolution_are_exact(tmp_path, resolution):
    # As MAPS has them: more ticks than pretty_midi reads without being told to.
    ticks = np.cumsum(np.full(40, 7 * resolution + 1))
    assert ticks[-1] > pretty_midi.pretty_midi.MAX_TICK / 2
    path = save(
        tmp_path / "x.mid",
        [event for tick in ticks.tolist() for event in ((tick, on(60)), (tick + 1, off(60)))],
        ticks_per_beat=resolution,
    )
    notes = midi.read_midi(path).notes
    np.testing.assert_allclose(notes["onset"], ticks / (2 * resolution), rtol=0, atol=1e-9)
    np.testing.assert_allclose(notes["offset"] - notes["onset"], 0.5 / resolution, atol=2e-9)


@given(st.integers(1, 10**7))
def test_a_decimal_time_is_the_double_of_its_text(tick):
    # On a border of a frame the last bit decides: text and MIDI must agree on it.
    (seconds,) = midi._seconds_of_ticks([(0, 500_000)], np.array([tick]), 5000)
    assert seconds == float(f"{tick // 10_000}.{tick % 10_000:04d}")


@pytest.mark.parametrize("what", ["silent", "empty"])
def test_a_file_without_a_note_that_lasts_is_named(tmp_path, what):
    tracks = {"silent": [(0, on(60)), (0, off(60)), (100, tempo(500_000))], "empty": []}
    path = save(tmp_path / "none.mid", tracks[what])
    with pytest.raises(InputError, match=r"none\.mid: expected notes of a piano, found none"):
        midi.read_midi(path)


def test_the_time_before_a_meta_event_of_unknown_kind_counts(tmp_path):
    """mido forgets it, and all that follows comes too early."""
    path = save(tmp_path / "x.mid", [(0, on(60)), (100, tempo(500_000)), (200, off(60))])
    content = path.read_bytes()
    # Kind 0x0F, of no content; the rest of the tempo's bytes become events without sound.
    other = content.replace(b"\xff\x51\x03\x07\xa1\x20", b"\xff\x0f\x03\x07\xa1\x20")
    assert other != content
    path.write_bytes(other)
    assert rows(midi.read_midi(path)) == [(0.0, 1.0, 60, 64)]


def test_a_tempo_under_which_nothing_lasts_is_refused(tmp_path):
    """The notes under it would be left out without a word."""
    path = save(tmp_path / "x.mid", [(0, on(60)), (50, tempo(0)), (60, on(62)), (100, off(62))])
    with pytest.raises(InputError, match=r"x\.mid: .*a tempo of 000000 .*above 0"):
        midi.read_midi(path)


def test_what_notes_do_not_need_may_be_wrong(tmp_path):
    path = save(tmp_path / "x.mid", [(0, mido.MetaMessage("key_signature", key="C")), (0, on(60))])
    content = path.read_bytes()
    # 64 sharps; and a chunk that the specification wants passed over.
    content = content.replace(b"\xff\x59\x02\x00\x00", b"\xff\x59\x02\x40\x07")
    head, tracks = content[:14], content[14:].replace(b"\0\xff\x2f\0", b"\x63\xff\x2f\0")
    path.write_bytes(head + b"XFIH\0\0\0\x02\0\0" + tracks + b"a program's remark")
    assert [row[2] for row in rows(midi.read_midi(path))] == [60]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], r"byte 22: a chunk of \d+ bytes, of which \d+ are there"),
        (lambda c: c.replace(b"\0\1\0\1", b"\0\1\0\2", 1), "1 tracks of the 2"),
        (lambda c: c + c[14:], "more tracks than the 1"),
        (lambda c: c.replace(b"\x90\x3c\x40", b"\x90\x3c\xc0"), "expected 2 data bytes below 128"),
        (lambda c: c.replace(b"\x90\x3c\x40", b"\xf4\x3c\x40"), "no message has the status 0xf4"),
    ],
)
def test_a_damaged_file_is_refused_with_its_byte(tmp_path, change, message):
    """Read on, it would give notes that nobody played."""
    path = save(tmp_path / "x.mid", [(0, on(60)), (100, off(60))])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"x\.mid: expected a Standard MIDI File.*({message})"):
        midi.read_midi(path)


@pytest.mark.parametrize(
    ("ticks", "resolution", "tempo_us"), [(0x0FFFFFF0, 100, 500_000), (0x0FFFFFF0, 1, 1)]
)
def test_a_piece_of_days_is_refused_before_its_beats_are_made(
    tmp_path, ticks, resolution, tempo_us
):
    events = [(0, tempo(tempo_us)), (0, on(60)), (ticks, off(60))]
    path = save(tmp_path / "x.mid", events, ticks_per_beat=resolution)
    with pytest.raises(InputError, match=r"x\.mid: expected a piece of at most 24 hours"):
        midi.read_midi(path)


def test_pieces_in_one_file_are_not_played_at_once(tmp_path):
    notes = [(0, on(60)), (100, off(60))]
    path = save(tmp_path / "x.mid", notes, notes, kind=2)
    with pytest.raises(InputError, match=r"x\.mid: expected a MIDI file of kind 0 or 1"):
        midi.read_midi(path)


@settings(deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_never_more(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        strokes = np.array([[0.1, 0.6]])
        notes = np.array([(0.0, 0.5, 60, 64), (0.5, 1.0, 64, 80)], dtype=NOTE)
        midi.write_midi(path, Performance(notes, strokes))
        content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        junk = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(META_EVENTS)))
        content[place : place + data.draw(st.integers(0, 3))] = junk
    try:
        assert len(midi.read_midi(bytes(content)).notes) > 0
    except InputError as error:
        assert "MIDI file: " in str(error)


META_EVENTS = [b"\0\xff\x59\x02\x40\x07", b"\0\xff\x51\x03\0\0\0", b"\0\xff\x58\x01\x04"]

times = st.integers(0, 60)
performances = st.builds(
    lambda notes, edges: (
        midi.without_overlap(
            np.array([(a / 10, (a + d) / 10, p, 64) for a, d, p in notes], dtype=NOTE)
        ),
        np.array(sorted(edges)[: len(edges) // 2 * 2], dtype=float).reshape(-1, 2) / 10,
    ),
    st.lists(st.tuples(times, st.integers(0, 20), st.integers(60, 62)), max_size=15),
    st.sets(times, max_size=8),
)


@given(performances)
def test_sustain_is_what_a_pianist_hears(played):
    # A clock of tenths of a second; a damper is off a string while its key or
    # the pedal is down, and a struck string is a new note.
    notes, pedal = played
    result = midi.sustain(notes, pedal)
    down = {tick for a, b in pedal for tick in range(round(a * 10), round(b * 10))}
    for note, extended in zip(notes, result, strict=True):
        tick = round(note["offset"] * 10)
        struck = {
            round(each["onset"] * 10)
            for each in notes
            if each["pitch"] == note["pitch"] and each["onset"] > note["onset"]
        }
        while tick in down and tick not in struck:
            tick += 1
            # The pedal may be lifted and pressed at one tick: the strings are damped.
            if tick in {round(b * 10) for _, b in pedal}:
                break
        assert round(extended["offset"] * 10) == tick
    np.testing.assert_array_equal(notes["onset"], result["onset"])


@given(performances)
def test_what_is_written_is_read(played):
    notes, pedal = played
    if len(notes) == 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        midi.write_midi(path, Performance(notes, pedal))
        again = midi.read_midi(path)
    for name in ("onset", "offset", "pitch", "velocity"):
        np.testing.assert_allclose(again.notes[name], notes[name], atol=1e-9)
    assert again.pedal.shape == pedal.shape
    np.testing.assert_allclose(again.pedal, pedal, atol=1e-9)


def test_written_notes_are_pretty_midis_too(tmp_path):
    notes = np.array([(0.1, 0.5, 60, 40), (0.5, 0.9, 60, 50), (0.2345, 1.0, 64, 127)], dtype=NOTE)
    midi.write_midi(
        tmp_path / "x.mid",
        Performance(np.sort(notes, order=["onset", "pitch"]), np.array([[0.3, 0.7]])),
    )
    read = pretty_midi.PrettyMIDI(str(tmp_path / "x.mid")).instruments[0]
    assert sorted(
        (round(n.start, 4), round(n.end, 4), n.pitch, n.velocity) for n in read.notes
    ) == sorted(notes.tolist())
    assert [(round(c.time, 4), c.number, c.value) for c in read.control_changes] == [
        (0.3, 64, 127),
        (0.7, 64, 0),
    ]


def test_pedal_of_any_channel_counts_and_half_is_down():
    events = [(0.0, 0, 63), (1.0, 0, 64), (2.0, 1, 90), (3.0, 0, 0), (4.0, 1, 0), (5.0, 0, 127)]
    np.testing.assert_array_equal(midi.pedal_strokes(events, 6.0), [[1.0, 4.0], [5.0, 6.0]])
