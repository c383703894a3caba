"""Recordings in every container, against a plain reading of wav and against themselves in a zip."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import soundfile
from hypothesis import strategies as st

from at4ramt.features.audio import audio_blocks, audio_seconds, open_audio
from fuzz.harness import Reader, case_file, expect

NAME = "piece.wav"
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def check(data: bytes) -> None:
    path = case_file(NAME, data)
    packed = case_file("corpus.zip", _zip(data))
    with open_audio(path) as audio:
        seconds = audio.seconds
        in_zip = audio_seconds(packed, NAME)
        expect(in_zip == seconds, f"{seconds} s in a file, {in_zip} s in a zip")
        rate = audio.sample_rate_hz
        samples = 0
        for block in audio_blocks(audio, 16000):
            samples += len(block)
        expect(
            abs(samples - seconds * 16000) <= 2 + 32000 / rate,
            f"{samples} samples of 16 kHz from {seconds} s",
        )
        expected = _plain_wav(data)
        if expected is not None:
            found = np.concatenate(list(audio_blocks(audio, rate)))
            expect(found.shape == expected.shape, f"{found.shape}, expected {expected.shape}")
            expect(
                bool(np.allclose(found, expected, rtol=1e-5, atol=1e-6)), "other samples are read"
            )


def _zip(data: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr(NAME, data)
    return content.getvalue()


def _plain_wav(data: bytes) -> np.ndarray | None:
    """Return the mean of a plain wav's channels; None if it is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or len(data) < 44:
        return None
    position, form = 12, None
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + size]
        if name == b"fmt " and size >= 16 and form is None:
            form = struct.unpack_from("<HHIIHH", body)
        if name == b"data":
            break
        position += 8 + size + size % 2
    else:
        return None
    if form is None or len(body) != size or size == 0:
        return None
    kind, channels, _, _, align, bits = form
    kinds = {(PCM, 16): "<i2", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
    if (kind, bits) not in kinds or not channels or align != channels * bits // 8 or size % align:
        return None
    values = np.frombuffer(body, kinds[kind, bits]).reshape(-1, channels).astype(np.float64)
    return (values / (2 ** (bits - 1) if kind == PCM else 1)).mean(axis=1)


FORMS = (
    ("WAV", "PCM_16", 16000, 1),
    ("WAV", "PCM_24", 44100, 2),
    ("WAV", "FLOAT", 16000, 2),
    ("WAV", "PCM_U8", 8000, 1),
    ("WAV", "IMA_ADPCM", 22050, 1),
    ("WAVEX", "PCM_16", 48000, 2),
    ("RF64", "PCM_16", 16000, 1),
    ("W64", "PCM_16", 16000, 1),
    ("AIFF", "PCM_16", 44100, 1),
    ("AU", "PCM_16", 16000, 1),
    ("CAF", "PCM_16", 16000, 1),
    ("FLAC", "PCM_16", 16000, 1),
    ("OGG", "VORBIS", 16000, 1),
    ("OGG", "OPUS", 48000, 1),
    ("MP3", "MPEG_LAYER_III", 16000, 1),
)


def seeds() -> dict[str, bytes]:
    found = {}
    for container, subtype, rate, channels in FORMS:
        time = np.arange(600 if container in ("OGG", "MP3", "FLAC") else 300) / rate
        tone = np.stack([0.3 * np.sin(2 * np.pi * 440 * time + c) for c in range(channels)], axis=1)
        written = io.BytesIO()
        soundfile.write(written, tone, rate, format=container, subtype=subtype)
        found[f"{container} {subtype} {channels}"] = written.getvalue()
    return found


def wav(kind: int, channels: int, rate: int, bits: int, body: bytes, lies: dict[str, int]) -> bytes:
    """Return a wav whose header may lie."""
    align = channels * bits // 8
    fields = {
        "kind": kind,
        "channels": channels,
        "rate": rate,
        "bytes": rate * align,
        "align": align,
        "bits": bits,
        "data": len(body),
        "riff": 36 + len(body),
    } | lies
    return (
        b"RIFF"
        + struct.pack("<I", fields["riff"])
        + b"WAVEfmt "
        + struct.pack(
            "<IHHIIHH",
            16,
            fields["kind"],
            fields["channels"],
            fields["rate"],
            fields["bytes"],
            fields["align"],
            fields["bits"],
        )
        + b"data"
        + struct.pack("<I", fields["data"])
        + body
    )


_sizes = st.sampled_from((0, 1, 2, 3, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF))
_shorts = st.sampled_from((0, 1, 2, 7, 8, 64, 0x7FFF, 0xFFFF))
_lies = st.fixed_dictionaries(
    {},
    optional={
        "rate": _sizes,
        "bytes": _sizes,
        "data": _sizes,
        "riff": _sizes,
        "channels": _shorts,
        "align": _shorts,
        "bits": _shorts,
    },
)
_forms = st.sampled_from(((PCM, 16), (PCM, 16), (PCM, 32), (FLOAT, 32), (FLOAT, 64), (PCM, 24)))


def drawn() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda form, channels, rate, body, lies: wav(
            form[0], channels, rate, form[1], body * channels, lies
        ),
        _forms,
        st.sampled_from((1, 1, 2, 5)),
        st.sampled_from((1, 8000, 16000, 44100, 192000)),
        st.one_of(
            st.binary(min_size=48, max_size=48),
            st.lists(st.floats(width=32), min_size=8, max_size=8).map(
                lambda values: np.array(values, "<f4").tobytes() * 3
            ),
            st.integers(1, 30000).map(
                lambda step: np.arange(0, 60 * step, step).astype("<i2").tobytes() * 24
            ),
        ),
        _lies,
    )


READER = Reader("audio", check, seeds, drawn, called=[NAME], largest=1 << 13)
