"""Whole pieces: wav, mid and txt agree, and a second rendering is the same bits."""

import numpy as np
import pretty_midi
import pytest
import soundfile
import yaml

from at4ramt.config import ROOT
from at4ramt.corpus import maps, render
from at4ramt.corpus.pieces import render_settings
from at4ramt.errors import InputError

CORPUS = yaml.safe_load((ROOT / "config/config.yaml").read_text())["corpus"]
PIECES = [
    ("Maestro_3", "TimGM6mb", 0.6),
    ("fur_elise", "FluidR3M", 0.0),
    ("solace", "TimGM6mb", 0.3),
]


def render_to(folder, tables, archive, piano_file, work, instrument, position, **changes):
    row = tables["works"].loc[work]
    paths = {suffix: folder / f"x.{suffix}" for suffix in ("wav", "mid", "txt")}
    piece = tables["pieces"].index[tables["pieces"]["work"] == work][0]
    settings = {
        **render_settings(
            *(tables[t] for t in ("pieces", "works", "instruments", "sources")), piece, CORPUS
        ),
        "archive": archive(row["source"]),
        "position": position,
        "excerpt_seconds": 12.0,
        "piano": piano_file(instrument),
    }
    render.render_piece(**{**settings, **changes}, **paths)
    return paths


@pytest.fixture(scope="module", params=PIECES, ids=lambda piece: "-".join(map(str, piece)))
def piece(request, tables, archive, piano_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("piece")
    return render_to(folder, tables, archive, piano_file, *request.param), request.param


def test_wav_is_44100_hz_stereo_16_bit_and_does_not_clip(piece):
    about = soundfile.info(piece[0]["wav"])
    assert (about.samplerate, about.channels, about.subtype, about.frames) == (
        44_100,
        2,
        "PCM_16",
        12 * 44_100,
    )
    audio, _ = soundfile.read(piece[0]["wav"])
    assert 0.02 < np.abs(audio).max() < 0.99


def extended_by_pedal(path, seconds):
    """MAPS labels from pretty_midi's reading of a mid: a plain loop over time-ordered events."""
    instrument = pretty_midi.PrettyMIDI(str(path)).instruments[0]
    changes = [(c.time, c.value >= 64) for c in instrument.control_changes if c.number == 64]
    notes = sorted(instrument.notes, key=lambda note: note.start)
    labels = []
    for note in notes:
        down = False
        for time, pressed in changes:
            if time <= note.end + 1e-7:
                down = pressed
        end = note.end
        if down:
            lifts = [time for time, pressed in changes if not pressed and time > note.end + 1e-7]
            again = [n.start for n in notes if n.pitch == note.pitch and n.start > note.start]
            end = min([*lifts, *again, seconds])
        labels.append((note.start, end, note.pitch))
    return sorted(labels, key=lambda label: (label[0], label[2]))


def test_txt_is_what_pretty_midi_reads_in_the_mid(piece):
    labels = maps.read_notes(piece[0]["txt"], 12.0)
    expected = extended_by_pedal(piece[0]["mid"], 12.0)
    assert len(labels) == len(expected) > 20
    read = sorted(
        ((n["onset"], n["offset"], n["pitch"]) for n in labels),
        key=lambda label: (round(label[0], 4), label[2]),
    )
    expected.sort(key=lambda label: (round(label[0], 4), label[2]))
    np.testing.assert_allclose(np.array(read), np.array(expected), atol=2e-5)


def test_audio_begins_where_the_first_label_does(piece):
    audio, rate = soundfile.read(piece[0]["wav"])
    first = maps.read_notes(piece[0]["txt"])["onset"].min()
    heard = np.flatnonzero(np.abs(audio).max(axis=1) > 1e-3)[0] / rate
    assert first - 0.002 < heard < first + 0.02


def test_a_second_rendering_is_the_same_bits(piece, tables, archive, piano_file, tmp_path):
    again = render_to(tmp_path, tables, archive, piano_file, *piece[1])
    for suffix in ("wav", "mid", "txt"):
        assert again[suffix].read_bytes() == piece[0][suffix].read_bytes()


def test_what_would_clip_is_made_quieter_as_a_whole():
    audio = np.array([[0.1, -2.0], [0.2, 1.0]], dtype=np.float32)
    pcm, gain_db = render.to_pcm(audio, 0.0)
    assert np.abs(pcm).max() == round(0.98 * 32767)
    assert gain_db == pytest.approx(20 * np.log10(0.49))
    assert pcm[0, 1] == pytest.approx(2 * pcm[0, 0], abs=1)
    pcm, gain_db = render.to_pcm(audio, -20.0)
    assert gain_db == pytest.approx(-20) and pcm[1, 0] == round(-0.2 * 32767)


def test_another_archive_is_refused(tables, archive, piano_file, tmp_path):
    with pytest.raises(InputError, match=r"expected sha256 0{64}, found [0-9a-f]{64}"):
        render_to(
            tmp_path,
            tables,
            archive,
            piano_file,
            "fur_elise",
            "TimGM6mb",
            0.0,
            archive_sha256="0" * 64,
        )
