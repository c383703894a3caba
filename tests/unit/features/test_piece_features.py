"""A piece's feature file: what is in it, how it is stored, what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile

from at4ramt.errors import InputError
from at4ramt.features import piece_features, stream
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.frames import load_frames
from at4ramt.features.piece_features import extract_piece
from at4ramt.features.shards import build_shard

FEATURES = {
    "sample_rate_hz": 16000,
    "hop_length_samples": 512,
    "bins_per_pitch": 3,
    "lowest_pitch": 37,
    "pitches": 56,
    "margin_pitches": 4,
    "margin_above_pitches": 4,
    "overtone_pitches": 0,
}
HEADER = "OnsetTime\tOffsetTime\tMidiPitch\n"
# One below the core (in the margin), two in it, one above, one outside of all.
NOTES = [(0.5, 1.5, 35), (0.5, 1.0, 37), (1.0, 2.0, 92), (1.2, 1.9, 96), (0.2, 2.0, 100)]


def tones(seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    audio = np.zeros_like(time)
    for onset, offset, pitch in NOTES:
        sounding = (time >= onset) & (time < offset)
        audio += 0.1 * sounding * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
    return audio


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("piece")
    soundfile.write(folder / "x.wav", np.stack([tones(2.5, 44100)] * 2, axis=1), 44100)
    lines = [f"{onset}\t{offset}\t{pitch}\n" for onset, offset, pitch in NOTES]
    (folder / "x.txt").write_text(HEADER + "".join(lines))
    return folder / "x.wav", folder / "x.txt"


@pytest.fixture(scope="module")
def made(sources: tuple[Path, Path]) -> Path:
    out = sources[0].parent / "x.parquet"
    extract_piece(*sources, out, piece="MAPS_MUS-x_Y", instrument="Y", features=FEATURES)
    return out


def test_pandas_reads_what_was_put_in(made: Path) -> None:
    table = pd.read_parquet(made)
    assert list(table) == ["frame", "level", "labels", "margin_labels", "real", "imag"]
    assert len(table) == 1 + 40000 // 512
    assert table["frame"].tolist() == list(range(79))
    seconds = table["frame"].to_numpy() * 512 / 16000
    labels = np.stack(list(table["labels"]))
    margin = np.stack(list(table["margin_labels"]))
    sounding = {pitch: (on <= seconds) & (seconds < off) for on, off, pitch in NOTES}
    expected = np.zeros((79, 56), np.uint8)
    expected[:, 0], expected[:, 55] = sounding[37], sounding[92]
    np.testing.assert_array_equal(labels, expected)
    expected_margin = np.zeros((79, 8), np.uint8)
    expected_margin[:, 2], expected_margin[:, 7] = sounding[35], sounding[96]
    np.testing.assert_array_equal(margin, expected_margin)

    # The tones at 16 kHz, computed without the file: resampling may not matter.
    transform = complex_cqt(tones(2.5, 16000).astype("f4"), CqtSettings.from_config(FEATURES))
    real = np.stack(list(table["real"])).astype(np.float32)
    imag = np.stack(list(table["imag"])).astype(np.float32)
    # The tones' sudden ends hold what 16 kHz cannot, hence not closer.
    difference = np.hypot(real, imag) - np.abs(transform)
    assert np.linalg.norm(difference) < 5e-3 * np.linalg.norm(transform)
    magnitude = np.hypot(real, imag)[:, 12:180]
    np.testing.assert_allclose(table["level"], magnitude.mean(axis=1), rtol=1e-5)


def test_the_file_describes_itself(made: Path) -> None:
    schema = pq.read_schema(made)
    metadata = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    for name in schema.names:
        assert metadata[f"column.{name}"].endswith(".")
    assert json.loads(metadata["features"]) == FEATURES
    assert metadata["piece"] == "MAPS_MUS-x_Y"
    assert metadata["instrument"] == "Y"
    assert float(metadata["seconds"]) == 2.5
    assert "frame * 512 / 16000 seconds" in metadata["column.frame"]
    assert "56 numbers, one a pitch from MIDI 37 to 92" in metadata["column.labels"]
    assert "33 to 36" in metadata["column.margin_labels"]
    assert "93 to 96" in metadata["column.margin_labels"]


def test_floats_are_stored_by_significance_and_without_dictionaries(made: Path) -> None:
    group = pq.ParquetFile(made).metadata.row_group(0)
    encodings = {}
    for index in range(group.num_columns):
        column = group.column(index)
        assert column.compression == "ZSTD"
        encodings[column.path_in_schema] = set(column.encodings)
    for name in ("real.list.element", "imag.list.element", "level"):
        assert "BYTE_STREAM_SPLIT" in encodings[name]
    assert not any("DICTIONARY" in one for each in encodings.values() for one in each)
    schema = pq.read_schema(made)
    assert str(schema.field("real").type) == "fixed_size_list<element: halffloat>[192]"
    assert str(schema.field("labels").type) == "fixed_size_list<element: uint8>[56]"


def test_twice_gives_the_same_bytes(made: Path, sources: tuple[Path, Path]) -> None:
    out = made.parent / "again.parquet"
    extract_piece(*sources, out, piece="MAPS_MUS-x_Y", instrument="Y", features=FEATURES)
    assert out.read_bytes() == made.read_bytes()


@pytest.mark.parametrize("spooled", [0, 1 << 30])
def test_in_blocks_it_is_the_same_table_with_a_row_group_a_block(
    monkeypatch: pytest.MonkeyPatch, made: Path, sources: tuple[Path, Path], spooled: int
) -> None:
    """Memory is that of a block then, so no part of the code may need the whole."""
    seen = []
    labels = piece_features.frame_labels

    def frame_labels(notes, frames, settings, first):
        seen.append((first, frames))
        return labels(notes, frames, settings, first)

    monkeypatch.setattr(piece_features, "WHOLE_SECONDS", 1)
    monkeypatch.setattr(piece_features, "SPOOLED_BYTES", spooled)
    monkeypatch.setattr(piece_features, "frame_labels", frame_labels)
    monkeypatch.setattr(stream, "BLOCK_FRAMES", 16)
    out = made.parent / "blocks.parquet"
    extract_piece(*sources, out, piece="MAPS_MUS-x_Y", instrument="Y", features=FEATURES)
    metadata = pq.read_metadata(out)
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert rows[:2] == [16, 16] and sum(rows) == 79
    assert seen == [(sum(rows[:number]), rows[number]) for number in range(len(rows))]
    assert pq.read_schema(out).equals(pq.read_schema(made), check_metadata=True)
    found, whole = pd.read_parquet(out), pd.read_parquet(made)
    for name in ("frame", "labels", "margin_labels"):
        assert [np.array(row).tolist() for row in found[name]] == [
            np.array(row).tolist() for row in whole[name]
        ]
    for name in ("level", "real", "imag"):
        values, expected = (np.stack([*table[name]]).astype(float) for table in (found, whole))
        np.testing.assert_allclose(values, expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "subtype", "channels"),
    [(22050, "PCM_24", 1), (48000, "PCM_32", 2), (96000, "FLOAT", 1), (8000, "PCM_16", 2)],
)
def test_other_formats_give_the_same_features(
    tmp_path: Path, made: Path, rate: int, subtype: str, channels: int
) -> None:
    def write(path: Path, rate: int, channels: int, subtype: str) -> None:
        # Steady tones below 3.2 kHz under one slow fade: all rates can hold them.
        time = np.arange(2 * rate) / rate
        audio = np.sin(np.pi * time / 2) ** 2 * sum(
            0.1 * np.sin(2 * np.pi * hz * time) for hz in (82.4, 440.0, 1318.5, 2093.0)
        )
        soundfile.write(path, np.stack([audio] * channels, axis=1), rate, subtype=subtype)

    (tmp_path / "x.txt").write_text(HEADER + "0\t2\t69\n")
    magnitudes = []
    for name, form in (("a", (16000, 1, "FLOAT")), ("b", (rate, channels, subtype))):
        write(tmp_path / f"{name}.wav", *form)
        out = tmp_path / f"{name}.parquet"
        extract_piece(
            tmp_path / f"{name}.wav", tmp_path / "x.txt", out,
            piece="x", instrument="y", features=FEATURES,
        )  # fmt: skip
        table = pd.read_parquet(out)
        magnitudes.append(
            np.hypot(*(np.stack(list(table[part])).astype("f4") for part in ("real", "imag")))
        )
    error = np.linalg.norm(magnitudes[1] - magnitudes[0]) / np.linalg.norm(magnitudes[0])
    assert error < 5e-4


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ("Onset\tOffset\tPitch\n0\t1\t60\n", "header"),
        (HEADER, "no notes"),
        (HEADER + "0\t1\t60\n1\t0.5\t61\n", "line 3"),
        (HEADER + "0\t1\t60\n1\t2\t128\n", "line 3"),
        (HEADER + "0\t1\t60\n3\t4\t61\n", "line 3"),
        (HEADER + "0\t3.6\t60\n", "ends at 3.60 s"),
    ],
)
def test_wrong_notes_leave_no_file(
    tmp_path: Path, sources: tuple[Path, Path], notes: str, message: str
) -> None:
    (tmp_path / "x.txt").write_text(notes)
    out = tmp_path / "x.parquet"
    with pytest.raises(InputError, match=message) as caught:
        extract_piece(
            sources[0], tmp_path / "x.txt", out, piece="x", instrument="y", features=FEATURES
        )
    assert "x.txt" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.txt"]


def test_notes_of_a_much_shorter_piece(tmp_path: Path) -> None:
    time = np.arange(16000 * 15) / 16000
    soundfile.write(tmp_path / "x.wav", 0.1 * np.sin(2 * np.pi * 440 * time), 16000)
    (tmp_path / "x.txt").write_text(HEADER + "0\t3\t69\n")
    with pytest.raises(InputError, match=r"12\.\d s of the rest as loud as music"):
        extract_piece(
            tmp_path / "x.wav", tmp_path / "x.txt", tmp_path / "x.parquet",
            piece="x", instrument="y", features=FEATURES,
        )  # fmt: skip


def test_overtones_above_the_core_leave_it_where_it_is(
    sources: tuple[Path, Path], made: Path
) -> None:
    out = sources[0].parent / "high.parquet"
    features = FEATURES | {"margin_above_pitches": 26}
    extract_piece(*sources, out, piece="MAPS_MUS-x_Y", instrument="Y", features=features)
    found, usual = pd.read_parquet(out), pd.read_parquet(made)
    labels, margin = (np.stack(list(found[name])) for name in ("labels", "margin_labels"))
    np.testing.assert_array_equal(labels, np.stack(list(usual["labels"])))
    assert margin.shape == (79, 4 + 26)
    np.testing.assert_array_equal(margin[:, :8], np.stack(list(usual["margin_labels"])))
    # The note above the usual margin, MIDI 100, is in this one.
    seconds = np.arange(79) * 512 / 16000
    high = (seconds >= 0.2) & (seconds < 2.0)
    np.testing.assert_array_equal(margin[:, 4 + 100 - 93], high)
    assert margin[:, 8:].sum() == high.sum()
    real, imag, *parts = (
        np.stack(list(table[name])).astype(float)
        for table in (found, usual)
        for name in ("real", "imag")
    )
    assert real.shape == (79, 3 * (4 + 56 + 26))
    # Octaves are cut elsewhere, as librosa cuts them, and the highest bins of each lie near half of
    # its rate: they are softer than with less above, but where they were.
    heard, expected = np.hypot(real, imag)[:, :192], np.hypot(*parts)
    at_once = (seconds >= 0.6) & (seconds < 0.9)  # one note in the core, away from onsets
    loudest = heard[at_once].argmax(axis=1)
    np.testing.assert_array_equal(loudest, expected[at_once].argmax(axis=1))
    np.testing.assert_allclose(heard[at_once, loudest], expected[at_once, loudest], rtol=0.02)
    np.testing.assert_allclose(found["level"][at_once], usual["level"][at_once], rtol=0.02)
    assert (
        "33 to 36 and then 93 to 118"
        in pq.read_schema(out).metadata[b"column.margin_labels"].decode()
    )
    # What a network for these bins loads, and what the others do.
    shard = out.with_name("H.parquet")
    build_shard(
        [out], shard, split="test", instrument="H", features=features, frame_step=2,
        minimum_level=0.001,
    )  # fmt: skip
    rows = np.hypot(real, imag)[::2]
    settings = CqtSettings.from_config(features)
    for bins in (settings.core, slice(settings.core.start, settings.bins)):
        matrix = load_frames([shard], padding=3, bins=bins)
        kept = matrix.magnitudes[matrix.piece >= 0]
        np.testing.assert_allclose(kept, rows[:, bins], rtol=1e-3, atol=1e-6)


def test_without_a_margin_there_are_no_labels_of_it(sources: tuple[Path, Path], made: Path) -> None:
    out = sources[0].parent / "narrow.parquet"
    features = FEATURES | {"margin_pitches": 0, "margin_above_pitches": None}
    extract_piece(*sources, out, piece="MAPS_MUS-x_Y", instrument="Y", features=features)
    found, wide = pd.read_parquet(out), pd.read_parquet(made)
    assert list(found) == ["frame", "level", "labels", "real", "imag"]
    np.testing.assert_array_equal(np.stack(list(found["labels"])), np.stack(list(wide["labels"])))
    parts = [np.stack(list(table["real"])).astype(float) for table in (found, wide)]
    # Other octaves have other filters: equal away from where tones begin and end.
    assert parts[0].shape == (79, 168) and parts[1].shape == (79, 192)
    assert np.corrcoef(parts[0].ravel(), parts[1][:, 12:180].ravel())[0, 1] > 0.99
    shard = out.with_name("Y.parquet")
    build_shard(
        [out], shard, split="test", instrument="Y", features=features, frame_step=2,
        minimum_level=0.001,
    )  # fmt: skip
    kept = load_frames([shard], padding=3, bins=slice(0, 168))
    rows = kept.piece >= 0
    magnitudes = np.hypot(parts[0], np.stack(list(found["imag"])).astype(float))[::2]
    np.testing.assert_allclose(kept.magnitudes[rows], magnitudes, rtol=1e-3, atol=1e-6)
