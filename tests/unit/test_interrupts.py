"""An interrupt (Ctrl-C) ends what it comes in, or comes after it: nothing goes on with a part.

Libraries in C that call Python for what is in memory lose an error of that call, and go on.
"""

import io
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soundfile

from at4ramt.corpus.pianos import _decode
from at4ramt.evaluation.listening import LISTENING_RATE, mp3

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * LISTENING_RATE).astype(np.float32)


def flac() -> bytes:
    memory = io.BytesIO()
    soundfile.write(memory, NOISE, LISTENING_RATE, format="FLAC")
    return memory.getvalue()


RECORDING = flac()
WORK: dict[str, Callable[[], Any]] = {
    "encode": lambda: mp3(NOISE),
    "decode": lambda: _decode(RECORDING, "noise.flac")[0].tobytes(),
}


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", WORK)
def test_an_interrupt_is_not_lost_and_nothing_is_cut_short(kind: str) -> None:
    work = WORK[kind]
    whole = work()
    began = time.perf_counter()
    assert work() == whole
    seconds = time.perf_counter() - began
    ended = 0
    for after in np.linspace(0.02, 0.98, 150) * seconds:
        try:
            with interrupted(max(float(after), 1e-6)):
                found = work()
        except KeyboardInterrupt:
            ended += 1
        else:
            # It came after the work.
            assert found == whole
    assert ended > 50
