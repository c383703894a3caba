"""Shards: the frames of one split on one instrument, as training reads them.

A shard is a Parquet file that explains itself: each column is described in the
schema's metadata. Source: docs/method.md, "Features": every second frame is
kept; a frame may be a centre if it has a label and is loud enough.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from at4ramt.errors import InputError, mend, told
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.piece_features import (
    ROW_GROUP_ROWS,
    describe_columns,
    described_schema,
    feature_fields,
    parquet_writer,
)
from at4ramt.features.stored_settings import stored_settings
from at4ramt.files import file_digest, parse_json, whole_file, write_json
from at4ramt.limits import LONGEST_SECONDS
from at4ramt.parquet import UNREADABLE

log = logging.getLogger(__name__)

FRAMES_SLACK = 2.0
"""A piece has a frame for each hop, and one more at its ends."""

PART_ROWS = 1 << 13
"""Rows that are read at a time: nine minutes of every second frame."""

REBUILD_FEATURES = "delete the file and run `snakemake features` again"
REBUILD_SHARDS = "delete the file and run `snakemake shards` again"


@dataclass
class _Counts:
    """What a shard holds, added up piece by piece."""

    rows: int = 0
    centres: int = 0
    no_label: int = 0
    silent_level: int = 0


def build_shard(
    feature_paths: Sequence[str | Path],
    out: str | Path,
    *,
    split: str,
    instrument: str,
    features: dict[str, Any],
    frame_step: int,
    minimum_level: float,
) -> dict[str, Any]:
    """Write the shard of one split and instrument, and its counts beside it.

    One piece is in memory at a time, and is one row group of the file.

    Args:
        feature_paths: the pieces' feature files, in the order of their rows.
        out: the Parquet file; the counts go to the same name with ``.json``.
        split: name of the split.
        instrument: name of the instrument.
        features: the config's section: what the feature files were to be made with.
        frame_step: every how manyth frame is kept, those with
            ``frame % frame_step == 0``.
        minimum_level: least mean magnitude of a centre.

    Returns:
        What the JSON file holds: ``rows``, ``centres`` and why the other rows
        are none (``dropped``: without a label, or with one but below the
        level), ``active`` (centres at which each pitch sounds), ``pieces``,
        and the Parquet file's ``sha256`` and ``bytes``.

    Raises:
        InputError: if there are no pieces, if one is given twice, or if a
            feature file is corrupt or made with other settings.
    """
    out = Path(out)
    if not feature_paths:
        raise InputError(
            f"{out}: the split '{split}' has no pieces on '{instrument}'; expected at least one; "
            "add a row to the piece table"
        )
    heads = [_feature_head(path) for path in feature_paths]
    settings = CqtSettings.from_config(features)
    for path, head in zip(feature_paths, heads, strict=True):
        _check_made_with(path, head["settings"].as_dict(), settings.as_dict(), REBUILD_FEATURES)
    names = [head["piece"] for head in heads]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"{out}: the piece '{twice}' is given twice; expected each piece once; "
            "remove the second row from the piece table"
        )
    schema = _shard_schema(settings, split, instrument, frame_step, minimum_level)
    total = _Counts()
    active = np.zeros(settings.pitches, dtype=np.int64)
    pieces: list[dict[str, Any]] = []
    with whole_file(out) as temporary:
        with parquet_writer(temporary, schema) as writer:
            for path, head in zip(feature_paths, heads, strict=True):
                table = _read_table(path, None, "feature file", REBUILD_FEATURES)
                kept = table.column("frame").to_numpy() % frame_step == 0
                table = table.filter(pa.array(kept)).combine_chunks()
                level = table.column("level").to_numpy()
                labels = fixed_list_values(table, "labels")
                labelled = labels.any(axis=1)
                loud = level >= np.float32(minimum_level)
                centre = labelled & loud
                counts = _Counts(
                    len(table),
                    int(centre.sum()),
                    int((~labelled).sum()),
                    int((labelled & ~loud).sum()),
                )
                active += labels[centre].sum(axis=0, dtype=np.int64)
                total.rows += counts.rows
                total.centres += counts.centres
                total.no_label += counts.no_label
                total.silent_level += counts.silent_level
                pieces.append(
                    {
                        "piece": head["piece"],
                        "rows": counts.rows,
                        "centres": counts.centres,
                        "seconds": float(head["seconds"]),
                    }
                )
                power = head["active_power"]
                rows = _shard_rows(table, schema, head["piece"], settings, centre, power)
                writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        summary = {
            "split": split,
            "instrument": instrument,
            "rows": total.rows,
            "centres": total.centres,
            "dropped": {"no_label": total.no_label, "silent_level": total.silent_level},
            "pieces": pieces,
            "lowest_pitch": settings.lowest_pitch,
            "active": active.tolist(),
            "sha256": file_digest(temporary),
            "bytes": temporary.stat().st_size,
        }
    write_json(out.with_suffix(".json"), summary)
    log.info(
        "%d rows of %d pieces, %d centres (%d without a label, %d below the level)",
        total.rows,
        len(pieces),
        total.centres,
        total.no_label,
        total.silent_level,
    )
    return summary


def read_shard(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a shard, all of it or some columns, and check that it is one.

    Args:
        path: the Parquet file.
        columns: names of the columns; all by default.

    Returns:
        The table; its rows are in the order of the pieces and of their frames.

    Raises:
        InputError: if the file is missing, is no Parquet, is damaged or is not
            a shard.
    """
    _check_shard(path)
    return _read_table(path, columns, "shard", REBUILD_SHARDS)


