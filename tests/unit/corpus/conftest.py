"""The fetched archives and the prepared pianos that the corpus's tests share."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from at4ramt.corpus import pianos
from at4ramt.corpus.pieces import (
    archives_of,
    read_instruments,
    read_pieces,
    read_sources,
    read_works,
)

REPOSITORY = Path(__file__).resolve().parents[3]
TABLES = REPOSITORY / "config" / "corpus"
RESOURCES = REPOSITORY / "resources"


@pytest.fixture(scope="session")
def tables() -> dict[str, pd.DataFrame]:
    sources = read_sources(TABLES / "sources.tsv")
    works = read_works(TABLES / "works.tsv", sources)
    instruments = read_instruments(TABLES / "instruments.tsv", sources)
    pieces = read_pieces(TABLES / "pieces.tsv", works, instruments)
    return {"sources": sources, "works": works, "instruments": instruments, "pieces": pieces}


@pytest.fixture(scope="session")
def archive(tables: dict[str, pd.DataFrame]) -> Callable[[str], Path]:
    def path_of(source: str) -> Path:
        path = RESOURCES / tables["sources"].loc[source, "archive"]
        # Not skipped: the corpus is untested without its archives.
        assert path.is_file(), f"{path} is missing: make test fetches it"
        return path

    return path_of


@pytest.fixture(scope="session")
def piano_file(
    tables: dict[str, pd.DataFrame],
    archive: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("pianos")

    def path_of(instrument: str) -> Path:
        path = folder / f"{instrument}.npz"
        if not path.exists():
            rows = archives_of(tables["instruments"], tables["sources"], instrument)
            pianos.prepare_piano(instrument, [archive(each) for each in rows.index], path)
        return path

    return path_of
