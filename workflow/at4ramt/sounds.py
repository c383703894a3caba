"""Sounds in memory, encoded and decoded by libsndfile, which calls Python for their bytes.

An interrupt (Ctrl-C) that came in such a call would be lost, and the bytes with it, while the job
went on; so it waits until libsndfile is done. What is to be written to a file is encoded in memory,
too: libsndfile does not say what of a file the system refused, and nothing at all where that was
when the file was closed.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode(samples: NDArray[Any], rate_hz: int, **how: Any) -> bytes:
    """Return a sound as the bytes of a file.

    Args:
        samples: ``(samples,)`` or ``(samples, channels)``.
        rate_hz: their rate.
        how: format, subtype and what else ``soundfile.write`` takes.
    """
    import soundfile

    memory = io.BytesIO()
    with _interrupts_later():
        soundfile.write(memory, samples, rate_hz, **how)
    return memory.getvalue()


def write(path: str | Path, samples: NDArray[Any], rate_hz: int, **how: Any) -> None:
    """Write a sound, as :func:`encode` makes it; an OSError says what the system refused."""
    Path(path).write_bytes(encode(samples, rate_hz, **how))


def decode(content: bytes, most_seconds: float, most_channels: int) -> tuple[NDArray[Any], int]:
    """Return the samples (int16, ``(samples, channels)``) and the rate (Hz) of a file's bytes.

    Args:
        content: the file.
        most_seconds: what is longer is cut.
        most_channels: more are refused, before memory is taken for them.

    Raises:
        ValueError: it has more channels.
        soundfile.LibsndfileError: it is no sound that can be read.
    """
    import soundfile

    with _interrupts_later(), soundfile.SoundFile(io.BytesIO(content)) as opened:
        if opened.channels > most_channels:
            raise ValueError(f"a recording of {opened.channels} channels")
        frames = round(most_seconds * opened.samplerate)
        samples = opened.read(frames, dtype="int16", always_2d=True)
        return np.asarray(samples), int(opened.samplerate)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Have an interrupt come at the end of the block. It only comes to the main thread at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        # None stands for a handler that is not Python's.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if came:
            signal.raise_signal(signal.SIGINT)
