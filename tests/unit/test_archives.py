"""Zips, tars and arrays that are damaged, or lie about what they hold."""

import io
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from at4ramt import archives, files
from at4ramt.archives import REMAKE, stored_arrays, tar_files
from at4ramt.errors import InputError
from at4ramt.files import file_of, member_bytes, read_small, text_lines


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


def test_a_member_larger_than_any_recording_is_not_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", x=b"0" * 100)
    monkeypatch.setattr(files, "LARGEST_RECORDING_BYTES", 99)
    with (
        pytest.raises(InputError, match=r"a\.zip: x cannot be read \(it unpacks to 100 bytes"),
        file_of(path, "x"),
    ):
        pass


def test_a_member_that_no_disk_has_room_for_is_not_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", x=b"0" * 100)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("usage", (), {"free": 99})())
    with pytest.raises(InputError, match=r"a\.zip: x unpacks to 0 MB.*TMPDIR"), file_of(path, "x"):
        pass


def test_a_member_is_unpacked_under_a_name_of_ours(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("../../escaped/$(id).mid", b"MThd")
    with file_of(path, "../../escaped/$(id).mid") as (unpacked, name):
        assert unpacked.name == "member.mid" and unpacked.read_bytes() == b"MThd"
        assert name.endswith("a.zip: ../../escaped/$(id).mid")


def test_an_error_of_who_reads_a_member_is_not_called_the_zip_s(tmp_path):
    path = zipped(tmp_path / "a.zip", x=b"0")
    with pytest.raises(ValueError, match="mine"), file_of(path, "x"):
        raise ValueError("mine")


def test_a_member_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.zip: expected y in it, found none among 1 files"):
        member_bytes(zipped(tmp_path / "a.zip", x=b"0"), "y")
    (tmp_path / "b.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"b\.zip: expected a zip"):
        member_bytes(tmp_path / "b.zip", "y")


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as packed:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


def test_a_tar_is_read_up_to_its_bound(tmp_path, monkeypatch):
    path = tarred(tmp_path / "a.tgz", ("x", b"1" * 5000), ("y", b"2"))
    assert [(name, file.read()) for name, file in tar_files(path)] == [
        ("x", b"1" * 5000),
        ("y", b"2"),
    ]
    monkeypatch.setattr(archives, "LARGEST_ARCHIVE_BYTES", 2000)
    with pytest.raises(ValueError, match="unpacks to more than 2000 bytes"):
        list(tar_files(path))
    monkeypatch.setattr(archives, "LARGEST_CONTENT_BYTES", 4999)
    with pytest.raises(ValueError, match="unpacks to 5000 bytes"):
        list(tar_files(path))


def test_arrays_come_back_and_can_be_written_to(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array("text"),
        "c": np.asfortranarray(np.eye(3)), "d": np.zeros((0, 4), np.int16),
    }  # fmt: skip
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    with stored_arrays(tmp_path / "x.npz", "arrays", REMAKE) as stored:
        assert set(stored) == set(arrays) and "e" not in stored
        for name, array in arrays.items():
            found = stored[name]
            assert found.dtype == array.dtype and found.shape == array.shape
            np.testing.assert_array_equal(found, array)
        stored["a"][0, 0] = 7
        with pytest.raises(InputError, match=r"x\.npz: expected arrays.*'e\.npy'.*Delete the file"):
            stored["e"]


def test_objects_in_arrays_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    with (
        stored_arrays(tmp_path / "x.npz", "arrays", REMAKE) as stored,
        pytest.raises(InputError, match=r"x\.npz: .*holds Python objects"),
    ):
        stored["a"]


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_flipped_bit_of_an_array_is_found(tmp_path, place):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)
    with (
        stored_arrays(path, "arrays", REMAKE) as stored,
        pytest.raises(InputError, match=r"x\.npz: expected arrays"),
    ):
        stored["a"]


def test_a_file_that_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(InputError, match=r"pipe\.txt: expected a file, found a pipe"):
        read_small(tmp_path / "pipe.txt")
    (tmp_path / "large.txt").write_bytes(bytes(101))
    with pytest.raises(InputError, match=r"large\.txt: .*found 101 bytes"):
        read_small(tmp_path / "large.txt", 100)


def test_lines_are_numbered_as_an_editor_numbers_them():
    assert text_lines("\ufeffa\r\nb\x1cc\u2028d\re\n\n".encode()) == ["a", "b\x1cc\u2028d", "e", ""]
    assert text_lines(b"") == []


def test_a_zip_that_tells_a_member_longer_than_itself_is_refused(tmp_path):
    """zipfile would ask for two gigabytes at once."""
    path = zipped(tmp_path / "a.zip", x=b"0")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 20, 0x7FFFFFFF)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zip: x cannot be read .*no room"), file_of(path, "x"):
        pass
