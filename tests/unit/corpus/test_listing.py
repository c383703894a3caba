"""What is shown of a corpus before anything is computed from it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.replicas import maps_replica

from at4ramt.corpus.listing import write_listing
from at4ramt.errors import InputError
from at4ramt.features import audio

TABLES = ("pieces", "works", "instruments", "sources")
SECONDS = 1.5


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return maps_replica(tmp_path_factory.mktemp("listing") / "MAPS", seconds=SECONDS)


@pytest.fixture
def corpus(maps: Path, tmp_path: Path) -> dict[str, Any]:
    root = shutil.copytree(maps, tmp_path / "MAPS")
    return {
        **{"kind": "maps", "root": str(root), "split": None, "labels": "txt"},
        **{"validation_share": 0.15, "split_seed": 0, "exclude": {}},
    }


def a_recording(corpus: dict[str, Any]) -> Path:
    return min(Path(corpus["root"]).glob("AkPnBcht/MUS/*.wav"))


def listed(corpus: dict[str, Any], folder: Path) -> pd.Series:
    """Write the tables of a corpus; return the length of each piece, by its audio."""
    paths = {name: folder / f"{name}.tsv" for name in TABLES}
    write_listing(corpus, **paths, figure=folder / "corpus.svg")
    pieces = pd.read_csv(
        paths["pieces"], sep="\t", keep_default_na=False, na_values={"seconds": ""}
    )
    return pieces.set_index("audio")["seconds"]


def test_each_piece_has_its_length(corpus, tmp_path):
    soundfile.write(a_recording(corpus), np.full(33_075, 0.1), 22_050 * 2)
    seconds = listed(corpus, tmp_path)
    assert seconds.pop(str(a_recording(corpus))) == 0.75
    assert (seconds == SECONDS).all() and len(seconds)


def test_what_is_no_audio_has_no_length_and_is_named(corpus, tmp_path, caplog):
    before = listed(corpus, tmp_path)
    a_recording(corpus).write_text("not a recording", encoding="utf-8")
    after = listed(corpus, tmp_path)
    assert list(after.index[after.isna()]) == [str(a_recording(corpus))]
    assert after.dropna().equals(before.drop(str(a_recording(corpus))))
    (said,) = [record.getMessage() for record in caplog.records]
    assert str(a_recording(corpus)) in said and "check_corpus" in said


def test_a_disk_that_fails_stops_the_job_and_is_no_missing_length(corpus, tmp_path):
    recording = a_recording(corpus)
    recording.unlink()
    # It opens, and ends each read with EIO.
    recording.symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"\.wav: .*Input/output error.*check the disk"):
        listed(corpus, tmp_path)
    assert not list(tmp_path.glob("*.tsv"))


def test_a_disk_that_fails_for_a_moment_costs_no_length(corpus, tmp_path, monkeypatch):
    before = listed(corpus, tmp_path)
    heard = audio.audio_seconds
    failed = []

    def at_first_refused(path, member=""):
        if not failed:
            failed.append(path)
            raise InputError(f"{path}: System error.")
        return heard(path, member)

    monkeypatch.setattr(audio, "audio_seconds", at_first_refused)
    assert listed(corpus, tmp_path).equals(before) and failed
