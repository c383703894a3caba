"""Audio files in any usual format, as mono samples at the rate of the features.

Source: section "Features" of docs/method.md (16 kHz mono, soxr at HQ quality).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from at4ramt.errors import InputError

SILENT_PEAK = 1e-6
"""Peaks below this, of a full scale of 1, are silence: a fiftieth of a 16-bit step."""

CANCELLED_SHARE = 1e-4
"""Channels whose mean peaks below this share of their own peak are each other's negative."""

LARGEST_PEAK = 10.0
"""Float files may pass full scale a little; a peak above this means integers stored as floats."""

BLOCK_FRAMES = 1 << 20

# Sizes that a program writes which streams a wav without knowing its length.
UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def read_audio(path: str | Path, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Read an audio file as one channel at a given rate.

    Channels are averaged, then resampled by soxr's HQ recipe. Any rate, number
    of channels and sample format that libsndfile reads is accepted.

    Args:
        path: the file.
        sample_rate_hz: rate of the result.

    Returns:
        Samples, full scale 1, float32, ``(samples,)``.

    Raises:
        InputError: if the file is missing, unreadable, truncated, empty, silent,
            not a number somewhere, or far beyond full scale.
    """
    path = Path(path)
    info = _inspect(path)
    blocks: list[npt.NDArray[np.float32]] = []
    peak = 0.0
    frames = 0
    try:
        with soundfile.SoundFile(path) as opened:
            for block in opened.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True):
                # max and min carry a NaN on, so one comparison per block finds it.
                block_peak = float(max(block.max(), -block.min()))
                if not np.isfinite(block_peak):
                    bad = frames + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                    raise InputError(
                        f"{path}: sample {bad} ({bad / info.samplerate:.3f} s) is not a finite "
                        "number; expected samples between -1 and 1; write the file anew from "
                        "its source"
                    )
                peak = max(peak, block_peak)
                frames += len(block)
                blocks.append(block.mean(axis=1, dtype=np.float32))
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: reading stopped after {frames} of {info.frames} samples ({error}); "
            "the file is truncated or damaged; copy it anew from its source"
        ) from error
    if frames < info.frames:
        raise _truncated(path, f"{info.frames} samples", f"{frames}")
    mono = np.concatenate(blocks)
    if peak < SILENT_PEAK:
        raise InputError(
            f"{path}: the audio is silent (peak {peak:g} of a full scale of 1); expected a piano "
            "recording; replace the file or take its piece out of the piece table"
        )
    if np.abs(mono).max() < CANCELLED_SHARE * peak:
        raise InputError(
            f"{path}: the {info.channels} channels cancel each other when they are averaged; "
            "expected channels in phase; invert one of them"
        )
    if peak > LARGEST_PEAK:
        raise InputError(
            f"{path}: the largest sample is {peak:g}; expected a full scale of 1; "
            "divide float samples by the full scale of the integers they came from"
        )
    if info.samplerate != sample_rate_hz:
        mono = soxr.resample(mono, info.samplerate, sample_rate_hz, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


def audio_seconds(path: str | Path) -> float:
    """Return the length of an audio file in seconds, from its header.

    Raises:
        InputError: if the file is missing, unreadable, truncated or empty.
    """
    info = _inspect(Path(path))
    return float(info.frames / info.samplerate)


def _inspect(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path}: no such audio file; expected a wav or another format that libsndfile "
            "reads; check the path and the piece table"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file has no bytes; copy it anew from its source")
    promised, present = _riff_data_bytes(path)
    if promised > present:
        raise _truncated(path, f"{promised} bytes of samples", f"{present}")
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: this is not audio that can be read ({error}); expected a wav or another "
            "format that libsndfile reads; convert the file to wav"
        ) from error
    if info.frames == 0:
        raise InputError(
            f"{path}: the audio has no samples; expected a piano recording; "
            "replace the file or take its piece out of the piece table"
        )
    return info


def _truncated(path: Path, expected: str, found: str) -> InputError:
    return InputError(
        f"{path}: the file is truncated: its header promises {expected}, {found} are there; "
        "copy it anew from its source"
    )


def _riff_data_bytes(path: Path) -> tuple[int, int]:
    """Return how many bytes of samples a wav promises and how many follow.

    libsndfile reads a wav that was cut off as a shorter one without a word, so
    the chunks are walked here. Anything but RIFF or RF64 gives ``(0, 0)``, and
    so does a wav whose writer did not know its size.
    """
    size = path.stat().st_size
    with open(path, "rb") as opened:
        header = opened.read(12)
        if header[:4] not in (b"RIFF", b"RF64") or header[8:12] != b"WAVE":
            return 0, 0
        long_data_size: int | None = None
        while len(head := opened.read(8)) == 8:
            name, length = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"data":
                if length in UNKNOWN_SIZES:
                    length = long_data_size or 0
                return length, size - opened.tell()
            start = opened.tell()
            if name == b"ds64":
                fields = opened.read(16)
                if len(fields) == 16:
                    long_data_size = struct.unpack("<QQ", fields)[1]
            opened.seek(start + length + length % 2)
    # The file ends before any samples: one promised byte makes it truncated.
    return 1, 0