def shard_parts(path: str | Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a shard a piece at a time, or :data:`PART_ROWS` of a longer one.

    Raises:
        InputError: if the file is missing, is no Parquet, is damaged or is not
            a shard.
    """
    _check_shard(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as opened:
            _check_row_groups(opened.metadata)
            for number in range(opened.num_row_groups):
                # Not read_row_group: of an hour it would have all columns in memory, and whoever
                # takes them their numbers in single precision.
                for batch in opened.iter_batches(
                    PART_ROWS, row_groups=[number], columns=list(columns), use_threads=False
                ):
                    part = pa.Table.from_batches([batch])
                    _check_values(part)
                    yield part
    except UNREADABLE as error:
        raise _corrupt(path, "shard", REBUILD_SHARDS, error) from error


def _check_shard(path: str | Path) -> None:
    schema, _ = _read_schema(path, "shard", REBUILD_SHARDS)
    settings = _settings(path, schema, "a shard", REBUILD_SHARDS)
    _check_fields(path, schema, _shard_fields(settings), REBUILD_SHARDS)


def read_features(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a piece's feature file, all of it or some columns, a row a frame in order.

    Raises:
        InputError: if the file is missing, is no Parquet, is damaged or is no feature file.
    """
    _feature_head(path)
    return _read_table(path, columns, "feature file", REBUILD_FEATURES)


def check_shards(paths: Sequence[str | Path], config: dict[str, Any]) -> None:
    """Refuse shards that were made with other settings than the configuration's.

    Args:
        paths: the Parquet files.
        config: has the sections ``features`` and ``shards``.

    Raises:
        InputError: if a shard is missing, is none, or was made with other settings.
    """
    for path in paths:
        schema, _ = _read_schema(path, "shard", REBUILD_SHARDS)
        found: dict[str, float] = {**_settings(path, schema, "a shard", REBUILD_SHARDS).as_dict()}
        for key in config["shards"]:
            try:
                found[key] = float(schema.metadata.get(key.encode(), b"nan"))
            except ValueError:
                found[key] = math.nan
        expected = {**CqtSettings.from_config(config["features"]).as_dict(), **config["shards"]}
        _check_made_with(path, found, expected, REBUILD_SHARDS)


def fixed_list_values(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """Return a FixedSizeList column as an array ``(rows, size)``."""
    column = table.column(name)
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    if not parts:
        return np.empty((0, size), dtype=column.type.value_type.to_pandas_dtype())
    return np.concatenate(parts).reshape(-1, size)


def _shard_fields(settings: CqtSettings) -> list[pa.Field]:
    features = {field.name: field for field in feature_fields(settings)}
    return [
        pa.field("piece", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        features["frame"],
        pa.field("time_seconds", pa.float32(), nullable=False),
        features["level"],
        pa.field("centre", pa.bool_(), nullable=False),
        pa.field("rms", pa.float32(), nullable=False),
        *(features[name] for name in features if name not in ("frame", "level")),
    ]


def _shard_schema(
    settings: CqtSettings, split: str, instrument: str, frame_step: int, minimum_level: float
) -> pa.Schema:
    descriptions = {
        **describe_columns(settings),
        "piece": "Name of the piece. The rows of a piece follow one another in time.",
        "time_seconds": "Time of the frame's centre from the start of its piece, in seconds.",
        "centre": (
            "Whether training and scores count this frame: it has a label and its level is at "
            f"least {minimum_level:g}. The others are context of their neighbours."
        ),
        "rms": (
            "Root of the active power of the piece's recording, full scale of the audio 1: noise "
            "of that root mean square would be as strong as the music. The same in all its rows."
        ),
    }
    return described_schema(
        _shard_fields(settings),
        descriptions,
        {
            "content": "shard",
            "about": (
                f"Every frame_step-th frame ({frame_step}) of the pieces of one split on one "
                "instrument: constant-Q transform of a piano recording and the pitches that "
                "sound. The magnitude of a bin is hypot(real, imag)."
            ),
            "split": split,
            "instrument": instrument,
            "frame_step": str(frame_step),
            "minimum_level": repr(float(minimum_level)),
            "features": json.dumps(settings.as_dict(), sort_keys=True),
        },
    )


def _shard_rows(
    table: pa.Table,
    schema: pa.Schema,
    name: str,
    settings: CqtSettings,
    centre: npt.NDArray[np.bool_],
    power: float,
) -> pa.Table:
    samples = table.column("frame").to_numpy().astype(np.int64) * settings.hop_length_samples
    seconds = samples / settings.sample_rate_hz
    added = {
        # Of one name: with those of all pieces in each row group, a shard of many short pieces is
        # mostly names.
        "piece": pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(table), np.int32)), pa.array([name], pa.string())
        ),
        "time_seconds": pa.array(seconds.astype(np.float32)),
        "centre": pa.array(centre),
        "rms": pa.array(np.full(len(table), np.sqrt(power), np.float32)),
    }
    return pa.Table.from_arrays(
        [added[f.name] if f.name in added else table.column(f.name) for f in schema], schema=schema
    )


