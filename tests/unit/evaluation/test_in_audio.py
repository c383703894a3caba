"""Noise in the audio: its power, our models in it, and a peer's answers counted by hand."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from support.models import write_model

from at4ramt.config import audio_config, notes_config
from at4ramt.errors import InputError
from at4ramt.evaluation.audio_noise import (
    MIXING_RATE_HZ,
    measure,
    noise_gain,
    noise_seed,
    noisy_audio,
    resampled,
    unit_noise,
    with_noise,
)
from at4ramt.evaluation.collect import collect_table
from at4ramt.evaluation.in_audio import SoundingPiece, heard, score_in_audio
from at4ramt.evaluation.notes import NotedPiece, score_notes
from at4ramt.evaluation.peer_basic_pitch import best_place, stretches
from at4ramt.evaluation.peers import score_peer
from at4ramt.evaluation.tables import (
    audio_scores,
    check_audio_counts,
    read_audio_counts,
    read_note_counts,
)
from at4ramt.features.audio import open_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.files import file_digest, write_json
from at4ramt.training.backend import start_backend

SNR_DB = [10, -3]
THRESHOLD = 0.45


def made_with(config: dict) -> dict:
    """Return what these tests score with."""
    changed = copy.deepcopy(config)
    changed["evaluation"] |= {"audio_snr_db": SNR_DB, "note_levels": [0.0]}
    return changed


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
def test_noise_has_the_power_that_was_asked_for(stereo, snr_db):
    path, mono = stereo
    with open_audio(path) as audio:
        noisy = np.concatenate(list(noisy_audio(audio, snr_db, 7)))
        clean = np.concatenate(list(noisy_audio(audio, None, 7)))
        samples, power = measure(audio)
    assert len(noisy) == len(clean) == samples == len(mono)
    assert np.allclose(clean, mono, atol=1e-5)
    added = (noisy - clean).astype(np.float64)
    found = 10 * np.log10(np.mean(mono.astype(np.float64) ** 2) / np.mean(added**2))
    assert found == pytest.approx(snr_db, abs=0.05)
    assert np.corrcoef(added[1:], added[:-1])[0, 1] == pytest.approx(0, abs=0.01)
    # In blocks or in one, it is the same noise.
    unit = np.random.default_rng(7).standard_normal(samples)
    assert np.allclose(np.concatenate(list(unit_noise(samples, 7))), unit, atol=1e-6)
    assert np.allclose(noisy, clean + noise_gain(power, snr_db) * unit, atol=1e-5)
    whole = with_noise(clean, snr_db, np.random.default_rng(7))
    assert np.allclose(noisy, whole, atol=1e-5)


@pytest.fixture(scope="module")
def written(tmp_path_factory, write_pieces, demo_config):
    folder = tmp_path_factory.mktemp("sounding")
    return [
        SoundingPiece(
            path.stem, "I", "test", str(path), str(path.with_suffix(".wav")),
            str(path.with_suffix(".txt")),
        )
        for path in write_pieces(folder, ["first", "second"])
    ]  # fmt: skip


def test_the_sum_of_two_transforms_is_that_of_the_mixture(written, demo_config):
    config = audio_config(made_with(demo_config))
    settings = CqtSettings.from_config(config["features"])
    piece = written[1]
    found = {condition["snr_db"]: magnitudes for condition, magnitudes in heard(
        piece, settings, config
    )}  # fmt: skip
    seed = noise_seed(config["noise_seed"], piece.name)
    for snr_db in SNR_DB:
        with open_audio(piece.audio) as audio:
            mixed = np.concatenate(list(resampled(noisy_audio(audio, snr_db, seed), 16_000)))
        expected = np.abs(complex_cqt(mixed, settings))[: len(found[snr_db]), settings.core]
        assert len(found[snr_db]) - len(expected) in (0, 1)
        off = np.abs(found[snr_db][: len(expected)] - expected)[3:-3].max()
        # The tone was resampled on the way, which smooths its edges; features are half precision.
        assert off < 0.01 * expected.max()
        assert np.median(found[snr_db]) > 3 * np.median(found[np.inf])


@pytest.fixture(scope="module")
def scored(written, demo_config):
    """An untrained model, its counts in the audio's noise, and those of its notes."""
    folder = written[0].features.rpartition("/")[0]
    card = {
        "arm": "base",
        "seed": 3,
        "round": 0,
        "threshold_fitted": THRESHOLD,
        "frame_step": 2,
        "features": demo_config["features"],
    }
    config = made_with(demo_config)
    start_backend(1, 0)
    model = write_model(Path(folder, "model.keras"), "small", card=card)
    score_in_audio(
        str(model), written, f"{folder}/audio.parquet", config=audio_config(config), threads=1
    )
    noted = [NotedPiece(p.name, p.instrument, p.split, p.features, p.notes) for p in written]
    score_notes(
        str(model), noted, f"{folder}/notes.parquet", config=notes_config(config), threads=1
    )
    notes = read_note_counts(f"{folder}/notes.parquet")
    return model, read_audio_counts(f"{folder}/audio.parquet"), notes[notes["arm"] == "base"]


