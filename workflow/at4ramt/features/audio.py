"""Audio files in any usual format, as mono samples at the rate of the features.

Recordings are read in blocks and resampled as they come, so that the memory needed does not
depend on their length. A recording may be the member of a zip, as MAPS is distributed.

Source: section "Features" of docs/method.md (16 kHz mono, soxr at HQ quality).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from at4ramt.errors import InputError, mend, told
from at4ramt.files import file_of, open_member
from at4ramt.limits import LONGEST_HOURS, LONGEST_SECONDS, SAMPLE_RATES_HZ

SILENT_PEAK = 1e-6
"""Peaks below this, of a full scale of 1, are silence: a fiftieth of a 16-bit step."""

CANCELLED_SHARE = 1e-4
"""Channels whose mean peaks below this share of their own peak are each other's negative."""

LARGEST_PEAK = 10.0
"""Float files may pass full scale a little; a peak above this means integers stored as floats."""

BLOCK_FRAMES = 1 << 18
BLOCK_SAMPLES = 2 * BLOCK_FRAMES
"""Samples of a block, of all channels together, at most: two megabytes."""

MOST_CHUNKS = 10_000
"""Chunks of a wav before its samples: some programs write dozens."""

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""What a wav calls its formats without compression, in which each frame has as many bytes."""

# Sizes that a program writes which streams a wav without knowing its length.
UNKNOWN_SIZES = (0, 0xFFFFFFFF)

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioFile:
    """An audio file whose header was read.

    Attributes:
        path: where it can be read.
        name: what messages call it.
        sample_rate_hz: its rate.
        channels: its number of channels.
        frames: samples of each channel, as its header says.
    """

    path: Path
    name: str
    sample_rate_hz: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Length in seconds, as the header says."""
        return self.frames / self.sample_rate_hz

    def blocks(self) -> Iterator[Samples]:
        """Yield all samples, full scale 1, in blocks of ``(samples, channels)``.

        Raises:
            InputError: if a sample is no number, or the samples end early.
        """
        frames = 0
        length = min(BLOCK_FRAMES, max(1, BLOCK_SAMPLES // self.channels))
        try:
            with soundfile.SoundFile(self.path) as opened:
                for block in opened.blocks(length, dtype="float32", always_2d=True):
                    # A NaN or an infinity makes the sum one, so one number tells of a block.
                    with np.errstate(invalid="ignore"):
                        total = block.sum(dtype=np.float64)
                    if not np.isfinite(total):
                        bad = frames + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                        raise InputError(
                            f"{self.name}: sample {bad} ({bad / self.sample_rate_hz:.3f} s) is not "
                            "a finite number; expected samples between -1 and 1; write the file "
                            "anew from its source"
                        )
                    frames += len(block)
                    yield block
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{self.name}: reading stopped after {frames} of {self.frames} samples "
                f"({told(error)}); the file is truncated or damaged, or the disk does not give it; "
                "copy it anew from its source"
            ) from error
        if frames < self.frames:
            raise _truncated(self.name, f"{self.frames} samples", f"{frames}")


class Downmix:
    """Makes blocks of samples one channel at another rate, and knows what passed through it.

    Channels are averaged, then resampled by soxr's HQ recipe: the same samples as
    if all were resampled at once.
    """

    def __init__(self, audio: AudioFile, sample_rate_hz: int):
        self.audio = audio
        self._resampler = None
        if audio.sample_rate_hz != sample_rate_hz:
            self._resampler = soxr.ResampleStream(
                audio.sample_rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ"
            )
        self.peak = 0.0
        self.mono_peak = 0.0

    def feed(self, block: Samples) -> Samples:
        """Return what a block ``(samples, channels)`` gives, ``(samples,)``; it may be empty."""
        # Four times as fast as to take the mean over so short an axis.
        mono = block[:, 0].copy()
        for channel in block.T[1:]:
            mono += channel
        mono /= np.float32(block.shape[1])
        self.peak = max(self.peak, float(max(block.max(), -block.min())))
        self.mono_peak = max(self.mono_peak, float(max(mono.max(), -mono.min())))
        return mono if self._resampler is None else self._resampler.resample_chunk(mono)

    def end(self) -> Samples:
        """Return what is left when there are no more blocks."""
        nothing = np.zeros(0, dtype=np.float32)
        if self._resampler is None:
            return nothing
        return self._resampler.resample_chunk(nothing, last=True)

    def check(self) -> None:
        """Raise an InputError if what passed is silence, or far beyond full scale."""
        if self.peak < SILENT_PEAK:
            raise InputError(
                f"{self.audio.name}: the audio is silent (peak {self.peak:g} of a full scale of "
                "1); expected a piano recording; replace the file or exclude its piece "
                "(corpus.exclude)"
            )
        if self.mono_peak < CANCELLED_SHARE * self.peak:
            raise InputError(
                f"{self.audio.name}: the {self.audio.channels} channels cancel each other when "
                "they are averaged; expected channels in phase; invert one of them"
            )
        if self.peak > LARGEST_PEAK:
            raise InputError(
                f"{self.audio.name}: the largest sample is {self.peak:g}; expected a full scale "
                "of 1; divide float samples by the full scale of the integers they came from"
            )


def audio_blocks(audio: AudioFile, sample_rate_hz: int) -> Iterator[Samples]:
    """Yield a recording as one channel at a given rate, in blocks ``(samples,)``.

    Together the blocks are what :func:`read_audio` returns, and it raises what this does: what
    only the whole recording shows, such as silence, after the last block.
    """
    downmix = Downmix(audio, sample_rate_hz)
    for block in audio.blocks():
        yield downmix.feed(block)
    yield downmix.end()
    downmix.check()


def read_audio(path: str | Path, sample_rate_hz: int, member: str = "") -> Samples:
    """Read an audio file as one channel at a given rate.

    Channels are averaged, then resampled by soxr's HQ recipe. Any rate, number
    of channels and sample format that libsndfile reads is accepted.

    Args:
        path: the file, or the zip that has it.
        sample_rate_hz: rate of the result.
        member: the recording's path inside the zip.

    Returns:
        Samples, full scale 1, float32, ``(samples,)``.

    Raises:
        InputError: if the file is missing, unreadable, truncated, empty, silent,
            not a number somewhere, or far beyond full scale.
    """
    with open_audio(path, member) as audio:
        return np.concatenate(list(audio_blocks(audio, sample_rate_hz)))


def audio_seconds(path: str | Path, member: str = "") -> float:
    """Return the length of an audio file in seconds, from its header.

    A wav inside a zip is not unpacked for this.

    Raises:
        InputError: if the file is missing, unreadable, truncated or empty.
    """
    if member:
        with open_member(path, member) as (opened, size):
            wav = _riff(opened, size)
        if wav is not None and wav.seconds is not None:
            return wav.seconds
    with open_audio(path, member) as audio:
        return audio.seconds


@contextmanager
def open_audio(path: str | Path, member: str = "") -> Iterator[AudioFile]:
    """Give access to a recording, which may be the member of a zip.

    A member is unpacked into a temporary file for as long as the context lasts.

    Raises:
        InputError: if the file is missing, unreadable, truncated or empty.
    """
    with file_of(path, member) as (place, name):
        yield _inspect(place, name)


def _inspect(path: Path, name: str) -> AudioFile:
    try:
        if not path.is_file():
            raise InputError(
                f"{name}: no such audio file; expected a wav or another format that libsndfile "
                "reads; check the path"
            )
        size = path.stat().st_size
        with open(path, "rb") as opened:
            wav = _riff(opened, size)
    except OSError as error:
        raise InputError(
            f"{name}: the file cannot be opened ({error.strerror}); expected an audio file; "
            f"{mend(error, 'check its permissions')}"
        ) from error
    if size == 0:
        raise InputError(f"{name}: the file has no bytes; copy it anew from its source")
    if wav is not None and wav.promised > wav.present:
        raise _truncated(name, f"{wav.promised} bytes of samples", f"{wav.present}")
    try:
        info: Any = soundfile.info(path)
    # A TypeError of a suffix that soundfile takes for samples without a header.
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: this is not audio that can be read ({told(error)}); expected a wav or "
            "another format that libsndfile reads; convert the file to wav"
        ) from error
    if info.frames == 0:
        raise InputError(
            f"{name}: the audio has no samples; expected a piano recording; "
            "replace the file or exclude its piece (corpus.exclude)"
        )
    audio = AudioFile(path, name, int(info.samplerate), int(info.channels), int(info.frames))
    slowest, fastest = SAMPLE_RATES_HZ
    if not slowest <= audio.sample_rate_hz <= fastest:
        raise InputError(
            f"{name}: its header says {audio.sample_rate_hz} Hz; expected a rate of {slowest} to "
            f"{fastest} Hz; write the file anew from its source"
        )
    if audio.seconds > LONGEST_SECONDS:
        raise InputError(
            f"{name}: its header says {audio.seconds / 3600:.0f} hours; expected at most "
            f"{LONGEST_HOURS}; cut the recording in parts, or write it anew from its source"
        )
    return audio


