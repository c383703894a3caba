"""Whether what a run has made is what an undisturbed run makes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd

# What says how long something took, when and where, and so differs between any two runs.
TIMES = {"seconds", "windows_per_second", "resumed"}
TIMED = re.compile(
    r"results/(models/.*\.(json|history\.parquet)"
    r"|tables/(times|models)\.(html|csv)|figures/times\.svg|report\.html)"
)


def without_times(path: str, content: bytes) -> object:
    """Return what a file says but for times; of a page, whether it is whole.

    Raises:
        ValueError: if the file is not whole.
    """
    if not TIMED.fullmatch(path):
        return content
    if path.endswith(".json"):
        return {k: v for k, v in json.loads(content).items() if k not in TIMES}
    if path.endswith(".parquet"):
        table = pd.read_parquet(io.BytesIO(content))
        return table.drop(columns=[name for name in table if name in TIMES]).to_csv()
    if path.endswith(".csv"):
        # Ordered by time.
        return sorted(pd.read_csv(io.BytesIO(content)).iloc[:, 0])
    end = b"</svg>" if path.endswith(".svg") else b"</html>"
    if not content.rstrip().endswith(end):
        raise ValueError(f"{path} does not end with {end.decode()}")
    return end


def made(root: Path) -> list[str]:
    """Return the files that are there under their final names, sorted."""
    return sorted(
        str(path.relative_to(root))
        for top in ("results", "resources")
        for path in (root / top).rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and not path.is_relative_to(root / "results" / "checkpoints")
    )  # fmt: skip


def differences(root: Path, reference: Path, among: set[str] | None = None) -> list[str]:
    """Return what is wrong with files of ``root``, each of which should be as in ``reference``."""
    wrong = []
    for path in made(root):
        if among is not None and path not in among:
            continue
        one, other = root / path, reference / path
        if not other.exists():
            wrong.append(f"{path}: an undisturbed run makes no such file")
            continue
        if one.samefile(other):
            continue
        try:
            found, expected = (without_times(path, file.read_bytes()) for file in (one, other))
            if found != expected:
                wrong.append(f"{path}: not what an undisturbed run makes")
        except (ValueError, OSError) as error:
            wrong.append(f"{path}: {error}")
    return wrong


def leftovers(root: Path) -> list[str]:
    """Return what should have been removed: half-written files, states of trainings."""
    found = [
        path
        for top in ("results", "resources")
        for path in (root / top).rglob(".*")
        if path.name != ".gitkeep" and not path.parent.name.startswith(".")
    ]
    found += (root / "results").glob("checkpoints")
    return sorted(str(path.relative_to(root)) for path in found)
