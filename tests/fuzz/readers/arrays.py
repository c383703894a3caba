"""Arrays that the workflow keeps in .npz: states of trainings, pianos, pools of noise."""

from __future__ import annotations

import io
import json
import logging
import zipfile

import numpy as np
from hypothesis import strategies as st

from at4ramt.archives import REMAKE, stored_arrays
from at4ramt.corpus.pianos import load_piano
from at4ramt.errors import InputError
from at4ramt.training.checkpoint import Checkpoint, TrainingState
from fuzz.harness import Finding, Reader, case_file, expect

NAME = "arrays.npz"
KEY = "0123456789abcdef"
VARIABLES = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7], np.int64)]


def check(data: bytes) -> None:
    path = case_file(NAME, data)
    _check_state(data)
    refused = None
    try:
        load_piano(path)
    except InputError as error:
        expect(NAME in str(error), f"no file in {error}")
    with stored_arrays(path, "arrays", REMAKE) as stored:
        for name in list(stored)[:20]:
            try:
                ours = stored[name]
            except InputError as error:
                refused = error
                continue
            if not data.startswith(b"PK\3\4"):
                continue  # a zip all the same, in which numpy sees a pickle
            theirs = _by_numpy(data, name)
            # Their bytes: what is no number does not equal itself.
            same = (ours.dtype, ours.shape, ours.tobytes()) == (
                theirs.dtype, theirs.shape, theirs.tobytes(),
            )  # fmt: skip
            expect(same, f"the array {name} is not numpy's")
            expect(ours.flags.writeable or ours.size == 0, "an array that cannot be written to")
    if refused is not None:
        raise refused


def _by_numpy(data: bytes, name: str) -> np.ndarray:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return stored[name]
    except Exception as error:
        raise Finding(f"the array {name} was read, which numpy refuses: {error!r}") from error


def _check_state(data: bytes) -> None:
    """A state that cannot be used is none, whatever is wrong with it."""
    place = Checkpoint(case_file("states/x", b"").parent, KEY)
    case_file(f"states/state_{KEY}.npz", data)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # that it cannot be read
    try:
        found = place.load(VARIABLES)
    finally:
        logging.disable(before)
    if found is None:
        return
    state, variables = found
    shapes = [(each.shape, each.dtype) for each in variables]
    expect(shapes == [(each.shape, each.dtype) for each in VARIABLES], f"variables of {shapes}")
    expect(state.epoch >= 1 and state.step >= 0 and state.best_f1 <= float("inf"), f"{state}")
    expect(all(isinstance(row, dict) for row in state.history), f"{state.history}")
    expect(state.best is None or len(state.best) == len(VARIABLES), "other variables are the best")


def packed(**arrays: np.ndarray | bytes) -> bytes:
    """Return an .npz of arrays, or of bytes in their place."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            if isinstance(array, bytes):
                member.write(array)
            else:
                np.lib.format.write_array(member, array, allow_pickle=True)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue()
            )
    return content.getvalue()


def head(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    padded = text.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + version + len(padded).to_bytes(2, "little") + padded + body


def record(**changes: object) -> np.ndarray:
    content = {k: v for k, v in vars(TrainingState()).items() if k != "best"}
    return np.array(json.dumps(content | changes))


PIANO = {
    "instrument": "P",
    "kind": "recorded",
    "layers": [127],
    "tuning_cents": 0.0,
    "recordings": [
        {"member": "k", "key": 60, "velocity": 127, "rate": 44100, "loudness_db": -20.0}
    ],
}


def _piano(description: object) -> bytes:
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    return packed(description=text, k=np.ones((1, 9), np.int16))


def seeds() -> dict[str, bytes]:
    state = dict(zip(("variable_0000", "variable_0001"), VARIABLES, strict=True))
    best = dict(zip(("best_0000", "best_0001"), VARIABLES, strict=True))
    return {
        "state": packed(record=record(epoch=3, history=[{"loss": 0.5}]), **state, **best),
        "piano": _piano(PIANO),
        "by column": packed(
            real=np.asfortranarray(np.ones((2, 3), np.float16)), kind=np.array("x")
        ),
    }


_values = st.sampled_from((None, 0, 1, -1, 1.5, "x", True, [], {}, [1], [{"a": "b"}], 10**400))
_heads = st.builds(
    lambda dtype, order, shape, body, version: head(
        f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}}}", body, version
    ),
    st.sampled_from(("'<f4'", "'<f8'", "'|O'", "'<U1000000000'", "[('a','<f4')]", "'x'", "'|V0'")),
    st.sampled_from(("False", "True", "2")),
    st.sampled_from(
        (
            "(3,)",
            "()",
            "(0,)",
            "(1000000000000,)",
            "(-1,)",
            "(-1,-3)",
            "(2**40,)",
            "(3,1)",
            "3",
            "(" * 200,
        )
    ),
    st.sampled_from((bytes(12), b"", bytes(24), b"\x80\x04.")),
    st.sampled_from((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09")),
)


def drawn() -> st.SearchStrategy[bytes]:
    names = st.sampled_from([k for k in vars(TrainingState()) if k != "best"] + ["more"])
    state = dict(zip(("variable_0000", "variable_0001"), VARIABLES, strict=True))
    described = st.tuples(st.sampled_from([*PIANO]), _values).map(lambda c: PIANO | dict([c]))
    return st.one_of(
        st.tuples(names, _values).map(lambda c: packed(record=record(**dict([c])), **state)),
        _heads.map(lambda array: packed(record=record(), variable_0000=array)),
        _heads.map(lambda array: packed(description=array)),
        st.one_of(described, _values).map(_piano),
        st.just(packed(record=np.array(["x"], object), variable_0000=VARIABLES[0])),
    )


READER = Reader("arrays", check, seeds, drawn, called=[NAME], largest=1 << 13)
