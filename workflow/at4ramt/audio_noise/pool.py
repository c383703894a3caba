"""Pools of noise for training: minutes of it, transformed, to add to the features of music.

The constant-Q transform is linear: rows of a pool, times the level and a piece's root of its active
power, added to the complex transform of that piece are the transform of the mixture of both.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.archives import REMAKE, stored_arrays
from at4ramt.audio_noise.babble import read_excerpts
from at4ramt.audio_noise.mixing import noise_of_length, read_made_with
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.stream import cqt_blocks
from at4ramt.files import whole_file
from at4ramt.seeds import purpose_seed
from at4ramt.training.lineage import check_made_with

log = logging.getLogger("at4ramt")

POOL_SECONDS = 600.0
EDGE_FRAMES = 64
"""Frames at either end that are left out: two seconds, in which the noise sets in."""


@dataclass(frozen=True)
class Pool:
    """Transformed noise, a row a kept frame, each the neighbour of the next.

    Attributes:
        kind: what noise it is.
        real: real parts, float16, ``(rows, bins)``, the margin of pitches included.
        imag: imaginary parts likewise.
        heard: the bins that the networks hear.
    """

    kind: str
    real: npt.NDArray[np.float16]
    imag: npt.NDArray[np.float16]
    heard: slice


def pool_seed(seed: int, kind: str) -> int:
    """Return the seed of a pool's noise, by the run's seed."""
    return purpose_seed(seed, "pool of noise", kind)


def make_pool(
    kind: str,
    path: str,
    *,
    config: Mapping[str, Any],
    excerpts: str | None = None,
    seconds: float = POOL_SECONDS,
) -> None:
    """Write a pool of noise of active power 1 at the mixing rate.

    Args:
        kind: one of :data:`~at4ramt.audio_noise.kinds.GENERATED`.
        path: the ``.npz`` file.
        config: what :func:`at4ramt.config.pool_config` gives.
        excerpts: what :func:`~at4ramt.audio_noise.babble.cut_excerpts` wrote, for babble.
        seconds: length, with what is left out at its ends.
    """
    settings = CqtSettings.from_config(config["features"])
    samples = math.ceil(seconds * settings.sample_rate_hz)
    noise = noise_of_length(
        kind,
        samples,
        settings.sample_rate_hz,
        pool_seed(config["noise_seed"], kind),
        excerpts=read_excerpts(excerpts, "training") if excerpts else None,
    )
    transform = np.concatenate(list(cqt_blocks([noise], settings)))
    kept = transform[EDGE_FRAMES:-EDGE_FRAMES][:: config["frame_step"]]
    with whole_file(path) as temporary:
        np.savez(
            temporary,
            kind=np.array(kind),
            real=kept.real.astype(np.float16),
            imag=kept.imag.astype(np.float16),
            made_with=np.array(json.dumps(config)),
        )
    log.info("%s: %d rows", kind, len(kept))


def read_pool(path: str, config: Mapping[str, Any]) -> Pool:
    """Return a pool.

    Raises:
        InputError: if it was made with other settings than :func:`at4ramt.config.pool_config` has.
    """
    with stored_arrays(path, "a pool of noise", REMAKE) as opened:
        check_made_with(path, {"made_with": read_made_with(path, opened)}, config)
        heard = CqtSettings.from_config(config["features"]).heard
        return Pool(str(opened["kind"]), opened["real"], opened["imag"], heard)
