"""GUS patches in their archive, from the bytes to a prepared piano."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

import numpy as np
from hypothesis import strategies as st

from at4ramt.corpus.pianos import load_piano, prepare_freepats, write_piano
from fuzz.harness import Reader, case_file, expect, scratch

NAME, MEMBER = "pats.tgz", "Tone_000/piano.pat"


def check(data: bytes) -> None:
    archive = case_file(NAME, packed(data))
    samples, description = prepare_freepats([archive], MEMBER)
    expect(bool(samples), "a piano without a recording")
    path = scratch() / "piano.npz"
    write_piano(path, samples, description | {"instrument": "Made", "tuning_cents": 0.0})
    piano = load_piano(path)
    for voice in piano.voices(60, 64):
        numbers = (voice.tone.step, voice.tone.decay, voice.tone.hold, voice.left)
        expect(bool(np.isfinite(numbers).all()) and voice.tone.step > 0, f"a voice of {numbers}")


def packed(data: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as written:
        info = tarfile.TarInfo(MEMBER)
        info.size = len(data)
        written.addfile(info, io.BytesIO(data))
    return gzip.compress(content.getvalue(), 1, mtime=0)


def patch(*recordings: tuple, mode: int = 5) -> bytes:
    content = bytearray(b"GF1PATCH110\0ID#000002\0".ljust(239, b"\0"))
    content[198] = len(recordings)
    for audio, rate, millihertz, (start, end), size in recordings:
        content += b"a name\0" + b"\0"
        content += struct.pack("<IIIH", len(audio) if size is None else size, start, end, rate)
        content += struct.pack("<IIIhB", 8175, 12_543_000, millihertz, 1, 7)
        content += bytes(18) + bytes([mode]) + bytes(40) + audio
    return bytes(content)


def _tone(frames: int) -> bytes:
    return (9000 * np.sin(np.arange(frames) / 5)).astype("<i2").tobytes()


def seeds() -> dict[str, bytes]:
    return {
        "two recordings": patch(
            (_tone(4000), 8000, 440_000, (2000, 7000), None),
            (_tone(3000), 8000, 220_000, (1000, 5800), None),
        )
    }


_sizes = st.sampled_from((0, 1, 2, 100, 5000, 7000, 8000, 0x7FFFFFFF, 0xFFFFFFFF))


def drawn() -> st.SearchStrategy[bytes]:
    recording = st.tuples(
        st.sampled_from((*[_tone(4000)] * 5, bytes(8000), b"", b"\1")),
        st.sampled_from((8000, 8000, 8000, 4000, 44100, 0, 1)),
        st.sampled_from((440_000, 27_500, 4_186_000, 0, 1, 0xFFFFFFFF)),
        st.one_of(*[st.just((2000, 7000))] * 3, st.tuples(_sizes, _sizes)),
        st.one_of(*[st.none()] * 4, _sizes),
    )
    return st.builds(
        lambda recordings, mode: patch(*recordings, mode=mode),
        st.lists(recording, min_size=1, max_size=2),
        st.sampled_from((5, 5, 5, 5, 0x65, 7, 0)),
    )


READER = Reader("patch", check, seeds, drawn, called=[NAME])
