"""What the report says about the data adds up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from at4ramt.files import read_json
from at4ramt.report import data


@pytest.fixture(scope="module")
def cards(made_up_run: Path) -> list[Path]:
    return sorted((made_up_run / "results/shards").glob("*/*.json"))


def test_shards_are_read_from_the_cards_beside_them(cards: list[Path]) -> None:
    shards = data.read_shards(cards)
    assert len(shards) == len(cards)
    assert (shards["rows"] == shards["centres"] + shards["no_label"] + shards["silent_level"]).all()
    assert list(dict.fromkeys(shards["split"])) == [
        "training",
        "validation",
        "test",
        "test_unseen_piano",
    ]


def test_label_shares(cards: list[Path]) -> None:
    shares = data.label_shares(data.read_shards(cards), 37)
    chosen = [read_json(card) for card in cards if card.parent.name == "test"]
    active = np.sum([card["active"] for card in chosen], axis=0)
    centres = sum(card["centres"] for card in chosen)
    test = shares[shares["split"] == "test"]
    assert test["active"].tolist() == active.tolist()
    assert np.allclose(test["share"], 100 * active / centres)
    assert test["note"].iloc[0] == "C#2" and test["pitch"].iloc[-1] == 92


def test_split_summary(made_up_run: Path, cards: list[Path]) -> None:
    pieces = data.read_table(made_up_run / "config/corpus/pieces.tsv")
    table = data.split_summary(data.read_shards(cards), pieces).set_index("split")
    row = table.loc["test works on held-out pianos"]
    assert (row["works"], row["pianos"], row["excerpts"]) == (3, 2, 6)
    assert row["minutes"] == pytest.approx(6 * 30 / 60)
    assert table["excerpts"].sum() == len(pieces)
    assert (
        row["frames"]
        == row["used as centres"] + row["dropped, no label"] + row["dropped, too soft"]
    )
