"""Listening to a recording: can it be used, and do its notes belong to it?

A recording is read once, in blocks, and what is kept of it grows by 1 kB a second:
hours need no more memory than minutes. What is looked for, and how:

- *shifted labels*: the rise of the log spectrum from frame to frame (spectral flux) is
  correlated with the labelled onsets at shifts up to 2 s. In all 56 pieces of the embedded
  corpus each shift is found to 20 ms, also in white noise as loud as the music; the correlation
  is 0.66 or more (0.22 in that noise).
- *labels that do not fit*: with another piece's labels the best correlation is chance. It was
  at most 1.8 over the root of the number of onsets, in 500 pairs of pieces of 4 to 30 s.
- *detuned*: spectra are read around the frequencies of labelled notes that are held for as long
  as the window; where their average peaks, within 2.5 semitones, is the tuning against A4 = 440
  Hz. In the embedded corpus it is within 5 cents of the truth.
- *clipped*: three successive samples of one value, at the largest value of their block.
- *duplicate audio*: a digest of the samples, whatever the container.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.corpus.layout import LayoutProblem
from at4ramt.errors import InputError, Refused
from at4ramt.features.audio import SILENT_PEAK, AudioFile, Downmix, open_audio
from at4ramt.features.cqt import A4_HZ, CqtSettings, pitch_hz
from at4ramt.features.labels import Notes, check_lengths, read_labels
from at4ramt.files import read_twice, stop_if_refused

FLUX_SECONDS = 0.01
"""Step of the spectral flux."""

FLUX_WINDOW_SECONDS = 0.032
FLUX_LAG_STEPS = 2
FLUX_COMPRESSION = 4.0
"""Factor on the magnitudes of the unscaled transform, before 1 is added and the logarithm taken."""

FLUX_DELAY_SECONDS = 0.005
"""How much later than a labelled onset the flux peaks, measured on the rendered corpus."""

LARGEST_SHIFT_SECONDS = 2.0
SHIFTED_FRAMES = 2
"""Labels that are off by more than so many frames are wrong."""

FEWEST_ONSETS = 10
SURE_CORRELATION = 0.3
"""From here on, and clear of chance, a shift stops the run; below, it is a warning."""

CHANCE = 1.9
"""The best correlation with another piece's labels is less than this over the root of the number
of onsets, or less than :data:`CHANCE_CORRELATION` where they are very many."""

CHANCE_CORRELATION = 0.1

CLEARER = 1.05
"""So much higher is the correlation at a shift that is reported than at any that would do."""

TUNING_WINDOW_SECONDS = 0.256
TUNING_LOWEST_HZ = 400.0
"""Notes are looked for at their first harmonic above this: below, bins lie 50 cents apart."""

CENTS = np.arange(-250, 251, 5)
DETUNED_CENTS = 20
WRONG_KEY_CENTS = 50
FEWEST_TUNED = 10
"""Held notes that are needed to tell the tuning."""

CLEAR_PEAK = 1.5
"""So much higher than elsewhere the average spectrum must be where the tuning is read."""

FLAT_SAMPLES = 10
"""Flat tops that a recording may have before it counts as clipped."""

LOUD_PEAK = 0.5
QUIET_PEAK = 0.003
"""Below this, -50 dB of full scale, the steps of 16 bits are heard in what is left."""


def check_piece(piece: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wrong with a piece, and what only other pieces can tell is wrong.

    Args:
        piece: a row of the table of pieces.
        features: the config's section of that name.

    Returns:
        ``piece``, ``split`` and ``audio``; ``problems``, each as a dictionary; and of the
        recording ``seconds``, ``sample_rate_hz``, ``digest``, ``tuning_cents`` and
        ``shift_seconds``, None where it could not be told.
    """
    settings = CqtSettings.from_config(features)
    problems = _Problems(piece["piece"], _named(piece, "audio"))
    result: dict[str, Any] = {
        "piece": piece["piece"],
        "split": piece["split"],
        "audio": problems.path,
        **dict.fromkeys(("seconds", "sample_rate_hz", "digest", "tuning_cents", "shift_seconds")),
    }
    notes = _read_notes(problems, piece)

    def listen() -> _Listener:
        with open_audio(piece["audio"], piece["audio_member"]) as audio:
            result.update(seconds=audio.seconds, sample_rate_hz=audio.sample_rate_hz)
            heard = _Listener(audio, settings, notes)
            for block in audio.blocks():
                heard.feed(block)
            heard.end()
        return heard

    try:
        # What is noted stays: nobody listens again.
        heard = read_twice(listen, piece["audio"])
    except Refused:
        raise
    except InputError as error:
        problems.add("unreadable", str(error))
    else:
        result["digest"] = heard.digest.hexdigest()
        if _check_sound(problems, heard, settings) and len(notes):
            found = _check_notes(problems, heard, piece, settings)
            result["tuning_cents"], result["shift_seconds"] = found
    return {**result, "problems": [asdict(problem) for problem in problems.found]}


