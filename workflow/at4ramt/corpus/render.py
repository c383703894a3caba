"""Render one piece of the corpus: its wav, its MIDI and its note list, in the layout of MAPS."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from at4ramt import sounds
from at4ramt.corpus import maps, midi, performances, pianos, sampler
from at4ramt.corpus.sources import check_archive
from at4ramt.corpus.variations import Variation, detune, in_room, vary_performance
from at4ramt.files import whole_file

logger = logging.getLogger("at4ramt.render")

# A work that is shorter than the excerpt ends this long after its last sound.
TAIL_SECONDS = 2.0
# Where a fixed gain would clip, the excerpt is made quieter as a whole.
HIGHEST_PEAK = 0.98


def to_pcm(audio: NDArray[np.float32], gain_db: float) -> tuple[NDArray[np.int16], float]:
    """Return stereo audio (2, frames) as int16 (frames, 2), and the gain in dB that it took.

    The gain is the instrument's own, so that soft excerpts stay soft; it is
    lowered only where the loudest sample would pass :data:`HIGHEST_PEAK`.
    """
    gain = 10 ** (gain_db / 20)
    peak = float(np.abs(audio).max(initial=0.0))
    if peak * gain > HIGHEST_PEAK:
        gain = HIGHEST_PEAK / peak
    scaled = np.round(audio.T * np.float32(gain * 32767))
    return scaled.astype(np.int16), float(20 * np.log10(gain))


def render_piece(
    *,
    archive: str | Path,
    archive_sha256: str,
    member: str,
    work: str,
    dynamics: str,
    position: float,
    excerpt_seconds: float,
    variation: Mapping[str, Any],
    piano: str | Path,
    gain_db: float,
    wav: str | Path,
    mid: str | Path,
    txt: str | Path,
) -> None:
    """Write the 44.1 kHz stereo 16-bit wav, the mid (as performed) and the txt (as it sounds).

    The three agree to the tick of 100 microseconds: all are made from the same
    rounded notes. In the mid, notes end where keys are released, and the pedal
    stands beside them; in the txt, offsets are where the sound is damped.

    Raises:
        InputError: the archive, the piano or the position is not what it should be.
    """
    check_archive(archive, archive_sha256)
    varied = Variation(**variation)
    whole = performances.read_work(archive, member, work, dynamics)
    excerpt = performances.cut_excerpt(whole, position, excerpt_seconds)
    excerpt = vary_performance(excerpt, varied)
    longest = excerpt_seconds / varied.tempo_factor
    notes = performances.sounding(excerpt, longest)
    seconds = min(longest, float(notes["offset"].max()) + TAIL_SECONDS)
    if whole.seconds > excerpt_seconds:
        seconds = longest
    played_on = detune(pianos.load_piano(piano), varied)
    audio = sampler.synthesise(notes, played_on, seconds, pianos.RATE)
    audio = in_room(audio, varied, pianos.RATE)
    gain_db += varied.gain_db
    pcm, taken = to_pcm(audio, gain_db)
    if taken < gain_db - 1e-9:
        logger.info(
            "%s is %.1f dB quieter than its piano, not to clip", Path(wav).stem, gain_db - taken
        )
    midi.write_midi(mid, excerpt, Path(wav).stem)
    maps.write_notes(txt, notes)
    with whole_file(wav) as temporary:
        sounds.write(temporary, pcm, pianos.RATE, subtype="PCM_16", format="WAV")
    logger.info(
        "%s: %d notes, %.1f s, peak %.3f",
        Path(wav).stem,
        len(notes),
        seconds,
        float(np.abs(pcm.astype(np.int32)).max()) / 32768,
    )
