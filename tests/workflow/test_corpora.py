"""Corpora of others: each runs to its report; bad ones stop with all that is wrong."""

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
from support.checkout import Checkout
from support.replicas import (
    MAESTRO_PIECES,
    MAPS_TEST,
    MAPS_TRAINING,
    WILD_PIECES,
    bad_folder,
    maestro_replica,
    maps_replica,
    wild_folder,
)

SMALL = ("--configfile", "tests/workflow/corpora.yaml")
# One piece of each split. Each further one costs seconds, and shows nothing new.
ONE_OF_EACH = (MAESTRO_PIECES[0], MAESTRO_PIECES[4], MAESTRO_PIECES[6])


def configured(checkout: Checkout, kind: str, root: Path, **corpus) -> Checkout:
    """The copy, with the configuration of a corpus."""
    path = checkout.path / "corpus.yaml"
    path.write_text(json.dumps({"corpus": {"kind": kind, "root": str(root), **corpus}}))
    options = ("--resources", "gpu=2", *SMALL, str(path), "--cores", "2")
    return Checkout(checkout.path, options)


def write_corpus(kind: str, folder: Path) -> Path:
    """A small replica, of MAPS two zips and a folder."""
    if kind == "maestro":
        return maestro_replica(folder, pieces=ONE_OF_EACH)
    if kind == "folder":
        odd = [piece for piece in WILD_PIECES if piece[0] != "take.1.final"]
        return wild_folder(folder, pieces=[odd[0], odd[3], odd[4], odd[5]])
    packed = (MAPS_TRAINING[0], MAPS_TEST[0])
    maps_replica(folder, zipped=True, pieces_per_instrument=1, instruments=packed)
    return maps_replica(folder, pieces_per_instrument=1, instruments=MAPS_TRAINING[2:3])


def read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize(
    ("kind", "splits"),
    [
        ("maps", {"validation", "test_unseen_piano"}),
        ("maestro", {"validation", "test"}),
        ("folder", {"validation", "test"}),
    ],
)
def test_a_corpus_runs_to_its_report(checkout, tmp_path, kind, splits):
    root = write_corpus(kind, tmp_path / "my corpus é")
    read_only(root)
    before = times(root)
    run = configured(checkout, kind, root)
    run.snakemake("report")
    results = run.path / "results"
    assert (results / "report.html").stat().st_size > 1e6
    pieces = pd.read_csv(results / "corpus" / "pieces.tsv", sep="\t")
    assert set(pieces["split"]) == splits | {"training"}
    assert pieces["seconds"].between(3.9, 4.1).all()
    scores = pd.read_parquet(results / "evaluation" / "scores.parquet")
    assert set(scores["split"]) == splits
    scored = pieces[pieces["split"].isin(splits)]
    assert set(scores["piece"]) == set(scored["piece"])
    problems = pd.read_csv(results / "tables" / "corpus_problems.csv")
    assert set(problems["severity"]) <= {"warning"}
    # Whatever it is called and packed in, each piece has its own features.
    for row in pieces.itertuples():
        metadata = pq.read_schema(results / "features" / f"{row.piece}.parquet").metadata
        assert metadata[b"piece"].decode() == row.piece
        assert float(metadata[b"seconds"]) == pytest.approx(row.seconds, abs=0.001)
    assert times(root) == before
    assert run.planned("report") == {}
    # Which pieces are trained on does not hang on the seed of a training.
    config = json.loads((run.path / "corpus.yaml").read_text())
    (run.path / "corpus.yaml").write_text(json.dumps(config | {"seeds": [7]}))
    assert run.planned("corpus", "shards") == {}


@pytest.mark.parametrize(
    ("kind", "folder", "training"),
    [("maps", "MAPS", "1"), ("maestro", "maestro-v3.0.0", "1"), ("folder", "my_recordings", "2")],
)
def test_the_corpus_is_shown_before_anything_is_computed(checkout, kind, folder, training):
    # With the configuration that is there for it, and the command of docs/corpora.md.
    write_corpus(kind, checkout.path / "data" / folder)
    run = Checkout(checkout.path, ("--cores", "2", "--configfile", f"config/{kind}.yaml"))
    printed = run.snakemake("--", "corpus")
    shown = {line.split()[1]: line.split()[2:] for line in printed.splitlines()
             if line.startswith("[write_corpus] ") and len(line.split()) == 6}  # fmt: skip
    assert shown["training"][0] == training
    assert (run.path / "results" / "figures" / "corpus.svg").exists()
    assert not (run.path / "results" / "features").exists()


