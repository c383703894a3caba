"""The frame matrix: the shards' rows, magnitudes and centres, with silence between pieces."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.features.frames import load_frames


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_shard) -> list[str]:
    """Two shards, of two pieces and of one."""
    folder = tmp_path_factory.mktemp("frames")
    return [
        write_shard(folder / "one" / "I.parquet", ["a", "b"]),
        write_shard(folder / "two" / "J.parquet", ["c"]),
    ]


def test_rows_are_those_of_the_shards_as_pandas_reads_them(shards):
    matrix = load_frames(shards, padding=3, bins=slice(12, 180), edge=11)
    expected = pd.concat([pd.read_parquet(path) for path in shards], ignore_index=True)
    rows = matrix.piece >= 0
    assert matrix.frames == len(expected)
    np.testing.assert_array_equal(matrix.frame[rows], expected["frame"])
    np.testing.assert_array_equal(matrix.centre[rows], expected["centre"])
    np.testing.assert_array_equal(matrix.labels[rows], np.stack(expected["labels"]))
    real, imaginary = (
        np.stack(expected[name]).astype(np.float64)[:, 12:180] for name in ("real", "imag")
    )
    np.testing.assert_allclose(
        matrix.magnitudes[rows], np.sqrt(real**2 + imaginary**2), rtol=1e-6, atol=1e-9
    )
    names = [matrix.pieces[index] for index in matrix.piece[rows]]
    assert names == list(expected["piece"].astype(str))
    assert matrix.instruments == ("I", "I", "J")


def test_silence_stands_between_pieces_and_at_both_ends(shards):
    matrix = load_frames(shards, padding=3, bins=slice(12, 180), edge=11)
    silent = matrix.piece < 0
    assert not matrix.magnitudes[silent].any()
    assert not matrix.labels[silent].any()
    assert not matrix.centre[silent].any()
    runs = "".join("s" if flag else "f" for flag in silent)
    assert [len(run) for run in runs.replace("f", " ").split()] == [11, 3, 3, 11]


def test_what_cannot_be_trained_on_is_refused(shards, tmp_path):
    with pytest.raises(InputError, match="no shards"):
        load_frames([], padding=3, bins=slice(12, 180))
    with pytest.raises(InputError, match="piece a is in more than one shard"):
        load_frames([shards[0], shards[0]], padding=3, bins=slice(12, 180))
    damaged = tmp_path / "damaged.parquet"
    content = bytearray(Path(shards[0]).read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.parquet"):
        load_frames([damaged], padding=3, bins=slice(12, 180))


def test_frames_without_a_centre_are_refused(tmp_path, write_shard):
    quiet = write_shard(tmp_path / "quiet.parquet", ["d"], minimum_level=1e3)
    with pytest.raises(InputError, match="no frame can be the centre"):
        load_frames([quiet], padding=3, bins=slice(12, 180))
