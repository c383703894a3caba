"""Noise in the audio: its power, our models in it, and a peer's answers counted by hand."""

import copy
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.checkout import ROOT
from support.models import write_model

from at4ramt.audio_noise.babble import cut_excerpts
from at4ramt.audio_noise.kinds import MIXING_RATE_HZ
from at4ramt.audio_noise.mixing import mix_piece, mixtures
from at4ramt.config import audio_config, mixing_config, notes_config, peer_config
from at4ramt.errors import InputError
from at4ramt.evaluation import in_audio
from at4ramt.evaluation.collect import collect_table
from at4ramt.evaluation.in_audio import THRESHOLD_GRID, Fit, SoundingPiece, score_in_audio
from at4ramt.evaluation.notes import NotedPiece, keras_model, score_notes
from at4ramt.evaluation.peer_basic_pitch import stretches
from at4ramt.evaluation.peer_models import score_peer_model
from at4ramt.evaluation.peers import score_peer
from at4ramt.evaluation.tables import (
    audio_scores,
    check_audio_counts,
    read_audio_counts,
    read_note_counts,
)
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.files import file_digest, write_json
from at4ramt.training.backend import start_backend
from at4ramt.training.onnx_file import export_onnx
from at4ramt.transcription.models import open_model

NOISES = ["white", "babble"]
SNR_DB = [10, -3]
THRESHOLD = 0.45


def made_with(config: dict) -> dict:
    """Return what these tests score with."""
    changed = copy.deepcopy(config)
    changed["evaluation"] |= {"audio_noises": NOISES, "audio_snr_db": SNR_DB, "note_levels": [0.0]}
    return changed


@pytest.fixture(scope="module")
def written(tmp_path_factory, write_pieces, demo_config):
    folder = tmp_path_factory.mktemp("sounding")
    pieces = [
        SoundingPiece(
            path.stem, "I", "test", str(path), str(path.with_suffix(".wav")),
            str(path.with_suffix(".txt")), mixed=str(path.with_suffix(".npz")),
        )
        for path in write_pieces(folder, ["first", "second"])
    ]  # fmt: skip
    excerpts = str(folder / "excerpts.npz")
    cut_excerpts([(piece.name, piece.audio, "") for piece in pieces], excerpts, seed=0)
    for piece in pieces:
        mix_piece(
            piece.name, piece.features, piece.audio, piece.mixed,
            config=mixing_config(made_with(demo_config)), excerpts=excerpts,
        )  # fmt: skip
    return pieces


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
        "context_frames": 7,
        "features": demo_config["features"],
    }
    config = made_with(demo_config)
    start_backend(1, 0)
    model = write_model(Path(folder, "model.keras"), "small", card=card)
    export_onnx(model, f"{folder}/model.onnx")
    score_in_audio(
        f"{folder}/model.onnx", written, f"{folder}/audio.parquet", fitting=["second"],
        config=audio_config(config), threads=1,
    )  # fmt: skip
    noted = [NotedPiece(p.name, p.instrument, p.split, p.features, p.notes) for p in written]
    score_notes(
        str(model), noted, f"{folder}/notes.parquet", config=notes_config(config), threads=1
    )
    notes = read_note_counts(f"{folder}/notes.parquet")
    return model, read_audio_counts(f"{folder}/audio.parquet"), notes[notes["arm"] == "base"]


def test_without_noise_notes_are_those_of_the_other_table(scored):
    _, table, notes = scored
    ours = (table["noise"] == "none") & (table["system"] == "base")
    of_both = table["criterion"].str.startswith("onset") & (table["threshold_kind"] != "best")
    clean = table[ours & of_both]
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
    # Of two pieces, the base and the base without medians: notes without noise and in white noise.
    frames = table[table["criterion"] == "frames"]
    # Two kinds of thresholds in all five, a third where notes are.
    assert len(frames) == 2 * 2 * (5 * 2 + 3) and len(table) == len(frames) + 2 * 2 * 3 * 3 * 3
    assert set(table.loc[table["criterion"] != "frames", "noise"]) == {"none", "white"}
    assert set(zip(table["noise"], table["snr_db"], strict=True)) == {
        ("none", np.inf),
        *itertools.product(NOISES, map(float, SNR_DB)),
    }
    assert set(table["system"]) == {"base", "offset_removed"}
    assert frames.groupby("piece")["reference"].nunique().eq(1).all()
    assert frames.groupby(["piece", "threshold_kind"])["estimated"].nunique().gt(4).any()


