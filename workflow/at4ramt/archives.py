"""What is packed in zips and tars: within bounds, and one kind of error for whatever is wrong.

A member tells how large it is; one that tells more than its bound is refused before anything of it
is unpacked. Nothing is unpacked under a name that an archive chose.
"""

from __future__ import annotations

import gzip
import io
import lzma
import math
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import InputError, mended, told
from at4ramt.limits import LARGEST_CONTENT_BYTES

UNREADABLE = (
    OSError,  # the disk, gzip, bz2
    EOFError,
    KeyError,  # no such member
    ValueError,  # numbers and names of all kinds
    IndexError,
    OverflowError,
    NotImplementedError,  # a method of compression
    RuntimeError,  # a password
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What the standard library raises of an archive that is damaged or not what it is called."""

PART_BYTES = 1 << 20
REMAKE = "Delete the file and run snakemake again."
"""What to do about a file that the workflow made itself."""

LARGEST_ARCHIVE_BYTES = 8 << 30
"""A tar, unpacked as far as the member that is wanted."""
MOST_MEMBERS = 100_000


def zip_member(archive: zipfile.ZipFile, name: str, largest: int) -> zipfile.ZipInfo:
    """Return what a zip says of a member.

    Raises:
        ValueError: if it unpacks to more than ``largest`` bytes, or would lie beyond the file.
        KeyError: if there is none.
    """
    info = archive.getinfo(name)
    if info.file_size > largest:
        raise ValueError(
            f"it unpacks to {info.file_size} bytes; at most {largest} are unpacked of one file"
        )
    # zipfile asks for as much of the file at once as the directory tells.
    if info.header_offset + info.compress_size > archive.start_dir:
        raise ValueError(f"it is {info.compress_size} bytes long, which the file has no room for")
    return info


def zip_content(archive: zipfile.ZipFile, name: str, largest: int = LARGEST_CONTENT_BYTES) -> bytes:
    """Return a member's content; raises what :func:`zip_member` and zipfile do."""
    return archive.read(zip_member(archive, name, largest))


class _Unpacking:
    """A gzip file as tarfile reads it, which ends where the bound of an archive lies."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_CONTENT_BYTES:
            raise ValueError(f"it asks for {size} bytes at once")
        return self._file.read(size)

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or not 0 <= position <= LARGEST_ARCHIVE_BYTES:
            raise ValueError(f"it unpacks to more than {LARGEST_ARCHIVE_BYTES} bytes")
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def tar_files(path: str | Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of each file of a ``.tar.gz``, in its order; links are none.

    Raises:
        UNREADABLE: the archive is damaged, or has more members or bytes than the bounds.
    """
    with gzip.open(path, "rb") as packed:
        # typing: what tarfile asks of a file object is read, seek and tell.
        unpacking: Any = _Unpacking(packed)
        with tarfile.open(fileobj=unpacking, mode="r:") as opened:
            for number, member in enumerate(opened):
                # A header that tells a negative size leads back to itself.
                if number >= MOST_MEMBERS or member.size < 0:
                    raise ValueError(f"more than {MOST_MEMBERS} members, or one without a size")
                if not member.isreg():
                    continue
                if member.size > LARGEST_CONTENT_BYTES:
                    raise ValueError(f"{told(member.name)} unpacks to {member.size} bytes")
                content = opened.extractfile(member)
                if content is not None:
                    yield member.name, content


class StoredArrays(Mapping[str, npt.NDArray[Any]]):
    """The arrays of an ``.npz`` by name, each read when it is asked for.

    An array must be as large as its header says, which numpy allocates before it looks; none may
    hold Python objects. One that is not there or damaged is an InputError.
    """

    def __init__(
        self, archive: zipfile.ZipFile, refusal: Callable[[BaseException], InputError]
    ) -> None:
        self._archive = archive
        self._refusal = refusal
        self._names = [
            name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")
        ]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            return _read_array(self._archive, f"{name}.npy")
        except UNREADABLE as error:
            raise self._refusal(error) from error

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def open_arrays(path: str | Path, what: str, remedy: str) -> StoredArrays:
    """Open an ``.npz``; it stays open for as long as what is returned is used.

    Args:
        path: the file.
        what: what it should be, for the message.
        remedy: what to do if it is not.

    Raises:
        InputError: if it cannot be read, now or when an array is asked for.
    """

    def refusal(error: BaseException) -> InputError:
        said = f"could not read it ({told(error)}). {mended(error, remedy)}"
        return InputError(f"{path}: expected {what}, {said}")

    try:
        return StoredArrays(zipfile.ZipFile(path), refusal)
    except UNREADABLE as error:
        raise refusal(error) from error


@contextmanager
def stored_arrays(path: str | Path, what: str, remedy: str) -> Iterator[StoredArrays]:
    """Give access to the arrays of an ``.npz``, as :func:`open_arrays` does, and close it then."""
    arrays = open_arrays(path, what, remedy)
    try:
        yield arrays
    finally:
        arrays.close()


def _read_array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    info = zip_member(archive, name, LARGEST_CONTENT_BYTES)
    with archive.open(info) as opened:
        version = np.lib.format.read_magic(opened)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an array of version {version}; expected 1.0 or 2.0")
        head = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        try:
            shape, by_column, dtype = head(opened)
        # numpy takes the head for Python, and says what Python's parser says.
        except (SyntaxError, TypeError, RecursionError, tokenize.TokenError) as error:
            raise ValueError(f"the head of {name} is damaged") from error
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which are not read")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or opened.tell() + size != info.file_size:
            raise ValueError(
                f"{name} tells a shape of {shape} of {dtype}, and has {info.file_size} bytes"
            )
        # Filled, and not made of the bytes, so that it can be written to.
        content = bytearray(size)
        filled = 0
        while part := opened.read(PART_BYTES):
            content[filled : filled + len(part)] = part
            filled += len(part)
        if len(content) != size:
            raise ValueError(f"{name} is longer than {size} bytes")
        if filled != size:
            raise ValueError(f"{name} ends after {filled} bytes of {size}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_column else "C")
