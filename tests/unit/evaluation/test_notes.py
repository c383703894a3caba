"""Matching against a solver of its own, counts against notes found by hand, and pooled scores."""

import copy

import mir_eval
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from support.models import write_model

from at4ramt.config import notes_config
from at4ramt.corpus.maps import LABEL, read_notes
from at4ramt.corpus.midi import NOTE
from at4ramt.errors import InputError
from at4ramt.evaluation.bootstrap import resample
from at4ramt.evaluation.collect import collect_table
from at4ramt.evaluation.notes import NotedPiece, match_notes, notes_in_range, score_notes
from at4ramt.evaluation.tables import (
    check_note_counts,
    note_scores,
    notes_schema,
    read_note_counts,
    write_note_counts,
)
from at4ramt.features.cqt import CqtSettings
from at4ramt.files import file_digest, write_json
from at4ramt.seeds import purpose_seed
from at4ramt.training.backend import start_backend
from at4ramt.training.noise import uniform_noise
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

RULE = {"minimum_note_seconds": 0.064, "bridge_gap_seconds": 0.064, "refine_onsets": True}
LEVELS = [0.0, 0.2]
THRESHOLD = 0.45


# Times on a grid of 10 ms, so that tolerances are met exactly, too.
times = st.integers(0, 60).map(lambda step: step / 100)
note = st.tuples(times, st.integers(1, 40).map(lambda step: step / 100), st.integers(60, 62))


def as_notes(drawn) -> np.ndarray:
    rows = [(onset, onset + duration, pitch, 64) for onset, duration, pitch in drawn]
    return np.array(rows, NOTE)


def allowed(reference, estimated, criterion) -> np.ndarray:
    """Which pairs may match, in whole hundredths of a second, ``(reference, estimated)``."""
    steps = {
        name: [np.rint(100 * notes[name]).astype(int) for notes in (reference, estimated)]
        for name in ("onset", "offset")
    }
    near = np.abs(np.subtract.outer(*steps["onset"])) <= 5
    near &= np.equal.outer(reference["pitch"], estimated["pitch"])
    if criterion == "onset_offset":
        duration = steps["offset"][0] - steps["onset"][0]
        tolerance = np.maximum(5 * 5, duration)[:, None]  # in fifths of a hundredth
        near &= 5 * np.abs(np.subtract.outer(*steps["offset"])) <= tolerance
    return near


@given(st.lists(note, max_size=14), st.lists(note, max_size=14))
@pytest.mark.parametrize("criterion", ["onset", "onset_offset"])
def test_the_matching_is_allowed_and_no_other_is_larger(criterion, played, written):
    reference, estimated = as_notes(played), as_notes(written)
    pairs = match_notes(reference, estimated, criterion)
    near = allowed(reference, estimated, criterion)
    assert all(near[one, other] for one, other in pairs)
    assert all(len(set(side)) == len(side) for side in pairs.T)
    largest = 0
    if near.size:
        largest = int((maximum_bipartite_matching(csr_array(near)) >= 0).sum())
    assert len(pairs) == largest


@given(st.lists(note, min_size=1, max_size=14), st.lists(note, min_size=1, max_size=14))
def test_f1_is_mir_evals(played, written):
    reference, estimated = as_notes(played), as_notes(written)
    spans = [np.stack([n["onset"], n["offset"]], axis=1) for n in (reference, estimated)]
    hertz = [mir_eval.util.midi_to_hz(n["pitch"]) for n in (reference, estimated)]
    for criterion, share in (("onset", None), ("onset_offset", 0.2)):
        found = mir_eval.transcription.precision_recall_f1_overlap(
            spans[0], hertz[0], spans[1], hertz[1], offset_ratio=share
        )
        pairs = match_notes(reference, estimated, criterion)
        assert 2 * len(pairs) / (len(reference) + len(estimated)) == pytest.approx(found[2])


def test_only_notes_that_the_model_can_answer_are_asked_for(demo_config):
    settings = CqtSettings.from_config(demo_config["features"])
    rows = [(0.0, 1.0, 36), (0.0, 1.0, 37), (2.0, 2.0, 60), (0.0, 1.0, 92), (0.0, 1.0, 93)]
    kept = notes_in_range(np.array(rows, LABEL), settings)
    assert kept["pitch"].tolist() == [37, 92]


