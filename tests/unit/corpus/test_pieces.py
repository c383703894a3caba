"""The committed tables, and each way in which a pieces table can be wrong."""

from collections import defaultdict

import pytest

from at4ramt.corpus import pieces
from at4ramt.errors import InputError

HEADER = ["piece", "work", "instrument", "split", "position"]
ROWS = [
    ["MAPS_MUS-a-0_P", "a", "P", "training", "0"],
    ["MAPS_MUS-b-0_P", "b", "P", "validation", "0.5"],
    ["MAPS_MUS-c-0_P", "c", "P", "test", "1"],
    ["MAPS_MUS-c-0_H", "c", "H", "test_unseen_piano", "1"],
]


@pytest.fixture
def others(tmp_path):
    def save(name, header, rows):
        path = tmp_path / name
        path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")
        return path

    works = pieces.read_works(
        save(
            "works.tsv",
            list(pieces.table_schema("works")["properties"]),
            [[w, "t", "c", "p", "s", "m.mid", "l", "performed"] for w in "abcd"],
        )
    )
    instruments = pieces.read_instruments(
        save(
            "instruments.tsv",
            list(pieces.table_schema("instruments")["properties"]),
            [
                ["P", "t", "sampled", "false", "s", "l", "0"],
                ["H", "t", "real", "true", "s,r", "l", "-3"],
            ],
        )
    )
    return lambda header, rows: pieces.read_pieces(
        save("pieces.tsv", header, rows), works, instruments
    )


def changed(number, **cells):
    rows = [list(row) for row in ROWS]
    for column, value in cells.items():
        rows[number][HEADER.index(column)] = value
    return rows


