"""Recordings with noise: what our models and their peers hear of the same piece.

Noise of ``snr_db`` has a power so many decibels below the recording's active power
(:mod:`at4ramt.features.power`), which stands in the piece's feature file: all systems
have one number. Noise of the kind ``room`` is the recording's own reverberation, and the ratio is
that of direct to reverberant sound.
"""

from __future__ import annotations

import json
import logging
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from at4ramt.archives import REMAKE, stored_arrays
from at4ramt.audio_noise.babble import read_excerpts
from at4ramt.audio_noise.kinds import MIXING_RATE_HZ, ROOM, unit_noise, unit_reverberation
from at4ramt.errors import InputError, told
from at4ramt.features.audio import AudioFile, audio_blocks, open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.power import active_power
from at4ramt.features.shards import read_features
from at4ramt.features.stream import cqt_blocks
from at4ramt.files import parse_json, whole_file
from at4ramt.seeds import purpose_seed
from at4ramt.training.lineage import check_made_with

log = logging.getLogger("at4ramt")

MADE_WITH = "made_with"

Samples = npt.NDArray[np.float32]


def noise_seed(seed: int, kind: str, piece: str) -> int:
    """Return the seed of the noise in a piece's audio, by the run's seed: one for all systems."""
    return purpose_seed(seed, "noise in the audio", kind, piece)


def noise_gain(power: float, snr_db: float) -> float:
    """Return what unit noise is multiplied by to lie ``snr_db`` below a power."""
    return float(np.sqrt(power / 10 ** (snr_db / 10)))


def with_noise(
    audio: Samples, sample_rate_hz: int, snr_db: float, random: np.random.Generator
) -> Samples:
    """Return audio with white noise whose power is ``snr_db`` below its active power."""
    gain = noise_gain(active_power(audio, sample_rate_hz), snr_db)
    return audio + (random.standard_normal(len(audio)) * gain).astype(np.float32)


def noisy_audio(
    audio: AudioFile, power: float, snr_db: float | None, seed: int
) -> Iterator[Samples]:
    """Yield a recording with white noise, one channel at the mixing rate, in blocks.

    Args:
        audio: the recording.
        power: its active power.
        snr_db: signal-to-noise ratio in dB; None for the recording as it is.
        seed: what :func:`noise_seed` gives.

    Raises:
        InputError: if the recording cannot be used.
    """
    gain = np.float32(0 if snr_db is None else noise_gain(power, snr_db))
    random = np.random.default_rng(seed)
    for block in audio_blocks(audio, MIXING_RATE_HZ):
        # Block by block it is what `unit_noise` gives.
        yield (
            block + gain * random.standard_normal(len(block)).astype(np.float32) if gain else block
        )


def resampled(blocks: Iterable[Samples], sample_rate_hz: int) -> Iterator[Samples]:
    """Yield samples at the mixing rate as samples at another, by the recipe of the features."""
    if sample_rate_hz == MIXING_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(MIXING_RATE_HZ, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def noise_of_length(
    kind: str,
    samples: int,
    sample_rate_hz: int,
    seed: int,
    *,
    excerpts: npt.NDArray[Any] | None = None,
    recording: AudioFile | None = None,
) -> Samples:
    """Return noise of power 1 (at the mixing rate), ``(samples,)`` at another rate.

    Args:
        kind: one of :data:`~at4ramt.audio_noise.kinds.KINDS`.
        samples: how many at that rate.
        sample_rate_hz: the rate.
        seed: what is drawn by.
        excerpts: what babble is made of.
        recording: what a room answers to.
    """
    if kind == ROOM:
        if recording is None:
            raise ValueError("reverberation needs a recording")
        blocks = unit_reverberation(partial(audio_blocks, recording, MIXING_RATE_HZ), seed)
    else:
        # A sample more than are needed, as resampling may round.
        length = math.ceil(samples * MIXING_RATE_HZ / sample_rate_hz) + 1
        blocks = unit_noise(kind, length, seed, excerpts=excerpts)
    # A room's is as long as the recording, which on another way may be a sample longer.
    noise, done = np.zeros(samples, np.float32), 0
    for block in resampled(blocks, sample_rate_hz):
        noise[done : done + len(block)] = block[: samples - done]
        done = min(samples, done + len(block))
    return noise


def piece_power(features: str) -> float:
    """Return a piece's active power, by its feature file.

    Raises:
        InputError: if it is no feature file.
    """
    return float(read_features(features, columns=["frame"]).schema.metadata[b"active_power"])


def condition_name(kind: str, snr_db: float) -> str:
    """Return what a file of mixtures calls one of them."""
    return f"{kind}_{float(snr_db):g}"


def mix_piece(
    piece: str,
    features: str,
    audio: str,
    path: str,
    *,
    config: Mapping[str, Any],
    member: str = "",
    excerpts: str | None = None,
) -> None:
    """Write what models hear of a piece in noise: an array for each kind and ratio.

    Noise is added to the samples that the features were made of, and the mixture transformed.
    Arrays are magnitudes of the bins that networks hear, in all frames, float16 ``(frames, bins)``,
    in an ``.npz`` whose members are named by :func:`condition_name`.

    Args:
        piece: its name.
        features: its feature file.
        audio: its recording.
        path: the file to write.
        config: what :func:`at4ramt.config.mixing_config` gives.
        member: the recording's path inside the zip that ``audio`` is, if it is one.
        excerpts: what :func:`~at4ramt.audio_noise.babble.cut_excerpts` wrote, if there is babble.

    Raises:
        InputError: if a file is unusable.
    """
    settings = CqtSettings.from_config(config["features"])
    rate = settings.sample_rate_hz
    power = piece_power(features)
    voices = read_excerpts(excerpts, "evaluation") if excerpts else None
    evaluation = config["evaluation"]
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        open_audio(audio, member) as opened,
    ):
        mixed = mixed_samples(
            piece, opened, rate, power, evaluation["audio_noises"], evaluation["audio_snr_db"],
            noise_of=config["noise_seed"], excerpts=voices,
        )  # fmt: skip
        for kind, snr_db, mixture in mixed:
            blocks = magnitude_blocks(mixture, settings)
            heard = np.concatenate([block.astype(np.float16) for block in blocks])
            _write_array(archive, condition_name(kind, snr_db), heard)
        _write_array(archive, MADE_WITH, np.array(json.dumps(config)))