def test_frames_are_those_of_the_network_on_the_mixture(scored, written, demo_config):
    model_path, table, _ = scored
    features = demo_config["features"]
    settings = CqtSettings.from_config(features)
    model, _ = keras_model(str(model_path), features, threads=1)
    config = audio_config(made_with(demo_config))
    for piece, condition, system in itertools.product(
        written, ("none_inf", "white_-3", "babble_10"), ("base", "offset_removed")
    ):
        if condition == "none_inf":
            samples, _ = soundfile.read(piece.audio, dtype="float32")
            magnitudes = np.abs(complex_cqt(samples, settings))[:, settings.core]
        else:
            with mixtures(piece.mixed, config) as mixed:
                magnitudes = mixed[condition].astype(np.float32)
        if system == "offset_removed":
            magnitudes = np.stack([frame - np.median(frame) for frame in magnitudes])
        silence = np.zeros((model.margin_frames, magnitudes.shape[1]), np.float32)
        answer = model.probabilities(np.concatenate([silence, magnitudes, silence])) >= 0.5
        noise, snr_db = condition.split("_")
        found = table[
            (table["piece"] == piece.name)
            & (table["noise"] == noise)
            & (table["snr_db"] == float(snr_db))
            & (table["system"] == system)
            & (table["threshold_kind"] == "default")
            & (table["criterion"] == "frames")
        ]
        # Clean features are half precision, which decides what lies on the threshold.
        assert found["estimated"].item() == pytest.approx(answer.sum(), rel=0.01)


def test_the_best_thresholds_are_the_best_of_models_that_have_each(
    scored, written, demo_config, tmp_path, monkeypatch
):
    model_path, table, _ = scored
    path, config = str(model_path.with_suffix(".onnx")), audio_config(made_with(demo_config))
    stored = in_audio.load_onnx(path, demo_config["features"], threads=1)
    tables = {}
    for threshold in THRESHOLD_GRID:
        own = replace(stored, card=stored.card | {"threshold_fitted": threshold})
        monkeypatch.setattr(in_audio, "load_onnx", lambda *_, own=own, **__: own)
        score_in_audio(path, written, str(tmp_path / "a"), fitting=[], config=config, threads=1)
        rows = read_audio_counts(tmp_path / "a")
        assert set(rows["threshold_kind"]) == {"default", "fitted"}
        tables[threshold] = rows[rows["threshold_kind"] == "fitted"].drop(columns="threshold_kind")
    best = table[table["threshold_kind"] == "best"].drop(columns="threshold_kind")
    # Babble is no noise that notes are scored in.
    assert set(best["noise"]) == {"none", "white"}
    chosen = set()
    for (system, criterion, snr_db), rows in best.groupby(["system", "criterion", "snr_db"]):
        judged_by = "onset" if criterion == "onset_offset" else criterion
        f1, tables_here = {}, {}
        for threshold, counts in tables.items():
            here = counts[
                (counts["system"] == system)
                & (counts["snr_db"] == snr_db)
                & counts["noise"].isin(["none", "white"])
            ]
            judged = here[(here["criterion"] == judged_by) & (here["piece"] == "second")]
            assert len(judged) == 1
            sums = judged[["reference", "estimated", "matched"]].sum()
            f1[threshold] = 2 * sums["matched"] / (sums["reference"] + sums["estimated"])
            tables_here[threshold] = here[here["criterion"] == criterion]
        threshold = max(f1, key=f1.__getitem__)
        chosen.add(threshold)
        expected = tables_here[threshold]
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), expected.reset_index(drop=True))
    # Or any would do.
    assert len(chosen) > 1 and THRESHOLD not in chosen


def test_a_model_of_another_run_is_scored_as_it_would_be_in_its_own(
    scored, written, demo_config, tmp_path
):
    """Heard through the recordings, not through this run's features and mixtures."""
    model_path, table, _ = scored
    config = peer_config(audio_config(made_with(demo_config)))
    score_peer_model(
        "other", str(model_path.with_suffix(".onnx")), written, str(tmp_path / "o"),
        fitting=["second"], config=config, threads=1,
    )  # fmt: skip
    found = check_audio_counts(pd.read_parquet(tmp_path / "o"))
    assert set(found["system"]) == {"other"} and set(found["seed"]) == {-1}
    expected = table[(table["system"] == "base") & table["noise"].isin(["none", "white"])]
    keys = ["piece", "noise", "snr_db", "threshold_kind", "criterion"]
    both = found.merge(expected, on=keys, validate="one_to_one", suffixes=("", "_own"))
    assert len(both) == len(found) == len(expected)
    assert (both["reference"] == both["reference_own"]).all()
    # Features and mixtures are half precision, which decides what lies on a threshold.
    for column in ("estimated", "matched"):
        assert np.allclose(both[column], both[f"{column}_own"], rtol=0.01, atol=2)


