"""Listening to a corpus: each fault is found, whatever else is wrong; a good piece has none."""

import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replicas import Music, maps_replica, music, sound, wild_folder, write_midi, write_txt

from at4ramt.config import ROOT
from at4ramt.corpus.check import check_piece, label_shift
from at4ramt.corpus.layout import LayoutProblem
from at4ramt.corpus.problems import (
    BATCH_PIECES,
    check_batches,
    collect_problems,
    stop_if_needed,
    write_problems,
)
from at4ramt.corpus.table import survey_corpus
from at4ramt.errors import InputError
from at4ramt.features.labels import read_labels
from at4ramt.files import write_json

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
FEATURES = CONFIG["features"]
RATE = 44_100
SECONDS = 6.0
PLAYED = music("étude", SECONDS)
SOUND = sound(PLAYED, SECONDS, RATE)


def row(
    folder: Path, piece: str = "piece", split: str = "training", **other: str
) -> dict[str, str]:
    """A row of the table of pieces, for x.wav and x.txt of a folder."""
    names = {"audio": f"{folder}/{piece}.wav", "notes": f"{folder}/{piece}.txt"}
    members = {"audio_member": "", "notes_member": ""}
    return {"piece": piece, "split": split, "instrument": "I", **names, **members, **other}


def write_pair(folder: Path, samples: np.ndarray = SOUND, rate: int = RATE, **how: Any) -> None:
    soundfile.write(folder / "piece.wav", samples, rate, **how)
    write_txt(folder / "piece.txt", PLAYED)


def kinds(check: dict[str, Any]) -> dict[str, bool]:
    """What is wrong, and whether it stops."""
    return {problem["problem"]: problem["stops"] for problem in check["problems"]}


def move_labels(folder: Path, seconds: float) -> None:
    lines = [f"{on + seconds:.4f}\t{off + seconds:.4f}\t{p}\n" for on, off, p in PLAYED.rows()]
    text = "OnsetTime\tOffsetTime\tMidiPitch\n" + "".join(lines)
    (folder / "piece.txt").write_text(text)


def transpose(folder: Path, cents: float) -> None:
    """Sharpen the recording, which plays it faster, and keep the labels with it."""
    ratio = 2 ** (cents / 1200)
    soundfile.write(folder / "piece.wav", soxr.resample(SOUND, RATE * ratio, RATE), RATE)
    lines = [f"{on / ratio}\t{off / ratio}\t{p}\n" for on, off, p in PLAYED.rows()]
    (folder / "piece.txt").write_text("OnsetTime\tOffsetTime\tMidiPitch\n" + "".join(lines))


