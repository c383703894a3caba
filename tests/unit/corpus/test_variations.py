"""Varied pieces: labels and sound agree, and each variation is the size that it says."""

import hashlib
from dataclasses import asdict, fields

import numpy as np
import pretty_midi
import pytest
import soundfile
import yaml

from at4ramt.config import ROOT
from at4ramt.corpus import maps, pianos, render
from at4ramt.corpus.midi import NOTE, Performance
from at4ramt.corpus.performances import cut_excerpt, read_work
from at4ramt.corpus.sampler import synthesise
from at4ramt.corpus.variations import (
    AS_IT_IS,
    Variation,
    detune,
    draw_variation,
    fast_size,
    in_room,
    room_response,
    vary_performance,
)

RATE = 44_100
RANGES = yaml.safe_load((ROOT / "config/config.yaml").read_text())["corpus"]["variations"]
SECONDS = 10.0


def hertz_near(audio, expected):
    """Frequency of the strongest partial within a semitone of one, by a padded FFT."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 1 << 21))
    bins = np.fft.rfftfreq(1 << 21, 1 / RATE)
    near = np.abs(np.log2(np.maximum(bins, 1) / expected)) < 1 / 12
    return bins[near][np.argmax(spectrum[near])]


@pytest.fixture(scope="module")
def piano(piano_file):
    return pianos.load_piano(piano_file("TimGM6mb"))


@pytest.fixture(scope="module")
def rendered(tables, archive, piano_file, tmp_path_factory):
    """Audio, labels and bytes of ten seconds of a work in a variation."""
    work = tables["works"].loc["Maestro_3"]
    source = tables["sources"].loc[work["source"]]

    def render_as(variation):
        folder = tmp_path_factory.mktemp("varied")
        paths = {suffix: folder / f"x.{suffix}" for suffix in ("wav", "mid", "txt")}
        render.render_piece(
            archive=archive(work["source"]), archive_sha256=source["sha256"],
            member=work["member"], work="Maestro_3", dynamics="performed", position=0.6,
            excerpt_seconds=SECONDS, variation=asdict(variation), piano=piano_file("TimGM6mb"),
            gain_db=-4.0, **paths,
        )  # fmt: skip
        audio, rate = soundfile.read(paths["wav"])
        assert rate == RATE
        return audio, maps.read_notes(paths["txt"]), paths

    return render_as


@pytest.fixture(scope="module")
def plain(rendered):
    return rendered(AS_IT_IS)


def decibels(audio):
    return 10 * np.log10(np.mean(audio**2))


@pytest.mark.parametrize("semitones", [-5, 6])
def test_the_sound_of_a_transposed_note_is_that_of_its_label(piano, semitones):
    notes = np.array([(0.1, 2.5, 69, 80)], dtype=NOTE)
    varied = vary_performance(
        Performance(notes, np.zeros((0, 2))), Variation(transpose_semitones=semitones)
    )
    audio = synthesise(varied.notes, piano, 2.5).mean(axis=0).astype(float)
    label = int(varied.notes["pitch"][0])
    assert label == 69 + semitones
    heard = hertz_near(audio[round(0.15 * RATE) :], 440 * 2 ** (semitones / 12))
    assert abs(1200 * np.log2(heard / 440) - 100 * semitones) < 6


def test_labels_of_a_varied_piece_move_along_exactly(plain, rendered):
    variation = Variation(transpose_semitones=-4, tempo_factor=1.25, velocity_shift=-10)
    audio, notes, paths = rendered(variation)
    expected = plain[1]
    assert len(audio) == round(SECONDS / 1.25 * RATE)
    np.testing.assert_array_equal(np.sort(notes["pitch"]), np.sort(expected["pitch"]) - 4)
    # Ticks are 100 microseconds.
    for name in ("onset", "offset"):
        np.testing.assert_allclose(
            np.sort(notes[name]), np.sort(expected[name]) / 1.25, rtol=0, atol=1.01e-4
        )
    written = pretty_midi.PrettyMIDI(str(paths["mid"])).instruments[0].notes
    onsets = np.sort([note.start for note in written])
    np.testing.assert_allclose(onsets, np.sort(notes["onset"]), atol=2e-5)
    # Where the first note begins, the sound does.
    heard = np.flatnonzero(np.abs(audio).max(axis=1) > 1e-3)[0] / RATE
    assert notes["onset"].min() - 0.002 < heard < notes["onset"].min() + 0.02


def test_velocities_change_the_loudness_and_no_label(plain, rendered):
    louder, softer = (rendered(Variation(velocity_shift=shift)) for shift in (25, -25))
    for audio, _, paths in (louder, softer):
        assert paths["txt"].read_bytes() == plain[2]["txt"].read_bytes()
        assert len(audio) == len(plain[0])
    assert decibels(softer[0]) + 3 < decibels(plain[0]) < decibels(louder[0]) - 3
    _, _, paths = rendered(Variation(velocity_contrast=0.0))
    written = pretty_midi.PrettyMIDI(str(paths["mid"])).instruments[0].notes
    assert {note.velocity for note in written} == {64}
    assert paths["txt"].read_bytes() == plain[2]["txt"].read_bytes()


def test_gain_tuning_and_room_leave_the_notes_as_they_are(plain, rendered):
    audio, _, paths = rendered(Variation(gain_db=-7.0))
    for suffix in ("mid", "txt"):
        assert paths[suffix].read_bytes() == plain[2][suffix].read_bytes()
    assert decibels(plain[0]) - decibels(audio) == pytest.approx(7.0, abs=0.01)
    variation = Variation(detune_cents=12, detune_keys_cents=3, room_seconds=0.8, room_db=-9.0,
                          tilt_db=1.0, seed=5)  # fmt: skip
    roomy, _, paths = rendered(variation)
    for suffix in ("mid", "txt"):
        assert paths[suffix].read_bytes() == plain[2][suffix].read_bytes()
    assert roomy.shape == plain[0].shape and np.abs(roomy).max() < 0.99
    again, _, _ = rendered(variation)
    np.testing.assert_array_equal(again, roomy)


def test_notes_beyond_the_keyboard_are_left_out():
    notes = np.array([(0.0, 1.0, 22, 80), (0.0, 1.0, 60, 80), (0.5, 1.0, 107, 80)], dtype=NOTE)
    performance = Performance(notes, np.zeros((0, 2)))
    for semitones, kept in ((-2, [58, 105]), (2, [24, 62])):
        varied = vary_performance(performance, Variation(transpose_semitones=semitones))
        assert varied.notes["pitch"].tolist() == kept


@pytest.mark.parametrize("cents", [-20.0, 7.5, 20.0])
def test_a_detuned_piano_is_off_by_so_many_cents(piano, cents):
    notes = np.array([(0.0, 2.5, 69, 80)], dtype=NOTE)
    usual, moved = (
        hertz_near(synthesise(notes, each, 2.5).mean(axis=0).astype(float), 440.0)
        for each in (piano, detune(piano, Variation(detune_cents=cents)))
    )
    assert 1200 * np.log2(moved / usual) == pytest.approx(cents, abs=0.6)


def test_each_key_is_off_by_its_own(piano):
    detuned = detune(piano, Variation(detune_cents=10.0, detune_keys_cents=3.0, seed=2))
    steps = np.array([
        [each.voices(key, 80)[0].tone.step for each in (detuned, piano)] for key in range(21, 109)
    ])  # fmt: skip
    cents = 1200 * np.log2(steps[:, 0] / steps[:, 1])
    assert cents.mean() == pytest.approx(10.0, abs=1.0)
    assert cents.std() == pytest.approx(3.0, rel=0.25)
    # A key is the same whenever it is struck.
    assert detuned.voices(60, 30)[0].tone.step == detuned.voices(60, 30)[0].tone.step


@pytest.mark.parametrize("seconds", [0.3, 1.2])
def test_a_room_reverberates_as_long_as_it_says(seconds):
    # Schroeder: the energy still to come, from -5 to -25 dB, below 500 Hz.
    response = room_response(Variation(room_seconds=seconds, room_db=-10.0, seed=1), RATE)
    echo = response[:, 1:].astype(float)
    spectrum = np.fft.rfft(echo)
    spectrum[:, np.fft.rfftfreq(echo.shape[1], 1 / RATE) > 500] = 0
    power = (np.fft.irfft(spectrum, echo.shape[1]) ** 2).sum(axis=0)
    to_come = 10 * np.log10(np.cumsum(power[::-1])[::-1] / power.sum() + 1e-12)
    fit = np.flatnonzero((to_come < -5) & (to_come > -25))
    slope = np.polyfit(fit / RATE, to_come[fit], 1)[0]
    assert -60 / slope == pytest.approx(seconds, rel=0.15)
    # The direct sound is left alone, and the echo comes later, with the energy that is said.
    np.testing.assert_array_equal(response[:, 0], 1)
    assert 0.003 < np.flatnonzero(echo.any(axis=0))[0] / RATE < 0.0151
    assert 10 * np.log10((echo**2).sum() / 2) == pytest.approx(-10.0, abs=0.01)


def test_a_recording_in_a_room_is_the_convolution_with_its_answer():
    variation = Variation(room_seconds=0.25, room_db=-3.0, seed=9)
    audio = np.random.default_rng(1).normal(0, 0.1, (2, 140_000)).astype(np.float32)
    response = room_response(variation, RATE)
    expected = [
        np.convolve(channel, answer)[:140_000]
        for channel, answer in zip(audio.astype(float), response.astype(float), strict=True)
    ]
    np.testing.assert_allclose(in_room(audio, variation, RATE), expected, atol=3e-6)
    np.testing.assert_array_equal(in_room(audio, AS_IT_IS, RATE), audio)


def test_a_tilted_spectrum_gains_so_much_an_octave():
    time = np.arange(2 * RATE) / RATE
    gains = []
    for hertz in (250.0, 500.0, 4000.0):
        sine = np.tile(0.1 * np.sin(2 * np.pi * hertz * time), (2, 1)).astype(np.float32)
        heard = in_room(sine, Variation(tilt_db=-1.5), RATE)
        middle = slice(RATE // 2, RATE)
        gains.append(decibels(heard[:, middle]) - decibels(sine[:, middle]))
    np.testing.assert_allclose(gains, [1.5, 0.0, -4.5], atol=0.05)


def test_lengths_of_transforms():
    assert [fast_size(frames) for frames in (1, 5, 6, 7, 9, 1000, 1025)] == [
        1, 5, 6, 8, 10, 1024, 1280,
    ]  # fmt: skip


def test_variations_are_drawn_from_their_ranges_by_name():
    drawn = [draw_variation(RANGES, "a_work", str(k // 100), k % 100) for k in range(1, 600)]
    drawn = [each for each in drawn if each != AS_IT_IS]
    assert len(set(drawn)) == len(drawn) > 590
    for field in fields(Variation):
        if field.name in ("seed", "detune_keys_cents"):
            continue
        low, high = RANGES[field.name]
        values = np.array([v for v in (getattr(d, field.name) for d in drawn) if v is not None])
        assert low <= values.min() and values.max() <= high
        # Uniform: both ends are reached, and the mean lies in the middle.
        assert values.min() < low + 0.02 * (high - low) and values.max() > high - 0.02 * (
            high - low
        )
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert {each.transpose_semitones for each in drawn} == set(range(-5, 7))
    share = np.mean([each.room_db is not None for each in drawn])
    assert share == pytest.approx(RANGES["room_share"], abs=0.06)
    assert draw_variation(RANGES, "a_work", "3", 0) == AS_IT_IS
    # The streams are named: a change of them is a change of the published corpus.
    told = repr([draw_variation(RANGES, "Maestro_1", "0", number) for number in (1, 2)])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "3bf336ac4a1fe564"


def test_a_work_as_it_is_stays_as_it_is(tables, archive):
    work = tables["works"].loc["Maestro_3"]
    played = read_work(archive(work["source"]), work["member"], "Maestro_3", "performed")
    excerpt = cut_excerpt(played, 0.6, 30.0)
    same = vary_performance(excerpt, AS_IT_IS)
    np.testing.assert_array_equal(same.notes, excerpt.notes)
    np.testing.assert_array_equal(same.pedal, excerpt.pedal)
