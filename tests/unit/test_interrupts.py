"""An interrupt (Ctrl-C) ends what it comes in, or leaves it whole: nothing goes on with a part.

Libraries in C that call Python for what is in memory lose an error of that call, and go on.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from at4ramt import sounds
from at4ramt.evaluation.listening import LISTENING_RATE, mp3

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * LISTENING_RATE).astype(np.float32)
RECORDING = sounds.encode(NOISE, LISTENING_RATE, format="FLAC")
WORK: dict[str, Callable[[], Any]] = {
    "encode": lambda: mp3(NOISE),
    "decode": lambda: sounds.decode(RECORDING, 300, 2)[0].tobytes(),
}


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    # Whoever was started in the background ignores it.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    alarm = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGINT, interrupt)


@pytest.mark.parametrize("kind", WORK)
def test_what_an_interrupt_comes_in_is_not_cut_short(kind: str) -> None:
    work = WORK[kind]
    whole, seconds = work(), []
    for _ in range(5):
        began = time.perf_counter()
        assert work() == whole
        seconds.append(time.perf_counter() - began)
    ended = 0
    for share in np.linspace(0.02, 0.98, 150):
        try:
            with interrupted(max(float(share) * min(seconds), 1e-6)):
                found = work()
        except KeyboardInterrupt:
            ended += 1
        else:
            assert found == whole
    assert ended


def test_sounds_are_those_that_soundfile_writes_and_reads(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    stereo = np.stack([NOISE, -NOISE], axis=1)
    sounds.write(path, stereo, LISTENING_RATE, format="WAV", subtype="FLOAT")
    read, rate = soundfile.read(path, dtype="float32")
    assert rate == LISTENING_RATE and np.array_equal(read, stereo)
    samples, rate = sounds.decode(path.read_bytes(), 1.0, 2)
    expected, _ = soundfile.read(path, frames=LISTENING_RATE, dtype="int16", always_2d=True)
    assert rate == LISTENING_RATE and np.array_equal(samples, expected)
    with pytest.raises(ValueError, match="2 channels"):
        sounds.decode(path.read_bytes(), 1.0, 1)


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        sounds.write(path, NOISE, LISTENING_RATE, format="WAV")