def test_without_noise_notes_are_those_of_the_other_table(scored):
    _, table, notes = scored
    clean = table[(table["noise"] == "none") & table["criterion"].str.startswith("onset")]
    same = [
        "split",
        "instrument",
        "piece",
        "seed",
        "criterion",
        "reference",
        "estimated",
        "matched",
    ]
    clean = clean.assign(kind=clean["threshold_kind"].replace({"default": "half"}))
    notes = notes.assign(kind=notes["threshold_kind"])
    keys = ["piece", "kind", "criterion"]
    found, expected = (
        part[[*same, "kind"]].sort_values(keys, ignore_index=True) for part in (clean, notes)
    )
    pd.testing.assert_frame_equal(found, expected)
    assert len(found) == 8


def test_each_condition_is_there_and_noise_changes_what_is_found(scored):
    _, table, _ = scored
    assert len(table) == 2 * 3 * 2 * 4
    assert sorted(table["snr_db"].unique()) == [-3, 10, np.inf]
    frames = table[table["criterion"] == "frames"]
    assert frames.groupby("piece")["reference"].nunique().eq(1).all()
    assert frames.groupby(["piece", "threshold_kind"])["estimated"].nunique().gt(1).any()


@pytest.fixture
def answered(tmp_path, written, demo_config):
    """A made-up answer to both pieces, the thresholds' use told apart by its notes."""
    config = audio_config(made_with(demo_config))
    random = np.random.default_rng(5)
    rows = []
    conditions = [("none", np.inf), *(("white", float(ratio)) for ratio in SNR_DB)]
    names = (
        "notes_default", "notes_fitted", "note_frames_fitted", "frames_default", "frames_fitted",
    )  # fmt: skip
    for piece, (noise, snr_db), answer in itertools.product(written, conditions, names):
        for pitch in (30, 57, 58, 69, 70, 93):
            onset = 0.5 + random.choice([0.0, 0.04, 0.07, 0.125, 0.3])
            length = random.choice([0.3, 0.7, 1.1])
            rows.append((piece.name, noise, snr_db, answer, onset, onset + length, pitch))
    columns = ["piece", "noise", "snr_db", "answer", "onset", "offset", "pitch"]
    table = pd.DataFrame(rows, columns=columns)
    table.attrs = {"pieces": [piece.name for piece in written], "made_with": config}
    path = tmp_path / "test.parquet"
    table.to_parquet(path)
    return path, table, config


def test_a_peer_s_counts_are_those_found_by_hand(answered, written, tmp_path):
    path, table, config = answered
    score_peer("basic_pitch", [str(path)], written, str(tmp_path / "p.parquet"), config=config)
    counts = check_audio_counts(pd.read_parquet(tmp_path / "p.parquet"))
    assert len(counts) == 2 * 3 * 2 * 4 and set(counts["seed"]) == {-1}
    answers = {
        ("frames", "default"): "frames_default",
        ("frames", "fitted"): "frames_fitted",
        ("note_frames", "default"): "notes_default",
        ("note_frames", "fitted"): "note_frames_fitted",
        ("onset", "default"): "notes_default",
        ("onset", "fitted"): "notes_fitted",
    }
    for row in counts[counts["criterion"] != "onset_offset"].to_dict("records"):
        answer = answers[row["criterion"], row["threshold_kind"]]
        (piece,) = (piece for piece in written if piece.name == row["piece"])
        chosen = table[
            (table["piece"] == row["piece"])
            & (table["snr_db"] == row["snr_db"])
            & (table["answer"] == answer)
            & table["pitch"].between(37, 92)
        ]
        played = pd.read_csv(piece.notes, sep="\t").to_numpy()
        written_down = chosen[["onset", "offset", "pitch"]].to_numpy()
        if row["criterion"] == "onset":
            # One note a pitch, so that a pair is a pair.
            pairs = [
                (a, b)
                for a, b in itertools.product(played, written_down)
                if a[2] == b[2] and abs(a[0] - b[0]) <= 0.05
            ]
            expected = len(played), len(written_down), len(pairs)
        else:
            frames = range(len(pd.read_parquet(piece.features)))
            cells = [
                {
                    (frame, pitch)
                    for frame in frames
                    for onset, offset, pitch in notes
                    if onset <= frame * 512 / 16_000 < offset
                }
                for notes in (played, written_down)
            ]
            expected = len(cells[0]), len(cells[1]), len(cells[0] & cells[1])
        assert (row["reference"], row["estimated"], row["matched"]) == expected, row