def made_with(config: dict) -> dict:
    """Return what scores of notes are made with, at the levels of these tests."""
    changed = copy.deepcopy(config)
    changed["evaluation"]["note_levels"] = LEVELS
    changed["transcription"] |= RULE
    return notes_config(changed)


@pytest.fixture(scope="module")
def scored(tmp_path_factory, write_pieces, demo_config):
    """An untrained base model, the pieces it was scored on, and the table."""
    folder = tmp_path_factory.mktemp("noted")
    features = write_pieces(folder, ["first", "second"])
    start_backend(1, 0)
    card = {
        "arm": "base",
        "seed": 3,
        "round": 0,
        "threshold_fitted": THRESHOLD,
        "frame_step": 2,
        "context_frames": 7,
        "features": demo_config["features"],
    }
    model = write_model(folder / "model.keras", "small", card=card)
    pieces = [
        NotedPiece(path.stem, "I", "test", str(path), str(path.with_suffix(".txt")))
        for path in features
    ]
    score_notes(
        str(model), pieces, str(folder / "notes.parquet"),
        config=made_with(demo_config), threads=1,
    )  # fmt: skip
    return model, pieces, read_note_counts(folder / "notes.parquet")


def by_hand(model, piece, level, arm):
    """Probabilities and magnitudes of every frame, from its own window of every second frame."""
    import keras

    table = pd.read_parquet(piece.features)
    magnitudes = np.abs(np.stack(table["real"]) + 1j * np.stack(table["imag"]).astype(np.float32))
    padded = np.pad(magnitudes[:, 12:180].astype(np.float32), ((6, 6), (0, 0)))
    seed = purpose_seed(3, "evaluation noise, full rate", piece.name)
    heard = padded + np.float32(level) * uniform_noise(seed, np.arange(len(padded)), 168)
    if arm == "offset_removed":
        heard = heard - np.median(heard, axis=1, keepdims=True)
    windows = np.stack([heard[frame : frame + 13 : 2] for frame in range(len(table))])
    logits = keras.models.load_model(model).predict_on_batch(windows)[:, 0]
    return 1 / (1 + np.exp(-logits.astype(np.float64))), np.maximum(heard[6:-6], 0)


@pytest.mark.parametrize("arm", ["base", "offset_removed"])
@pytest.mark.parametrize("level", LEVELS)
def test_counts_are_those_of_notes_found_window_by_window(scored, demo_config, arm, level):
    model, pieces, table = scored
    settings = CqtSettings.from_config(demo_config["features"])
    hits = 0
    for piece in pieces:
        probabilities, magnitudes = by_hand(model, piece, level, arm)
        reference = read_notes(piece.notes)
        for kind, threshold in (("half", 0.5), ("fitted", THRESHOLD)):
            # Single precision may decide otherwise on the edge; here nothing is on it.
            assert np.abs(probabilities - threshold).min() > 1e-6
            rule = NoteSettings.for_features(settings, threshold, **RULE)
            estimated = notes_from_probabilities(probabilities, rule, magnitudes)
            for criterion in ("onset", "onset_offset"):
                (row,) = table[
                    (table["piece"] == piece.name)
                    & (table["arm"] == arm)
                    & (table["level"] == level)
                    & (table["threshold_kind"] == kind)
                    & (table["criterion"] == criterion)
                ].to_dict("records")
                near = allowed_seconds(reference, estimated, criterion)
                matched = int((maximum_bipartite_matching(csr_array(near)) >= 0).sum())
                assert (row["reference"], row["estimated"], row["matched"]) == (
                    len(reference),
                    len(estimated),
                    matched,
                )
                hits += matched
    assert hits > 0


def allowed_seconds(reference, estimated, criterion) -> np.ndarray:
    """Which pairs may match, ``(reference, estimated)``."""
    near = np.abs(np.subtract.outer(reference["onset"], estimated["onset"])) <= 0.05
    near &= np.equal.outer(reference["pitch"], estimated["pitch"])
    if criterion == "onset_offset":
        tolerance = np.maximum(0.05, 0.2 * (reference["offset"] - reference["onset"]))
        off = np.abs(np.subtract.outer(reference["offset"], estimated["offset"]))
        near &= off <= tolerance[:, None]
    return near


def test_every_condition_is_there_once(scored):
    _, _, table = scored
    assert len(table) == 2 * 2 * len(LEVELS) * 2 * 2
    assert not table.duplicated(["arm", "piece", "level", "threshold_kind", "criterion"]).any()
    assert (table.groupby("level")["noise"].unique().str[0] == ["none", "uniform"]).all()


