"""Recordings with noise: how much there is of it, and that transforms add as sounds do."""

import copy

import numpy as np
import pytest
import soundfile
import soxr

from at4ramt.audio_noise.babble import cut_excerpts, read_excerpts
from at4ramt.audio_noise.kinds import KINDS, MIXING_RATE_HZ, room_tail, unit_noise
from at4ramt.audio_noise.mixing import (
    condition_name,
    mix_piece,
    mixtures,
    noise_of_length,
    noise_seed,
    noisy_audio,
    piece_power,
    with_noise,
)
from at4ramt.config import mixing_config
from at4ramt.features.audio import open_audio, read_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.power import active_power
from at4ramt.features.shards import fixed_list_values, read_features

SNR_DB = [10, -3]
RATE = 16_000


@pytest.fixture
def stereo(tmp_path):
    """A long stereo recording at a rate of its own, and its channels' mean at the mixing rate."""
    time = np.arange(44_100 * 14) / 44_100
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) * (time < 9)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone, tone / 2], axis=1), 44_100, subtype="FLOAT")
    mono = soxr.resample((0.75 * tone).astype(np.float32), 44_100, MIXING_RATE_HZ, "HQ")
    return path, mono


@pytest.mark.parametrize("snr_db", [20, 0, -8])
def test_noise_has_the_power_that_was_asked_for_while_the_music_sounds(stereo, snr_db):
    path, mono = stereo
    power = active_power(read_audio(path, RATE), RATE)
    # Of a sine while it sounds; five seconds of silence behind it are none of it.
    assert power == pytest.approx((0.75 * 0.3) ** 2 / 2, rel=0.005)
    with open_audio(path) as audio:
        noisy = np.concatenate(list(noisy_audio(audio, power, snr_db, 7)))
        clean = np.concatenate(list(noisy_audio(audio, power, None, 7)))
    assert len(noisy) == len(clean) == len(mono)
    assert np.allclose(clean, mono, atol=1e-5)
    added = (noisy - clean).astype(np.float64)
    found = 10 * np.log10((0.75 * 0.3) ** 2 / 2 / np.mean(added**2))
    assert found == pytest.approx(snr_db, abs=0.06)
    # The peer, which hears a recording block by block, has the noise of the models.
    unit = np.concatenate(list(unit_noise("white", len(mono), 7)))
    gain = np.sqrt(power) * 10 ** (-snr_db / 20)
    assert np.allclose(noisy, clean + gain * unit, atol=1e-5)
    whole = with_noise(clean, MIXING_RATE_HZ, snr_db, np.random.default_rng(7))
    assert np.allclose(noisy, whole, atol=1e-2 * gain)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, write_pieces, demo_config):
    """A piece in all kinds of noise, and what babble was made of."""
    folder = tmp_path_factory.mktemp("mixed")
    changed = copy.deepcopy(demo_config)
    changed["evaluation"] |= {"audio_noises": list(KINDS), "audio_snr_db": SNR_DB}
    config = mixing_config(changed)
    _, piece = write_pieces(folder, ["first", "second"])
    excerpts = str(folder / "excerpts.npz")
    cut_excerpts([("first", str(folder / "first.wav"), "")], excerpts, seed=0)
    mix_piece(
        "second", str(piece), str(piece.with_suffix(".wav")), str(folder / "mixed.npz"),
        config=config, excerpts=excerpts,
    )  # fmt: skip
    return piece, str(folder / "mixed.npz"), config, read_excerpts(excerpts, "evaluation")


@pytest.mark.parametrize("kind", KINDS)
def test_mixing_in_the_audio_is_adding_complex_transforms(mixed, kind):
    piece, path, config, excerpts = mixed
    settings = CqtSettings.from_config(config["features"])
    table = read_features(piece, columns=["real", "imag"])
    real, imag = (
        fixed_list_values(table, name)[:, settings.core].astype(np.float64)
        for name in ("real", "imag")
    )
    samples = len(soundfile.read(piece.with_suffix(".wav"))[0])
    with open_audio(piece.with_suffix(".wav")) as recording:
        noise = noise_of_length(
            kind, samples, RATE, noise_seed(config["noise_seed"], kind, "second"),
            excerpts=excerpts, recording=recording,
        )  # fmt: skip
    transform = complex_cqt(noise, settings)[:, settings.core]
    with mixtures(path, config | {"transcription": {}}) as opened:
        for snr_db in SNR_DB:
            heard = opened[condition_name(kind, snr_db)]
            assert heard.dtype == np.float16 and heard.shape == real.shape
            gain = np.sqrt(piece_power(str(piece))) * 10 ** (-snr_db / 20)
            added = np.hypot(real + gain * transform.real, imag + gain * transform.imag)
            off = np.abs(heard - added)
            # Both are of half precision: a two-thousandth of each number.
            assert off.max() < 1e-3 * added.max() and off.mean() < 1e-4 * added.max()
            assert np.abs(added - np.hypot(real, imag)).max() > 0.01 * added.max()


def test_a_room_s_noise_is_the_recording_s_own_and_direct_sound_is_so_much_louder(mixed):
    piece, _, config, _ = mixed
    music = read_audio(piece.with_suffix(".wav"), MIXING_RATE_HZ)
    seed = noise_seed(config["noise_seed"], "room", "second")
    with open_audio(piece.with_suffix(".wav")) as recording:
        noise = noise_of_length("room", len(music), MIXING_RATE_HZ, seed, recording=recording)
    tail = np.fft.rfft(room_tail(seed), 4 * len(music))
    expected = np.fft.irfft(np.fft.rfft(music, 4 * len(music)) * tail)[: len(music)]
    expected /= np.sqrt(active_power(expected.astype(np.float32), MIXING_RATE_HZ))
    np.testing.assert_allclose(noise, expected, atol=1e-3 * np.abs(expected).max())
    with pytest.raises(ValueError, match="needs a recording"):
        noise_of_length("room", 10, RATE, seed)
