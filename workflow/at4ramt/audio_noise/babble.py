"""What babble is made of: excerpts of the training pieces' recordings.

A crowd whose voices are pianos: it has the spectrum of the music, and moves as music does, but
what :func:`~at4ramt.audio_noise.kinds.babble_span` makes of the excerpts is no piece. No recording
of validation or test is in it, and pools for training are made of other excerpts than the noise
that models are tested in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.archives import REMAKE, stored_arrays
from at4ramt.audio_noise.kinds import MIXING_RATE_HZ
from at4ramt.errors import InputError
from at4ramt.features.audio import read_audio
from at4ramt.features.power import active_power
from at4ramt.files import whole_file
from at4ramt.seeds import purpose_seed

log = logging.getLogger("at4ramt")

EXCERPTS = 64
EXCERPT_SECONDS = 8.0
FADE_SECONDS = 0.02
TRIES = 3

USES = ("training", "evaluation")
"""What excerpts are for: the even ones are for pools, the odd ones for scores."""


def excerpt_counts(recordings: int) -> list[int]:
    """Return how many excerpts each of so many recordings gives, :data:`EXCERPTS` in all."""
    return [
        EXCERPTS // recordings + (number < EXCERPTS % recordings) for number in range(recordings)
    ]


def cut_excerpts(recordings: Sequence[tuple[str, str, str]], path: str, *, seed: int) -> None:
    """Write the excerpts, float16 ``(excerpts, samples)``, each of active power 1.

    They begin anywhere: of three places the one where it is loudest is taken. A recording
    shorter than an excerpt is repeated.

    Args:
        recordings: name, path and, in a zip, member of training pieces.
        path: the ``.npz`` file.
        seed: what the places are drawn by.

    Raises:
        InputError: if there is no recording, or one cannot be used.
    """
    if not recordings:
        raise InputError(
            "evaluation.audio_noises, rounds.arms: babble is made of training pieces, and the "
            "corpus has none; expected one or more, or other noise"
        )
    length = round(EXCERPT_SECONDS * MIXING_RATE_HZ)
    fade = np.linspace(0, 1, round(FADE_SECONDS * MIXING_RATE_HZ), dtype=np.float32)
    by_recording = []
    for (piece, audio, member), count in zip(
        recordings, excerpt_counts(len(recordings)), strict=True
    ):
        if not count:
            continue
        samples = read_audio(audio, MIXING_RATE_HZ, member)
        random = np.random.default_rng(purpose_seed(seed, "babble", piece))
        found = []
        for _ in range(count):
            last = len(samples) - length
            starts = random.integers(0, last if last > 0 else len(samples), TRIES)
            tried = [
                samples.take(range(start, start + length), mode="wrap") for start in starts.tolist()
            ]
            power, place = max(
                (active_power(excerpt, MIXING_RATE_HZ), place)
                for place, excerpt in enumerate(tried)
            )
            # Three silent places make a silent voice, which does no harm.
            excerpt = tried[place] / np.float32(np.sqrt(max(power, 1e-12)))
            excerpt[: len(fade)] *= fade
            excerpt[-len(fade) :] *= fade[::-1]
            found.append(excerpt.astype(np.float16))
        by_recording.append(found)
    # In turns, so that a use's excerpts come from as many recordings as there are.
    turns = max(map(len, by_recording))
    excerpts = [found[turn] for turn in range(turns) for found in by_recording if turn < len(found)]
    with whole_file(path) as temporary:
        np.savez(temporary, excerpts=np.stack(excerpts))
    log.info("%d excerpts of %d recordings", len(excerpts), len(by_recording))


def read_excerpts(path: str, use: str) -> npt.NDArray[Any]:
    """Return the excerpts for one of :data:`USES`."""
    with stored_arrays(path, "excerpts of recordings", REMAKE) as opened:
        chosen: npt.NDArray[Any] = opened["excerpts"][USES.index(use) :: len(USES)]
    return chosen