def _feature_head(path: str | Path) -> dict[str, Any]:
    schema, rows = _read_schema(path, "feature file", REBUILD_FEATURES)
    settings = _settings(path, schema, "a feature file", REBUILD_FEATURES)
    _check_fields(path, schema, feature_fields(settings), REBUILD_FEATURES)
    metadata = schema.metadata
    try:
        head = {
            "piece": metadata[b"piece"].decode(),
            "seconds": float(metadata[b"seconds"]),
            "active_power": float(metadata[b"active_power"]),
            "settings": settings,
        }
        if not (0 < head["seconds"] <= LONGEST_SECONDS and 0 <= head["active_power"] < math.inf):
            raise ValueError(f"{head['seconds']:g} s of power {head['active_power']:g}")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: the metadata lacks the piece's name, length or power ({told(error)}); "
            f"expected a feature file of this workflow; {REBUILD_FEATURES}"
        ) from error
    frames = head["seconds"] * settings.sample_rate_hz / settings.hop_length_samples
    if abs(rows - frames) > FRAMES_SLACK:
        raise InputError(
            f"{path}: {rows} frames of a piece of {head['seconds']:g} s; expected about "
            f"{frames:.0f}; {REBUILD_FEATURES}"
        )
    return head


def _check_made_with(
    path: str | Path, found: dict[str, Any], expected: dict[str, Any], remedy: str
) -> None:
    differing = [
        f"{key} {found[key]:g} (the config says {value:g})"
        for key, value in expected.items()
        if found[key] != value
    ]
    if differing:
        raise InputError(f"{path}: made with {', '.join(differing)}; {remedy}")


