"""Pools of noise: added to the transform of music they are the transform of the mixture."""

import numpy as np
import pytest
import soundfile

from at4ramt.audio_noise.babble import cut_excerpts, excerpt_counts, read_excerpts
from at4ramt.audio_noise.kinds import GENERATED, MIXING_RATE_HZ
from at4ramt.audio_noise.mixing import noise_of_length
from at4ramt.audio_noise.pool import EDGE_FRAMES, make_pool, pool_seed, read_pool
from at4ramt.config import pool_config
from at4ramt.errors import InputError
from at4ramt.features.audio import read_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.frames import load_frames
from at4ramt.features.power import active_power

RATE = 16_000
HOP = 512
STEP = 2
LEVEL = 0.7


@pytest.fixture(scope="module")
def shard(tmp_path_factory, write_shard):
    folder = tmp_path_factory.mktemp("pooled")
    return folder, write_shard(folder / "I.parquet", ["first", "second"])


@pytest.fixture(scope="module")
def excerpts(shard):
    folder, _ = shard
    path = str(folder / "excerpts.npz")
    cut_excerpts([(name, f"{folder}/{name}.wav", "") for name in ("first", "second")], path, seed=0)
    return path


@pytest.mark.parametrize("kind", GENERATED)
def test_a_pool_s_rows_on_a_shard_s_are_the_transform_of_both_in_the_audio(
    kind, shard, excerpts, demo_config
):
    folder, path = shard
    config, settings = pool_config(demo_config), CqtSettings.from_config(demo_config["features"])
    voices = excerpts if kind == "babble" else None
    make_pool(kind, f"{folder}/{kind}.npz", config=config, excerpts=voices, seconds=20.0)
    pool = read_pool(f"{folder}/{kind}.npz", config)
    noise = noise_of_length(
        kind, 20 * RATE, RATE, pool_seed(config["noise_seed"], kind),
        excerpts=None if voices is None else read_excerpts(voices, "training"),
    )  # fmt: skip
    assert pool.kind == kind
    frames = 20 * RATE // HOP + 1
    assert pool.real.shape == pool.imag.shape == (-(-(frames - 2 * EDGE_FRAMES) // STEP), 192)
    matrix = load_frames([path], padding=3, bins=slice(12, 180), transform=True)
    for name, first in (("first", 7), ("second", 50)):
        rows = np.flatnonzero(matrix.piece == matrix.pieces.index(name))
        of_pool = slice(first, first + len(rows))
        mixed = np.hypot(
            *(
                part[rows].astype(np.float32)
                + LEVEL
                * matrix.rms[rows, np.newaxis]
                * added[of_pool, pool.heard].astype(np.float32)
                for part, added in ((matrix.real, pool.real), (matrix.imag, pool.imag))
            )
        )
        music = read_audio(folder / f"{name}.wav", RATE)
        assert matrix.rms[rows[0]] == pytest.approx(active_power(music, RATE) ** 0.5, rel=1e-6)
        start = (EDGE_FRAMES + STEP * first) * HOP
        gain = LEVEL * active_power(music, RATE) ** 0.5
        whole = music + np.float32(gain) * noise[start : start + len(music)]
        expected = np.abs(complex_cqt(whole, settings)[::STEP, settings.core])
        # Where the window of the lowest bin, 0.9 s, reaches over the piece's ends, there is noise
        # in the pool and none in the piece's audio.
        inside = slice(8, -8)
        off = np.abs(mixed - expected)[inside]
        assert off.max() < 2e-3 * expected.max() and off.mean() < 1e-4 * expected.max(), kind


def test_without_being_asked_for_there_is_no_transform(shard):
    matrix = load_frames([shard[1]], padding=3, bins=slice(12, 180))
    assert matrix.real is None and matrix.imag is None and matrix.rms is None
    asked = load_frames([shard[1]], padding=3, bins=slice(12, 180), transform=True)
    np.testing.assert_array_equal(
        np.hypot(asked.real.astype(np.float32), asked.imag.astype(np.float32)), matrix.magnitudes
    )
    silent = matrix.piece < 0
    assert not asked.rms[silent].any() and (asked.rms[~silent] > 0).all()
    assert asked.real.dtype == asked.imag.dtype == np.float16


def test_a_pool_of_other_settings_is_refused(tmp_path, demo_config):
    config = pool_config(demo_config)
    make_pool("white", str(tmp_path / "white.npz"), config=config, seconds=6.0)
    with pytest.raises(InputError, match=r"white\.npz: was made with frame_step 2 \(now 1\)"):
        read_pool(str(tmp_path / "white.npz"), config | {"frame_step": 1})


def test_training_and_scores_have_other_excerpts_of_as_many_recordings(tmp_path):
    random = np.random.default_rng(2)
    listed = []
    for number, seconds in enumerate((3, 11, 20)):
        tone = np.sin(2 * np.pi * 100 * (number + 1) * np.arange(seconds * RATE) / RATE)
        # Most of it is silent: a place where it sounds is found.
        tone *= random.uniform(size=len(tone) // RATE).repeat(RATE) > 0.3
        soundfile.write(tmp_path / f"{number}.wav", 0.01 * tone, RATE, subtype="FLOAT")
        listed.append((f"piece{number}", str(tmp_path / f"{number}.wav"), ""))
    cut_excerpts(listed, str(tmp_path / "e.npz"), seed=0)
    assert excerpt_counts(3) == [22, 21, 21] and sum(excerpt_counts(100)) == 64
    parts = [read_excerpts(str(tmp_path / "e.npz"), use) for use in ("training", "evaluation")]
    for part in parts:
        assert part.shape == (32, 8 * MIXING_RATE_HZ)
        powers = [active_power(row.astype(np.float32), MIXING_RATE_HZ) for row in part]
        np.testing.assert_allclose(powers, 1, rtol=0.02)
        strongest = {
            round(np.abs(np.fft.rfft(row.astype(np.float64)))[80:].argmax() / 8 + 10, -2)
            for row in part
        }
        assert strongest == {100.0, 200.0, 300.0}
    assert not {row.tobytes() for row in parts[0]} & {row.tobytes() for row in parts[1]}
    with pytest.raises(InputError, match="the corpus has none"):
        cut_excerpts([], str(tmp_path / "none.npz"), seed=0)
