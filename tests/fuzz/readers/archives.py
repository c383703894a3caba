"""Zips and tars: MAPS as it is distributed, and the archives that are fetched."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st

from at4ramt.corpus.maps_layout import find_maps
from at4ramt.corpus.sources import read_member
from at4ramt.errors import InputError
from at4ramt.features.audio import audio_seconds, open_audio
from at4ramt.features.labels import read_labels
from at4ramt.files import _member_sizes, file_of, member_bytes
from fuzz.harness import Reader, case_file, expect, scratch, taken_by_one
from fuzz.readers.audio import wav
from fuzz.readers.notes import HEADER

NAME = "MAPS_AkPnBcht_1.zip"
PIECE = "AkPnBcht/MUS/MAPS_MUS-a_AkPnBcht"
MOST_UNPACKED = 64 << 20
ELSEWHERE = Path("/tmp/at4ramt-escaped")
"""Where an archive may ask for by an absolute path; anybody could write there."""


def check(data: bytes) -> None:
    path = case_file(f"maps/{NAME}", data)
    # Deep enough that what leads out of it is still in a folder that is looked through.
    temporary = scratch() / "temporary" / "of" / "archives"
    temporary.mkdir(parents=True, exist_ok=True)
    before = set(scratch().rglob("*"))
    with mock.patch("tempfile.tempdir", str(temporary)):
        try:
            taken_by_one((_maps, _fetched), (path, data), ["maps"])
        finally:
            after = {*scratch().rglob("*"), *ELSEWHERE.parent.glob(ELSEWHERE.name)}
            outside = sorted({*after, *ELSEWHERE.rglob("*")} - before)
            for each in reversed(outside):
                each.rmdir() if each.is_dir() else each.unlink()
            expect(not outside, f"an archive wrote {outside}")


def _maps(path, data: bytes) -> None:
    recordings, _ = find_maps(str(path.parent), "txt")
    if not recordings:
        raise InputError(f"{path}: nothing in it")
    _member_sizes.cache_clear()
    for each in recordings[:2]:
        expect(member_bytes(each.audio, each.audio_member) >= 0, "a negative size")
        seconds = audio_seconds(each.audio, each.audio_member)
        with open_audio(each.audio, each.audio_member) as audio:
            expect(audio.seconds == seconds, f"{audio.seconds} s and {seconds} s")
        read_labels(each.notes, seconds, each.notes_member)
        with (
            file_of(each.audio, each.audio_member) as (unpacked, _),
            zipfile.ZipFile(path) as zipped,
        ):
            expect(unpacked.read_bytes() == zipped.read(each.audio_member), "another content")


def _fetched(path, data: bytes) -> None:
    content = read_member(path, f"{PIECE}.txt")
    expect(len(content) <= MOST_UNPACKED, f"{len(content)} bytes from {len(data)}")


AUDIO = wav(1, 1, 16000, 16, bytes(range(200)) * 20, {})
NOTES = HEADER + b"\n0.01\t0.1\t60\n"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as packed, warnings.catch_warnings():
        # Of two members of one name: they are meant.
        warnings.simplefilter("ignore")
        for name, data in members:
            packed.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, method)
    return content.getvalue()


def tarred(*members: tuple[str, bytes, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = data.decode("latin-1")
            packed.addfile(info, io.BytesIO(data))
    return gzip.compress(content.getvalue(), 1, mtime=0)


def seeds() -> dict[str, bytes]:
    maps = ((f"{PIECE}.wav", AUDIO), (f"{PIECE}.txt", NOTES), (f"{PIECE}.mid", b"MThd"))
    return {
        "deflated": zipped(*maps),
        "stored": zipped(*maps, method=zipfile.ZIP_STORED),
        "bzip2": zipped(*maps, method=zipfile.ZIP_BZIP2),
        "lzma": zipped(*maps, method=zipfile.ZIP_LZMA),
        "tar": tarred(("x/a", tarfile.REGTYPE, b"abc"), (f"{PIECE}.txt", tarfile.REGTYPE, NOTES)),
        "link to itself": tarred((f"{PIECE}.txt", tarfile.SYMTYPE, b"MAPS_MUS-a_AkPnBcht.txt")),
    }


def _lying(data: bytes, field: int, value: int, flag: int) -> bytes:
    """Change what a zip's directory and the heads of its members tell of their sizes and flags."""
    result = bytearray(data)
    for mark, sizes, flags in ((b"PK\1\2", 20, 8), (b"PK\3\4", 18, 6)):
        place = 0
        while (place := result.find(mark, place)) >= 0 and place + 40 < len(result):
            if field < 2:
                struct.pack_into("<I", result, place + sizes + 4 * field, value)
            if flag:
                result[place + flags] |= flag
            place += 4
    return bytes(result)


_names = st.sampled_from(
    (
        f"{PIECE}.wav",
        f"{PIECE}.txt",
        f"{PIECE}.mid",
        f"../../escaped/{PIECE}.wav",
        f"{ELSEWHERE}/{PIECE}.wav",
        "MAPS_MUS-../escaped_AkPnBcht.wav",
        "MAPS_MUS-b_AkPnBcht.wav/",
        "MAPS_MUS-b\n_AkPnBcht.wav",
        "MAPS_MUS-{b}_AkPnBcht.txt",
        "MAPS_MUS-b_AkPnBcht.wav",
        "MAPS_MUS-b_AkPnBcht.txt",
        "x" * 300,
    )
)
_contents = st.one_of(
    st.sampled_from((AUDIO, NOTES, b"", bytes(1 << 20), AUDIO[:60])), st.binary(max_size=50)
)


def drawn() -> st.SearchStrategy[bytes]:
    members = st.lists(st.tuples(_names, _contents), max_size=4)
    kinds = st.sampled_from(
        (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
    )
    return st.one_of(
        st.builds(
            lambda more, method, field, value, flag: _lying(
                zipped((f"{PIECE}.wav", AUDIO), (f"{PIECE}.txt", NOTES), *more, method=method),
                field,
                value,
                flag,
            ),
            members,
            st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)),
            st.sampled_from((2, 2, 0, 1)),
            st.sampled_from((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 100)),
            st.sampled_from((0, 0, 1, 0x20, 0x40)),
        ),
        st.builds(
            lambda parts: tarred(*parts),
            st.lists(st.tuples(_names, kinds, _contents.map(lambda data: data[:200])), max_size=3),
        ),
    )


READER = Reader("archives", check, seeds, drawn, called=["maps"], largest=1 << 13)
