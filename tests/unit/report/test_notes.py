"""The table of note scores, and the page of excerpts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from at4ramt.evaluation.beside_peers import peer_differences
from at4ramt.evaluation.tables import audio_scores, note_scores, read_audio_counts, read_note_counts
from at4ramt.report import listening, notes, peers, style, systems


@pytest.fixture(scope="module")
def scores(made_up_run: Path) -> pd.DataFrame:
    counts = read_note_counts(made_up_run / "results/evaluation/notes.parquet")
    return notes.order_rows(note_scores(counts, draws=50, base_seed=0))


def test_the_page_holds_the_numbers_of_the_table_in_order(
    scores: pd.DataFrame, tmp_path: Path
) -> None:
    notes.write_notes(scores, tmp_path / "notes.csv", tmp_path / "notes.html")
    page = (tmp_path / "notes.html").read_text()
    table = pd.read_csv(tmp_path / "notes.csv")
    assert len(table) == len(scores)
    place = 0
    for row in table.to_dict("records"):
        place = page.index(f">{row['precision']:.3f}<", place)
        assert page.index(f">{row['f1']:.3f}<", place) > place
    assert list(dict.fromkeys(table["split"])) == ["validation", "test", "test_unseen_piano"]
    assert list(dict.fromkeys(table["criterion"])) == ["onset", "onset_offset"]
    first = table.head(6)
    assert list(first["arm"]) == [
        "base", "offset_removed", "clean", "augmented", "fixed", "adversarial",
    ]  # fmt: skip


def test_the_table_of_systems_has_noise_ascending_and_the_peer_after_our_models(
    made_up_run: Path, tmp_path: Path
) -> None:
    counts = read_audio_counts(made_up_run / "results/evaluation/audio.parquet")
    table = systems.order_rows(audio_scores(counts, draws=50, base_seed=0))
    systems.write_systems(table, tmp_path / "systems.csv", tmp_path / "systems.html")
    written = pd.read_csv(tmp_path / "systems.csv")
    assert list(dict.fromkeys(written["snr_db"])) == [float("inf"), 20, -8]
    assert list(dict.fromkeys(written["system"]))[-1] == "basic_pitch"
    assert list(dict.fromkeys(written["criterion"])) == list(systems.CRITERIA)
    page = (tmp_path / "systems.html").read_text()
    place = 0
    for row in written.to_dict("records"):
        place = page.index(f">{row['f1']:.3f}<", place)
    assert page.count("<td>clean</td>") == (written["snr_db"] == float("inf")).sum()


def test_each_noise_has_its_panels_and_its_rows(
    made_up_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style.start_figures()
    counts = read_audio_counts(made_up_run / "results/evaluation/audio.parquet")
    white = audio_scores(counts, draws=50, base_seed=0)
    assert systems.panels(white) == [("frames", "white"), ("onset", "white")]
    # A room, in which the peer is not heard and no notes are formed, and a little worse.
    room = counts[
        (counts["noise"] == "white")
        & (counts["criterion"] == "frames")
        & (counts["system"] != "basic_pitch")
    ].assign(noise="room")
    room["matched"] -= room["matched"] // 5
    table = systems.order_rows(
        audio_scores(pd.concat([counts, room], ignore_index=True), draws=50, base_seed=0)
    )
    assert systems.panels(table) == [("frames", "white"), ("frames", "room"), ("onset", "white")]
    assert list(dict.fromkeys(table["noise"])) == ["none", "white", "room"]
    drawn = []
    monkeypatch.setattr(
        style, "draw_intervals", lambda axes, *run, shift: drawn.append((axes, *run))
    )
    systems.plot_systems(table, tmp_path / "systems.svg")
    # The peer has no points in the room, and its line in the legend all the same.
    for axes, system, across, along, *_ in drawn:
        silent = system == "basic_pitch" and "reverberation" in axes.get_xlabel()
        assert list(across) == ([] if silent else [0, 1, 2]) and len(along) == len(across)
    one = table[
        (table["noise"].isin(["none", "room"]))
        & (table["split"] == "test")
        & (table["criterion"] == "frames")
        & (table["threshold_kind"] == "best")
        & (table["system"] == "base")
    ].sort_values("snr_db", ascending=False)
    found = [
        list(along)
        for axes, system, _, along, *_ in drawn
        if system == "base" and "reverberation" in axes.get_xlabel()
    ]
    assert found[0] == list(one["f1"])
    assert len(drawn) == 2 * 3 * len(set(white["system"]))
    systems.write_systems(table, tmp_path / "systems.csv", tmp_path / "systems.html")
    page = (tmp_path / "systems.html").read_text()
    assert page.count("<td>room</td>") == (table["noise"] == "room").sum()


def test_what_is_said_beside_a_peer_is_paired_by_piece_and_claimed_where_it_is_clear(
    made_up_run: Path,
) -> None:
    style.start_figures()
    counts = read_audio_counts(made_up_run / "results/evaluation/audio.parquet")
    tested = counts[counts["split"] == "test_unseen_piano"]
    table = peer_differences(tested, ["basic_pitch"], draws=200, base_seed=0)
    # By hand: a peer's frames are those of its notes, the mean is over our seeds.
    for system, criterion, of_peer in (
        ("base", "frames", "note_frames"),
        ("adversarial", "onset", "onset"),
    ):
        chosen = tested[(tested["threshold_kind"] == "best") & (tested["snr_db"] == -8)]
        f1 = []
        for name, counted in ((system, criterion), ("basic_pitch", of_peer)):
            rows = chosen[(chosen["system"] == name) & (chosen["criterion"] == counted)]
            sums = rows.groupby("seed")[["reference", "estimated", "matched"]].sum()
            f1.append((2 * sums["matched"] / (sums["reference"] + sums["estimated"])).mean())
        row = table[
            (table["arm"] == system) & (table["criterion"] == criterion) & (table["seed"] == "all")
            & (table["threshold_kind"] == "best") & (table["amount"] == -8)
        ]  # fmt: skip
        assert row["difference"].item() == pytest.approx(f1[0] - f1[1], abs=1e-12)
        assert row["low"].item() <= row["difference"].item() <= row["high"].item()
    said = peers.peer_sentences(table, "test_unseen_piano", "best")
    assert [text.split(",")[0] for text in said] == ["Frames", "Notes"]
    for text in said:
        quiet, loud = text.split("Clean audio: ")[1].split("White noise in the audio, −8 dB: ")
        assert "'" in quiet and "'" in loud
    # With the peer's own answers in a model's place nothing is claimed.
    same = tested[tested["system"] == "basic_pitch"]
    twin = same.assign(system="base", seed=0, criterion=same["criterion"])
    twin["criterion"] = twin["criterion"].replace({"frames": "-", "note_frames": "frames"})
    equal = peer_differences(pd.concat([same, twin]), ["basic_pitch"], draws=200, base_seed=0)
    assert (equal["difference"] == 0).all()
    assert all(
        "better" not in text and "worse" not in text
        for text in peers.peer_sentences(equal, "test_unseen_piano", "best")
    )
    assert "no difference" in "".join(peers.peer_tables(equal))


def test_without_a_peer_nothing_is_said_of_one(made_up_run: Path) -> None:
    counts = read_audio_counts(made_up_run / "results/evaluation/audio.parquet")
    ours = counts[counts["system"] != "basic_pitch"]
    table = peer_differences(ours, ["basic_pitch"], draws=50, base_seed=0)
    assert table.empty and {"arm", "difference", "criterion"} <= set(table)
    assert peers.peer_sentences(table, "test", "best") == peers.peer_tables(table) == []


@pytest.fixture
def content(made_up_run: Path) -> dict:
    return listening.read_listening(made_up_run / "results/evaluation/listening.json")


def test_notes_are_right_missed_or_false(content: dict) -> None:
    (excerpt, *_) = content["excerpts"]
    sound = excerpt["sounds"][2]
    states = listening.note_states(excerpt["reference"], sound["notes"], sound["pairs"])
    assert sorted(states) == [
        ("false", 5.0, 5.5, 72),
        ("missed", 1.5, 4.0, 64),
        ("right", 0.52, 1.1, 60),
        ("right", 2.01, 3.2, 67),
    ]


def test_counts_of_an_excerpt(content: dict) -> None:
    table = listening.count_notes(content["excerpts"][0])
    assert list(table["model"]) == ["base", "adversarial"] * 2
    assert list(table["of these right"]) == [0, 2] * 2
    assert table["precision"].iloc[1] == pytest.approx(2 / 3)
    assert table["F1"].iloc[1] == pytest.approx(2 / 3)


def test_the_page_has_a_player_and_a_roll_for_each_sound(content: dict, tmp_path: Path) -> None:
    style.start_figures()
    for name in ("one", "two"):
        listening.write_listening(content, tmp_path / f"{name}.html")
    page = (tmp_path / "one.html").read_text()
    sounds = sum(len(excerpt["sounds"]) for excerpt in content["excerpts"])
    assert page.count("<audio controls") == page.count("data:audio/mpeg;base64,") == sounds
    assert page.count("data:image/png;base64,") == sounds
    assert "b&lt;c" in page and "b<c" not in page
    assert page == (tmp_path / "two.html").read_text()


def test_an_excerpt_in_which_nothing_is_played_has_a_page_too(
    content: dict, tmp_path: Path
) -> None:
    silent = json.loads(json.dumps(content))
    silent["excerpts"] = silent["excerpts"][:1]
    silent["excerpts"][0]["reference"] = []
    for sound in silent["excerpts"][0]["sounds"]:
        if sound["model"]:
            sound |= {"notes": [], "pairs": []}
    style.start_figures()
    listening.write_listening(silent, tmp_path / "page.html")
    assert "nan" not in (tmp_path / "page.html").read_text().split("</style>")[-1].lower()
