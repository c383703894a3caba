"""The robust recipe's table: what the command prints, all music covered, nothing leaked."""

import numpy as np
import pandas as pd
import pytest

from at4ramt.config import ROOT
from at4ramt.corpus import excerpts
from at4ramt.corpus.pieces import read_pieces, render_settings

TABLES = ROOT / "config" / "corpus"
CORPUS = {"excerpt_seconds": 30.0, "variations": {}}


@pytest.fixture(scope="module")
def robust(tables):
    return read_pieces(TABLES / "robust_pieces.tsv", tables["works"], tables["instruments"])


@pytest.fixture(scope="module")
def lengths(archive):
    """Seconds of every work."""
    return excerpts.work_seconds(archive("maestro").parent, TABLES)


def test_the_committed_table_is_what_the_command_prints(lengths):
    assert excerpts.robust_table(TABLES, lengths) == (TABLES / "robust_pieces.tsv").read_text()


def test_every_moment_of_every_training_work_is_heard_on_two_pianos(robust, lengths, tables):
    training = robust[robust["split"] == "training"]
    usual = tables["pieces"].groupby("work")["split"].first()
    assert set(training["work"]) == {
        work for work in lengths if usual.get(work, "training") == "training"
    }
    for work, rows in training.groupby("work"):
        heard = np.zeros(int(lengths[work]) + 1, int)
        for row in rows.itertuples():
            start = row.position * max(0.0, lengths[work] - row.excerpt_seconds)
            # Positions are written to 4 decimals: a twentieth of a second in ten minutes.
            heard[int(np.floor(start + 0.5)) : int(np.ceil(start + row.excerpt_seconds))] += 1
        assert heard[: int(lengths[work])].min() >= 2, work
        for _, same in rows.groupby("position"):
            assert same["instrument"].is_unique and sorted(same["variation"]) == [1, 2]


def test_no_work_and_no_piano_leaks(robust, tables):
    works = {split: set(rows["work"]) for split, rows in robust.groupby("split")}
    demo = {split: set(rows["work"]) for split, rows in tables["pieces"].groupby("split")}
    for split in ("validation", "test", "test_unseen_piano"):
        assert works[split] == demo[split]
        assert not works["training"] & works[split]
    on = {split: set(rows["instrument"]) for split, rows in robust.groupby("split")}
    assert len(on["training"]) == 9
    assert not on["training"] & {"Vsco2Pno", "SalamC5", "IowaStwB"}
    assert "Vsco2Pno" in on["validation"] and on["test_unseen_piano"] == {"SalamC5", "IowaStwB"}
    assert (robust.loc[robust["split"] != "training", "variation"] == 0).all()
    validation = robust[robust["split"] == "validation"]
    assert (validation["instrument"] == "Vsco2Pno").mean() > 0.75


def test_its_size(robust, lengths):
    seconds = [
        min(row.excerpt_seconds, lengths.get(row.work, row.excerpt_seconds))
        for row in robust.itertuples()
    ]
    minutes = pd.Series(seconds).groupby(robust["split"].to_numpy()).sum() / 60
    assert 240 < minutes["training"] < 330
    assert 15 < minutes["validation"] < 30


def test_test_pieces_are_the_experiment_s(robust, tables):
    parts = (tables["works"], tables["instruments"], tables["sources"])
    tests = tables["pieces"].query("split in ('test', 'test_unseen_piano')").index
    assert list(robust.index[robust["split"].isin(["test", "test_unseen_piano"])]) == list(tests)
    for piece in tests:
        assert render_settings(robust, *parts, piece, CORPUS) == render_settings(
            tables["pieces"], *parts, piece, CORPUS
        )