def magnitude_blocks(samples: Samples, settings: CqtSettings) -> Iterator[Samples]:
    """Yield what networks hear of samples, float32 ``(frames, bins)``, in successive blocks."""
    for block in cqt_blocks([samples], settings):
        yield np.abs(block[:, settings.heard])


def mixed_samples(
    piece: str,
    opened: AudioFile,
    rate: int,
    power: float,
    noises: Sequence[str],
    ratios: Sequence[float],
    *,
    noise_of: int,
    excerpts: npt.NDArray[Any] | None,
) -> Iterator[tuple[str, float, Samples]]:
    """Yield kind, ratio in dB and samples of a recording with each noise at each ratio.

    Args:
        piece: its name, by which its noise is drawn.
        opened: its recording.
        rate: the sample rate of what is yielded, in Hz.
        power: its active power.
        noises: kinds of noise.
        ratios: signal-to-noise ratios in dB.
        noise_of: the run's seed of noise.
        excerpts: what babble is made of, if there is babble.
    """
    music = np.concatenate(list(audio_blocks(opened, rate)))
    for kind in noises:
        seed = noise_seed(noise_of, kind, piece)
        noise = noise_of_length(kind, len(music), rate, seed, excerpts=excerpts, recording=opened)
        for snr_db in ratios:
            yield kind, snr_db, music + np.float32(noise_gain(power, snr_db)) * noise
        log.info("%s in %s noise", piece, kind)


def _write_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    """Add an array to an ``.npz``: one after the other, they need not be in memory together."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as opened:
        np.lib.format.write_array(opened, array, allow_pickle=False)


def read_made_with(path: str, opened: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the settings that a file of arrays was made with.

    Raises:
        InputError: if it does not say them.
    """
    try:
        said = parse_json(str(opened[MADE_WITH]))
        if isinstance(said, dict):
            return said
        raise ValueError(f"{MADE_WITH} is no table")
    except ValueError as error:
        raise InputError(
            f"{path}: expected the settings it was made with, found none ({told(error)}). {REMAKE}"
        ) from error


@contextmanager
def mixtures(path: str, config: Mapping[str, Any]) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """Give access to a file of :func:`mix_piece`; an array is read when it is asked for.

    Args:
        path: the file.
        config: what :func:`at4ramt.config.audio_config` gives.

    Raises:
        InputError: if it was made with other settings.
    """
    wanted = {name: config[name] for name in ("features", "evaluation", "noise_seed")}
    with stored_arrays(path, "recordings in noise", REMAKE) as opened:
        check_made_with(path, {"made_with": read_made_with(path, opened)}, wanted)
        yield opened


def conditions(noises: Sequence[str], ratios: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield the columns ``noise`` and ``snr_db`` of each condition: none, then each ratio."""
    yield {"noise": "none", "snr_db": np.inf}
    for noise in noises:
        for ratio in ratios:
            yield {"noise": noise, "snr_db": float(ratio)}
