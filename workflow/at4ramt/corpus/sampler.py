"""A sampler: notes and pedal on a prepared piano, to stereo audio.

A *voice* is one recording played at one speed: read with loops by cubic
interpolation, shaped by the decay of its envelope, damped from the note's
offset on, and filtered. Equal tones are computed once for all notes that use
them, so that a note costs a multiplication and an addition. There is no
reverberation, chorus or random element: the same notes give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A damped note is followed down to this level.
SILENCE_DB = 75.0
# Voices that are damped by the end of the excerpt are cut with this fade.
END_FADE_SECONDS = 0.005
# Filters work on blocks of an FFT of this size. Their responses have died away
# after the tail: at 200 Hz and Q 1.4 by 300 dB.
FILTER_FRAMES, FILTER_TAIL_FRAMES = 16_384, 4_096


@dataclass(frozen=True)
class Tone:
    """What of a voice depends neither on the note's duration nor on its velocity.

    ``sample`` names the recording, ``step`` is its frames an output frame,
    ``start`` the frame to begin at, ``loop`` the frames it repeats. ``attack``
    and ``hold`` are in seconds, ``decay`` in dB a second down to
    ``sustain_db`` below the start.
    """

    sample: str
    step: float
    start: float = 0.0
    loop: tuple[int, int] | None = None
    attack: float = 0.0
    hold: float = 0.0
    decay: float = 0.0
    sustain_db: float = 0.0


@dataclass(frozen=True)
class Filter:
    """A second-order low-pass: ``cutoff`` in Hz and ``resonance`` (Q)."""

    cutoff: float
    resonance: float = 0.7071


@dataclass(frozen=True)
class Voice:
    """A tone with the gains of its two channels and the damper's speed in dB a second.

    The part ``dry`` (0..1) of it passes unfiltered, the rest through ``filter``;
    without a filter all of it passes.
    """

    tone: Tone
    left: float
    right: float
    release: float
    filter: Filter | None = None
    dry: float = 0.0


@dataclass(frozen=True)
class Piano:
    """A piano as the sampler sees it.

    ``voices`` gives the voices of (key, velocity), ``sample`` the float32 audio
    (channels, frames) of a recording.
    """

    name: str
    voices: Callable[[int, int], Sequence[Voice]]
    sample: Callable[[str], NDArray[np.float32]]


def play_at_speed(
    audio: NDArray[np.float32],
    frames: int,
    step: float,
    start: float = 0.0,
    loop: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Return ``frames`` frames of a recording read every ``step`` frames from ``start``.

    ``audio`` is (channels, frames); the result likewise. Catmull-Rom cubic
    interpolation; past the loop's end the loop is repeated, past the end of the
    recording there is silence.
    """
    last = int(start + step * frames) + 3
    if loop is not None:
        first, end = loop
        turns = max(0, -(-(last - end) // (end - first)))
        audio = np.concatenate([audio[:, :end], np.tile(audio[:, first:end], turns)], axis=1)
    # One frame of silence before the recording and three behind it, for the taps.
    audio = np.pad(audio, ((0, 0), (1, max(3, last - audio.shape[1]))))
    position = start + step * np.arange(frames)
    whole = position.astype(np.int64)
    part = (position - whole).astype(np.float32)
    result = np.empty((len(audio), frames), np.float32)
    for channel, source in enumerate(audio):
        before, here, after, beyond = (
            np.take(source, whole + shift, mode="clip") for shift in range(4)
        )
        result[channel] = here + 0.5 * part * (
            after
            - before
            + part
            * (
                2 * before
                - 5 * here
                + 4 * after
                - beyond
                + part * (3 * (here - after) + beyond - before)
            )
        )
    return result


def low_pass(shape: Filter, frames: int, rate: int) -> NDArray[np.complex64]:
    """Return a digital low-pass's response at the frequencies of a real FFT of ``frames``.

    The bilinear transform of the second-order low-pass, as in R. Bristow-Johnson's
    Audio EQ Cookbook.
    """
    turn = 2 * np.pi * shape.cutoff / rate
    width = np.sin(turn) / (2 * shape.resonance)
    delay = np.exp(-2j * np.pi * np.arange(frames // 2 + 1) / frames)
    response = (
        (1 - np.cos(turn))
        / 2
        * (1 + delay) ** 2
        / (1 + width - 2 * np.cos(turn) * delay + (1 - width) * delay**2)
    )
    result: NDArray[np.complex64] = response.astype(np.complex64)
    return result


def filter_buses(buses: Mapping[Filter, NDArray[np.float32]], rate: int) -> NDArray[np.float32]:
    """Return the sum of the buses (2, frames), each through its filter (overlap-add)."""
    frames = next(iter(buses.values())).shape[1]
    block = FILTER_FRAMES - FILTER_TAIL_FRAMES
    blocks = -(-frames // block)
    spectrum = np.zeros((2, blocks, FILTER_FRAMES // 2 + 1), np.complex64)
    whole = frames // block
    for shape, bus in buses.items():
        response = low_pass(shape, FILTER_FRAMES, rate)
        cut = bus[:, : whole * block].reshape(2, whole, block)
        # Many buses are silent for most of the time: a filter serves few keys at few velocities.
        heard = np.flatnonzero(cut.any(axis=(0, 2)))
        spectrum[:, heard] += np.fft.rfft(cut[:, heard], FILTER_FRAMES) * response
        if whole < blocks:
            spectrum[:, whole] += np.fft.rfft(bus[:, whole * block :], FILTER_FRAMES) * response
    filtered = np.fft.irfft(spectrum, FILTER_FRAMES).astype(np.float32)
    result = filtered[:, :, :block].copy()
    result[:, 1:, :FILTER_TAIL_FRAMES] += filtered[:, :-1, block:]
    return result.reshape(2, -1)[:, :frames]


def _envelope(tone: Tone, frames: int, rate: int) -> NDArray[np.float32] | None:
    """Return the gain of a tone from its start on, or None if it is one throughout."""
    if tone.decay <= 0 and tone.attack <= 0:
        return None
    gain = np.ones(frames, np.float32)
    steady = min(frames, round((tone.attack + tone.hold) * rate))
    if tone.decay > 0:
        slope = tone.decay / rate
        fallen = np.minimum(
            np.arange(frames - steady, dtype=np.float32) * np.float32(slope),
            np.float32(tone.sustain_db),
        )
        gain[steady:] = np.exp(fallen * np.float32(-np.log(10) / 20))
    rising = min(frames, int(tone.attack * rate))
    if rising:
        gain[:rising] *= np.arange(rising, dtype=np.float32) / np.float32(rising)
    return gain


def _longest(tone: Tone, frames: int, rate: int) -> int:
    """Return for how many output frames a tone of a recording of ``frames`` can be heard."""
    limits = []
    if tone.loop is None:
        limits.append((frames - tone.start) / tone.step)
    if tone.decay > 0 and tone.sustain_db >= SILENCE_DB:
        limits.append((tone.attack + tone.hold + SILENCE_DB / tone.decay) * rate)
    return int(min(limits, default=float("inf"))) if limits else 1 << 62


def synthesise(
    notes: NDArray[np.void], piano: Piano, seconds: float, rate: int = 44_100
) -> NDArray[np.float32]:
    """Return the stereo audio (2, frames) of ``notes``, whose offsets are where sound is damped.

    ``notes`` has the fields onset, offset (seconds), pitch and velocity; what
    lies behind ``seconds`` is cut off. Voices of one filter are added up before
    it and filtered together, which is the same and a hundred times less work.
    """
    total = round(seconds * rate)
    by_tone: dict[Tone, list[tuple[int, int, Voice]]] = {}
    for onset, offset, pitch, velocity in zip(
        notes["onset"].tolist(),
        notes["offset"].tolist(),
        notes["pitch"].tolist(),
        notes["velocity"].tolist(),
        strict=True,
    ):
        begin = round(onset * rate)
        held = max(1, round(offset * rate) - begin)
        for voice in piano.voices(pitch, velocity):
            by_tone.setdefault(voice.tone, []).append((begin, held, voice))

    buses: dict[Filter | None, NDArray[np.float32]] = {}

    def bus(shape: Filter | None) -> NDArray[np.float32]:
        if shape not in buses:
            buses[shape] = np.zeros((2, total), np.float32)
        return buses[shape]

    for tone, uses in by_tone.items():
        recording = piano.sample(tone.sample)
        audible = _longest(tone, recording.shape[1], rate)
        lasts = [
            max(0, min(held + round(SILENCE_DB / voice.release * rate), total - begin, audible))
            for begin, held, voice in uses
        ]
        played = play_at_speed(recording, max(lasts), tone.step, tone.start, tone.loop)
        envelope = _envelope(tone, max(lasts), rate)
        if envelope is not None:
            played *= envelope
        for (begin, held, voice), last in zip(uses, lasts, strict=True):
            part = played[:, :last]
            if last > held:
                ring = np.arange(1, last - held + 1, dtype=np.float32)
                part = part.copy()
                part[:, held:] *= np.exp(ring * np.float32(-voice.release * np.log(10) / 20 / rate))
            shares = [(voice.filter, 1.0 - voice.dry), (None, voice.dry)]
            if voice.filter is None:
                shares = [(None, 1.0)]
            for shape, share in shares:
                if share > 0:
                    target = bus(shape)[:, begin : begin + last]
                    target[0] += np.float32(voice.left * share) * part[0]
                    target[1] += np.float32(voice.right * share) * part[-1]

    mix = buses.pop(None, np.zeros((2, total), np.float32))
    filtered = {shape: audio for shape, audio in buses.items() if shape is not None}
    if filtered:
        mix += filter_buses(filtered, rate)
    fade = min(total, round(END_FADE_SECONDS * rate))
    if fade:
        mix[:, total - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return mix
