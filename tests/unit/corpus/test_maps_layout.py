"""MAPS in folders and in zips, and each way in which a download can be incomplete."""

import shutil
import zipfile
from pathlib import Path

import pytest
from support.replicas import maps_replica

from at4ramt.corpus.maps_layout import find_maps
from at4ramt.errors import InputError

PIANOS = ("AkPnBcht", "StbgTGd2", "ENSTDkCl")


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    return {
        zipped: maps_replica(folder / str(zipped), zipped, 2, seconds=1, instruments=PIANOS)
        for zipped in (False, True)
    }


@pytest.fixture
def unpacked(replicas, tmp_path):
    return shutil.copytree(replicas[False], tmp_path / "MAPS")


def content(path, member):
    if not member:
        return Path(path).read_bytes()
    with zipfile.ZipFile(path) as opened:
        return opened.read(member)


def files(recordings):
    return {
        (each.name, content(each.audio, each.audio_member), content(each.notes, each.notes_member))
        for each in recordings
    }


@pytest.mark.parametrize("labels", ["txt", "midi"])
def test_zips_are_the_same_corpus_as_folders(replicas, labels):
    in_folders, _ = find_maps(str(replicas[False]), labels)
    in_zips, _ = find_maps(str(replicas[True]), labels)
    # Two pieces of each piano, though each has an isolated note beside them.
    assert len(in_folders) == 2 * len(PIANOS)
    assert files(in_folders) == files(in_zips)
    assert [(each.work, each.instrument) for each in in_folders] == [
        (each.work, each.instrument) for each in in_zips
    ]
    assert {Path(each.audio).name for each in in_zips} == {
        "MAPS_AkPnBcht_1.zip", "MAPS_AkPnBcht_2.zip", "StbgTGd2.zip", "ENSTDkCl.zip",
    }  # fmt: skip


def test_names_say_work_and_piano(unpacked):
    folder = unpacked / "StbgTGd2" / "MUS"
    for suffix in ("wav", "mid", "txt"):
        (folder / f"MAPS_MUS-chpn-p11-format0_StbgTGd2.{suffix}").touch()
        (folder / f"MAPS_MUS-chpn_op10_e05_StbgTGd2.{suffix}").touch()
    found = {each.name: each for each in find_maps(str(unpacked), "txt")[0]}
    assert found["MAPS_MUS-chpn_op10_e05_StbgTGd2"].work == "chpn_op10_e05"
    assert found["MAPS_MUS-chpn_op10_e05_StbgTGd2"].instrument == "StbgTGd2"
    # MAPS has this one twice, under another name.
    assert found["MAPS_MUS-chpn-p11-format0_StbgTGd2"].work == "chpn-p11"


def test_folders_and_zips_may_be_mixed_and_nested(replicas, tmp_path):
    root = tmp_path / "MAPS"
    (root / "downloads").mkdir(parents=True)
    shutil.copytree(replicas[False] / "ENSTDkCl", root / "MAPS_ENSTDkCl_2" / "ENSTDkCl")
    for archive in replicas[True].glob("*.zip"):
        shutil.copy(archive, root / "downloads")
    found, problems = find_maps(str(root), "txt")
    assert files(found) == files(find_maps(str(replicas[False]), "txt")[0])
    # What is unpacked beside its zip is no second copy, and is read from the folder.
    assert [problem.problem for problem in problems] == ["incomplete"]
    assert all(bool(each.audio_member) == (each.instrument != "ENSTDkCl") for each in found)


def test_everything_wrong_is_found_at_once(unpacked):
    folder = unpacked / "AkPnBcht" / "MUS"
    (folder / "MAPS_MUS-alb_se3_AkPnBcht.txt").unlink()
    (folder / "MAPS_MUS-bach_846_AkPnBcht.wav").unlink()
    shutil.copytree(unpacked / "StbgTGd2", unpacked / "copy" / "StbgTGd2")
    (unpacked / "MAPS_SptkBGAm_2.zip").write_bytes(b"PK\3\4 cut off")
    for suffix in ("wav", "mid", "txt"):
        (folder / f"MAPS_MUS-x_SalamC5.{suffix}").touch()
    found, problems = find_maps(str(unpacked), "txt")
    assert {each.instrument for each in found} == {"StbgTGd2", "ENSTDkCl"}
    stopping = {(each.problem, each.piece): each.message for each in problems if each.stops}
    assert set(stopping) == {
        ("missing partner", "MAPS_MUS-alb_se3_AkPnBcht"),
        ("missing partner", "MAPS_MUS-bach_846_AkPnBcht"),
        ("unreadable", ""),
    }
    missing = stopping["missing partner", "MAPS_MUS-alb_se3_AkPnBcht"]
    assert "expected MAPS_MUS-alb_se3_AkPnBcht.txt beside it" in missing
    assert "MAPS_SptkBGAm_2.zip" in stopping["unreadable", ""]
    others = [(each.problem, each.message) for each in problems if not each.stops]
    assert sorted(kind for kind, _ in others) == [
        *["found twice"] * 4, "incomplete", "unknown instrument",
    ]  # fmt: skip
    assert "SptkBGCl 0" in dict(others)["incomplete"]
    # With the MIDI files as labels, the first of these pieces is whole.
    names = {each.name for each in find_maps(str(unpacked), "midi")[0]}
    assert "MAPS_MUS-alb_se3_AkPnBcht" in names


def test_a_folder_without_maps_is_named(tmp_path):
    (tmp_path / "song.wav").touch()
    with pytest.raises(InputError, match=r"expected MAPS.*found none among 1 files.*corpus\.root"):
        find_maps(str(tmp_path), "txt")
