"""The reader of GUS patches, on a patch written here byte by byte."""

import struct

import numpy as np
import pytest

from at4ramt.corpus.patch import read_patch
from at4ramt.errors import InputError


def patch(*recordings, mode=0x65):
    """A patch as the SDK describes it: 129, 63 and 47 bytes of headers, then the recordings."""
    header = b"GF1PATCH110\0ID#000002\0".ljust(129, b"\0") + bytes(63)
    layer = bytes(6) + bytes([len(recordings)]) + bytes(40)
    content = header + layer
    for audio, rate, millihertz, (start, end) in recordings:
        data = audio.astype("<i2").tobytes()
        content += b"a name\0" + b"\0"
        content += struct.pack("<IIIH", len(data), 2 * start, 2 * end, rate)
        content += struct.pack("<IIIhB", 8175, 12_543_000, millihertz, 1, 7)
        content += bytes(18) + bytes([mode]) + bytes(40)
        content += data
    return content


def test_recordings_are_read():
    audio = [np.arange(-50, 50, dtype=np.int16), np.arange(7, dtype=np.int16)]
    parts = (audio[0], 44_100, 440_000, (20, 90)), (audio[1], 30_050, 32_703, (1, 6))
    found = read_patch(patch(*parts), "x")
    for recording, expected in zip(found, audio, strict=True):
        np.testing.assert_array_equal(recording.audio, expected)
    assert [(r.rate, r.hertz, r.loop) for r in found] == [
        (44_100, 440.0, (20, 90)), (30_050, 32.703, (1, 6)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF", r"x: expected a GUS patch.*does not begin as a patch"),
        (patch((np.zeros(9), 8000, 440_000, (0, 9)), mode=0x67), r"mode 0x67, not signed"),
        (patch((np.zeros(9), 8000, 440_000, (0, 9)))[:-6], r"x: expected a GUS patch"),
    ],
)
def test_what_is_no_patch_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        read_patch(data, "x")
