"""The frame matrix: all frames of a split in one flat array, with silence between pieces.

Windows are never materialised. A window of 7 frames is 7 neighbouring rows of
the matrix; because each piece is followed by as many rows of silence as a
window reaches to one side, no window crosses from one piece into the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.shards import fixed_list_values, shard_parts

ROW_OF_PADDING = -1
# TensorFlow shares the memory of arrays that begin at such a multiple of bytes, and copies others.
ALIGNED_BYTES = 64


@dataclass(frozen=True)
class FrameMatrix:
    """Frames of several pieces, one row a frame.

    Attributes:
        magnitudes: CQT magnitudes, float32, ``(rows, bins)``; zero in padding rows.
        labels: 1 where a pitch is active, uint8, ``(rows, pitches)``.
        centre: whether a row may be the centre of a window, bool, ``(rows,)``.
        piece: index into ``pieces``, or -1 in padding rows, int32, ``(rows,)``.
        frame: frame index within the piece at full rate, or -1, int32, ``(rows,)``.
        pieces: names of the pieces, in the order of their rows.
        instruments: instrument of each piece.
        padding: rows of silence between pieces.
        edge: rows of silence before the first piece and after the last.
        real: real part of the transform, float16, ``(rows, bins)``, zero in padding rows; None
            unless it was asked for.
        imag: imaginary part likewise.
        rms: root of the active power of a row's piece, float32, ``(rows,)``, likewise.
        transpose: pitches on either side of the others, in bins and labels, that only a
            transposition uses.
    """

    magnitudes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    centre: npt.NDArray[np.bool_]
    piece: npt.NDArray[np.int32]
    frame: npt.NDArray[np.int32]
    pieces: tuple[str, ...]
    instruments: tuple[str, ...]
    padding: int
    edge: int
    real: npt.NDArray[np.float16] | None = None
    imag: npt.NDArray[np.float16] | None = None
    rms: npt.NDArray[np.float32] | None = None
    transpose: int = 0

    def untransposed(self, bins: int) -> FrameMatrix:
        """Return the same frames in the network's ``bins`` and pitches alone, as views."""
        if not self.transpose:
            return self
        beside = (self.magnitudes.shape[1] - bins) // 2
        cut = {
            name: part[:, beside : beside + bins]
            for name in ("magnitudes", "real", "imag")
            if (part := getattr(self, name)) is not None
        }
        labels = self.labels[:, self.transpose : -self.transpose]
        return replace(self, **cut, labels=labels, transpose=0)

    @property
    def frames(self) -> int:
        """Number of rows that hold a frame of a piece."""
        return int(np.count_nonzero(self.piece >= 0))

    def segment_starts(self, length: int, offset: int = 0) -> npt.NDArray[np.int32]:
        """Return the first context row of every segment that holds a centre.

        The rows are cut into runs of ``length`` successive rows. A run and the
        ``padding`` rows on either side of it are a segment; it gives the
        network's outputs for the rows of its run.

        Args:
            length: rows of a run; at most ``edge - padding``.
            offset: rows by which the cut is moved, ``0 <= offset < length``.

        Returns:
            Row numbers, int32, ``(segments,)``: segment ``s`` holds the rows
            ``s .. s + length + 2 * padding - 1``.
        """
        if length + self.padding > self.edge:
            raise ValueError(f"segments of {length} rows need a matrix with a longer edge")
        runs = np.arange(self.edge - length + offset, len(self.centre) - self.edge, length)
        counts = np.concatenate([[0], np.cumsum(self.centre)])
        kept = counts[runs + length] > counts[runs]
        return np.asarray(runs[kept] - self.padding, dtype=np.int32)


