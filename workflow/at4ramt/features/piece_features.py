"""One piece's features: from its audio and notes to a Parquet file with a row a frame."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from at4ramt.features.audio import AudioFile, audio_blocks, open_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt, core_level
from at4ramt.features.labels import Notes, check_lengths, frame_labels, read_labels
from at4ramt.features.power import ActivePower
from at4ramt.features.stream import cqt_blocks
from at4ramt.files import whole_file

log = logging.getLogger(__name__)

ROW_GROUP_ROWS = 1 << 16

WHOLE_SECONDS = 600
"""Recordings up to this length are transformed at once; an hour of this would need half a
gigabyte. Longer ones come in blocks, with the same result but for rounding, and each block is a row
group of the file."""

SPOOLED_BYTES = 32 << 20
"""A transform that takes no more waits in memory until it is written, a longer one on the disk."""

COLUMN_KEY = "column."
"""Prefix of the schema metadata's keys under which each column is described."""

SPLIT_COLUMNS = ("level", "real.list.element", "imag.list.element")
"""Columns of floats, as Parquet names them: bytes of equal significance are stored together."""


def describe_columns(settings: CqtSettings) -> dict[str, str]:
    """Return a sentence for each column of a feature file."""
    pitches = settings.pitches
    low, high = settings.lowest_pitch, settings.lowest_pitch + pitches - 1
    first, last = settings.first_pitch, high + settings.margin_above_pitches
    core = settings.core
    bins = (
        f"one number a bin, {settings.bins} bins upward from MIDI pitch {first}, "
        f"{settings.bins_per_pitch} a semitone; bins {core.start} to {core.stop - 1} are those of "
        f"the pitches {low} to {high}, the others a margin; linear amplitude, full scale of the "
        "audio 1, no normalisation"
    )
    return {
        "frame": (
            "Index of the frame in its piece, at the full frame rate: its centre is at "
            f"frame * {settings.hop_length_samples} / {settings.sample_rate_hz} seconds."
        ),
        "level": (
            f"Mean magnitude of the {core.stop - core.start} bins of the pitches {low} to {high}, "
            "linear amplitude."
        ),
        "labels": (
            f"{pitches} numbers, one a pitch from MIDI {low} to {high}: 1 while a note of that "
            "pitch sounds (onset <= time < offset, the pedal included), else 0."
        ),
        "margin_labels": (
            f"{settings.all_pitches - pitches} numbers, likewise for the pitches {first} to "
            f"{low - 1} and then {high + 1} to {last}: what labels becomes when a frame is "
            "transposed."
        ),
        "real": f"Real part of the constant-Q transform: {bins}.",
        "imag": f"Imaginary part of the constant-Q transform: {bins}.",
    }


def feature_fields(settings: CqtSettings) -> list[pa.Field]:
    """Return the columns of a feature file, in order."""
    # Arrow divides by a list's length: without a margin there is no column of its labels.
    margin = settings.all_pitches - settings.pitches
    left_out = () if margin else ("margin_labels",)
    types = {
        "frame": pa.int32(),
        "level": pa.float32(),
        "labels": pa.list_(pa.uint8(), settings.pitches),
        "margin_labels": pa.list_(pa.uint8(), margin),
        "real": pa.list_(pa.float16(), settings.bins),
        "imag": pa.list_(pa.float16(), settings.bins),
    }
    return [
        pa.field(name, kind, nullable=False) for name, kind in types.items() if name not in left_out
    ]


def described_schema(
    fields: list[pa.Field], descriptions: Mapping[str, str], about: Mapping[str, str]
) -> pa.Schema:
    """Return a schema that carries a sentence for each column, and what it is about."""
    columns = {COLUMN_KEY + field.name: descriptions[field.name] for field in fields}
    return pa.schema(fields, metadata={**about, **columns})