@pytest.mark.parametrize(
    ("over", "rounds", "mixed"),
    # The recording of the held-out piano, which MAPS has in place of `test`; the paper's run also
    # scores that of validation, where thresholds are fitted.
    [([], 4 * 12 * 3, 2), (["study", "paper_study"], 24 * 12 * 3, 1)],
)
def test_the_paper_s_experiment_and_its_study_can_be_planned(checkout, over, rounds, mixed):
    write_corpus("maps", checkout.path / "MAPS")
    paper = checkout.path / "config" / "paper.yaml"
    paper.write_text(paper.read_text().replace("/path/to/MAPS", "MAPS"))
    files = [f"config/{name}.yaml" for name in ("paper", *over)]
    planned = Checkout(checkout.path, ("--cores", "2", "--configfile", *files)).planned()
    assert planned["train_base"] == 3 and planned["train_round"] == rounds
    assert planned["mix_noise"] == mixed


def test_every_kind_of_bad_file_is_told_in_one_run_and_can_be_excluded(checkout, tmp_path):
    root = tmp_path / "bad"
    expected = bad_folder(root)
    run = configured(checkout, "folder", root)
    printed = run.snakemake("check_corpus", fails=True)
    # Files without a partner stop every run before it begins.
    assert "problems of the corpus stop the run" in run.snakemake("shards", fails=True)
    assert not (run.path / "results" / "features").exists()
    table = run.path / "results" / "tables" / "corpus_problems.csv"
    problems = pd.read_csv(table)
    found = {piece: set() for piece in expected}
    for row in problems.itertuples():
        found[row.piece].add(f"{row.severity}: {row.problem}")
        assert str(root) in row.message
    assert found == expected
    page = table.with_suffix(".html").read_text(encoding="utf-8")
    hard = problems[problems["severity"] == "stops"]
    assert f"{len(hard)} problems of the corpus stop the run" in printed
    for message in hard["message"]:
        assert message in printed
    assert all(piece in page for piece in problems["piece"])

    reasons = {piece: f"no use: {piece}" for piece in hard["piece"]}
    again = configured(checkout, "folder", root, exclude=reasons)
    again.snakemake("check_corpus")
    page = table.with_suffix(".html").read_text(encoding="utf-8")
    assert all(reason in page for reason in reasons.values())
    kept = expected.keys() - reasons.keys()
    assert again.planned_outputs("extract_cqt", "features") == [
        f"results/features/{piece}.parquet" for piece in sorted(kept)
    ]

    # What only listening tells stops the shard that the piece would be in.
    heard = hard[hard["problem"] == "shifted labels"]["piece"].iloc[0]
    unheard = {piece: reason for piece, reason in reasons.items() if piece != heard}
    refused = configured(checkout, "folder", root, exclude=unheard)
    printed = refused.snakemake("--keep-going", "shards", fails=True)
    assert "1 problems stop the run" in printed
    assert heard in printed
    split = problems.set_index("piece").loc[heard, "split"]
    assert not (run.path / "results" / "shards" / split).exists()


def test_features_are_made_of_what_is_new_or_missing_and_of_nothing_else(checkout, tmp_path):
    root = maestro_replica(tmp_path / "maestro", pieces=MAESTRO_PIECES[2:])
    run = configured(checkout, "maestro", root)
    run.snakemake("features")
    features = run.path / "results" / "features"
    before = times(features)

    # A check that is run again, for its code and for two of the pieces, is no reason in itself.
    problems = run.path / "workflow" / "at4ramt" / "corpus" / "problems.py"
    problems.write_text(problems.read_text() + "# edited\n")
    (table,) = root.glob("*.csv")
    header, *rows = csv.reader(table.read_text(encoding="utf-8").splitlines())
    audio = header.index("audio_filename")
    changed, missing = (root / row[audio] for row in rows[1:3])
    samples, rate = soundfile.read(changed)
    soundfile.write(changed, samples / 2, rate)
    (features / f"{missing.stem}.parquet").unlink()
    added = [name.replace("_01_", "_99_") for name in rows[0]]
    for old, new in zip(rows[0], added, strict=True):
        if old.endswith((".wav", ".midi")):
            shutil.copy(root / old, root / new)
    with open(table, "a", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerow(added)

    run.snakemake("features")
    after = times(features)
    made = {Path(path).stem for path in after if after[path] != before.get(path)}
    assert made == {changed.stem, missing.stem, Path(added[audio]).stem}
    assert len(after) == 7
    assert run.planned("features") == {}


def test_an_unknown_piece_is_told_with_the_nearest_name(checkout, tmp_path):
    run = configured(checkout, "maestro", maestro_replica(tmp_path / "maestro", seconds=1))
    name = next((tmp_path / "maestro").rglob("*AUDIO_03*.wav")).stem
    printed = run.snakemake("-n", f"results/features/{name[:-1]}2.parquet", fails=True)
    assert f"Did you mean '{name}'?" in printed
