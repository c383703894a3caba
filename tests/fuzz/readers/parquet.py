"""Files of features and shards: what is taken must be whole, in order and made of numbers."""

from __future__ import annotations

import io
import json
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from at4ramt.features.cqt import CqtSettings
from at4ramt.features.frames import load_frames
from at4ramt.features.piece_features import (
    describe_columns,
    described_schema,
    feature_fields,
    parquet_writer,
)
from at4ramt.features.shards import (
    build_shard,
    check_shards,
    fixed_list_values,
    read_features,
    read_shard,
    shard_parts,
)
from fuzz.harness import Reader, case_file, expect, scratch, taken_by_one

NAME = "piece.parquet"
FEATURES = {
    "sample_rate_hz": 16000,
    "hop_length_samples": 512,
    "bins_per_pitch": 1,
    "lowest_pitch": 60,
    "pitches": 2,
    "margin_pitches": 1,
    "margin_above_pitches": None,
    "overtone_pitches": 0,
}
SHARDS = {"frame_step": 2, "minimum_level": 0.001}
SETTINGS = CqtSettings.from_config(FEATURES)
ROWS = 12
FEW_BYTES = 8

# Arrow's own allocators, and a thread for each core, take gigabytes of addresses at once.
pa.set_memory_pool(pa.system_memory_pool())
pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def check(data: bytes) -> None:
    path = case_file(NAME, data)
    # A shard of a damaged file of features is refused by the name of either.
    taken_by_one((_features, _shard), (path, data), [NAME, "shard.parquet"])


def _features(path, data: bytes) -> None:
    table = read_features(path)
    _check_table(table, data)
    out = scratch() / "shard.parquet"
    summary = build_shard([path], out, split="test", instrument="P", features=FEATURES, **SHARDS)
    frame = table.column("frame").to_numpy()
    expect(bool((frame == np.arange(len(frame))).all()), "frames out of order are built on")
    kept = -(-len(frame) // 2)
    expect(summary["rows"] == kept == len(read_shard(out)), f"{summary['rows']} of {kept} rows")


def _shard(path, data: bytes) -> None:
    table = read_shard(path)
    check_shards([path], {"features": FEATURES, "shards": SHARDS})
    _check_table(table, data)
    columns = ["frame", "centre", "real"]
    rows = sum(len(part) for part in shard_parts(path, columns))
    expect(rows == len(table), f"{rows} rows in parts, {len(table)} in all")
    matrix = load_frames([path], padding=3, bins=SETTINGS.core)
    expect(matrix.frames == len(table), "frames are lost")
    expect(bool(np.isfinite(matrix.magnitudes).all()), "a magnitude is not a number")


def _check_table(table: pa.Table, data: bytes) -> None:
    for name in ("labels", "real", "imag"):
        values = fixed_list_values(table, name)
        expect(len(values) == len(table), f"{len(values)} rows of {name}, {len(table)} in all")
        expect(bool(np.isfinite(values).all()), f"{name} is not finite")
        if name == "labels":
            expect(bool((values <= 1).all()), "a label of more than 1")
    for seed in seeds().values():
        # A few bytes that changed are damage: it is refused, or what is read is as it was.
        if len(seed) == len(data) and _differing(seed, data) <= FEW_BYTES:
            original = pq.read_table(io.BytesIO(seed))
            for name in ("frame", "level", "labels", "real", "imag"):
                same = table.column(name).equals(original.column(name))
                expect(same, f"the column {name} was read, and is not what was written")


def _differing(one: bytes, other: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)))


def features(
    rows: int = ROWS,
    *,
    seconds: str | None = None,
    power: str = "0.01",
    settings: object = None,
    frame: np.ndarray | None = None,
    level: float = 0.05,
    label: int = 1,
    real: float = 0.25,
    gaps: str = "",
    groups: int = 1,
) -> bytes:
    """Return a file of features, right but for what is said."""
    fields = feature_fields(SETTINGS)
    if gaps:
        fields = [pa.field(f.name, f.type, nullable=f.name == gaps) for f in fields]
    about = {
        "content": "features of one piece",
        "piece": "piece",
        "instrument": "P",
        "seconds": repr((rows - 0.5) * 512 / 16000) if seconds is None else seconds,
        "active_power": power,
        "features": json.dumps(SETTINGS.as_dict()) if settings is None else str(settings),
    }
    schema = described_schema(fields, describe_columns(SETTINGS), about)
    labels = np.zeros((rows, 2), np.uint8)
    labels[rows // 3 :, 0] = label
    values = {
        "frame": np.arange(rows, dtype=np.int32) if frame is None else frame.astype(np.int32),
        "level": np.full(rows, level, np.float32),
        "labels": labels,
        "margin_labels": labels * 0,
        "real": np.full((rows, 4), real, np.float16),
        "imag": np.linspace(0, 1, rows * 4).reshape(rows, 4).astype(np.float16),
    }
    columns = []
    for field in schema:
        cells = values[field.name].tolist()
        if field.name == gaps:
            cells[len(cells) // 2] = None
        columns.append(pa.array(cells, field.type))
    table = pa.Table.from_arrays(columns, schema=schema)
    written = io.BytesIO()
    with parquet_writer(written, schema) as writer:
        writer.write_table(table, row_group_size=max(1, -(-rows // groups)))
    return written.getvalue()


@cache
def seeds() -> dict[str, bytes]:
    plain = features()
    source = case_file("source.parquet", plain)
    out = scratch() / "made.parquet"
    build_shard([source], out, split="test", instrument="P", features=FEATURES, **SHARDS)
    return {"features": plain, "shard": out.read_bytes()}


def drawn() -> st.SearchStrategy[bytes]:
    number = st.sampled_from(("0.3", "nan", "inf", "-1", "1e9", "x", "", "0"))
    settings = st.sampled_from(
        (
            "{}",
            "[]",
            "x",
            "null",
            "[" * 5000,
            json.dumps(SETTINGS.as_dict() | {"pitches": 10**9}),
            json.dumps(SETTINGS.as_dict() | {"pitches": float("inf")}),
            json.dumps(SETTINGS.as_dict() | {"pitches": -1}),
            json.dumps(SETTINGS.as_dict() | {"margin_pitches": 10**12}),
            json.dumps(SETTINGS.as_dict() | {"hop_length_samples": 0}),
            json.dumps(SETTINGS.as_dict() | {"bins_per_pitch": "a"}),
        )
    )
    wrong = st.fixed_dictionaries(
        {},
        optional={
            "seconds": number,
            "power": number,
            "settings": settings,
            "frame": st.permutations(range(ROWS)).map(np.array),
            "level": st.sampled_from((0.0, float("nan"), float("inf"), 1e-9)),
            "label": st.sampled_from((0, 2, 255)),
            "real": st.sampled_from((float("nan"), float("inf"), 60000.0)),
            "gaps": st.sampled_from(("frame", "level", "labels", "real")),
            "groups": st.sampled_from((2, 5)),
        },
    )
    return wrong.map(lambda changes: features(**changes))


READER = Reader("parquet", check, seeds, drawn, called=[".parquet"], megabytes=1024)

# Arrow loads libraries and starts threads with the first file it reads, which are no file's doing.
for _right in seeds().values():
    check(_right)