def parquet_writer(path: str | Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file with the settings that suit these columns.

    Dictionaries make columns of floats larger, and splitting their bytes makes
    zstd find the repetition in their exponents; both were measured. Checksums
    let a reader find damaged bytes.
    """
    dictionary = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=dictionary or False,
        use_byte_stream_split=list(SPLIT_COLUMNS),
        write_page_checksum=True,
    )


def number_column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return an array ``(rows,)`` or ``(rows, size)`` as a column of numbers or of lists.

    The column is a view of the array. ``pa.array`` would do for numbers, but it
    imports pandas to see whether it was given a part of it: half a second a job.
    """
    element = kind.value_type if values.ndim == 2 else kind
    if values.dtype != element.to_pandas_dtype():
        raise TypeError(f"{values.dtype} numbers for a column of {kind}")
    flat = np.ascontiguousarray(values).reshape(-1)
    column = pa.Array.from_buffers(element, len(flat), [None, pa.py_buffer(flat)])
    return pa.FixedSizeListArray.from_arrays(column, type=kind) if values.ndim == 2 else column


def extract_piece(
    audio_path: str | Path,
    notes_path: str | Path,
    out: str | Path,
    *,
    piece: str,
    instrument: str,
    features: Mapping[str, Any],
    audio_member: str = "",
    notes_member: str = "",
) -> None:
    """Write the features of one piece.

    Args:
        audio_path: the recording, any format that :func:`open_audio` takes.
        notes_path: its notes, in any format that :func:`read_labels` takes.
        out: the Parquet file; its columns are described in its schema's metadata, which also has
            the recording's active power (:mod:`at4ramt.features.power`).
        piece: name of the piece.
        instrument: name of the instrument.
        features: the config's section of that name.
        audio_member: the recording's path inside the zip that ``audio_path`` names, if it is one.
        notes_member: likewise of the notes.

    Raises:
        InputError: if audio or notes are wrong, or do not belong together.
    """
    settings = CqtSettings.from_config(features)
    # The file begins with what is known at the audio's end: its length and power. Until then the
    # transform waits beside the file, so that no recording is in memory as a whole.
    with (
        whole_file(out) as temporary,
        SpooledTemporaryFile(SPOOLED_BYTES, dir=str(temporary.parent)) as spool,
    ):
        with open_audio(audio_path, audio_member) as audio:
            notes = read_labels(notes_path, audio.seconds, notes_member)
            levels, samples, power = _transform(audio, settings, spool)
        seconds = samples / settings.sample_rate_hz
        level = np.concatenate(levels)
        check_lengths(
            notes,
            level,
            seconds,
            settings,
            audio_path=f"{audio_path}: {audio_member}" if audio_member else audio_path,
            notes_path=f"{notes_path}: {notes_member}" if notes_member else notes_path,
        )
        schema = described_schema(
            feature_fields(settings),
            describe_columns(settings),
            {
                "content": "features of one piece",
                "piece": piece,
                "instrument": instrument,
                "seconds": repr(seconds),
                "active_power": repr(power),
                "features": json.dumps(settings.as_dict(), sort_keys=True),
            },
        )
        spool.seek(0)
        first = 0
        with parquet_writer(temporary, schema) as writer:
            for block in levels:
                table = _rows(schema, settings, notes, first, block, spool)
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                first += len(block)
    log.info(
        "%d frames (%.1f s) of %d bins, mean level %.4f, %d notes",
        len(level),
        seconds,
        settings.bins,
        float(level.mean()),
        len(notes),
    )


def _transform(
    audio: AudioFile, settings: CqtSettings, spool: IO[bytes]
) -> tuple[list[npt.NDArray[np.float32]], int, float]:
    """Write the transform into ``spool``, a block of frames after the other.

    Of each block the real part, ``(frames, bins)``, and then the imaginary one, as they are stored.

    Returns:
        The level of each block's frames, the number of samples and their active power.
    """
    samples = 0
    meter = ActivePower(settings.sample_rate_hz)

    def counted() -> Iterator[npt.NDArray[np.float32]]:
        nonlocal samples
        for block in audio_blocks(audio, settings.sample_rate_hz):
            samples += len(block)
            yield meter.feed(block)

    if audio.seconds <= WHOLE_SECONDS:
        blocks = iter([complex_cqt(np.concatenate(list(counted())), settings)])
    else:
        blocks = cqt_blocks(counted(), settings)
    levels = []
    for block in blocks:
        real, imag = block.real.astype(np.float16), block.imag.astype(np.float16)
        # Of the numbers that are stored, so that a reader of the file gets the same.
        levels.append(core_level(real, imag, settings))
        spool.write(real.data)
        spool.write(imag.data)
    return levels, samples, meter.power()


def _rows(
    schema: pa.Schema,
    settings: CqtSettings,
    notes: Notes,
    first: int,
    level: npt.NDArray[np.float32],
    spool: IO[bytes],
) -> pa.Table:
    """Return the rows of the next block of ``spool``, which begins with the frame ``first``."""
    frames = len(level)
    real, imag = (
        np.frombuffer(spool.read(2 * frames * settings.bins), np.float16).reshape(frames, -1)
        for _ in range(2)
    )
    labels = frame_labels(notes, frames, settings, first)
    margin, core_end = settings.margin_pitches, settings.margin_pitches + settings.pitches
    columns: dict[str, npt.NDArray[Any]] = {
        "frame": np.arange(first, first + frames, dtype=np.int32),
        "level": level,
        "labels": labels[:, margin:core_end],
        "margin_labels": np.concatenate([labels[:, :margin], labels[:, core_end:]], axis=1),
        "real": real,
        "imag": imag,
    }
    return pa.Table.from_arrays(
        [number_column(columns[field.name], field.type) for field in schema], schema=schema
    )