def spoil(name: str, folder: Path) -> None:
    wav, txt = folder / "piece.wav", folder / "piece.txt"
    nan = SOUND.copy()
    nan[1000] = np.nan
    actions: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "no recording": wav.unlink,
        "an empty file": lambda: wav.write_bytes(b""),
        "a truncated recording": lambda: wav.write_bytes(wav.read_bytes()[:100_000]),
        "a text": lambda: wav.write_text("no audio"),
        "a sample that is no number": lambda: soundfile.write(wav, nan, RATE, subtype="FLOAT"),
        "4 kHz": lambda: soundfile.write(wav, soxr.resample(SOUND, RATE, 4000), 4000),
        "silence": lambda: soundfile.write(wav, 0 * SOUND, RATE),
        "inverted channels": lambda: soundfile.write(wav, SOUND[:, :1] * [1, -1], RATE),
        "a whisper": lambda: soundfile.write(wav, SOUND / 250, RATE, subtype="PCM_24"),
        "an overdriven recording": lambda: soundfile.write(wav, 5 * SOUND, RATE),
        "30 cents sharp": lambda: transpose(folder, 30),
        "40 cents flat": lambda: transpose(folder, -40),
        "a semitone flat": lambda: transpose(folder, -100),
        "a wrong header": lambda: soundfile.write(wav, SOUND, 48_000),
        "labels early": lambda: move_labels(folder, -0.1),
        "labels late": lambda: move_labels(folder, 0.3),
        "labels a frame late": lambda: move_labels(folder, 0.032),
        "another piece's labels": lambda: write_txt(txt, music("another", SECONDS)),
        "a longer piece's labels": lambda: write_txt(txt, music("étude", 3 * SECONDS)),
        "no notes": lambda: write_txt(txt, Music((), ())),
        "notes that are a text": lambda: txt.write_text("C E G"),
    }
    actions[name]()


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("nothing", {}),
        ("no recording", {"unreadable": True}),
        ("an empty file", {"unreadable": True}),
        ("a truncated recording", {"unreadable": True}),
        ("a text", {"unreadable": True}),
        ("a sample that is no number", {"unreadable": True}),
        ("4 kHz", {"wrong rate": True}),
        ("silence", {"silent": True}),
        ("inverted channels", {"wrong samples": True}),
        ("a whisper", {"very quiet": False}),
        ("an overdriven recording", {"clipped": False}),
        ("30 cents sharp", {"detuned": False}),
        ("40 cents flat", {"detuned": False}),
        ("a semitone flat", {"detuned": True}),
        ("a wrong header", {"labels do not fit": True}),
        ("labels early", {"shifted labels": True}),
        ("labels late", {"shifted labels": True}),
        ("labels a frame late", {}),
        ("another piece's labels", {"labels do not fit": True}),
        ("a longer piece's labels", {"length mismatch": True}),
        ("no notes", {"unusable notes": True}),
        ("notes that are a text", {"unusable notes": True}),
    ],
)
def test_each_fault_is_found_and_no_other(tmp_path, fault, found):
    write_pair(tmp_path)
    spoil(fault, tmp_path)
    check = check_piece(row(tmp_path), FEATURES)
    assert kinds(check) == found
    for problem in check["problems"]:
        assert str(tmp_path) in problem["message"]


def test_two_faults_of_one_piece_are_both_told(tmp_path):
    write_pair(tmp_path, 5 * SOUND)
    move_labels(tmp_path, 0.2)
    assert kinds(check_piece(row(tmp_path), FEATURES)) == {"clipped": False, "shifted labels": True}
    (tmp_path / "piece.wav").write_text("no audio")
    (tmp_path / "piece.txt").unlink()
    found = kinds(check_piece(row(tmp_path), FEATURES))
    assert found == {"unreadable": True, "unusable notes": True}


@pytest.mark.parametrize("kind", ["maps", "folder"])
def test_a_good_corpus_has_no_fault(tmp_path, kind):
    root = tmp_path / "corpus"
    if kind == "maps":
        maps_replica(root, zipped=True, pieces_per_instrument=1)
    else:
        wild_folder(root)
    corpus = {**CONFIG["corpus"], "kind": kind, "root": str(root), "validation_share": 0.3}
    table = survey_corpus(corpus).table
    assert len(table) >= 8
    for piece in table.to_dict("records"):
        check = check_piece(piece, FEATURES)
        assert check["problems"] == []
        assert abs(check["shift_seconds"]) <= 0.01
        assert check["tuning_cents"] is None or abs(check["tuning_cents"]) <= 5


@given(shift=st.floats(-1.5, 1.5), gain=st.floats(0.05, 1), noise=st.floats(0, 0.3))
@settings(max_examples=25, deadline=None)
def test_the_shift_of_labels_is_measured_to_two_hundredths_of_a_second(shift, gain, noise):
    # The flux of a recording whose spectrum rises at the onsets only, within noise.
    random = np.random.default_rng(0)
    onsets = np.cumsum(random.uniform(0.1, 0.9, 60))
    flux = noise * random.random(round(onsets[-1] * 100) + 400)
    flux[np.round((onsets + 2 - 0.011) * 100).astype(int)] += 1
    notes = np.zeros(len(onsets), [("onset", "f8")])
    notes["onset"] = onsets + 2 + shift
    found, correlation, chance = label_shift(np.float32(gain * flux), notes, 0.01)
    assert correlation > chance
    if abs(shift) > 0.08:
        assert found == pytest.approx(-shift, abs=0.02)
    else:
        assert abs(found) <= 0.1


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000])
@pytest.mark.parametrize("true_cents", [-15, 0, 15])
def test_tuning_is_measured_to_five_cents(tmp_path, rate, true_cents):
    ratio = 2 ** (true_cents / 1200)
    soundfile.write(tmp_path / "piece.wav", soxr.resample(SOUND, RATE * ratio, rate), rate)
    write_txt(tmp_path / "piece.txt", PLAYED)
    found = check_piece(row(tmp_path), FEATURES)["tuning_cents"]
    assert found == pytest.approx(true_cents, abs=5)


