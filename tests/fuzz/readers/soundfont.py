"""Sound fonts, from their bytes to the voices that the sampler would play."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from at4ramt.corpus.pianos import (
    HIGHEST_KEY,
    LOWEST_KEY,
    load_piano,
    prepare_sound_font,
    write_piano,
)
from at4ramt.corpus.sampler import synthesise
from fuzz.harness import Reader, expect, scratch

NAME = "piano.sf2"


def check(data: bytes) -> None:
    samples, description = prepare_sound_font(data, NAME)
    path = scratch() / "piano.npz"
    write_piano(path, samples, description | {"instrument": "Made"})
    piano = load_piano(path)
    for name, audio in samples.items():
        expect(np.array_equal(piano.sample(name), audio / 32768), "another recording comes back")
    notes = np.array(
        [(0.0, 0.02, key, 64) for key in (LOWEST_KEY, 60, HIGHEST_KEY)],
        [("onset", "f8"), ("offset", "f8"), ("pitch", "i4"), ("velocity", "i4")],
    )
    audio = synthesise(notes, piano, 0.03)
    expect(bool(np.isfinite(audio).all()), "what is played is not a number")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def font(
    *,
    preset: tuple = ((43, 0 | 127 << 8), (41, 0)),
    instrument: tuple = ((58, 60), (53, 0)),
    modulators: tuple = (),
    header: tuple = (10, 90, 20, 80, 22050, 61, -4, 0, 1),
    audio: bytes | None = None,
) -> bytes:
    """Return a font of one preset with a zone, whose generators and recording may be anything."""
    if audio is None:
        audio = (1000 * np.sin(np.arange(100) / 3)).astype("<i2").tobytes()

    def pairs(values: tuple) -> bytes:
        return b"".join(struct.pack("<HH", g, v & 0xFFFF) for g, v in (*values, (0, 0)))

    acting = b"".join(struct.pack("<HHhHH", *each) for each in modulators)
    parts = {
        b"phdr": struct.pack("<20sHHHIII", b"Grand", 0, 0, 0, 0, 0, 0)
        + struct.pack("<20sHHHIII", b"EOP", 0, 0, 1, 0, 0, 0),
        b"pbag": struct.pack("<HHHH", 0, 0, len(preset), 0),
        b"pmod": bytes(10),
        b"pgen": pairs(preset),
        b"inst": struct.pack("<20sH", b"I", 0) + struct.pack("<20sH", b"EOI", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, len(instrument), len(modulators)),
        b"imod": acting + bytes(10),
        b"igen": pairs(instrument),
        b"shdr": struct.pack("<20sIIIIIBbHH", b"S", *header) + bytes(46),
    }
    lists = (
        b"INFO" + chunk(b"ifil", bytes(4)),
        b"sdta" + chunk(b"smpl", audio),
        b"pdta" + b"".join(chunk(name, body) for name, body in parts.items()),
    )
    body = b"sfbk" + b"".join(chunk(b"LIST", each) for each in lists)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def seeds() -> dict[str, bytes]:
    return {
        "plain": font(),
        "with modulators and a loop": font(
            instrument=((48, 50), (17, -500), (8, 9000), (36, 1200), (37, 200), (54, 1), (53, 0)),
            modulators=((0x0502, 48, -460, 0, 0), (0x0102, 8, -2400, 0, 0)),
        ),
    }


_generator = st.tuples(
    st.sampled_from((8, 9, 11, 17, 33, 34, 35, 36, 37, 38, 39, 40, 43, 44, 48, 51, 52, 54, 56, 58)),
    st.one_of(st.integers(0, 0xFFFF), st.sampled_from((0, 0x7FFF, 0x8000, 0x7F00, 0x3C3C))),
)
_modulator = st.tuples(
    st.sampled_from((0x0502, 0x0102, 0x0003, 0x0602, 0x0F83, 0x0082)),
    st.sampled_from((8, 9, 48, 51, 34, 38)),
    st.integers(-0x8000, 0x7FFF),
    st.sampled_from((0, 0, 0x0003)),
    st.sampled_from((0, 2)),
)


def drawn() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda preset, instrument, modulators, header: font(
            preset=(*preset, (41, 0)),
            instrument=(*instrument, (53, 0)),
            modulators=tuple(modulators),
            header=header,
        ),
        st.lists(_generator, max_size=3),
        st.lists(_generator, max_size=6),
        st.lists(_modulator, max_size=3),
        st.tuples(
            st.sampled_from((0, 0, 0, 10, 90, 0xFFFFFFFF)),
            st.sampled_from((100, 100, 100, 90, 0, 0x7FFFFFFF)),
            st.sampled_from((20, 0, 95)),
            st.sampled_from((80, 20, 300)),
            st.sampled_from((22050, 22050, 44100, 44100, 0, 1, 0xFFFFFFFF)),
            st.one_of(st.integers(0, 255), st.integers(40, 80)),
            st.integers(-128, 127),
            st.just(0),
            st.sampled_from((1, 1, 1, 1, 16, 2)),
        ),
    )


READER = Reader("soundfont", check, seeds, drawn, called=[NAME], megabytes=512)
