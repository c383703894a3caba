"""The transform block by block is the transform of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.features import stream
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.stream import cqt_blocks

SETTINGS = CqtSettings(
    sample_rate_hz=16000,
    hop_length_samples=512,
    bins_per_pitch=3,
    lowest_pitch=37,
    pitches=56,
    margin_pitches=4,
    margin_above_pitches=4,
)
BLOCK = 128
# What has low notes beside high ones, sudden beginnings, and noise; 17 s.
AUDIO = np.random.default_rng(1).normal(0, 0.01, 16000 * 17).astype(np.float32)
for start, hz in ((0, 55.0), (60000, 1661.2), (131072, 69.3), (200000, 440.0)):
    AUDIO[start:] += 0.3 * np.sin(2 * np.pi * hz * np.arange(len(AUDIO) - start) / 16000)


pytestmark = pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")  # of the shortest audio


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 4 s, so that a few seconds of audio are several blocks.
    monkeypatch.setattr(stream, "BLOCK_FRAMES", BLOCK)


def joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(cqt_blocks(iter(parts), SETTINGS)))


@pytest.mark.parametrize(
    "samples",
    [1, 511, 512, 40 * 512, BLOCK * 512, (BLOCK + 44) * 512, 2 * BLOCK * 512 + 1, len(AUDIO)],
)
def test_blocks_are_the_whole(samples: int) -> None:
    audio = AUDIO[:samples]
    whole = complex_cqt(audio, SETTINGS)
    found = joined([audio])
    assert found.shape == whole.shape == (1 + samples // 512, 192)
    assert np.abs(found - whole).max() < 1e-6 * np.abs(whole).max()


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, len(AUDIO)), max_size=8))
def test_it_does_not_matter_in_what_pieces_the_audio_comes(cuts: list[int]) -> None:
    parts = np.split(AUDIO, sorted(cuts))
    np.testing.assert_array_equal(joined(parts), joined([AUDIO]))


def test_no_audio_has_no_frames() -> None:
    assert list(cqt_blocks(iter([]), SETTINGS)) == []


def test_the_margin_is_needed_and_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = complex_cqt(AUDIO, SETTINGS)
    usual = stream.MARGIN_FILTERS

    def largest_error(margin: float) -> float:
        monkeypatch.setattr(stream, "MARGIN_FILTERS", margin)
        return float(np.abs(joined([AUDIO]) - whole).max() / np.abs(whole).max())

    assert largest_error(0.4) > 1e-5
    assert largest_error(usual / 2) < 1e-6
