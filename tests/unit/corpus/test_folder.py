"""Folders as strangers have them: pairs by name, whatever the names are."""

import os
from pathlib import Path

import pytest
from support.replicas import WILD_PIECES, wild_folder

from at4ramt.corpus.folder import find_pairs
from at4ramt.errors import InputError


@pytest.fixture
def root(tmp_path):
    """A folder with one pair, to which a test adds what is odd."""
    add(tmp_path, "a.wav", "a.mid")
    return tmp_path


def add(root, *paths, content=b""):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def test_the_wild_folder_is_all_pairs(tmp_path):
    wild_folder(tmp_path / "wild", seconds=1)
    found, problems = find_pairs(str(tmp_path / "wild"), "txt")
    assert problems == []
    assert {each.name for each in found} == {name for name, *_ in WILD_PIECES}
    for each in found:
        assert Path(each.audio).is_file() and Path(each.notes).is_file()
    # One name in two folders is one work.
    assert "Gymnopédie 1" in {each.work for each in found}


def test_labels_choose_between_two_lists_of_notes(root):
    add(root, "a.txt")
    for labels, suffix in (("txt", ".txt"), ("midi", ".mid")):
        (pair,), problems = find_pairs(str(root), labels)
        assert Path(pair.notes).suffix == suffix
        assert problems == []


def test_every_problem_is_found_at_once(root):
    add(root, "b.wav", "c.MIDI", "d.wav", "d.flac", "d.mid", "e.m4a", "e.mid", "f.mp3", "f.mid")
    add(root, "f.midi", "g/h.flac")
    add(root, "lost.txt", content=b"OnsetTime\tOffsetTime\tMidiPitch\n")
    add(root, "readme.txt", content=b"recorded in my kitchen")
    add(root, "odd\nname.wav", "odd\nname.mid", "take {y}.wav", "take {y}.mid")
    (pair,), problems = find_pairs(str(root), "txt")
    assert pair.name == "a"
    assert all(each.stops for each in problems)
    assert sorted((each.piece, each.problem) for each in problems) == [
        ("", "unusable name"), ("", "unusable name"), ("b", "missing partner"),
        ("c", "missing partner"), ("d", "ambiguous"), ("e", "missing partner"), ("f", "ambiguous"),
        ("g/h", "missing partner"), ("lost", "missing partner"),
        ("take {y}", "unusable name"),
    ]  # fmt: skip
    messages = {each.piece: each.message for each in problems}
    assert "b.wav: expected notes (.txt, .mid or .midi) of the same name" in messages["b"]
    assert "found e.m4a only, which libsndfile cannot read; convert it" in messages["e"]
    assert "found d.flac, d.wav" in messages["d"]


def test_a_name_that_is_no_utf8_is_a_problem_of_its_own(root):
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.wav")).touch()
    pairs, problems = find_pairs(str(root), "txt")
    assert len(pairs) == 1
    (problem,) = problems
    # The message itself can be written anywhere.
    assert problem.message.encode() and "Rename the file" in problem.message


def test_a_folder_without_pairs_is_named(tmp_path):
    add(tmp_path, "song.wav")
    with pytest.raises(InputError, match=r"found no pair\. .*song\.wav: expected notes"):
        find_pairs(str(tmp_path), "txt")
