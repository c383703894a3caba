"""Have Keras and HDF5 read damaged weights, in a process of its own: C code may hang or die.

    PYTHONPATH=workflow:tests .venv/bin/python -m fuzz.weights --cases 1000

A case is taken if the network has the arrays that are in the file, as h5py alone reads them, and
the zip's checksums are right; else it is refused. The path of one that is a finding is printed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from at4ramt.training.backend import start_backend
from at4ramt.training.model_file import load_model
from fuzz.harness import Finding, Reader, case_file, expect, run_case
from fuzz.mutations import damaged
from fuzz.readers.models import WEIGHTS, keras, real, seeds, telling

NAME = "weights.keras"


def check(data: bytes) -> None:
    path = case_file(NAME, data)
    weights = load_model(path).network.get_weights()
    with zipfile.ZipFile(path) as archive:
        arrays = _arrays(archive.read(WEIGHTS))
    for each in weights:
        expect((each.shape, each.tobytes()) in arrays, f"weights {each.shape} that no file has")


def _arrays(content: bytes) -> set[tuple[tuple[int, ...], bytes]]:
    import h5py

    found = set()

    def look(name: str, part: object) -> None:
        if isinstance(part, h5py.Dataset):
            found.add((part.shape, part[()].astype("f4").tobytes()))

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(look)
    return found


def drawn() -> st.SearchStrategy[bytes]:
    """Damage an archive, or weights that are then packed with a right checksum."""
    right = real().members[WEIGHTS]
    weights = st.one_of(
        st.integers(0, 8 * len(right) - 1).map(lambda place: _flipped(right, place)),
        damaged({"weights": right}),
        st.sampled_from((1 << 20, 1 << 29)).map(telling),
    )
    return st.one_of(
        damaged({"archive": real().archive}),
        weights.map(lambda content: keras(more={WEIGHTS: content})),
    )


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


READER = Reader("weights", check, seeds, drawn, called=[NAME], megabytes=1024)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.weights")
    parser.add_argument("--cases", type=int, default=1000)
    options = parser.parse_args()
    start_backend(1, 0)
    found = Path(tempfile.gettempdir()) / "at4ramt-fuzz-weights-found.keras"
    # Left there if the process dies.
    print(case_file(NAME, b""), flush=True)
    counts = {True: 0, False: 0}

    @settings(
        max_examples=options.cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn())
    def holds(data: bytes) -> None:
        try:
            counts[run_case(READER, data)] += 1
        except Finding:
            traceback.print_exc()
            found.write_bytes(data)
            print(found, flush=True)
            raise

    if not run_case(READER, real().archive):
        raise Finding("the archive is refused as it was written")
    holds()
    print(f"{sum(counts.values())} cases, {counts[True]} taken, {counts[False]} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