def test_a_good_table_is_read(others):
    table = others(HEADER, ROWS)
    assert list(table.index) == [row[0] for row in ROWS]
    assert table["position"].tolist() == [0, 0.5, 1, 1]
    # The columns' order is the user's own.
    swapped = others(HEADER[::-1], [row[::-1] for row in ROWS])
    assert swapped.equals(table)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            [*HEADER[:-1], "positon"],
            ROWS,
            r"row 1: unknown column 'positon'\. Did you mean 'position'",
        ),
        (HEADER[:-1], [row[:-1] for row in ROWS], r"row 1: expected a column 'position'"),
        (
            [*HEADER, "work"],
            [[*row, "a"] for row in ROWS],
            r"row 1: the column 'work' stands twice",
        ),
        (HEADER, [ROWS[0], ROWS[1][:-1]], r"row 3: expected 5 tab-separated cells, found 4"),
        (HEADER, [], r"expected at least one row"),
        (
            HEADER,
            [*ROWS, ROWS[0]],
            r"row 6, column piece: 'MAPS_MUS-a-0_P' stands in row 2 already",
        ),
        (
            HEADER,
            changed(1, split="valid"),
            r"row 3, column split: found \"valid\".*Did you mean 'valid",
        ),
        (HEADER, changed(1, position="1.5"), r"row 3, column position: found 1\.5, expected"),
        (HEADER, changed(1, position="x"), r"row 3, column position: found \"x\", expected"),
        (HEADER, changed(1, work="z"), r"row 3, column work: 'z' is not in the table of works"),
        (
            HEADER,
            changed(1, instrument="Q"),
            r"row 3, column instrument: 'Q' is not in the table of in",
        ),
        (
            HEADER,
            changed(1, piece="MAPS_MUS-b-0_H"),
            r"row 3, column piece: expected MAPS_MUS-b-<number>_P",
        ),
        (
            HEADER,
            changed(1, piece="b"),
            r"row 3, column piece: found \"b\", expected: the piece's name",
        ),
        (HEADER, ROWS[1:], r"column split: no piece is in the split 'training'"),
        (HEADER, [ROWS[0], *ROWS[2:]], r"column split: no piece is in the split 'validation'"),
        (HEADER, ROWS[:2], r"column split: no piece is in the split 'test'"),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-a-1_P", "a", "P", "test", "0"]],
            r"row 6, column split: the work 'a' is in 'test' here and in 'training' in row 2",
        ),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-a-1_H", "a", "H", "test_unseen_piano", "0"]],
            r"row 6, column split: the work 'a' is in 'test_unseen_piano' here and in 'training'",
        ),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-c-1_P", "c", "P", "training", "0"]],
            r"row 6, column split: the work 'c' is in 'training' here and in 'test' in row 4",
        ),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-d-0_H", "d", "H", "training", "0"]],
            r"row 6, column instrument: H is held out",
        ),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-d-0_P", "d", "P", "test_unseen_piano", "0"]],
            r"row 6, column instrument: .*P is not held out",
        ),
        (
            HEADER,
            [*ROWS, ["MAPS_MUS-d-0_H", "d", "H", "validation", "0"]],
            r"row 5, column instrument: H is in validation too",
        ),
        (
            [*HEADER, "variation"],
            [[*row, "-1"] for row in ROWS],
            r"row 2, column variation: found -1, expected: how the excerpt is varied",
        ),
    ],
)
def test_faults_are_named_with_file_and_row(others, header, rows, message):
    with pytest.raises(InputError, match=message) as raised:
        others(header, rows)
    assert "pieces.tsv" in str(raised.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv: expected the table of sources"):
        pieces.read_sources(tmp_path / "none.tsv")


def test_columns_that_may_be_left_out(others):
    table = others(HEADER, ROWS)
    assert table["variation"].tolist() == [0] * 4 and table["excerpt_seconds"].tolist() == [0] * 4
    more = [*HEADER, "variation", "excerpt_seconds"]
    table = others(more, [[*row, str(at), "2.5"] for at, row in enumerate(ROWS)])
    assert table["variation"].tolist() == [0, 1, 2, 3]
    assert table["excerpt_seconds"].tolist() == [2.5] * 4


def test_validation_may_have_a_held_out_piano_of_its_own(others):
    rows = [ROWS[0], ["MAPS_MUS-b-0_H", "b", "H", "validation", "0.5"], ROWS[2]]
    assert others(HEADER, rows)["instrument"].tolist() == ["P", "H", "P"]


def test_committed_no_work_is_in_two_splits(tables):
    # Straight from the rows, without the code that checks the same on reading.
    splits = defaultdict(set)
    for work, split in zip(tables["pieces"]["work"], tables["pieces"]["split"], strict=True):
        splits[work].add({"test_unseen_piano": "test"}.get(split, split))
    assert {work: found for work, found in splits.items() if len(found) != 1} == {}


def test_committed_no_held_out_piano_is_heard_in_training(tables):
    table, instruments = tables["pieces"], tables["instruments"]
    by_kind = {name: set(group["instrument"]) for name, group in table.groupby("split")}
    assert by_kind["test_unseen_piano"] == {"SalamC5", "IowaStwB"}
    for split in ("training", "validation", "test"):
        assert by_kind[split] == {"TimGM6mb", "FluidR3M", "MuseGenL"}
    held_out = set(instruments.index[instruments["held_out"]])
    assert held_out == {"SalamC5", "IowaStwB", "Vsco2Pno"}


def test_committed_size(tables):
    table = tables["pieces"]
    assert table["work"].nunique() == 24
    assert 25 <= len(table) * 30 / 60 <= 30
    assert "MAPS_MUS-fur_elise-0_SalamC5" in table.index
    # The works that the shared design assigns.
    works = {split: set(group["work"]) for split, group in table.groupby("split")}
    assert works["test"] == {"Maestro_3", "Maestro_5", "Maestro_8", "fur_elise", "solace"}
    assert works["test_unseen_piano"] == works["test"]
    assert works["validation"] == {"Maestro_4", "Maestro_9", "elite_syncopations", "gymnopedie_1"}
    # One excerpt is one place in the work, whatever it is played on.
    excerpts = table["piece"].str.rpartition("_")[0]
    assert (table.groupby(excerpts)["position"].nunique() == 1).all()
