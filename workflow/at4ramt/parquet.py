"""Tables of ours as Parquet files, in which a bit that was turned over is found.

Pages carry Parquet's own checksums. These do not cover what says where pages begin, what columns
are called, and what the table says of itself, so the file is sealed as well: before the footer,
where no reader of Parquet looks, are four letters and the CRC-32 of all other bytes. A file without
a seal (an older one, or one of another program) is read by its pages' checksums alone.

Features and shards are written by :func:`at4ramt.features.piece_features.parquet_writer`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from at4ramt.errors import AGAIN, InputError, mend, told
from at4ramt.files import whole_file

if TYPE_CHECKING:
    import pandas as pd

UNREADABLE = (
    pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError,
)  # fmt: skip
"""What Arrow and its Python raise of a damaged file."""

Filters = list[tuple[str, str, Any]]


SEAL = struct.Struct("<4sI")
SEAL_NAME = b"AT4s"
END = struct.Struct("<I4s")
"""What a Parquet file ends with: the bytes of its footer, and its name."""


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table, its attributes included, whole or not at all."""
    with whole_file(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd", write_page_checksum=True)
        content = temporary.read_bytes()
        at = _footer(content)
        seal = SEAL.pack(SEAL_NAME, zlib.crc32(content))
        temporary.write_bytes(content[:at] + seal + content[at:])


def read_frame(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
    what: str = "a table of this workflow",
    remedy: str = AGAIN,
) -> pd.DataFrame:
    """Return a table, or some columns of it, or the rows that pass Parquet's ``filters``.

    Args:
        path: the file.
        columns: names of the columns; all by default.
        filters: as pandas takes them.
        what: what was expected, for the message.
        remedy: what to do about it.

    Raises:
        InputError: the file is missing, no Parquet, or damaged.
    """
    import pandas as pd

    with _opened(path, what, remedy) as content:
        return pd.read_parquet(
            content,
            columns=None if columns is None else list(columns),
            filters=filters,
            page_checksum_verification=True,
        )


def read_table(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    what: str = "a table of this workflow",
    remedy: str = AGAIN,
) -> pa.Table:
    """Return what :func:`read_frame` does as Arrow has it."""
    with _opened(path, what, remedy) as content:
        return pq.read_table(
            content,
            columns=None if columns is None else list(columns),
            page_checksum_verification=True,
        )


@contextmanager
def _opened(path: str | Path, what: str, remedy: str) -> Iterator[pa.BufferReader]:
    """Yield a file's bytes, whose seal was looked at; name the file where it cannot be read.

    Read once, so that what is read is what was looked at. By its path Arrow would besides search
    the names of its folders for columns.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected {what}; check the path, or {remedy}")
    try:
        content = Path(path).read_bytes()
        _check_seal(content)
        yield pa.BufferReader(content)
    except UNREADABLE as error:
        raise InputError(
            f"{path}: cannot be read as Parquet ({told(error)}); expected {what}; "
            f"{mend(error, remedy)}"
        ) from error


def _footer(content: bytes) -> int:
    """Return where the footer of a Parquet file begins; beyond its ends for what is none."""
    size, _ = END.unpack_from(content, len(content) - END.size)
    return len(content) - END.size - int(size)


def _check_seal(content: bytes) -> None:
    """Raise ValueError if a file's bytes are not those that were sealed."""
    at = _footer(content) - SEAL.size if len(content) > END.size else -1
    if at < 0:
        return
    name, expected = SEAL.unpack_from(content, at)
    if name == SEAL_NAME:
        found = zlib.crc32(content[at + SEAL.size :], zlib.crc32(content[:at]))
        if found != expected:
            raise ValueError("its bytes are not those that were written: the checksum differs")
