"""One table for every kind of corpus, and what the configuration may ask of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.replicas import WILD_PIECES, maestro_replica, maps_replica, wild_folder

from at4ramt.corpus.layout import PLAIN_NAME
from at4ramt.corpus.table import COLUMNS, check_table, corpus_table, survey_corpus
from at4ramt.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
EMBEDDED = {
    name: str(ROOT / "config" / "corpus" / f"{name}.tsv")
    for name in ("pieces", "works", "instruments", "sources")
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return {
        "maps": str(maps_replica(folder / "maps", zipped=True, seconds=1)),
        "maestro": str(maestro_replica(folder / "maestro", seconds=1)),
        "folder": str(wild_folder(folder / "wild", seconds=1)),
    }


@pytest.fixture
def config(roots):
    """A function that returns section ``corpus`` for a kind, with some values changed."""

    def section(kind, **values):
        defaults = {"root": roots.get(kind), "split": None, "labels": "txt"}
        return {
            "kind": kind,
            **defaults,
            "validation_share": 0.15,
            "split_seed": 0,
            "exclude": {},
            **EMBEDDED,
        } | values

    return section


@pytest.mark.parametrize("kind", ["embedded", "maps", "maestro", "folder"])
def test_every_kind_gives_the_same_table(config, kind):
    table = corpus_table(config(kind))
    assert tuple(table.columns) == COLUMNS
    assert table.index.is_unique and (table.index == table["piece"]).all()
    assert all(PLAIN_NAME.fullmatch(piece) for piece in table.index)
    assert {"training", "validation"} < set(table["split"])
    assert (table[["audio", "notes", "work", "instrument"]] != "").all(axis=None)
    check_table(table)


def test_the_embedded_corpus_is_its_table_of_pieces(config):
    table = corpus_table(config("embedded"))
    row = table.loc["MAPS_MUS-fur_elise-0_SalamC5"]
    assert (row["work"], row["split"]) == ("fur_elise", "test_unseen_piano")
    assert row["audio"] == "results/corpus/SalamC5/MUS/MAPS_MUS-fur_elise-0_SalamC5.wav"


def test_the_table_is_the_same_each_time_and_follows_the_seed(config):
    first = corpus_table(config("folder"))
    assert corpus_table(config("folder")).equals(first)
    drawn = {tuple(corpus_table(config("folder", split_seed=n))["split"]) for n in range(8)}
    assert len(drawn) > 1


def test_works_in_two_splits_are_pointed_out(config):
    (remark,) = (p for p in survey_corpus(config("maps")).problems if p.problem == "shared works")
    # The replica's recorded pianos have three works, of which all are on sampled ones too.
    assert "3 works are both in training and in test_unseen_piano" in remark.message
    assert not remark.stops
    apart = survey_corpus(config("maps", split="configuration_2_without_overlap"))
    assert not [each for each in apart.problems if each.problem == "shared works"]


def test_excluded_pieces_go_and_nothing_else_moves(config):
    whole = corpus_table(config("maps"))
    piece = "MAPS_MUS-ty_mai_StbgTGd2"
    survey = survey_corpus(config("maps", exclude={piece: "a door slams"}))
    assert survey.table.equals(whole.drop(index=piece))
    assert survey.excluded == {piece: "a door slams"}
    # One that the split leaves out anyway may stay in the configuration.
    shared = {"MAPS_MUS-alb_se3_AkPnBcht": "shared"}
    split = "configuration_2_without_overlap"
    assert piece in corpus_table(config("maps", split=split, exclude=shared)).index


def test_a_piece_with_a_problem_can_be_excluded_by_its_name(config, tmp_path):
    root = wild_folder(tmp_path / "wild", seconds=1)
    (root / "sub folder" / "Gymnopédie 1.txt").unlink()
    (problem,) = survey_corpus(config("folder", root=str(root))).problems
    assert problem.problem == "missing partner" and problem.stops
    exclude = {problem.piece: "its notes are lost"}
    survey = survey_corpus(config("folder", root=str(root), exclude=exclude))
    assert survey.problems == ()
    assert len(survey.table) == len(WILD_PIECES) - 1


def test_a_sheet_serves_every_kind(config, tmp_path):
    table = corpus_table(config("maestro"))
    sheet = tmp_path / "splits.csv"
    splits = ["training", "validation", "test"]
    rows = [f"{piece},{split}" for piece, split in zip(table.index, splits, strict=False)]
    sheet.write_text("\n".join(["name,split", *rows]))
    survey = survey_corpus(config("maestro", split="splits.csv"), lambda path: tmp_path / path)
    assert survey.table["split"].tolist() == splits
    assert {each.problem for each in survey.problems} == {"not in the sheet", "shared works"}


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("mapz", {}, r"corpus\.kind is 'mapz'.*Did you mean 'maps'"),
        ("maps", {"root": None}, r"corpus\.root is empty"),
        ("maps", {"root": "/no/such"}, r"/no/such: expected the folder of the corpus"),
        ("folder", {"root": "/data/{mine}"}, r"/data/\{mine\}'; expected a path without braces"),
        ("maps", {"split": "configuration_3"}, r"corpus\.split is 'configuration_3'.*Did you mean"),
        ("folder", {"split": "published"}, r"corpus\.split is 'published'.*the path of a sheet"),
        ("maps", {"exclude": {"MAPS_MUS-ty_mai_StbgTGd": "x"}}, r"exclude .*mean 'MAPS_MUS-ty_mai"),
        ("folder", {"split": "none.csv"}, r"none\.csv: expected the sheet"),
    ],
)
def test_what_the_configuration_asks_wrongly_is_named(config, kind, values, message):
    with pytest.raises(InputError, match=message):
        corpus_table(config(kind, **values))


def test_an_empty_split_is_named(config):
    table = corpus_table(config("maestro"))
    tested = table.index[table["split"] == "test"]
    with pytest.raises(InputError, match=r"none in test or test_unseen_piano \(6 pieces: 4 train"):
        corpus_table(config("maestro", exclude=dict.fromkeys(tested, "x")))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("piece", "a b", r"'a b', column piece: found 'a b', expected the piece's name"),
        ("split", "train", r"column split: found 'train', expected training, validation"),
        ("work", "", r"column work: found '', expected the composition"),
        ("instrument", "x" * 9000, r"column instrument: found 'x{120}'… \(9000 characters\), exp"),
        ("seconds", 0.0, r"column seconds: found .*0\.0.*, expected length"),
        ("tempo", 1, r"unknown column 'tempo'"),
    ],
)
def test_the_schema_holds_for_every_cell(config, column, value, message):
    table = corpus_table(config("maestro"))
    if column in table:
        table.iloc[2, table.columns.get_loc(column)] = value
    else:
        table[column] = value
    with pytest.raises(InputError, match=message):
        check_table(table)


def test_the_table_needs_nothing_slow_to_import():
    # It is made whenever the Snakefile is parsed, in every job.
    heavy = "{'tensorflow', 'keras', 'librosa', 'scipy', 'soundfile', 'matplotlib', 'jsonschema'}"
    code = f"import sys, at4ramt.corpus.table; print(*sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert printed.stdout.split() == []
