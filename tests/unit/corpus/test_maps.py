"""MAPS note lists: what is written is read, and each fault is named with its line."""

import numpy as np
import pytest

from at4ramt.corpus import maps
from at4ramt.errors import InputError

HEADER = "OnsetTime\tOffsetTime\tMidiPitch\n"


def write(tmp_path, text):
    path = tmp_path / "piece.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_as_mapss_own_files_are(tmp_path):
    # MAPS has CRLF ends, up to 8 decimals and unsorted lines.
    path = tmp_path / "piece.txt"
    path.write_bytes(
        b"OnsetTime\tOffsetTime\tMidiPitch\r\n1.50000000\t2.0\t60\r\n0.5\t0.81972789\t64\r\n\r\n"
    )
    assert maps.read_notes(path).tolist() == [(0.5, 0.81972789, 64), (1.5, 2.0, 60)]


def test_what_is_written_is_read(tmp_path):
    notes = np.array([(2.0, 3.25, 60), (0.1234, 0.5, 90), (0.1234, 0.5, 37)], dtype=maps.LABEL)
    maps.write_notes(tmp_path / "x.txt", notes)
    text = (tmp_path / "x.txt").read_text()
    assert text.splitlines()[:2] == [HEADER.strip(), "0.123400\t0.500000\t37"]
    assert maps.read_notes(tmp_path / "x.txt").tolist() == sorted(
        notes.tolist(), key=lambda n: (n[0], n[2])
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Onset\tOffset\tPitch\n0\t1\t60\n", r"line 1: expected the header.*found 'Onset"),
        ("", r"line 1: expected the header.*found 'an empty file'"),
        (HEADER + "0\t1\t60\n0\t1\n", r"line 3: expected 3 columns .*found 2"),
        (HEADER + "0\t1\t60\t64\n", r"line 2: expected 3 columns .*found 4"),
        (HEADER + "0\tx\t60\n", r"line 2: expected three numbers, found '0\\tx\\t60'"),
        (HEADER + "nan\t1\t60\n", r"line 2: expected finite times"),
        (HEADER + "1\t0.5\t60\n", r"line 2: .*a duration of -0\.5 s"),
        (HEADER + "-1\t0.5\t60\n", r"line 2: expected an onset of 0 s or later, found -1 s"),
        (HEADER + "0\t1\t128\n", r"line 2: expected a MIDI pitch.*found 128"),
        (HEADER + "0\t1\t-1\n", r"line 2: expected a MIDI pitch"),
        (HEADER + "0\t1\t60.5\n", r"line 2: expected a MIDI pitch.*found 60\.5"),
        (HEADER + "0\t1\t60\n\n31\t32\t60\n", r"line 4: the note begins at 31 s, after .* 30 s"),
    ],
)
def test_faults_are_named_with_file_and_line(tmp_path, body, message):
    path = write(tmp_path, body)
    with pytest.raises(InputError, match=message) as raised:
        maps.read_notes(path, audio_seconds=30.0)
    assert "piece.txt" in str(raised.value)


def test_a_note_beyond_the_audio_is_fine_if_it_begins_inside(tmp_path):
    path = write(tmp_path, HEADER + "29\t35\t60\n")
    assert maps.read_notes(path, 30.0).tolist() == [(29.0, 35.0, 60)]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.txt.*no such file"):
        maps.read_notes(tmp_path / "none.txt")