def test_the_same_samples_are_told_whatever_file_they_are_in(tmp_path):
    write_pair(tmp_path)
    soundfile.write(tmp_path / "copy.flac", *soundfile.read(tmp_path / "piece.wav"))
    first = check_piece(row(tmp_path), FEATURES)
    for split, means in (("training", "counts twice"), ("test", "scored on what it has heard")):
        again = row(tmp_path, "repeat", split, audio=f"{tmp_path}/copy.flac", notes=first["audio"])
        second = check_piece({**again, "notes": f"{tmp_path}/piece.txt"}, FEATURES)
        found = collect_problems([first, second])
        assert found[["severity", "problem", "piece"]].values.tolist() == [
            ["warning", "duplicate audio", "repeat"]
        ]
        assert means in found["message"][0]


def test_a_rate_that_few_have_is_unusual_and_a_mixture_is_not():
    def check(piece: str, rate: int) -> dict[str, Any]:
        found = {"piece": piece, "split": "training", "audio": f"{piece}.wav", "problems": []}
        return {**found, "digest": piece, "sample_rate_hz": rate}

    one_odd = [check(f"p{n}", 44_100) for n in range(9)] + [check("odd", 48_000)]
    found = collect_problems(one_odd)
    assert found[["severity", "problem", "piece"]].values.tolist() == [
        ["warning", "unusual rate", "odd"]
    ]
    assert collect_problems([check(f"p{n}", 44_100 + n % 3) for n in range(9)]).empty


def test_all_problems_stop_together_and_stand_in_the_table_and_the_page(tmp_path):
    checks = []
    for number, fault in enumerate(("silence", "labels late", "an overdriven recording")):
        folder = tmp_path / f"f{number}"
        folder.mkdir()
        write_pair(folder)
        spoil(fault, folder)
        checks.append(check_piece({**row(folder), "piece": f"piece_{number}"}, FEATURES))
    write_json(tmp_path / "a.json", checks[:1])
    write_json(tmp_path / "b.json", checks[1:])
    lone = LayoutProblem("lone", "/data/lone.wav", "missing partner", "/data/lone.wav: expected …")
    table, page = tmp_path / "problems.csv", tmp_path / "problems.html"
    write_problems(
        [tmp_path / "a.json", tmp_path / "b.json"], [vars(lone)], {"gone": "stops <early>"},
        table=table, page=page,
    )  # fmt: skip
    found = pd.read_csv(table)
    assert found[["severity", "problem", "piece"]].values.tolist() == [
        ["stops", "missing partner", "lone"],
        ["stops", "shifted labels", "piece_1"],
        ["stops", "silent", "piece_0"],
        ["warning", "clipped", "piece_2"],
    ]
    text = page.read_text(encoding="utf-8")
    assert "stops &lt;early&gt;" in text and "shifted labels" in text and "gone" in text
    with pytest.raises(InputError, match="3 problems") as caught:
        stop_if_needed(table)
    for part in ("/data/lone.wav", "f0/piece.wav", "f1/piece.txt", "corpus.exclude", str(table)):
        assert part in str(caught.value)
    found[found["severity"] == "warning"].to_csv(table, index=False)
    assert "1 warnings" in stop_if_needed(table)


