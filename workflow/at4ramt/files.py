"""Files that appear whole or not at all, and digests of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
