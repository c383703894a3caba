"""Files appear whole or not at all; digests change with what they stand for."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import pytest

from at4ramt.files import (
    PACKAGE,
    file_digest,
    file_of,
    read_json,
    scratch_folder,
    source_digest,
    value_digest,
    whole_file,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_not_seen_before_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "model.keras"
    with whole_file(path) as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [found.name for found in path.parent.iterdir()] == ["model.keras"]


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "a.parquet"
    killed = "import os, sys; from at4ramt.files import whole_file\n"
    killed += "with whole_file(sys.argv[1]) as part: part.write_text('half'); os._exit(9)"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    for other in (path, tmp_path / "a.parquet.json"):
        subprocess.run([sys.executable, "-c", killed, str(other)], env=environment, check=False)
    assert not path.exists()
    with whole_file(path) as temporary:
        temporary.write_text("whole")
    names = sorted(found.name for found in tmp_path.iterdir())
    assert names[1:] == ["a.parquet"]
    assert names[0].startswith(".a.parquet.json.")


def test_a_copy_from_a_zip_that_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    archive, scratch = tmp_path / "maps.zip", tmp_path / "scratch"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("piece.wav", "samples")
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    killed = "import os, sys; from at4ramt.files import file_of\n"
    killed += "with file_of(sys.argv[1], 'piece.wav'): os.kill(os.getpid(), 9)"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "TMPDIR": str(scratch)}
    command = [sys.executable, "-c", killed, str(archive)]
    with file_of(archive, "piece.wav") as (first, _):
        assert subprocess.run(command, env=environment, check=False).returncode == -9
        (left,) = set(scratch.iterdir()) - {first.parent}
        with file_of(archive, "piece.wav") as (second, _):
            # That of a living process stays.
            assert set(scratch.iterdir()) == {first.parent, second.parent}
            assert first.read_text() == second.read_text() == "samples"
    assert not left.exists()
    assert list(scratch.iterdir()) == []


def test_where_folders_have_no_locks_none_is_taken_for_nobody_s(tmp_path, monkeypatch):
    def without_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", without_locks)
    with scratch_folder() as first, scratch_folder() as second:
        assert set(tmp_path.iterdir()) == {first, second}


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, taken = fcntl.flock, []

    def too_late(descriptor, operation):
        if not taken:
            taken.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            os.rmdir(taken[0])
        lock(descriptor, operation)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", too_late)
    with scratch_folder() as folder:
        assert taken and folder.is_dir()
        assert str(folder) != taken[0]


def test_a_writer_thought_dead_fails_and_spoils_nothing(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(FileNotFoundError), whole_file(path) as slow:
        slow.write_text("half")
        with whole_file(path) as quick:
            quick.write_text("whole")
    assert path.read_text() == "whole"


def test_json_comes_back_and_its_text_is_stable(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.1]})
    write_json(tmp_path / "b.json", {"a": [0.1], "b": 1})
    assert file_digest(tmp_path / "a.json") == file_digest(tmp_path / "b.json")
    assert read_json(tmp_path / "a.json") == json.loads('{"a": [0.1], "b": 1}')


def test_a_source_digest_follows_its_modules_and_no_others(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f"# {name}\n")
    monkeypatch.setattr("at4ramt.files.PACKAGE", tmp_path)
    before = source_digest("one"), source_digest("two"), source_digest("one", "two")
    (tmp_path / "two.py").write_text("# two, changed\n")
    after = source_digest("one"), source_digest("two"), source_digest("two", "one")
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]
    monkeypatch.undo()
    assert (PACKAGE / "files.py").exists()


def test_values_that_differ_have_other_digests():
    assert value_digest({"a": 1, "b": 2}) == value_digest({"b": 2, "a": 1})
    assert value_digest({"a": 1}) != value_digest({"a": 1.5})