def _named(piece: Mapping[str, Any], kind: str) -> str:
    member = piece[f"{kind}_member"]
    return f"{piece[kind]}: {member}" if member else str(piece[kind])


def _read_notes(problems: _Problems, piece: Mapping[str, Any]) -> Notes:
    """Return a piece's notes; none, with a problem noted, if there are none that can be read."""
    try:
        notes = read_twice(
            lambda: read_labels(piece["notes"], member=piece["notes_member"]), piece["notes"]
        )
        if len(notes):
            return notes
        message = f"{_named(piece, 'notes')}: expected notes, found none. Replace the file."
    except Refused:
        raise
    except InputError as error:
        message = str(error)
    problems.add("unusable notes", message)
    return np.zeros(0, [("onset", "f8"), ("offset", "f8"), ("pitch", "i4")])


@dataclass
class _Problems:
    piece: str
    path: str

    def __post_init__(self) -> None:
        self.found: list[LayoutProblem] = []

    def add(self, problem: str, message: str, *, stops: bool = True) -> None:
        self.found.append(LayoutProblem(self.piece, self.path, problem, message, stops))


class _Listener:
    """Takes a recording in blocks, and keeps what the checks need."""

    def __init__(self, audio: AudioFile, settings: CqtSettings, notes: Notes):
        rate = settings.sample_rate_hz
        self.rate = rate
        self.downmix = Downmix(audio, rate)
        self.digest = hashlib.sha256(f"{audio.sample_rate_hz} {audio.channels} ".encode())
        self.flat = 0
        self.notes = notes
        self.flux_hop = round(FLUX_SECONDS * rate)
        self._flux_frames = _Frames(round(FLUX_WINDOW_SECONDS * rate), self.flux_hop)
        self._last = np.zeros((FLUX_LAG_STEPS, 0), np.float32)
        self._flux: list[npt.NDArray[np.float32]] = []
        self._level_frames = _Frames(settings.hop_length_samples, settings.hop_length_samples)
        self._levels: list[npt.NDArray[np.float32]] = []
        window = round(TUNING_WINDOW_SECONDS * rate)
        self._tuning_frames = _Frames(window, window // 2)
        self._tuned = 0
        self.tuning = np.zeros(len(CENTS))
        self.tuned = 0
        self.samples = 0

    @property
    def seconds(self) -> float:
        """Length of what was heard."""
        return self.samples / self.rate

    @property
    def levels(self) -> npt.NDArray[np.float32]:
        """Root mean square of each hop of the features, ``(frames,)``."""
        return np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)

    @property
    def flux(self) -> npt.NDArray[np.float32]:
        """Spectral flux; entry ``t`` belongs to the window that begins at ``t`` steps."""
        return np.concatenate(self._flux) if self._flux else np.zeros(0, np.float32)

    def feed(self, block: npt.NDArray[np.float32]) -> None:
        """Take a block ``(samples, channels)``."""
        self.digest.update(block.tobytes())
        peak = float(np.abs(block).max())
        if peak >= LOUD_PEAK and len(block) > 2:
            top = np.abs(block) >= peak * (1 - 1e-6)
            same = top[1:] & (block[1:] == block[:-1])
            self.flat += int(np.count_nonzero(same[1:] & same[:-1]))
        self._listen(self.downmix.feed(block))

    def end(self) -> None:
        """Take what the resampler still holds."""
        self._listen(self.downmix.end())

    def _listen(self, mono: npt.NDArray[np.float32]) -> None:
        self.samples += len(mono)
        hops = self._level_frames.cut(mono)
        self._levels.append(np.sqrt(np.mean(np.square(hops), axis=1)))
        frames = self._flux_frames.cut(mono)
        if len(frames):
            spectra = np.log1p(FLUX_COMPRESSION * _magnitudes(frames))
            if not self._last.size:
                # Before the first frame there is nothing: what begins with the audio is an onset.
                self._last = np.zeros((FLUX_LAG_STEPS, spectra.shape[1]), np.float32)
            joined = np.concatenate([self._last, spectra])
            rise = np.maximum(0, joined[FLUX_LAG_STEPS:] - joined[:-FLUX_LAG_STEPS])
            self._flux.append(rise.sum(axis=1))
            self._last = joined[-FLUX_LAG_STEPS:]
        for frame in self._tuning_frames.cut(mono):
            self._tune(frame)

    def _tune(self, frame: npt.NDArray[np.float32]) -> None:
        """Add what a frame says about the tuning: the spectra around the notes held in it."""
        begin = self._tuned * len(frame) // 2 / self.rate
        end = begin + len(frame) / self.rate
        self._tuned += 1
        held = (self.notes["onset"] <= begin + 0.1 * (end - begin)) & (
            self.notes["offset"] >= end - 0.1 * (end - begin)
        )
        pitches = np.unique(self.notes["pitch"][held])
        if not len(pitches):
            return
        spectrum = _magnitudes(frame[None])[0]
        bins = np.arange(len(spectrum))
        for pitch in pitches:
            hz = pitch_hz(pitch)
            hz *= max(1, int(np.ceil(TUNING_LOWEST_HZ / hz)))
            places = hz * 2 ** (CENTS / 1200) * len(frame) / self.rate
            if places[-1] >= bins[-1]:
                continue
            around = np.interp(places, bins, spectrum)
            if around.max() >= 0.01 * spectrum.max() > 0:
                self.tuning += around / around.mean()
                self.tuned += 1