def test_a_zip_s_member_is_checked_like_a_file_and_named_with_its_zip(tmp_path):
    write_pair(tmp_path)
    with zipfile.ZipFile(tmp_path / "I.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for suffix in ("wav", "txt"):
            packed.write(tmp_path / f"piece.{suffix}", f"I/MUS/piece.{suffix}")
    packed_row = row(
        tmp_path, audio=f"{tmp_path}/I.zip", notes=f"{tmp_path}/I.zip",
        audio_member="I/MUS/piece.wav", notes_member="I/MUS/piece.txt",
    )  # fmt: skip
    plain = check_piece(row(tmp_path), FEATURES)
    check = check_piece(packed_row, FEATURES)
    assert check["problems"] == []
    for key in ("seconds", "sample_rate_hz", "digest", "tuning_cents", "shift_seconds"):
        assert check[key] == plain[key]
    content = bytearray((tmp_path / "I.zip").read_bytes())
    content[5000] ^= 0xFF
    (tmp_path / "I.zip").write_bytes(content)
    (problem,) = check_piece(packed_row, FEATURES)["problems"]
    assert problem["problem"] == "unreadable"
    assert "I.zip: I/MUS/piece.wav cannot be read" in problem["message"]


@pytest.mark.parametrize("name", ["piece.wav", "piece.txt"])
def test_a_disk_that_fails_is_no_problem_of_the_piece_and_stops_the_job(tmp_path, name):
    write_pair(tmp_path)
    (tmp_path / name).unlink()
    # It opens, and ends each read with EIO.
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=rf"{name}: .*Input/output error.*check the disk"):
        check_piece(row(tmp_path), FEATURES)


def test_a_lack_of_space_to_unpack_is_no_problem_of_the_piece(tmp_path, monkeypatch):
    write_pair(tmp_path)
    archive = tmp_path / "corpus.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for name in ("piece.wav", "piece.txt"):
            written.write(tmp_path / name, name)
    piece = row(tmp_path, audio=str(archive), audio_member="piece.wav")
    assert check_piece(piece, FEATURES)["problems"] == []
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(InputError, match=r"corpus.zip: .*TMPDIR"):
        check_piece(piece, FEATURES)


def test_memory_does_not_grow_with_the_length_of_the_recording(tmp_path):
    peaks = []
    for copies in (20, 100):
        # Ten minutes at 16 kHz are 38 MB as floats.
        write_pair(tmp_path, np.tile(sound(PLAYED, SECONDS, 16_000).mean(axis=1), copies), 16_000)
        tracemalloc.start()
        check_piece(row(tmp_path), FEATURES)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 40e6


def test_midi_and_text_are_checked_alike(tmp_path):
    write_pair(tmp_path)
    write_midi(tmp_path / "piece.mid", PLAYED)
    text = check_piece(row(tmp_path), FEATURES)
    midi = check_piece(row(tmp_path, notes=f"{tmp_path}/piece.mid"), FEATURES)
    assert text == midi


def test_a_pedal_lifted_after_the_recording_ends_with_it(tmp_path):
    held = Music(PLAYED.keys, ((PLAYED.keys[-1][0], 600_000),))
    write_midi(tmp_path / "long.mid", held)
    assert read_labels(tmp_path / "long.mid")["offset"].max() == pytest.approx(60)
    assert read_labels(tmp_path / "long.mid", SECONDS)["offset"].max() == SECONDS
    with pytest.raises(InputError, match=r"long\.mid: a note begins at .* after the audio's end"):
        read_labels(tmp_path / "long.mid", 2.0)


@given(counts=st.lists(st.integers(1, 200), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_every_piece_is_in_one_batch_of_its_shard(counts):
    names = [
        (f"p{i}_{n}", f"I{i // 2}", f"S{i % 2}")
        for i, count in enumerate(counts)
        for n in range(count)
    ]
    table = pd.DataFrame(names, columns=["piece", "instrument", "split"])
    batches = check_batches(table)
    assert sorted(r["piece"] for b in batches.values() for r in b) == sorted(table["piece"])
    for rows in batches.values():
        assert len({(r["instrument"], r["split"]) for r in rows}) == 1
        assert len(rows) <= 3 * BATCH_PIECES


def test_another_piece_changes_its_own_batch_alone():
    pieces = [f"p{n}" for n in range(100)]
    table = pd.DataFrame({"piece": [*pieces, "new"], "instrument": "I", "split": "test"})
    before, after = check_batches(table[:-1]), check_batches(table)
    assert sum(before[name] != after[name] for name in before) == 1
