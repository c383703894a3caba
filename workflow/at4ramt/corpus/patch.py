"""Recordings of a GUS patch, the format of Gravis's sound cards and of FreePats.

Written from the description in the Gravis UltraSound SDK 2.22 (1994), as TiMidity reads it: a
header of 239 bytes with the number of recordings in byte 198, then each recording's header of
96 bytes and its samples.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from at4ramt.errors import InputError, told
from at4ramt.limits import SAMPLE_RATES_HZ

MAGIC = b"GF1PATCH1"
HEADER_BYTES, COUNT_BYTE = 239, 198
# Name, fraction, bytes, loop's start and end in bytes, rate; lowest, highest and root frequency
# in millihertz; then tuning, pan, envelope and vibrato, which are not used; what the bits say.
RECORDING = struct.Struct("<7sBIIIHIIIhB18sB40s")
BITS_16, UNSIGNED, LOOPED, BACK_AND_FORTH, BACKWARD = 1, 2, 4, 8, 16
LOWEST_HZ, HIGHEST_HZ = 8.0, 13_000.0
"""Those of MIDI's first and last pitch."""


@dataclass(frozen=True)
class PatchRecording:
    """One recording: mono int16 at ``rate`` Hz, its note's frequency, and its loop in frames."""

    audio: NDArray[np.int16]
    rate: int
    hertz: float
    loop: tuple[int, int]


def read_patch(data: bytes, name: str) -> list[PatchRecording]:
    """Return the recordings of a patch of looped 16-bit recordings, in the file's order.

    Raises:
        InputError: naming ``name``, if ``data`` is none.
    """
    found = []
    try:
        if not data.startswith(MAGIC):
            raise ValueError("it does not begin as a patch")
        position = HEADER_BYTES
        for _ in range(data[COUNT_BYTE]):
            fields = RECORDING.unpack_from(data, position)
            _, _, size, start, end, rate, _, _, root, _, _, _, bits, _ = fields
            if bits & (BITS_16 | LOOPED | UNSIGNED | BACK_AND_FORTH | BACKWARD) != 5:
                raise ValueError(f"a recording of mode {bits:#x}, not signed, 16-bit and looped")
            position += RECORDING.size
            audio = np.frombuffer(data, "<i2", size // 2, position)
            position += size
            recording = PatchRecording(audio, rate, root / 1000, (start // 2, end // 2))
            _check(recording)
            found.append(recording)
        if not found:
            raise ValueError("no recording is in it")
    except (IndexError, struct.error, ValueError) as error:
        raise InputError(
            f"{name}: expected a GUS patch, found something else ({told(error)}). "
            "Fetch the archive again."
        ) from error
    return found


def _check(recording: PatchRecording) -> None:
    """Refuse what cannot be played; raises ValueError."""
    start, end = recording.loop
    frames = len(recording.audio)
    if not 0 <= start < end <= frames:
        raise ValueError(f"a loop from {start} to {end} in a recording of {frames} frames")
    if not SAMPLE_RATES_HZ[0] <= recording.rate <= SAMPLE_RATES_HZ[1]:
        raise ValueError(f"a rate of {recording.rate} Hz")
    if not LOWEST_HZ <= recording.hertz <= HIGHEST_HZ:
        raise ValueError(f"a note of {recording.hertz:g} Hz")
