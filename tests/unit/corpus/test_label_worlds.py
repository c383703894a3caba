"""A piece has the same labels, be they read from MAPS's text or from MIDI with its pedal."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.replicas import Music, maps_replica, music, write_midi, write_txt

from at4ramt.corpus.table import corpus_table
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import frame_labels, read_labels


@pytest.fixture(scope="module")
def settings(demo_config):
    return CqtSettings.from_config(demo_config["features"])


def roll(path, settings, member="", frames=150):
    return frame_labels(read_labels(path, member=member), frames, settings)


def expected_roll(played, settings, frames=150):
    """Ask of each note which frames it sounds in; their times are whole numbers of ticks."""
    ticks = np.arange(frames) * settings.hop_length_samples * 10_000 // settings.sample_rate_hz
    expected = np.zeros((frames, settings.all_pitches), bool)
    for onset, offset, pitch, _ in played.sounding():
        if settings.first_pitch <= pitch < settings.first_pitch + expected.shape[1]:
            expected[:, pitch - settings.first_pitch] |= (onset <= ticks) & (ticks < offset)
    return expected


# Strokes and keys on borders of frames (320 ticks) and off them.
TICKS = st.one_of(st.integers(0, 40_000), st.integers(0, 125).map(lambda frame: 320 * frame))


@st.composite
def performances(draw):
    keys, free = [], {}
    for onset in sorted(draw(st.lists(TICKS, min_size=1, max_size=12))):
        pitch = draw(st.integers(60, 63))
        if free.get(pitch, 0) <= onset:
            release = onset + draw(st.integers(1, 30)) * draw(st.sampled_from([1, 320]))
            keys.append((onset, release, pitch, 64))
            free[pitch] = release
    edges = sorted(draw(st.sets(TICKS, max_size=6)))
    pedal = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return Music(tuple(keys), tuple(pedal))


@hypothesis_settings(deadline=None)
@given(performances(), st.booleans())
def test_text_and_midi_give_the_same_roll(settings, played, wild):
    with tempfile.TemporaryDirectory() as folder:
        text, midi = Path(folder) / "x.txt", Path(folder) / "x.mid"
        write_txt(text, played)
        write_midi(midi, played, wild=wild)
        expected = expected_roll(played, settings)
        np.testing.assert_array_equal(roll(text, settings), expected)
        np.testing.assert_array_equal(roll(midi, settings), expected)


@pytest.mark.parametrize("zipped", [False, True])
def test_so_does_a_corpus(tmp_path, settings, zipped):
    pianos = ("AkPnBcht", "SptkBGAm", "ENSTDkCl")
    root = maps_replica(tmp_path, zipped, 2, seconds=2, instruments=pianos)
    corpus = {
        "kind": "maps",
        "root": str(root),
        "split": None,
        "validation_share": 0.15,
        "split_seed": 0,
    }
    tables = [corpus_table(corpus | {"labels": labels}) for labels in ("txt", "midi")]
    for piece, work in tables[0]["work"].items():
        expected = expected_roll(music(work, 2), settings)
        assert expected.any()
        for table in tables:
            row = table.loc[piece]
            labels = roll(row["notes"], settings, row["notes_member"])
            np.testing.assert_array_equal(labels, expected)