def load_frames(
    shards: Sequence[str | Path],
    *,
    padding: int,
    bins: slice,
    edge: int = 0,
    transform: bool = False,
    transpose: int = 0,
    settings: CqtSettings | None = None,
) -> FrameMatrix:
    """Read shards into one frame matrix.

    Args:
        shards: Parquet shards, read in this order.
        padding: rows of silence between pieces: half a window.
        bins: those of the shards that are read: ``CqtSettings.core`` leaves the margin out.
        edge: rows of silence at both ends; at least ``padding``.
        transform: whether the complex transform and each piece's power are wanted too, to which
            noise can be added as if to the audio; twice the memory.
        transpose: so many pitches more are read on either side, bins and labels, of the margin.
        settings: what the shards were made with; needed for ``transpose``.

    Raises:
        InputError: if a shard is corrupt, if there are none, or if none of them
            holds a centre.
    """
    if not shards:
        raise InputError("no shards were given; expected at least one file of results/shards/")
    edge = max(edge, padding)
    names: list[str] = []
    instruments: list[str] = []
    index_of_row: list[npt.NDArray[np.int32]] = []
    for path in shards:
        # All at once they would take ten times the memory of the matrix, where pieces are short.
        of_rows = [
            part.column("piece").to_numpy(zero_copy_only=False)
            for part in shard_parts(path, ["piece"])
        ]
        column = np.concatenate(of_rows) if of_rows else np.zeros(0, object)
        begins = np.append(True, column[1:] != column[:-1])[: len(column)]
        index_of_row.append(np.cumsum(begins, dtype=np.int32) + np.int32(len(names) - 1))
        names += column[begins].tolist()
        instruments += [Path(path).stem] * int(begins.sum())
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"piece {twice[0]} is in more than one shard; rebuild results/shards")
    index = np.concatenate(index_of_row)
    place = edge + np.arange(len(index)) + padding * index
    rows = 2 * edge + len(index) + padding * max(0, len(names) - 1)
    piece = np.full(rows, ROW_OF_PADDING, np.int32)
    piece[place] = index
    # Filled piece by piece: a list of parts, put together at the end, would be held twice.
    frame = np.full(rows, ROW_OF_PADDING, np.int32)
    centre = np.zeros(rows, bool)
    magnitudes, labels = np.zeros((rows, 0), np.float32), np.zeros((rows, 0), np.uint8)
    parts = {name: np.zeros((rows, 0), np.float16) for name in ("real", "imag") if transform}
    rms = np.zeros(rows, np.float32) if transform else None
    columns = ["frame", "centre", "labels", "real", "imag"] + (["rms"] if transform else [])
    if transpose:
        assert settings is not None
        columns.append("margin_labels")
        more = transpose * settings.bins_per_pitch
        bins = slice(bins.start - more, bins.stop + more)
    first = 0
    for path in shards:
        for part in shard_parts(path, columns):
            to = place[first : first + len(part)]
            first += len(part)
            real, imag = (fixed_list_values(part, name)[:, bins] for name in ("real", "imag"))
            heard = np.hypot(real.astype(np.float32), imag.astype(np.float32))
            written = fixed_list_values(part, "labels")
            if transpose and settings is not None:
                beside = fixed_list_values(part, "margin_labels")
                below, above = np.split(beside, [settings.margin_pitches], axis=1)
                written = np.hstack(
                    [below[:, below.shape[1] - transpose :], written, above[:, :transpose]]
                )
            if not magnitudes.size:
                magnitudes = aligned_zeros((rows, heard.shape[1]), np.float32)
                labels = aligned_zeros((rows, written.shape[1]), np.uint8)
                parts = {name: aligned_zeros(magnitudes.shape, np.float16) for name in parts}
            magnitudes[to], labels[to] = heard, written
            if rms is not None:
                parts["real"][to], parts["imag"][to] = real, imag
                rms[to] = part.column("rms").to_numpy()
            frame[to] = part.column("frame").to_numpy()
            centre[to] = part.column("centre").to_numpy(zero_copy_only=False)
    if not centre.any():
        raise InputError(
            f"{', '.join(str(path) for path in shards)}: no frame can be the centre of a window; "
            "expected frames with a label at or above shards.minimum_level; "
            "lower that key or check the audio and notes of these pieces"
        )
    return FrameMatrix(
        magnitudes,
        labels,
        centre,
        piece,
        frame,
        tuple(names),
        tuple(instruments),
        padding,
        edge,
        rms=rms,
        transpose=transpose,
        **parts,
    )


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros whose memory a tensor can share: see ``training.backend.sharing_tensor``."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNED_BYTES, np.uint8)
    first = -memory.ctypes.data % ALIGNED_BYTES
    return memory[first : first + size].view(dtype).reshape(shape)