def test_answers_of_other_settings_or_pieces_are_refused(answered, written, tmp_path):
    path, _, config = answered
    other = copy.deepcopy(config)
    other["evaluation"]["audio_snr_db"] = [10]
    with pytest.raises(InputError, match=r"evaluation\.audio_snr_db \[10, -3\] \(now \[10\]\)"):
        score_peer("basic_pitch", [str(path)], written, str(tmp_path / "p"), config=other)
    stranger = SoundingPiece("stranger", "I", "test", "x", "y", "z")
    with pytest.raises(InputError, match="no answer to stranger"):
        score_peer("basic_pitch", [str(path)], [stranger], str(tmp_path / "p"), config=config)
    assert not (tmp_path / "p").exists()


def test_models_and_peers_are_collected_and_pooled(scored, answered, written, tmp_path):
    model, table, _ = scored
    path, _, config = answered
    peer, card = str(tmp_path / "basic_pitch.audio.parquet"), tmp_path / "model.json"
    score_peer("basic_pitch", [str(path)], written, peer, config=config)
    write_json(card, {"model_sha256": file_digest(model)})
    parts, collected = [str(model.with_name("audio.parquet"))], str(tmp_path / "audio.parquet")
    collect_table(parts, [str(card)], collected, made_with=config, peers=[peer])
    counts = read_audio_counts(collected)
    assert len(counts) == 2 * len(table)
    scores = audio_scores(counts, draws=20, base_seed=0)
    of_peer = counts[counts["system"] == "basic_pitch"]
    for row in scores[scores["system"] == "basic_pitch"].to_dict("records"):
        same = np.logical_and.reduce(
            [of_peer[name] == row[name] for name in ("snr_db", "threshold_kind", "criterion")]
        )
        sums = of_peer.loc[same, ["reference", "estimated", "matched"]].sum()
        expected = 2 * sums["matched"] / (sums["reference"] + sums["estimated"])
        assert row["f1"] == pytest.approx(expected)
    other = copy.deepcopy(config)
    other["noise_seed"] += 1
    with pytest.raises(InputError, match="noise_seed"):
        collect_table([], [], collected, made_with=other, peers=[peer])


def test_the_fitted_threshold_is_the_best_of_all():
    random = np.random.default_rng(1)
    for _ in range(20):
        matched = random.integers(0, 50, 12)
        counts = np.stack([np.full(12, 60), matched + random.integers(0, 40, 12), matched], axis=1)
        best, place = -1.0, -1
        for row, (reference, estimated, right) in enumerate(counts):
            precision, recall = right / max(estimated, 1), right / reference
            f1 = 2 * precision * recall / (precision + recall) if right else 0.0
            if f1 > best + 1e-12:
                best, place = f1, row
        assert best_place(counts) == (place, pytest.approx(best))


def test_parts_of_a_long_recording_are_all_of_it_with_context(monkeypatch):
    monkeypatch.setattr("at4ramt.evaluation.peer_basic_pitch.PART_SECONDS", 5)
    monkeypatch.setattr("at4ramt.evaluation.peer_basic_pitch.CONTEXT_SECONDS", 2.0)
    samples = np.arange(MIXING_RATE_HZ * 13, dtype=np.float32)
    parts = list(stretches(np.array_split(samples, 29)))
    assert [(start, end) for _, start, end, _ in parts] == [(0, 5), (5, 10), (10, np.inf)]
    for held, start, end, origin in parts:
        first = round(origin * MIXING_RATE_HZ)
        assert np.array_equal(held, samples[first : first + len(held)])
        assert origin == max(0, start - 2)
        assert origin + len(held) / MIXING_RATE_HZ == min(end + 2, 13)
    (whole,) = stretches([samples[: MIXING_RATE_HZ * 3]])
    assert len(whole[0]) == MIXING_RATE_HZ * 3 and whole[1:] == (0, np.inf, 0)