def test_only_a_part_of_this_model_and_this_rule_is_collected(scored, demo_config, tmp_path):
    model, _, table = scored
    part = str(model.with_name("notes.parquet"))
    card, collected = tmp_path / "model.json", tmp_path / "notes.parquet"
    write_json(card, {"model_sha256": file_digest(model)})

    def collect(config: dict) -> None:
        collect_table([part], [str(card)], str(collected), made_with=config)

    collect(made_with(demo_config))
    assert len(read_note_counts(collected)) == len(table)

    collected.unlink()
    other = made_with(demo_config)
    other["transcription"]["bridge_gap_seconds"] = 0.1
    with pytest.raises(InputError, match=r"bridge_gap_seconds 0\.064 \(now 0\.1\)"):
        collect(other)
    write_json(card, {"model_sha256": "another model's"})
    with pytest.raises(InputError, match=r"not made from the \S+model\.keras that is there"):
        collect(made_with(demo_config))
    assert not collected.exists()


def test_where_recordings_are_is_nothing_to_a_score(demo_config):
    changed = copy.deepcopy(demo_config)
    changed["transcription"] |= {"input": "x", "model": "y", "roll": True, "threshold": 0.3}
    assert notes_config(changed) == notes_config(demo_config)


def made_up_counts() -> pd.DataFrame:
    """Counts of two arms on three pieces, one of which has no note."""
    random = np.random.default_rng(5)
    rows = []
    for arm, turn in (("base", 0), ("adversarial", 1), ("adversarial", 2)):
        for piece in "abc":
            for criterion in ("onset", "onset_offset"):
                reference = 0 if piece == "c" else int(random.integers(20, 40))
                estimated = 0 if piece == "c" else int(random.integers(20, 40))
                rows.append(
                    dict.fromkeys(("split", "threshold_kind", "noise"), "none")
                    | {"split": "test", "threshold_kind": "half", "seed": 0, "level": 0.0}
                    | {"arm": arm, "round": turn, "piece": piece, "instrument": "I"}
                    | {"criterion": criterion, "reference": reference, "estimated": estimated}
                    | {"matched": int(random.integers(0, 20)) if reference else 0}
                )
    return pd.DataFrame(rows)[list(notes_schema)]


def test_scores_are_pooled_over_the_pieces_of_the_last_round():
    counts = made_up_counts()
    table = note_scores(counts, draws=50, base_seed=1)
    assert set(zip(table["arm"], table["round"], strict=True)) == {("base", 0), ("adversarial", 2)}
    drawn = resample(["a", "b", "c"], 50, 1)
    for row in table.to_dict("records"):
        one = counts[
            (counts["arm"] == row["arm"])
            & (counts["round"] == row["round"])
            & (counts["criterion"] == row["criterion"])
        ]
        reference, estimated, matched = (
            one[name].to_numpy() for name in ("reference", "estimated", "matched")
        )
        assert row["precision"] == pytest.approx(matched.sum() / estimated.sum())
        assert row["recall"] == pytest.approx(matched.sum() / reference.sum())
        assert row["f1"] == pytest.approx(2 * matched.sum() / (reference + estimated).sum())
        # Piece c has nothing to find and nothing found: it says nothing.
        own = 2 * matched[:2] / (reference + estimated)[:2]
        assert row["piece_f1"] == pytest.approx(own.mean())
        with np.errstate(invalid="ignore"):
            samples = 2 * (drawn @ matched) / (drawn @ (reference + estimated))
        if np.isfinite(samples).all():
            low, high = np.percentile(samples, [2.5, 97.5])
            assert (row["f1_low"], row["f1_high"]) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matched": 1000}, "matched between 0"),
        ({"matched": -1}, "matched between 0"),
        ({"piece": "b"}, "one row for each"),
        ({"threshold_kind": "guessed"}, "a threshold_kind of"),
        ({"level": 0.1}, "level 0"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, change, message):
    counts = made_up_counts()
    for column, value in change.items():
        counts.loc[0, column] = value
    with pytest.raises(InputError, match=message):
        check_note_counts(counts)
    with pytest.raises(InputError, match=r"notes\.parquet, row \d"):
        write_note_counts(counts, tmp_path / "notes.parquet")
    assert not list(tmp_path.iterdir())
