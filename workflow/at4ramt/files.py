"""Files that appear whole or not at all, files inside zips, and digests of what is in them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from at4ramt.errors import AGAIN, InputError, Refused, mend, refusal, remedy, told
from at4ramt.limits import LARGEST_RECORDING_BYTES, LARGEST_TEXT_BYTES

PACKAGE = Path(__file__).resolve().parent
COPY = "copy it anew from its source"
Read = TypeVar("Read")


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
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that goes with the context, or with the next one of this host.

    A killed process leaves its folder. The lock on it goes with the process, however that
    ends: a folder of ours without one is nobody's any more.
    """
    prefix = f"at4ramt.{re.sub('[^A-Za-z0-9-]', '_', platform.node())}."
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with _locked(left, wait=False) as nobodys:
            if nobodys:
                shutil.rmtree(left, ignore_errors=True)
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder,
            # Where there are no locks, nobody gets one of this folder either.
            _locked(folder, wait=True),
        ):
            # Another may have taken it for nobody's before it was locked.
            if os.path.exists(folder):
                yield Path(folder)
                return


@contextmanager
def _locked(folder: str | Path, *, wait: bool) -> Iterator[bool]:
    """Lock a folder; yield whether that succeeded."""
    import fcntl

    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        locked = True
    except OSError:
        locked = False
    try:
        yield locked
    finally:
        if descriptor is not None:
            os.close(descriptor)


def read_small(path: str | Path, largest: int = LARGEST_TEXT_BYTES) -> bytes:
    """Return a file's bytes.

    Raises:
        InputError: if it is larger than ``largest`` bytes, or a pipe or device, which may never
            end.
        OSError: if it cannot be read.
    """
    status = os.stat(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise InputError(
            f"{path}: expected a file, found a pipe or a device. Name a file that is on a disk."
        )
    content = b""
    if status.st_size <= largest:
        # A folder says so itself. One byte more than there are, lest the file grows meanwhile.
        with open(path, "rb") as opened:
            content = opened.read(status.st_size + 1)
    if max(status.st_size, len(content)) > largest:
        raise InputError(
            f"{path}: expected a file of at most {largest >> 20} MiB, found {status.st_size} "
            "bytes. Check that this is the file you mean; cut it in parts if it is."
        )
    return content


def text_lines(content: bytes) -> list[str]:
    """Return the lines of a text in UTF-8, numbered as an editor does.

    ``str.splitlines`` ends lines at a page's or a record's end, too, where no editor does.

    Raises:
        UnicodeDecodeError: if it is none.
    """
    text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


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
    with scratch_folder() as folder:
        # Its suffix tells what it is; the rest of its name is the archive's to choose.
        unpacked = folder / f"member{PurePosixPath(member).suffix[:16]}"
        with open_member(path, member) as (opened, size):
            free = shutil.disk_usage(folder).free
            if size > free:
                raise InputError(
                    f"{path}: {member} unpacks to {size / 1e6:.0f} MB, and {folder} has "
                    f"{free / 1e6:.0f} MB left. Free some, or name another folder in the "
                    "environment variable TMPDIR."
                ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with open(unpacked, "wb") as copy:
                shutil.copyfileobj(opened, copy, 1 << 20)
        yield unpacked, f"{path}: {member}"


@contextmanager
def open_member(path: str | Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield a zip's member, opened for reading in binary, and its size in bytes.

    Raises:
        InputError: if the zip or the member cannot be read, now or within the context, or
            unpacks to more than any recording.
    """
    from at4ramt.archives import UNREADABLE, zip_member

    try:
        with zipfile.ZipFile(path) as archive:
            info = zip_member(archive, member, LARGEST_RECORDING_BYTES)
            with archive.open(info) as opened:
                yield opened, info.file_size
    except UNREADABLE as error:
        raise InputError(
            f"{path}: {told(member)} cannot be read ({told(error)}); expected a whole zip file "
            f"with that member; {mend(error, COPY)}"
        ) from error


def member_bytes(path: str | Path, member: str) -> int:
    """Return how large a zip's member is when it is unpacked; a zip is looked into only once.

    Raises:
        InputError: if the zip cannot be read or has no such member.
    """
    sizes = _member_sizes(str(path))
    if member not in sizes:
        raise InputError(
            f"{path}: expected {member} in it, found none among {len(sizes)} files; {COPY}"
        )
    return sizes[member]


@cache
def _member_sizes(path: str) -> dict[str, int]:
    from at4ramt.archives import UNREADABLE

    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info.file_size for info in archive.infolist()}
    except UNREADABLE as error:
        raise InputError(
            f"{path}: expected a zip, it cannot be read ({told(error)}); {mend(error, COPY)}"
        ) from error


def stop_if_refused(error: Exception, path: str | Path) -> None:
    """Raise :class:`Refused` if ``error`` came of a system that refuses to read or unpack ``path``.

    For whoever goes on where a file is wrong: a disk that fails may be well tomorrow, and what was
    noted of the file would stay, since nobody reads it again.
    """
    try:
        # libsndfile does not tell why it failed.
        with open(path, "rb") as opened:
            while opened.read(1 << 20):
                pass
    except OSError as failed:
        if what := remedy(failed):
            raise Refused(f"{path}: {what}") from failed
    if refused := refusal(error):
        said = str(error) if isinstance(error, InputError) else f"{path}: {remedy(refused)}"
        raise Refused(said) from error


def read_twice(read: Callable[[], Read], path: str | Path) -> Read:
    """Return what ``read`` returns, tried once more if it calls ``path`` wrong.

    Raises:
        Refused: the system refuses to read it.
        InputError: it is wrong the second time as well.
    """
    try:
        return read()
    except InputError as error:
        stop_if_refused(error, path)
    return read()


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as indented, key-sorted JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file of the workflow.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected a JSON file of this workflow, could not read it ({told(error)}); "
            f"{mend(error, AGAIN)}"
        ) from error


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: if it is none, or nested deeper than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


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