def _read_schema(path: str | Path, kind: str, remedy: str) -> tuple[pa.Schema, int]:
    """Return the schema of a Parquet file, and how many rows it says it has."""
    if not Path(path).is_file():
        raise InputError(
            f"{path}: no such {kind}; expected a Parquet file; check the path, or "
            f"{remedy.removeprefix('delete the file and ')}"
        )
    try:
        with pq.ParquetFile(path) as opened:
            _check_row_groups(opened.metadata)
            return opened.schema_arrow, opened.metadata.num_rows
    except UNREADABLE as error:
        raise _corrupt(path, kind, remedy, error) from error


def _check_row_groups(metadata: pq.FileMetaData) -> None:
    """Raise ValueError for row groups that are larger than ours, before anything is made of them.

    A thousand million equal rows take a few bytes in a file.
    """
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if max(rows, default=0) > ROW_GROUP_ROWS or min(rows, default=0) < 0:
        raise ValueError(f"row groups of up to {max(rows)} rows; expected {ROW_GROUP_ROWS}")
    if sum(rows) != metadata.num_rows:
        raise ValueError(f"{sum(rows)} rows in row groups, {metadata.num_rows} in all")


def _check_values(table: pa.Table) -> None:
    """Raise ValueError for a gap, a number that is none, or a label other than 0 and 1."""
    for name in table.column_names:
        for chunk in table.column(name).chunks:
            if chunk.null_count or (
                isinstance(chunk, pa.FixedSizeListArray) and chunk.flatten().null_count
            ):
                raise ValueError(f"gaps in the column {name}")
            values = chunk.flatten() if isinstance(chunk, pa.FixedSizeListArray) else chunk
            if pa.types.is_floating(values.type) and not np.isfinite(values.to_numpy()).all():
                raise ValueError(f"numbers in the column {name} that are not finite")
            if name in ("labels", "margin_labels") and (values.to_numpy() > 1).any():
                raise ValueError(f"numbers in the column {name} other than 0 and 1")


def _read_table(
    path: str | Path, columns: Sequence[str] | None, kind: str, remedy: str
) -> pa.Table:
    try:
        table = pq.read_table(
            path,
            columns=None if columns is None else list(columns),
            use_threads=False,
            page_checksum_verification=True,
            # As one file: as a part of a folder of them, its path would be
            # searched for further columns.
            partitioning=None,
        )
        _check_values(table)
        if kind == "feature file" and "frame" in table.column_names:
            frame = table.column("frame").to_numpy()
            if not np.array_equal(frame, np.arange(len(frame))):
                raise ValueError("its frames are not numbered in order")
    except UNREADABLE as error:
        raise _corrupt(path, kind, remedy, error) from error
    return table


def _corrupt(path: str | Path, kind: str, remedy: str, error: Exception) -> InputError:
    return InputError(
        f"{path}: this {kind} is corrupt ({told(error)}); expected a whole Parquet file; "
        f"{mend(error, remedy)}"
    )


def _settings(path: str | Path, schema: pa.Schema, kind: str, remedy: str) -> CqtSettings:
    try:
        return stored_settings(parse_json((schema.metadata or {})[b"features"]))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: a Parquet file, but not {kind} of this workflow: its metadata has no "
            f"feature settings ({told(error)}); expected the columns' metadata; {remedy}"
        ) from error


def _check_fields(
    path: str | Path, schema: pa.Schema, expected: Sequence[pa.Field], remedy: str
) -> None:
    for field in expected:
        if field.name not in schema.names:
            raise InputError(
                f"{path}: the column '{field.name}' is missing; expected "
                f"{', '.join(f.name for f in expected)}; found "
                f"{told(', '.join(schema.names))}; {remedy}"
            )
        found = schema.field(field.name).type
        if found != field.type:
            raise InputError(
                f"{path}: the column '{field.name}' holds {found}; expected {field.type}; {remedy}"
            )
