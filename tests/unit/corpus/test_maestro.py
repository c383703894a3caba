"""MAESTRO's csv, and what can be wrong with it or missing beside it."""

import csv
import shutil
from pathlib import Path

import pytest
from support.replicas import MAESTRO_PIECES, maestro_replica

from at4ramt.corpus.maestro import find_maestro
from at4ramt.errors import InputError

TABLE = "maestro-v3.0.0.csv"


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    return maestro_replica(tmp_path_factory.mktemp("maestro"), seconds=1)


@pytest.fixture
def root(replica, tmp_path):
    return shutil.copytree(replica, tmp_path / "maestro-v3.0.0")


def edit(root, number, **cells):
    """Change cells of a row, counted as an editor does."""
    with open(root / TABLE, encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows[number - 2] |= cells
    with open(root / TABLE, "w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_splits_works_and_instruments_are_the_csvs(root):
    found, problems = find_maestro(str(root))
    assert problems == []
    splits = {"train": "training"}
    assert [(each.work, each.split, each.instrument) for each in found] == [
        (f"{composer}: {title}", splits.get(split, split), f"Disklavier_{year}")
        for composer, title, split, year in MAESTRO_PIECES
    ]
    for each in found:
        assert Path(each.audio).is_file() and Path(each.notes).is_file()
        assert Path(each.audio).stem == Path(each.notes).stem == each.name


def test_the_folder_above_and_converted_audio_will_do(root):
    converted = find_maestro(str(root))[0][0]
    Path(converted.audio).rename(Path(converted.audio).with_suffix(".flac"))
    found, problems = find_maestro(str(root.parent))
    assert problems == []
    assert found[0].audio.endswith(".flac")
    assert found[0].name == converted.name


def test_missing_files_are_all_found(root):
    whole, _ = find_maestro(str(root))
    Path(whole[0].audio).unlink()
    Path(whole[1].notes).unlink()
    found, problems = find_maestro(str(root))
    assert found == whole[2:]
    assert [(each.piece, each.problem, each.stops) for each in problems] == [
        (each.name, "missing partner", True) for each in whole[:2]
    ]
    assert f"{TABLE}, row 2: expected 2004/" in problems[0].message


def test_the_archive_without_audio_is_recognised(root):
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(InputError, match=r"not one of the 8.*-midi\.zip has no audio"):
        find_maestro(str(root))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"split": "trian"}, r"row 3, column split: .*'trian'\. Did you mean 'train'"),
        ({"year": "last"}, r"row 3, column year: expected a year, found 'last'"),
        ({"audio_filename": " "}, r"row 3, column audio_filename: expected a value"),
        ({"canonical_title": "\x1b[2J"}, r"row 3, .*canonical_title: found .*\\x1b\[2J', expected"),
        ({"canonical_title": "x" * 9000}, r"row 3, columns .*canonical_title: found .*90\d\d char"),
    ],
)
def test_faults_are_named_with_file_and_row(root, cells, message):
    edit(root, 3, **cells)
    with pytest.raises(InputError, match=rf"{TABLE}, {message}"):
        find_maestro(str(root))


def test_a_missing_column_csv_or_a_second_one_is_named(root):
    text = (root / TABLE).read_text(encoding="utf-8")
    (root / "maestro-v2.0.0.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"expected one maestro-v<version>\.csv.*v2.*v3"):
        find_maestro(str(root))
    (root / "maestro-v2.0.0.csv").unlink()
    (root / TABLE).write_text(text.replace("canonical_title", "title"), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 1: expected a column 'canonical_title'"):
        find_maestro(str(root))
    (root / TABLE).unlink()
    with pytest.raises(InputError, match="found none"):
        find_maestro(str(root))
