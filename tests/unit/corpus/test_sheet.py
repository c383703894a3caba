"""A user's sheet of splits, with commas or tabs, and its mistakes."""

import pytest

from at4ramt.corpus.layout import Recording, piece_names
from at4ramt.corpus.sheet import apply_sheet
from at4ramt.errors import InputError

RECORDINGS = [
    Recording(name=name, work=name, instrument="unknown", audio=f"/c/{name}.wav", notes="n")
    for name in ("sub/Für Elise", "b", "c.1")
]
ROWS = [
    ["name", "split", "work", "instrument"],
    ["b.flac", "training", "Sonata, first movement", "C3"],
    ["sub/Für Elise", "validation", "Elise", "C5"],
    ["c.1", "test", "Elise", "C5"],
]


def write(path, rows):
    separator = "\t" if path.suffix == ".tsv" else ","
    lines = [separator.join(f'"{c}"' if "," in c else c for c in row) for row in rows]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n\r\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_rows_become_splits_works_and_instruments(tmp_path, suffix):
    # As a spreadsheet writes it: with a mark, carriage returns and an empty line.
    found, left_out = apply_sheet(RECORDINGS, write(tmp_path / f"s{suffix}", ROWS))
    assert left_out == []
    assert [(each.name, each.split, each.work, each.instrument) for each in found] == [
        ("sub/Für Elise", "validation", "Elise", "C5"),
        ("b", "training", "Sonata, first movement", "C3"),
        ("c.1", "test", "Elise", "C5"),
    ]


def test_a_sheet_may_have_works_only_and_leave_pieces_out(tmp_path):
    path = write(tmp_path / "s.csv", [["name", "work"], ["c.1", "x"], ["b", "x"]])
    found, (left_out,) = apply_sheet(RECORDINGS, path)
    assert [(each.name, each.work, each.split) for each in found] == [
        ("b", "x", ""), ("c.1", "x", ""),
    ]  # fmt: skip
    assert (left_out.piece, left_out.stops) == ("sub/Für Elise", False)


def test_a_piece_may_be_called_as_in_the_table_of_pieces(tmp_path):
    (piece,) = piece_names(["sub/Für Elise"])
    found, _ = apply_sheet(RECORDINGS, write(tmp_path / "s.tsv", [["name"], [piece]]))
    assert [each.name for each in found] == ["sub/Für Elise"]


def test_a_piece_with_a_problem_may_stand_in_the_sheet(tmp_path):
    path = write(tmp_path / "s.csv", [["name", "split"], ["b", "test"], ["lost", "test"]])
    found, _ = apply_sheet(RECORDINGS, path, known=["lost"])
    assert [each.name for each in found] == ["b"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["name", "splitt"]], r"row 1: unknown column 'splitt'\. Did you mean 'split'"),
        ([["name", "name"]], r"row 1: doubled column 'name'"),
        ([["split"], ["test"]], r"row 1: expected a column 'name', found split"),
        ([], r"row 1: expected a column 'name', found none"),
        ([["name"], ["sub/Fur Elise"]], r"row 2, column name: no piece .*mean 'sub/Für Elise'"),
        ([["name"], ["b"], ["b.wav"]], r"row 3, column name: 'b\.wav' stands in row 2 already"),
        ([["name", "split"], ["b", "train"]], r"row 2, column split: .*'train'.*mean 'training'"),
        ([["name", "split"], ["b", ""]], r"row 2: expected 2 cells, none of them empty"),
        ([["name", "split"], ["b", "test", "x"]], r"row 2: expected 2 cells"),
        (
            [["name", "instrument"], ["b", "x" * 9000]],
            r"row 2, column instrument: found 'x{120}'… \(9000 characters\), expected the instrum",
        ),
        ([["name", "work"], ["b", "x" * 501]], r"row 2, column work: found .*\(501 characters\)"),
        ([["name", "work"], ["b", "\x1b[2J"]], r"row 2, column work: found '\\x1b\[2J', expected"),
        ([["name", "work"], ["b", "\u202ea"]], r"row 2, column work: found '\\u202ea', expected"),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, rows, message):
    with pytest.raises(InputError, match=rf"s\.csv, {message}"):
        apply_sheet(RECORDINGS, write(tmp_path / "s.csv", rows))


def test_a_missing_sheet_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: expected the sheet that corpus\.split names"):
        apply_sheet(RECORDINGS, str(tmp_path / "none.csv"))
