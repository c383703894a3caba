"""Shards: the right frames, counted right, and no other file taken for one."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from at4ramt.errors import InputError
from at4ramt.features.piece_features import extract_piece
from at4ramt.features.power import active_power
from at4ramt.features.shards import (
    build_shard,
    check_shards,
    fixed_list_values,
    read_shard,
    shard_parts,
)

FEATURES = {
    "sample_rate_hz": 16000,
    "hop_length_samples": 512,
    "bins_per_pitch": 3,
    "lowest_pitch": 37,
    "pitches": 56,
    "margin_pitches": 4,
    "overtone_pitches": 0,
}
SHARDS = {"frame_step": 2, "minimum_level": 1e-3}
OPTIONS = {"split": "test", "instrument": "Y", "features": FEATURES, **SHARDS}


def make_piece(folder: Path, name: str, seed: int, **changes: int) -> Path:
    """Write a piece with labelled sound, labelled silence and unlabelled frames."""
    rng = np.random.default_rng(seed)
    time = np.arange(16000 * 4 + int(rng.integers(0, 9000))) / 16000
    # A note lasts longer on paper than in the audio, so that it is both silent and labelled.
    audio = 0.2 * np.sin(2 * np.pi * 440 * time) * (time > 0.5) * (time < 2)
    audio += 1e-6 * rng.standard_normal(len(time))
    soundfile.write(folder / f"{name}.wav", audio, 16000, subtype="FLOAT")
    low = int(rng.integers(30, 60))
    rows = [(0.5, 3.0, 69), (0.7, 1.3, low), (3.4, 3.5, 100), (1.0, 1.2, 35)]
    lines = [f"{onset}\t{offset}\t{pitch}\n" for onset, offset, pitch in rows]
    (folder / f"{name}.txt").write_text("OnsetTime\tOffsetTime\tMidiPitch\n" + "".join(lines))
    out = folder / f"{name}.parquet"
    extract_piece(
        folder / f"{name}.wav", folder / f"{name}.txt", out,
        piece=name, instrument="Y", features={**FEATURES, **changes},
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("features")
    return [make_piece(folder, name, seed) for seed, name in enumerate(["b", "a", "c"])]


@pytest.fixture(scope="module")
def shard(features: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "Y.parquet"
    build_shard(features, out, **OPTIONS)
    return out


@pytest.mark.parametrize("step", [1, 2, 3])
def test_counts_and_rows_equal_a_count_by_pandas(
    features: list[Path], tmp_path: Path, step: int
) -> None:
    out = tmp_path / "Y.parquet"
    summary = build_shard(features, out, **{**OPTIONS, "frame_step": step})
    kept = []
    for path in features:
        table = pd.read_parquet(path)
        table["piece"] = path.stem
        kept.append(table[table["frame"] % step == 0])
    expected = pd.concat(kept, ignore_index=True)
    labelled = expected["labels"].map(lambda row: row.any()).astype(bool)
    loud = expected["level"] >= np.float32(1e-3)
    centre = labelled & loud
    assert labelled.sum() > centre.sum() > 0 and (~labelled).sum() > 0
    assert summary["rows"] == len(expected)
    assert summary["centres"] == centre.sum()
    assert summary["dropped"] == {
        "no_label": (~labelled).sum(),
        "silent_level": (labelled & ~loud).sum(),
    }
    assert summary["active"] == np.stack(list(expected["labels"][centre])).sum(axis=0).tolist()
    assert summary["active"][69 - 37] == centre.sum() and 0 in summary["active"]
    assert [each["piece"] for each in summary["pieces"]] == ["b", "a", "c"]
    assert [each["rows"] for each in summary["pieces"]] == [len(table) for table in kept]
    assert sum(each["centres"] for each in summary["pieces"]) == centre.sum()
    for each, path in zip(summary["pieces"], features, strict=True):
        assert each["seconds"] == soundfile.info(path.with_suffix(".wav")).duration
    assert summary == json.loads((tmp_path / "Y.json").read_text())
    assert summary["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert summary["bytes"] == out.stat().st_size

    found = pd.read_parquet(out)
    assert list(found) == [
        "piece", "frame", "time_seconds", "level", "centre", "rms", "labels", "margin_labels",
        "real", "imag",
    ]  # fmt: skip
    assert found["piece"].astype(str).tolist() == expected["piece"].tolist()
    np.testing.assert_array_equal(found["centre"], centre)
    np.testing.assert_allclose(found["time_seconds"], expected["frame"] * 0.032, rtol=1e-6)
    for name in ("frame", "level"):
        np.testing.assert_array_equal(found[name], expected[name])
    for path in features:
        samples, rate = soundfile.read(path.with_suffix(".wav"), dtype="float32")
        rms = found.loc[found["piece"] == path.stem, "rms"]
        np.testing.assert_allclose(rms, active_power(samples, rate) ** 0.5, rtol=1e-6)
    for name in ("labels", "margin_labels", "real", "imag"):
        assert found[name][0].dtype == (np.uint8 if "labels" in name else np.float16)
        np.testing.assert_array_equal(np.stack(list(found[name])), np.stack(list(expected[name])))


def test_a_reader_who_knows_nothing_of_us_is_told(shard: Path) -> None:
    schema = pq.read_schema(shard)
    metadata = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    for name in schema.names:
        sentence = metadata[f"column.{name}"]
        assert len(sentence) > 30 and sentence.endswith(".")
    assert "in seconds" in metadata["column.time_seconds"]
    assert "at least 0.001" in metadata["column.centre"]
    assert metadata["split"] == "test" and metadata["frame_step"] == "2"


def test_storage(shard: Path) -> None:
    file = pq.ParquetFile(shard)
    assert file.metadata.num_row_groups == 3
    for group in range(3):
        columns = {}
        for index in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(index)
            columns[column.path_in_schema] = column
        for name in ("real.list.element", "imag.list.element", "level"):
            assert "BYTE_STREAM_SPLIT" in columns[name].encodings
            assert "RLE_DICTIONARY" not in columns[name].encodings
        assert "RLE_DICTIONARY" in columns["piece"].encodings


def test_a_piece_costs_its_own_name_however_many_there_are(
    features: list[Path], shard: Path, tmp_path: Path
) -> None:
    build_shard(features[:1], tmp_path / "Y.parquet", **OPTIONS)
    sizes = []
    for path in (tmp_path / "Y.parquet", shard):
        group = pq.read_metadata(path).row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
        (piece,) = [column for column in columns if column.path_in_schema == "piece"]
        sizes.append(piece.total_uncompressed_size)
    assert sizes[0] == sizes[1]


def test_parts_are_the_rows_in_order_and_none_is_long(
    shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("at4ramt.features.shards.PART_ROWS", 16)
    parts = list(shard_parts(shard, ["piece", "frame"]))
    assert max(map(len, parts)) == 16
    assert all(len(set(part.column("piece").to_pylist())) == 1 for part in parts)
    for name in ("piece", "frame"):
        found = [value for part in parts for value in part.column(name).to_pylist()]
        assert found == list(pd.read_parquet(shard)[name])


def test_reading_some_columns(shard: Path) -> None:
    table = read_shard(shard, columns=["piece", "labels"])
    assert table.column_names == ["piece", "labels"]
    expected = np.stack(list(pd.read_parquet(shard)["labels"]))
    np.testing.assert_array_equal(fixed_list_values(table, "labels"), expected)
    # Also where a table begins within a chunk.
    part = fixed_list_values(table.slice(70, 40), "labels")
    np.testing.assert_array_equal(part, expected[70:110])


def test_twice_gives_the_same_bytes(features: list[Path], shard: Path, tmp_path: Path) -> None:
    build_shard(features, tmp_path / "Y.parquet", **OPTIONS)
    for suffix in (".parquet", ".json"):
        again = (tmp_path / "Y").with_suffix(suffix)
        assert again.read_bytes() == shard.with_suffix(suffix).read_bytes()


def test_a_split_without_pieces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'test' has no pieces on 'Y'.*piece table"):
        build_shard([], tmp_path / "Y.parquet", **OPTIONS)


def test_a_piece_given_twice(features: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the piece 'a' is given twice"):
        build_shard([*features, features[1]], tmp_path / "Y.parquet", **OPTIONS)


def test_features_of_other_settings(features: list[Path], tmp_path: Path) -> None:
    other = make_piece(tmp_path, "other", 7, hop_length_samples=1024)
    with pytest.raises(InputError, match=r"other\.parquet: made with hop_\w+ 1024 \(.* 512\)"):
        build_shard([*features, other], tmp_path / "Y.parquet", **OPTIONS)
    assert not (tmp_path / "Y.parquet").exists()


@pytest.mark.parametrize(
    ("section", "key", "value", "was"),
    [("features", "lowest_pitch", 36, "37"), ("shards", "frame_step", 1, "2"),
     ("shards", "minimum_level", 0, "0.001")],
)  # fmt: skip
def test_a_shard_of_other_settings(
    shard: Path, section: str, key: str, value: int, was: str
) -> None:
    config = {"features": FEATURES, "shards": SHARDS}
    check_shards([shard], config)
    with pytest.raises(InputError, match=rf"Y\.parquet: made with {key} {was} \(.* {value}\)"):
        check_shards([shard], config | {section: {**config[section], key: value}})


@pytest.mark.parametrize("position", [0.2, 0.5, 0.8])
def test_a_damaged_byte(shard: Path, tmp_path: Path, position: float) -> None:
    content = bytearray(shard.read_bytes())
    # Behind the footer's start nothing has a checksum; the pages before it have.
    content[int(position * (len(content) - 20000))] ^= 0x10
    path = tmp_path / "Y.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Y\.parquet: this shard is corrupt.*snakemake shards"):
        read_shard(path)


@pytest.mark.parametrize("kept", [0, 3, 1000, -1])
def test_a_truncated_shard(shard: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "Y.parquet"
    path.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"Y\.parquet: this shard is corrupt.*delete the file"):
        read_shard(path)


def test_a_damaged_feature_file(features: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(features[0].read_bytes()[:-9])
    with pytest.raises(InputError, match=r"feature file is corrupt.*snakemake features"):
        build_shard([path], tmp_path / "Y.parquet", **OPTIONS)


def test_a_missing_shard(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Y\.parquet: no such shard.*run `snakemake shards`"):
        read_shard(tmp_path / "Y.parquet")


def test_somebody_else_s_parquet(tmp_path: Path) -> None:
    path = tmp_path / "Y.parquet"
    pd.DataFrame({"piece": ["x"], "frame": [0]}).to_parquet(path)
    with pytest.raises(InputError, match="not a shard of this workflow"):
        read_shard(path)


def test_a_feature_file_is_no_shard(features: list[Path]) -> None:
    with pytest.raises(InputError, match="the column 'piece' is missing"):
        read_shard(features[0])
    with pytest.raises(InputError, match="made with frame_step nan"):
        check_shards(features, {"features": FEATURES, "shards": SHARDS})


def test_a_column_of_another_type(shard: Path, tmp_path: Path) -> None:
    table = pq.read_table(shard)
    index = table.schema.get_field_index("level")
    table = table.set_column(index, "level", table.column("level").cast(pa.float64()))
    path = tmp_path / "Y.parquet"
    pq.write_table(table, path)
    with pytest.raises(InputError, match="'level' holds double; expected float"):
        read_shard(path)
