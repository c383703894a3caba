"""Sheets of splits and the csv of MAESTRO, against a reading by pandas."""

from __future__ import annotations

import io
import unicodedata
from functools import cache

import pandas as pd
from hypothesis import strategies as st

from at4ramt.corpus.pieces import SPLITS
from at4ramt.corpus.table import survey_corpus
from fuzz.harness import Reader, case_file, expect, scratch, taken_by_one

NAMES = ("a", "folder/b", "Étude", "d")
COLUMNS = ("name", "split", "work", "instrument")
MAESTRO = "maestro-v3.0.0.csv"
CALLED = ("sheet.csv", "sheet.tsv", "/maestro", "corpus: expected ")
"""The file, or what its pieces are together."""

CORPUS = {"labels": "midi", "validation_share": 0.15, "split_seed": 0, "exclude": {}}
LONGEST_WORK = 500


def check(data: bytes) -> None:
    """Read a case as a sheet of either kind and as MAESTRO's table; refuse it if none takes it."""
    reads = (_sheet(".csv"), _sheet(".tsv"), _maestro)
    taken_by_one(reads, (data,), CALLED)


@cache
def _folder() -> str:
    """Return a folder of recordings, of which a sheet may tell."""
    for name in NAMES:
        for suffix in (".wav", ".mid"):
            case_file(f"recordings/{name}{suffix}", b"")
    return str(scratch() / "recordings")


def _survey(kind: str, root: str, split: str | None) -> pd.DataFrame:
    table = survey_corpus({"kind": kind, "root": root, "split": split, **CORPUS}).table
    for column in ("work", "instrument"):
        for cell in table[column]:
            kinds = {unicodedata.category(sign) for sign in cell}
            expect(not kinds & {"Cc", "Cs", "Zl", "Zp"}, f"a {column} for no terminal: {cell!r}")
            expect(len(cell) <= LONGEST_WORK, f"a {column} of {len(cell)} characters")
    return table


def _sheet(suffix: str):
    def read(data: bytes) -> None:
        path = case_file(f"sheet{suffix}", data)
        found = _survey("folder", _folder(), str(path))
        table = pd.read_csv(
            io.BytesIO(data),
            sep="\t" if suffix == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
            skip_blank_lines=True,
        )
        table.columns = table.columns.str.strip()
        table = table.map(str.strip)
        table = table[table.astype(bool).any(axis=1)]
        expect(len(table) == len(found), f"{len(table)} rows, {len(found)} recordings")
        for column in set(table.columns) - {"name"}:
            read = sorted(found[column])
            expect(read == sorted(table[column]), f"{column}: {read}")
        expect(set(found["split"]) <= set(SPLITS), "a split that is none")

    return read


def _maestro(data: bytes) -> None:
    folder = case_file(f"maestro/{MAESTRO}", data).parent
    for name in (
        "a.wav",
        "a.midi",
        "b.flac",
        "b.midi",
        "{c}.wav",
        "{c}.midi",
        "2004/d.wav",
        "2004/d.midi",
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    table = _survey("maestro", str(folder), None)
    for path in (*table["audio"], *table["notes"]):
        expect(not {"{", "}"} & set(path[len(str(folder)) :]), f"Snakemake's wildcard in {path!r}")
        expect(".." not in path, f"a path that leads out: {path!r}")


HEADER = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"


def seeds() -> dict[str, bytes]:
    return {
        "csv": (
            b"name,split,work,instrument\na,training,W,P\nfolder/b,test,V,P\nd,validation,U 2,C5\n"
        ),
        "tsv": (
            "\ufeffname\tsplit\nÉtude\tvalidation\nd.wav\ttest_unseen_piano\na\ttraining\n"
        ).encode(),
        "maestro": (
            HEADER
            + 'Liszt,"Étude, ""La Campanella""",train,2004,a.midi,a.wav,1.5\n'
            + "Bach,Fuge,validation,2008,b.midi,b.wav,2\n"
            + "Bach,Air,test,2004,2004/d.midi,2004/d.wav,1\n"
        ).encode(),
    }


_cell = st.one_of(
    st.sampled_from(
        (
            *NAMES,
            *SPLITS,
            "E\u0301tude",
            "a.wav",
            "",
            " a ",
            '"a"',
            '"a\nb"',
            "train",
            "2004",
            " 2004\n",
            "a.midi",
            "{c}.wav",
            "{c}.midi",
            "../a.wav",
            "b.wav",
            "b.midi",
            "٢٠٠٤",
            "x" * 200,
            "x" * 9000,
            "\x1b[2J",
            "a\0",
        )
    ),
    st.text("ab ,\t\"'\r\u2028é", max_size=5),
)
_works = st.one_of(*[st.sampled_from(("W", "V", "Sonata in C", "Étude 3"))] * 7, _cell)
_instruments = st.one_of(*[st.sampled_from(("P", "C5", "unknown"))] * 7, _cell)
_sheet_rows = st.builds(
    # Of these splits, one has to be there of each, or hardly any sheet would be taken.
    lambda names, split, cells, more: [
        *zip(
            names, ("training", "validation", "test", split), *zip(*cells, strict=True), strict=True
        ),
        *more,
    ],
    st.permutations(NAMES),
    st.sampled_from((*SPLITS, "train")),
    st.lists(st.tuples(_works, _instruments), min_size=4, max_size=4),
    st.one_of(
        st.just([]),
        st.just([]),
        st.lists(
            st.tuples(
                st.sampled_from((*NAMES, "E\u0301tude", "d.wav", "")),
                st.sampled_from(SPLITS),
                _cell,
                _cell,
            ),
            max_size=2,
        ),
    ),
)


def drawn() -> st.SearchStrategy[bytes]:
    maestro_row = st.tuples(
        st.sampled_from(("Liszt", '"a, b"')),
        _cell,
        st.sampled_from(("train", "test", "validation")),
        st.one_of(st.just("2004"), _cell),
        st.sampled_from(("a.midi", "b.midi", "{c}.midi", "2004/d.midi", "../a.midi")),
        st.sampled_from(("a.wav", "b.wav", "{c}.wav", "2004/d.wav", "../a.wav")),
        st.just("1"),
    )
    ours = [
        ("Bach", "Air", "train", "2004", "a.midi", "a.wav", "1"),
        ("Bach", "Fuge", "validation", "2004", "b.midi", "b.wav", "1"),
        ("Bach", "Aria", "test", "2004", "2004/d.midi", "2004/d.wav", "1"),
    ]
    return st.one_of(
        st.builds(
            lambda columns, rows, mark, separator: (
                mark + "\n".join(separator.join(row[: len(columns)]) for row in [columns, *rows])
            ).encode("utf-8", "replace"),
            st.sampled_from((COLUMNS, COLUMNS[:2], COLUMNS[:3], ("name",), ("name", "name"))),
            _sheet_rows,
            st.sampled_from(("", "\ufeff")),
            st.sampled_from(("\t", ",")),
        ),
        st.lists(maestro_row, max_size=3).map(
            lambda rows: (HEADER + "".join(",".join(row) + "\n" for row in [*ours, *rows])).encode(
                "utf-8", "replace"
            )
        ),
    )


READER = Reader("sheets", check, seeds, drawn, called=CALLED, largest=1 << 12)
