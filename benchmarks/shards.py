"""Shards: bytes a frame and MB/s, beside raw float32, Parquet's defaults and HDF5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks import data
from benchmarks.measure import (
    Options,
    Section,
    Table,
    interleaved,
    main_of_section,
    ratios,
    row,
    timed,
)

TEXT = """\
The transform's real and imaginary parts and the labels of a shard, made of synthetic recordings \
of four minutes, written and read in several ways, by turns. Ours is the shard's writer and \
`read_shard`, checksums verified. *MB* are those of the numbers as float32 in all rows, so that \
rates compare times for the same frames; files are in the cache, nothing waits for a disk. `raw \
float32` holds the numbers as one block each (`numpy.save`). `default Parquet` is `pyarrow`'s \
`write_table`, once of the same half-precision columns and once of float32. `HDF5` has \
half-precision data sets, as they are and with gzip and shuffle. Reading ends with NumPy arrays \
of what is stored. One thread."""

COLUMNS = ("labels", "margin_labels", "real", "imag")
OURS = "shard"

Write = Callable[[Path], None]
Read = Callable[[Path], dict[str, Any]]


def main(options: Options) -> Section:
    """Measure all ways on one shard."""
    pa.set_cpu_count(1)
    section = Section("Shards", TEXT)
    folder = Path(options.folder)
    shard = data.shards_of(folder, options.size(6, 2), options.size(240, 30))["training"]
    ways = _ways(shard)
    expected = {name: values.astype(np.float32) for name, values in ways[OURS][1](shard).items()}
    megabytes = sum(values.nbytes for values in expected.values()) / 1e6
    frames = len(expected["real"])
    paths = {name: folder / f"way_{number}" for number, name in enumerate(ways)}
    repeats = options.size(7, 2)
    written = interleaved(
        {name: lambda name=name: timed(lambda: ways[name][0](paths[name])) for name in ways},  # type: ignore[misc]
        repeats,
    )
    read = interleaved(
        {name: lambda name=name: timed(lambda: ways[name][1](paths[name])) for name in ways},  # type: ignore[misc]
        repeats,
    )
    for name, (_, reader) in ways.items():
        for column, values in reader(paths[name]).items():
            if not np.array_equal(values.astype(np.float32), expected[column]):
                raise AssertionError(f"{name}: {column} is not what was written")
    sizes = {name: _bytes(path) / frames for name, path in paths.items()}
    lines = []
    for name in ways:
        write = [took.wall for took in written[name]]
        load = [took.wall for took in read[name]]
        lines.append(
            [name, f"{sizes[name]:.0f}", f"{megabytes / np.median(write):.0f}",
             f"{megabytes / max(write):.0f} to {megabytes / min(write):.0f}",
             f"{megabytes / np.median(load):.0f}",
             f"{megabytes / max(load):.0f} to {megabytes / min(load):.0f}"]
        )  # fmt: skip
        if name == OURS:
            continue
        section.rows += [
            row(f"shards: bytes a frame, {name} / ours", [sizes[name] / sizes[OURS]]),
            row(f"shards: writing, {name} / ours, time",
                ratios(write, [took.wall for took in written[OURS]])),
            row(f"shards: reading, {name} / ours, time",
                ratios(load, [took.wall for took in read[OURS]])),
        ]  # fmt: skip
    section.tables.append(
        Table(
            f"{frames:,} frames of {1e6 * megabytes / frames:,.0f} bytes in float32",
            ["", "bytes a frame", "write [MB/s]", "from, to", "read [MB/s]", "from, to"],
            lines,
        )
    )
    return section


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.iterdir())


def _ways(shard: Path) -> dict[str, tuple[Write, Read]]:
    """Return how each way writes the shard's numbers, and reads them."""
    from at4ramt.features.piece_features import ROW_GROUP_ROWS, parquet_writer
    from at4ramt.features.shards import fixed_list_values, read_shard

    whole = read_shard(shard)
    arrays = {name: fixed_list_values(whole, name) for name in COLUMNS}
    single = {name: values.astype(np.float32) for name, values in arrays.items()}
    half_table = whole.select(COLUMNS).replace_schema_metadata()
    single_table = pa.table(
        {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for name, values in single.items()
        }
    )

    def write_shard(path: Path) -> None:
        with parquet_writer(path, whole.schema) as writer:
            writer.write_table(whole, row_group_size=ROW_GROUP_ROWS)

    def load_shard(path: Path) -> dict[str, Any]:
        table = read_shard(path, COLUMNS)
        return {name: fixed_list_values(table, name) for name in COLUMNS}

    def write_raw(path: Path) -> None:
        path.mkdir(exist_ok=True)
        for name, values in single.items():
            np.save(path / f"{name}.npy", values)

    def load_raw(path: Path) -> dict[str, Any]:
        return {name: np.load(path / f"{name}.npy") for name in COLUMNS}

    def load_table(path: Path) -> dict[str, Any]:
        table = pq.read_table(path, use_threads=False, partitioning=None)
        return {name: fixed_list_values(table, name) for name in COLUMNS}

    ways: dict[str, tuple[Write, Read]] = {
        OURS: (write_shard, load_shard),
        "raw float32": (write_raw, load_raw),
        "default Parquet, half": (lambda path: pq.write_table(half_table, path), load_table),
        "default Parquet, float32": (lambda path: pq.write_table(single_table, path), load_table),
    }
    try:
        import h5py
    except ImportError:  # it comes with Keras
        return ways

    def hdf5(**how: Any) -> tuple[Write, Read]:
        def write(path: Path) -> None:
            with h5py.File(path, "w") as opened:
                for name, values in arrays.items():
                    opened.create_dataset(name, data=values, **how)

        def load(path: Path) -> dict[str, Any]:
            with h5py.File(path, "r") as opened:
                return {name: opened[name][()] for name in COLUMNS}

        return write, load

    ways["HDF5, half"] = hdf5()
    ways["HDF5, half, gzip"] = hdf5(compression="gzip", shuffle=True)
    return ways


if __name__ == "__main__":
    main_of_section(main)
