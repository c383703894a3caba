"""Files that appear whole or not at all, files inside zips, and digests of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from at4ramt.errors import InputError

PACKAGE = Path(__file__).resolve().parent


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success.

    The temporary name keeps the suffix, because libraries choose a format by
    it. If the block raises, the temporary file is removed and ``path`` is left
    as it was. What a killed process left of the same file is removed first; a
    process that was thought dead and still writes it then fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    folder = Path(tempfile.mkdtemp(".part", f".{path.name}.", path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary folders that killed processes left of ``path``."""
    path = Path(path)
    left = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.part")
    for entry in os.scandir(path.parent):
        if left.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def file_of(path: str | Path, member: str = "") -> Iterator[tuple[Path, str]]:
    """Yield where a file can be read, and what messages call it.

    ``member`` is its path inside the zip ``path``; empty: ``path`` itself. A member
    is unpacked into a temporary file, which goes with the context.

    Raises:
        InputError: if the zip or the member cannot be read.
    """
    if not member:
        yield Path(path), str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / PurePosixPath(member).name
        with open_member(path, member) as (opened, _), open(unpacked, "wb") as copy:
            shutil.copyfileobj(opened, copy, 1 << 20)
        yield unpacked, f"{path}: {member}"


@contextmanager
def open_member(path: str | Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield a zip's member, opened for reading in binary, and its size in bytes.

    Raises:
        InputError: if the zip or the member cannot be read, now or within the context.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as opened:
            yield opened, archive.getinfo(member).file_size
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: {member} cannot be read ({error}); expected a whole zip file with that "
            "member; copy it anew from its source"
        ) from error


def member_bytes(path: str | Path, member: str) -> int:
    """Return how large a zip's member is when it is unpacked; a zip is looked into only once."""
    return _member_sizes(str(path))[member]


@cache
def _member_sizes(path: str) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as indented, key-sorted JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def file_digest(path: str | Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def value_digest(value: Any) -> str:
    """Return 16 hexadecimal digits that change when a JSON-like value does."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_digest(*modules: str) -> str:
    """Return 16 hexadecimal digits that change when one of our modules does.

    ``modules`` are names under the package, such as ``"features.cqt"``.
    Snakemake does not follow imports; a rule that names the modules its result
    depends on, in its parameters, is rerun when they are edited and only then.
    """
    digest = hashlib.sha256()
    for module in sorted(modules):
        source = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
        digest.update(module.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