def test_a_model_of_another_run_hears_its_own_features(written, demo_config, tmp_path):
    shipped = ROOT / "models" / "robust" / "seed_1" / "round_01.onnx"
    config = peer_config(audio_config(made_with(demo_config)))
    score_peer_model(
        "robust", str(shipped), written, str(tmp_path / "r"), fitting=[], config=config, threads=1
    )
    found = check_audio_counts(pd.read_parquet(tmp_path / "r"))
    model = open_model(shipped)
    assert model.features != CqtSettings.from_config(demo_config["features"])
    for piece in written:
        samples, _ = soundfile.read(piece.audio, dtype="float32")
        magnitudes = np.abs(complex_cqt(samples, model.features))[:, model.features.heard]
        silence = np.zeros((model.margin_frames, magnitudes.shape[1]), np.float32)
        answer = model.probabilities(np.concatenate([silence, magnitudes, silence]))
        labels = np.stack(pd.read_parquet(piece.features)["labels"])
        for kind, threshold in (("default", 0.5), ("fitted", model.card["threshold_fitted"])):
            active = answer >= threshold
            row = found[
                (found["piece"] == piece.name)
                & (found["noise"] == "none")
                & (found["threshold_kind"] == kind)
                & (found["criterion"] == "frames")
            ]
            assert row["estimated"].item() == active.sum() > 0
            assert row["matched"].item() == (active & (labels > 0)).sum() > 0

    other = copy.deepcopy(config)
    other["features"]["hop_length_samples"] = 256
    said = r"peer_models, robust: .*onnx has features.hop_length_samples 512; expected 256"
    with pytest.raises(InputError, match=said):
        score_peer_model(
            "robust",
            str(shipped),
            written,
            str(tmp_path / "x"),
            fitting=[],
            config=other,
            threads=1,
        )
    assert not (tmp_path / "x").exists()


def test_half_precision_of_the_mixtures_moves_no_score(scored, written, demo_config):
    settings = CqtSettings.from_config(demo_config["features"])
    model, _ = keras_model(str(scored[0]), demo_config["features"], threads=1)
    random = np.random.default_rng(2)
    cells = changed = 0
    for piece in written:
        samples, _ = soundfile.read(piece.audio, dtype="float32")
        noisy = samples + 0.05 * random.standard_normal(len(samples)).astype(np.float32)
        whole = np.abs(complex_cqt(noisy, settings))[:, settings.core]
        margin = ((model.margin_frames,) * 2, (0, 0))
        exact, rounded = (
            model.probabilities(np.pad(heard.astype(np.float32), margin))
            for heard in (whole, whole.astype(np.float16))
        )
        assert np.abs(exact - rounded).max() < 2e-3
        cells += exact.size
        changed += np.count_nonzero((exact >= THRESHOLD) != (rounded >= THRESHOLD))
    assert changed < 1e-3 * cells


def test_mixtures_of_other_settings_are_refused(scored, written, demo_config, tmp_path):
    other = made_with(demo_config)
    other["evaluation"]["audio_noises"] = ["white"]
    with pytest.raises(InputError, match=r"first\.npz: was made with evaluation\.audio_noises"):
        score_in_audio(
            str(scored[0].with_suffix(".onnx")), written, str(tmp_path / "a"),
            fitting=[], config=audio_config(other), threads=1,
        )  # fmt: skip


@pytest.fixture
def answered(tmp_path, written, demo_config):
    """A made-up answer to both pieces, the thresholds' use told apart by its notes."""
    config = peer_config(audio_config(made_with(demo_config)))
    random = np.random.default_rng(5)
    rows = []
    conditions = [("none", np.inf), *(("white", float(ratio)) for ratio in SNR_DB)]
    names = (
        "notes_default", "notes_best", "note_frames_best", "frames_default", "frames_best",
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
        ("frames", "best"): "frames_best",
        ("note_frames", "default"): "notes_default",
        ("note_frames", "best"): "note_frames_best",
        ("onset", "default"): "notes_default",
        ("onset", "best"): "notes_best",
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


def test_models_and_peers_are_collected_and_pooled(
    scored, answered, written, tmp_path, demo_config
):
    model, table, _ = scored
    path, _, config = answered
    peer, card = str(tmp_path / "basic_pitch.audio.parquet"), tmp_path / "model.json"
    score_peer("basic_pitch", [str(path)], written, peer, config=config)
    write_json(card, {"model_sha256": file_digest(model)})
    parts, collected = [str(model.with_name("audio.parquet"))], str(tmp_path / "audio.parquet")
    ours = audio_config(made_with(demo_config))
    collect_table(parts, [str(card)], collected, made_with=ours, peers=[peer])
    counts = read_audio_counts(collected)
    assert len(counts) == len(table) + 2 * 3 * 2 * 4
    scores = audio_scores(counts, draws=20, base_seed=0)
    of_peer = counts[counts["system"] == "basic_pitch"]
    for row in scores[scores["system"] == "basic_pitch"].to_dict("records"):
        same = np.logical_and.reduce(
            [
                of_peer[name] == row[name]
                for name in ("noise", "snr_db", "threshold_kind", "criterion")
            ]
        )
        sums = of_peer.loc[same, ["reference", "estimated", "matched"]].sum()
        expected = 2 * sums["matched"] / (sums["reference"] + sums["estimated"])
        assert row["f1"] == pytest.approx(expected)
    other = copy.deepcopy(ours)
    other["noise_seed"] += 1
    with pytest.raises(InputError, match="noise_seed"):
        collect_table([], [], collected, made_with=other, peers=[peer])


def test_of_equal_thresholds_the_first_is_the_best():
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
        fit = Fit({"notes": range(12)})
        for at, row in enumerate(counts.tolist()):
            fit.add("notes", at, (row[0], 0, row[2]))
            fit.add("notes", at, (0, row[1], 0))
        assert fit.best() == {"notes": (place, pytest.approx(best))}


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
