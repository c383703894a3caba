"""What a message says is to be done: a file that the system does not give is not to be deleted."""

import errno
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.models import write_model

from at4ramt.archives import REMAKE, open_arrays
from at4ramt.errors import AGAIN, InputError, mend
from at4ramt.features.shards import read_features, read_shard
from at4ramt.files import read_json
from at4ramt.parquet import read_frame
from at4ramt.training.model_file import load_model
from at4ramt.training.onnx_file import load_onnx

READERS: dict[str, Callable[[Path], object]] = {
    "json": read_json,
    "table.parquet": read_frame,
    "features.parquet": read_features,
    "shard.parquet": read_shard,
    "model.onnx": load_onnx,
    "state.npz": lambda path: open_arrays(path, "arrays", REMAKE),
    "model.keras": load_model,
}


def refused(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(InputError) as refusal:
        read(path)
    assert str(refusal.value).startswith(f"{path}: ")
    return str(refusal.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", READERS)
def test_what_is_damaged_is_deleted_and_what_a_disk_withholds_is_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(b"not what it should be")
    assert "delete the file" in refused(READERS[name], path).lower()
    path.unlink()
    # It opens, and ends each read with EIO; but it has no size, so that whoever looks for its end
    # first does not come to read it.
    path.symlink_to("/proc/self/mem")
    monkeypatch.setattr(zipfile, "_EndRecData", withheld)
    monkeypatch.setattr(pq, "ParquetFile", withheld)
    said = refused(READERS[name], path).lower()
    assert "input/output error" in said
    assert re.search(r"check the disk or the file system.*, then run the same command again", said)
    assert "delete" not in said


def withheld(*arguments: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_lack_of_room_to_unpack_a_model_is_no_fault_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = write_model(tmp_path / "model.keras", "small")
    monkeypatch.setattr("keras.src.utils.file_utils.extract_open_archive", full)
    said = refused(load_model, model)
    assert "No space left on device" in said
    assert said.endswith("; free space, then run the same command again")


def test_what_an_error_came_of_counts_as_well() -> None:
    try:
        try:
            withheld()
        except OSError:
            raise zipfile.BadZipFile("File is not a zip file")  # noqa: B904
    except zipfile.BadZipFile as error:
        assert "check the disk or the file system ([Errno 5]" in mend(error, AGAIN)
    assert mend(zipfile.BadZipFile("File is not a zip file"), AGAIN) == AGAIN
    assert mend(FileNotFoundError(errno.ENOENT, "No such file"), AGAIN) == AGAIN