def _truncated(name: str, expected: str, found: str) -> InputError:
    return InputError(
        f"{name}: the file is truncated: its header promises {expected}, {found} are there; "
        "copy it anew from its source"
    )


@dataclass(frozen=True)
class _Wav:
    """What the chunks of a wav say: the bytes of samples promised and present.

    ``seconds`` is its length if every byte of it is there and every frame has as many, and its
    numbers agree with each other; None leaves it to libsndfile to say.
    """

    promised: int
    present: int
    seconds: float | None = None


def _riff(opened: IO[bytes], size: int) -> _Wav | None:
    """Return what a wav of ``size`` bytes says of itself; None for any other kind of file.

    libsndfile reads a wav that was cut off as a shorter one without a word, so
    the chunks are walked here. A wav whose writer did not know its size promises nothing.
    """
    header = opened.read(12)
    if header[:4] not in (b"RIFF", b"RF64") or header[8:12] != b"WAVE":
        return None
    long_data_size: int | None = None
    form: tuple[int, ...] = ()
    for _ in range(MOST_CHUNKS):
        head = opened.read(8)
        if len(head) < 8:
            break
        name, length = head[:4], struct.unpack("<I", head[4:])[0]
        start = opened.tell()
        if name == b"data":
            if length in UNKNOWN_SIZES:
                length = long_data_size or 0
            return _Wav(length, size - start, _plain_seconds(form, length, size - start))
        if name == b"fmt " and len(fields := opened.read(16)) == 16:
            form = struct.unpack("<HHIIHH", fields)
        if name == b"ds64" and len(fields := opened.read(16)) == 16:
            long_data_size = struct.unpack("<QQ", fields)[1]
        # Seeking in a zip reads, and what a chunk promises beyond the file is not there to be read.
        opened.seek(min(start + length + length % 2, size))
    # The file ends before any samples: one promised byte makes it truncated.
    return _Wav(1, 0)


def _plain_seconds(form: tuple[int, ...], promised: int, present: int) -> float | None:
    """Return how long the samples last that the fields of a wav's header describe, if surely."""
    if not form or not 0 < promised <= present:
        return None
    kind, channels, rate, bytes_per_second, frame_bytes, bits = form
    plain = (
        kind in (PCM, FLOAT, EXTENSIBLE)
        and SAMPLE_RATES_HZ[0] <= rate <= SAMPLE_RATES_HZ[1]
        and channels > 0
        and bits in (8, 16, 24, 32, 64)
        and frame_bytes == channels * bits // 8
        and bytes_per_second == rate * frame_bytes
        and promised % frame_bytes == 0
    )
    seconds = promised / (rate * frame_bytes) if plain else None
    return seconds if seconds is not None and seconds <= LONGEST_SECONDS else None