class _Frames:
    """Cuts a stream of samples into frames, whatever blocks it comes in."""

    def __init__(self, window: int, hop: int):
        self._window, self._hop = window, hop
        self._left = np.zeros(0, np.float32)

    def cut(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the frames that are complete by now, ``(frames, window)``."""
        held = np.concatenate([self._left, samples])
        count = max(0, (len(held) - self._window) // self._hop + 1)
        self._left = held[count * self._hop :]
        if not count:
            return np.zeros((0, self._window), np.float32)
        return np.lib.stride_tricks.sliding_window_view(held, self._window)[:: self._hop][:count]


def _magnitudes(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    window = np.hanning(frames.shape[1]).astype(np.float32)
    return np.abs(np.fft.rfft(frames * window, axis=1)).astype(np.float32)


def _check_sound(problems: _Problems, heard: _Listener, settings: CqtSettings) -> bool:
    """Note what can be told without the labels; return whether there is anything to compare."""
    path, audio = problems.path, heard.downmix.audio
    needed = 2 * pitch_hz(settings.first_pitch + settings.bins / settings.bins_per_pitch - 1)
    if audio.sample_rate_hz < needed:
        problems.add(
            "wrong rate",
            f"{path}: expected {needed:.0f} Hz or more, which the highest bin needs, found "
            f"{audio.sample_rate_hz} Hz. Use the original recording.",
        )
    try:
        heard.downmix.check()
    except InputError as error:
        silent = heard.downmix.peak < SILENT_PEAK
        problems.add("silent" if silent else "wrong samples", str(error))
        return False
    if heard.downmix.peak < QUIET_PEAK:
        problems.add(
            "very quiet",
            f"{path}: expected a peak above {QUIET_PEAK:g} of full scale, found "
            f"{heard.downmix.peak:.2g}. The quantisation is audible; use a louder copy.",
            stops=False,
        )
    if heard.flat > FLAT_SAMPLES:
        problems.add(
            "clipped",
            f"{path}: expected rounded peaks, found {heard.flat} samples on flat tops at "
            f"{heard.downmix.peak:.3f} of full scale. Use a copy that was not overdriven.",
            stops=False,
        )
    return True


def _check_notes(
    problems: _Problems, heard: _Listener, piece: Mapping[str, Any], settings: CqtSettings
) -> tuple[float | None, float | None]:
    """Note how the labels disagree with the sound; return tuning [cents] and shift [s]."""
    path, notes_path, notes = problems.path, _named(piece, "notes"), heard.notes
    try:
        notes = read_labels(piece["notes"], heard.seconds, piece["notes_member"])
        check_lengths(
            notes, heard.levels, heard.seconds, settings, audio_path=path, notes_path=notes_path
        )
    except InputError as error:
        stop_if_refused(error, piece["notes"])
        problems.add("length mismatch", str(error))
    cents = tuning_cents(heard)
    if cents is not None and abs(cents) > DETUNED_CENTS:
        stops = abs(cents) >= WRONG_KEY_CENTS
        problems.add(
            "detuned",
            f"{path}: expected A4 near {A4_HZ:g} Hz, found the labelled notes {cents:+.0f} cents "
            f"from there ({A4_HZ * 2 ** (cents / 1200):.1f} Hz). "
            + (
                "The labels name other keys than sound: transpose them, or check the header's rate."
                if stops
                else "Its partials fall beside their bins: expect worse transcriptions."
            ),
            stops=stops,
        )
    found = label_shift(heard.flux, notes, heard.flux_hop / heard.rate)
    if found is None:
        return cents, None
    shift, correlation, chance = found
    limit = SHIFTED_FRAMES * settings.hop_length_samples / settings.sample_rate_hz
    if correlation < chance:
        problems.add(
            "labels do not fit",
            f"{notes_path}: expected notes that begin when {path} gets louder, found hardly any "
            f"agreement (correlation {correlation:.2f}) at shifts up to "
            f"{LARGEST_SHIFT_SECONDS:g} s. Check that both are of the same performance, and that "
            "the recording's header has the right rate.",
        )
        return cents, None
    if abs(shift) > limit:
        problems.add(
            "shifted labels",
            f"{notes_path}: expected onsets within {limit:.3f} s of the sound in {path}, found "
            f"the sound {abs(shift):.2f} s {'after' if shift > 0 else 'before'} its labels "
            f"(correlation {correlation:.2f}). Shift the labels by {shift:+.2f} s.",
            stops=correlation >= max(SURE_CORRELATION, 1.5 * chance),
        )
    return cents, shift


def tuning_cents(heard: _Listener) -> float | None:
    """Return by how many cents the held notes are sharp of A4 = 440 Hz; None if it is unclear."""
    if heard.tuned < FEWEST_TUNED:
        return None
    best = int(heard.tuning.argmax())
    elsewhere = heard.tuning[np.abs(CENTS - CENTS[best]) > 60]
    if heard.tuning[best] < CLEAR_PEAK * elsewhere.max():
        return None
    return float(CENTS[best])


def label_shift(
    flux: npt.NDArray[np.float32], notes: Notes, step_seconds: float
) -> tuple[float, float, float] | None:
    """Return by how many seconds the sound is later than its labels, and how sure this is.

    Args:
        flux: rise of the spectrum, one number a step.
        notes: their ``onset`` counts.
        step_seconds: length of a step.

    Returns:
        The shift, the correlation at it, and the correlation that chance may reach; None with
        fewer than 10 onsets.
    """
    centre = FLUX_WINDOW_SECONDS / 2 - FLUX_DELAY_SECONDS
    steps = np.round((notes["onset"] - centre) / step_seconds).astype(np.int64)
    steps = steps[(steps >= 0) & (steps < len(flux))]
    different = len(np.unique(steps))
    if different < FEWEST_ONSETS:
        return None
    # Of a chord the second note adds less to the sound than the first.
    onsets = np.sqrt(np.bincount(steps, minlength=len(flux)))
    heard, written = _without_trend(flux), _without_trend(onsets)
    size = 1 << int(np.ceil(np.log2(2 * len(flux))))
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(written, size))
    everywhere = np.fft.irfft(spectrum, size) / (
        np.linalg.norm(heard) * np.linalg.norm(written) + 1e-12
    )
    reach = round(LARGEST_SHIFT_SECONDS / step_seconds)
    shifts = np.arange(-reach, reach + 1) * step_seconds
    correlation = np.concatenate([everywhere[-reach:], everywhere[: reach + 1]])
    best = int(correlation.argmax())
    near = correlation[np.abs(shifts) <= 0.06].max()
    if correlation[best] < CLEARER * near:
        best = int(np.where(np.abs(shifts) <= 0.06, correlation, -1).argmax())
    chance = max(CHANCE / np.sqrt(different), CHANCE_CORRELATION)
    return float(shifts[best]), float(correlation[best]), float(chance)


def _without_trend(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Smooth by 15 ms, and take the mean of a second off."""
    bell = np.exp(-((np.arange(-6, 7) / 1.5) ** 2) / 2)
    smooth = np.convolve(values, bell / bell.sum(), "same")
    return smooth - np.convolve(smooth, np.full(101, 1 / 101), "same")
