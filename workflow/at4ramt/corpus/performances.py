"""From a work in an archive to the notes and pedal of an excerpt.

*Performed* works carry their player's velocities, timing and pedal and are
taken as they are. *Humanised* works are scores without dynamics; they get, from
a stream seeded by the work's name alone, so that all pianos and excerpts of a
work share one performance:

- velocity: 66, plus a phrase contour (arches of 8 beats, 9 up or down in all,
  every second one stronger), plus 4 on every fourth beat and 2 on the others,
  plus 9 for the highest note of a chord and minus 4 for inner notes, plus what
  the score itself marks (half of its deviation from its median), plus a normal
  deviate of 4; held to 20..112;
- timing: each chord is moved by a normal deviate of 8 ms, each note of it by
  another of 4 ms, none by more than 20 ms; durations move along;
- pedal: unless the score has one, it is pressed 80 ms after two beats of three
  in the mean, and lifted at the next change (legato pedalling), every two beats.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from at4ramt.corpus.midi import Performance, on_grid, read_midi, sustain, without_overlap
from at4ramt.corpus.sources import read_member
from at4ramt.errors import InputError, suggestion
from at4ramt.seeds import purpose_seed

DYNAMICS = ("performed", "humanised")

BASE_VELOCITY, SOFTEST, LOUDEST = 66, 20, 112
PHRASE_BEATS, PHRASE_DEPTH = 8, 9.0
DOWNBEAT_ACCENT, BEAT_ACCENT = 4.0, 2.0
MELODY_ACCENT, INNER_ACCENT = 9.0, -4.0
VELOCITY_DEVIATION = 4.0
CHORD_DEVIATION_SECONDS, NOTE_DEVIATION_SECONDS, LARGEST_SHIFT_SECONDS = 0.008, 0.004, 0.020
PEDAL_BEATS, PEDAL_PROBABILITY, PEDAL_DELAY_SECONDS = 2, 2 / 3, 0.080


def read_work(archive: str | Path, member: str, work: str, dynamics: str) -> Performance:
    """Return a work of an archive as it is played.

    ``dynamics`` is ``performed`` (taken as it is) or ``humanised`` (see the module).

    Raises:
        InputError: the archive, the member or ``dynamics`` is not what it should be.
    """
    if dynamics not in DYNAMICS:
        raise InputError(
            f"works table, {work}, column dynamics: expected one of {', '.join(DYNAMICS)}, found "
            f"{dynamics!r}.{suggestion(dynamics, DYNAMICS)} Mend the row."
        )
    performance = read_midi(read_member(archive, member), f"{archive}: {member}")
    return humanise(performance, work) if dynamics == "humanised" else performance


def humanise(score: Performance, work: str) -> Performance:
    """Return a score with the velocities, timing and pedal that the module describes."""
    random = np.random.default_rng(purpose_seed(0, "humanise", work))
    notes = score.notes.copy()
    beat = np.interp(notes["onset"], score.beats, np.arange(len(score.beats)))
    chord, first = np.unique(np.round(notes["onset"], 3), return_inverse=True)

    # Arches over 8 beats, every other one higher: a phrase and its answer.
    phrase = beat / PHRASE_BEATS
    arch = np.sin(np.pi * (phrase % 1)) - 0.5
    strength = np.where(np.floor(phrase) % 2 == 0, 1.0, 0.6)
    velocity = BASE_VELOCITY + 2 * PHRASE_DEPTH * strength * arch / 2
    on_beat = np.abs(beat - np.round(beat)) < 0.02
    downbeat = on_beat & (np.round(beat) % 4 == 0)
    velocity += np.where(downbeat, DOWNBEAT_ACCENT, np.where(on_beat, BEAT_ACCENT, 0.0))

    highest = np.full(len(chord), -1)
    lowest = np.full(len(chord), 128)
    np.maximum.at(highest, first, notes["pitch"])
    np.minimum.at(lowest, first, notes["pitch"])
    top = notes["pitch"] == highest[first]
    inner = ~top & (notes["pitch"] != lowest[first])
    velocity += np.where(top, MELODY_ACCENT, np.where(inner, INNER_ACCENT, 0.0))
    velocity += (notes["velocity"] - np.median(notes["velocity"])) / 2
    velocity += random.normal(0, VELOCITY_DEVIATION, len(notes))
    notes["velocity"] = np.clip(np.round(velocity), SOFTEST, LOUDEST).astype(int)

    shift = random.normal(0, CHORD_DEVIATION_SECONDS, len(chord))[first]
    shift = shift + random.normal(0, NOTE_DEVIATION_SECONDS, len(notes))
    shift = np.clip(shift, -LARGEST_SHIFT_SECONDS, LARGEST_SHIFT_SECONDS)
    shift = np.maximum(shift, -notes["onset"])
    notes["onset"] += shift
    notes["offset"] += shift

    pedal = score.pedal
    if len(pedal) == 0:
        changes = score.beats[::PEDAL_BEATS]
        pressed = random.random(len(changes)) < PEDAL_PROBABILITY
        strokes = [
            (begin + PEDAL_DELAY_SECONDS, end)
            for begin, end, down in zip(changes[:-1], changes[1:], pressed[:-1], strict=True)
            if down and end > begin + PEDAL_DELAY_SECONDS
        ]
        pedal = np.array(strokes, dtype=np.float64).reshape(-1, 2)
    return Performance(without_overlap(notes), pedal, score.beats)


def cut_excerpt(performance: Performance, position: float, seconds: float) -> Performance:
    """Return the part of a performance that begins at ``position`` (0..1) and lasts ``seconds``.

    It begins at ``position`` times what the work is longer than the excerpt. Only
    notes that *begin* in the excerpt are kept: what sounded before is in neither
    the audio nor the labels. A pedal that is down at the start is carried in.
    All times are rounded to ticks of 100 microseconds; keys and pedal are
    released at the excerpt's end at the latest.

    Raises:
        InputError: no note begins there.
    """
    start = float(on_grid(np.array(position * max(0.0, performance.seconds - seconds))))
    notes = performance.notes.copy()
    notes["onset"] = on_grid(notes["onset"] - start)
    notes["offset"] = np.minimum(on_grid(notes["offset"] - start), on_grid(np.array(seconds)))
    # Two notes of a key may fall onto one tick by the rounding.
    notes = without_overlap(notes[(notes["onset"] >= 0) & (notes["onset"] < seconds)])
    pedal = np.clip(on_grid(performance.pedal - start), 0, float(on_grid(np.array(seconds))))
    pedal = pedal[pedal[:, 1] > pedal[:, 0]]
    if len(notes) == 0:
        raise InputError(
            f"pieces table, column position: no note begins in the {seconds:g} s from {start:g} s "
            "on. Choose another position."
        )
    return Performance(notes, pedal, np.zeros(0))


def sounding(performance: Performance, seconds: float) -> NDArray[np.void]:
    """Return the notes of an excerpt as they sound: sustained, and cut at its end."""
    notes = sustain(performance.notes, performance.pedal)
    notes["offset"] = np.minimum(notes["offset"], seconds)
    return notes
