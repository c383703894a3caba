"""Anybody's recordings through `snakemake transcribe`, with the model of the small run."""

import csv
from pathlib import Path

import mido
import numpy as np
import soundfile

from at4ramt.transcription.recordings import find_recordings

SUFFIXES = ("mid", "csv")


def write_recording(path, *, rate=22_050, seconds=3.0):
    """A scale of decaying tones, two a second."""
    path.parent.mkdir(exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    audio = np.zeros(len(time))
    for step, onset in enumerate(np.arange(0.25, seconds, 0.5)):
        since = np.maximum(time - onset, 0)
        hertz = 440 * 2 ** ((60 + step - 69) / 12)
        audio += 0.3 * (time >= onset) * np.sin(2 * np.pi * hertz * since) * np.exp(-3 * since)
    soundfile.write(path, audio, rate)


def check_transcription(checkout, name):
    """Assert that MIDI and table are there and have the same notes."""
    midi, table = (checkout.path / f"results/transcriptions/{name}.{s}" for s in SUFFIXES)
    with open(table, newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    played = [m for m in mido.MidiFile(midi) if m.type == "note_on" and m.velocity > 0]
    assert sorted(m.note for m in played) == sorted(int(row["pitch"]) for row in rows)


def test_every_recording_of_the_folder_whatever_it_is_called(linked_copy):
    names = ["Für Elise, live (2).wav", "it's 100 % [étude]=1.flac"]
    for name in names:
        write_recording(linked_copy.path / "input" / name)
    printed = linked_copy.snakemake("transcribe")
    for name, recording in find_recordings(linked_copy.path / "input").items():
        check_transcription(linked_copy, name)
        told = f"input/{Path(recording).name}: its transcription is results/transcriptions/{name}"
        assert told in printed
    assert linked_copy.planned("transcribe") == {}
    # Another rule from frames to notes trains nothing.
    lower = ("--configfile", "tests/workflow/small.yaml", "lower.yaml")
    (linked_copy.path / "lower.yaml").write_text("transcription: {threshold: 0.4}\n")
    planned = linked_copy.planned("transcribe", *lower)
    assert planned == {"transcribe": 1, "transcribe_recording": 2}


def test_a_single_recording_from_anywhere_by_another_model(linked_copy, tmp_path):
    write_recording(tmp_path / "elsewhere" / "song.ogg")
    (linked_copy.path / "base.yaml").write_text(
        "transcription: {model: results/models/base/seed_0.keras, roll: true}\n"
    )
    linked_copy.snakemake(
        "transcribe",
        *("--configfile", "tests/workflow/small.yaml", "base.yaml"),
        *("--config", f"audio={tmp_path / 'elsewhere' / 'song.ogg'}"),
    )
    check_transcription(linked_copy, "song")
    picture = linked_copy.path / "results/transcriptions/song.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    log = (linked_copy.path / "logs/transcribe_recording/song.log").read_text()
    assert "results/models/base/seed_0.keras" in log


def test_nothing_to_transcribe_is_told_before_anything_runs(small_run):
    printed = small_run.snakemake("--dry-run", "transcribe", fails=True)
    assert "input: no recording" in printed and "--config audio=song.wav" in printed
    assert "most recent call last" not in printed


def test_a_fresh_clone_would_train_what_it_needs_to_transcribe(checkout):
    write_recording(checkout.path / "input" / "song.wav")
    planned = checkout.planned("transcribe")
    assert planned["train_base"] == 1 and planned["train_round"] == 3
    assert not {"evaluate_model", "report"} & set(planned)
