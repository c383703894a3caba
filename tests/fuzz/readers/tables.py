"""The four tables of the embedded corpus, against their cells taken by hand."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import strategies as st

from at4ramt.corpus.pieces import (
    fetch_settings,
    read_instruments,
    read_pieces,
    read_sources,
    read_table,
    read_works,
    render_settings,
)
from at4ramt.errors import InputError
from fuzz.harness import Reader, case_file, expect
from fuzz.readers.config import demo

TABLES = ("pieces", "works", "instruments", "sources")
FOLDER = Path(__file__).resolve().parents[3] / "config" / "corpus"
END = b"\n=====\n"
"""Between the four tables of a case."""

PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def check(data: bytes) -> None:
    parts = data.split(END)
    content = dict(zip(TABLES, parts, strict=False))
    paths = {name: case_file(f"{name}.tsv", content.get(name, b"")) for name in TABLES}
    first_error: InputError | None = None
    for name, path in paths.items():
        try:
            _check_cells(content.get(name, b""), read_table(path, name))
        except InputError as error:
            expect(path.name in str(error), f"the refusal does not name {path.name}: {error}")
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    sources = read_sources(paths["sources"])
    works = read_works(paths["works"], sources)
    instruments = read_instruments(paths["instruments"], sources)
    pieces = read_pieces(paths["pieces"], works, instruments)
    for piece in pieces.index[:3]:
        render_settings(pieces, works, instruments, sources, piece, demo()["corpus"])
    for archive in sources["archive"]:
        settings = fetch_settings(sources, archive)
        expect(not re.search(r"[^A-Za-z0-9_.-]", archive), "an archive's name is no file's name")
        expect(2.5 * int(settings["bytes"]) > 0, "no bytes")
    of_work = pieces.groupby("work")["split"].agg(set)
    allowed = {"test", "test_unseen_piano"}
    expect(
        all(len(splits) == 1 or splits <= allowed for splits in of_work), "a work is in two splits"
    )


def _check_cells(data: bytes, table) -> None:
    """Compare with the cells as they stand; a number must be written as one."""
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = lines[0].split("\t")
    expect(list(table.columns) != [], "no columns")
    rows = {n: line.split("\t") for n, line in enumerate(lines, 1) if n > 1 and line.strip()}
    expect(list(rows) == table.index.tolist(), f"rows {list(rows)}, read {table.index.tolist()}")
    for number, cells in rows.items():
        for column, cell in zip(header, cells, strict=True):
            value, text = table.loc[number, column], cell.strip()
            if isinstance(value, str):
                expect(value == text, f"{text!r} was read as {value!r}")
            elif str(value) in ("True", "False"):
                expect(str(value).lower() == text, f"{text!r} was read as {value}")
            else:
                plain = PLAIN_NUMBER.fullmatch(text) is not None
                expect(plain and float(value) == float(text), f"{text!r} was read as {value!r}")


PIECES = (
    "piece\twork\tinstrument\tsplit\tposition\texcerpt_seconds\tvariation\n"
    "MAPS_MUS-a-0_P\ta\tP\ttraining\t0.5\t30\t0\n"
    "MAPS_MUS-b-0_P\tb\tP\tvalidation\t0\t0\t2\n"
    "MAPS_MUS-c-0_P\tc\tP\ttest\t1\t0\t0\n"
    "MAPS_MUS-c-0_H\tc\tH\ttest_unseen_piano\t1\t0\t0\n"
)
WORKS = "work\ttitle\tcomposer\tperformer\tsource\tmember\tlicence\tdynamics\n" + "".join(
    f"{w}\tTitle\tAnyone\tNobody\ts\tx/{w}.mid\tCC0\tperformed\n" for w in "abc"
)
INSTRUMENTS = (
    "instrument\ttitle\tkind\theld_out\tsource\tlicence\tgain_db\n"
    "P\tPiano\tsampled\tfalse\ts\tMIT\t-4.0\nH\tPiano\treal\ttrue\ts,s\tMIT\t1\n"
)
SOURCES = (
    "source\tregistry\tpackage\tversion\tarchive\tsha256\tbytes\tlicence\tlicence_url_or_text\tnote\n"
    f"s\tnpm\t@a/b\t1.0\tb.tgz\t{'0' * 64}\t1000\tMIT\tnobody\tnothing\n"
)


def seeds() -> dict[str, bytes]:
    ours = [(FOLDER / f"{name}.tsv").read_bytes() for name in TABLES]
    small = [text.encode() for text in (PIECES, WORKS, INSTRUMENTS, SOURCES)]
    return {"small": END.join(small), "ours": END.join(ours)}


_cells = st.one_of(
    st.sampled_from(
        (
            "nan",
            "inf",
            "-1",
            "1e400",
            "1_0",
            "٣",
            "0.5",
            "1",
            "99999999999999999999",
            "true",
            "TRUE",
            "",
            " ",
            "test",
            "training",
            "a",
            "P",
            "s",
            "../x.mid",
            "x.mid",
            "{a}",
            "a\x85b",
            "a\x1cb",
            "MAPS_MUS-a-0_P",
            "MAPS_MUS-a-٣_P",
            "b.tgz\u2028",
            "0x10",
            "s,s",
            "9" * 5000,
        )
    ),
    st.text("ab01.-,_ \x0b\x1b\ufeff", max_size=6),
)


def _changed(changes: list[tuple[int, int, int, str]]) -> bytes:
    tables = [
        [line.split("\t") for line in text.splitlines()]
        for text in (PIECES, WORKS, INSTRUMENTS, SOURCES)
    ]
    for table, row, column, cell in changes:
        cells = tables[table % 4][row % len(tables[table % 4])]
        cells[column % len(cells)] = cell
    written = ("\n".join("\t".join(cells) for cells in rows) + "\n" for rows in tables)
    return END.join(text.encode() for text in written)


def drawn() -> st.SearchStrategy[bytes]:
    small = st.integers(0, 11)
    return st.lists(st.tuples(small, small, small, _cells), min_size=1, max_size=3).map(_changed)


READER = Reader("tables", check, seeds, drawn, called=[".tsv"], largest=1 << 13)
