"""Interrupted trainings: cut anywhere, they end as if nothing had happened."""

import errno
import logging
import os
import signal
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.errors import InputError
from at4ramt.training import loop
from at4ramt.training.checkpoint import Checkpoint, Interrupted, TrainingState, training_key
from at4ramt.training.jobs import _adam
from at4ramt.training.loop import Plan, train
from at4ramt.training.losses import loss_weights
from at4ramt.training.network import build_network
from at4ramt.training.segments import SegmentModel

PLAN = Plan(
    label="test",
    seed=0,
    keys=("test",),
    noise="uniform",
    level=0.3,
    drawn=True,
    redraw="epoch",
    epochs=3,
    patience=9,
    monitor="noisy",
    keep="best",
    monitored_level=0.3,
    segment_frames=8,
    batch_segments=8,
)


@pytest.fixture
def trained(training_matrix, validation_matrix):
    """Train a fresh network; return its variables, its optimiser's and the history."""
    active = training_matrix.labels[training_matrix.centre].sum(axis=0)
    weights = loss_weights("global", active, int(training_matrix.centre.sum()), cap=50)

    def run(checkpoint=None):
        keras.utils.set_random_seed(3)
        network = build_network(
            "small", bins=168, pitches=56, input_scale=10.0, dropout_convolution=0.1,
            dropout_dense=0.1, seed=3,
        )  # fmt: skip
        optimizer = _adam(0.004)
        state = train(
            network, optimizer, training_matrix, validation_matrix, weights, PLAN, checkpoint
        )
        timed = ("seconds", "windows_per_second")
        history = [{k: v for k, v in row.items() if k not in timed} for row in state.history]
        variables = [np.array(v) for v in [*network.variables, *optimizer.variables]]
        return variables, history, state

    return run


@pytest.fixture
def interrupted_at(monkeypatch):
    """Call a function after the given steps and validations, counted over all attempts."""
    calls = {"step": 0, "validation": 0}

    def arrange(action, *, steps=(), validations=()):
        step, validation = SegmentModel.train_on_batch, loop.predict_logits

        def counted_step(*args, **kwargs):
            result = step(*args, **kwargs)
            calls["step"] += 1
            if calls["step"] in steps:
                action()
            return result

        def counted_validation(*args, **kwargs):
            calls["validation"] += 1
            if calls["validation"] in validations:
                action()
            return validation(*args, **kwargs)

        monkeypatch.setattr(SegmentModel, "train_on_batch", counted_step)
        monkeypatch.setattr(loop, "predict_logits", counted_validation)
        return calls

    return arrange


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("SIGUSR2", {"steps": (3,)}),
        ("SIGINT", {"validations": (4,)}),
        ("SIGTERM", {"steps": (1, 2, 9), "validations": (1, 2)}),
    ],
)
def test_after_a_signal_it_goes_on_to_the_same_weights_and_history(
    tmp_path, trained, interrupted_at, name, where
):
    number = getattr(signal, name)
    calls = interrupted_at(lambda: os.kill(os.getpid(), number), **where)
    handler = signal.getsignal(number)
    for attempt in range(sum(map(len, where.values()))):
        with pytest.raises(Interrupted) as raised:
            trained(Checkpoint(tmp_path / "c", "key"))
        assert raised.value.code == 128 + number, attempt
        assert signal.getsignal(number) is handler
    resumed, history, state = trained(Checkpoint(tmp_path / "c", "key"))
    assert state.resumed == sum(map(len, where.values()))
    steps = calls["step"]
    variables, undisturbed, _ = trained()
    assert calls["step"] == 2 * steps, "a step was left out or made twice"
    assert history == undisturbed
    for a, b in zip(resumed, variables, strict=True):
        np.testing.assert_array_equal(a, b)


class NodeDiedError(Exception):
    """What no handler hears of."""


def test_after_a_dead_node_it_goes_on_from_the_last_saved_step(
    tmp_path, trained, interrupted_at, monkeypatch
):
    monkeypatch.setenv("AT4RAMT_CHECKPOINT_SECONDS", "0")
    variables, history, _ = trained()

    def die():
        raise NodeDiedError

    interrupted_at(die, steps=(5,), validations=(3,))
    for _ in range(2):
        with pytest.raises(NodeDiedError):
            trained(Checkpoint(tmp_path / "c", "key"))
    resumed, again, _ = trained(Checkpoint(tmp_path / "c", "key"))
    assert again == history
    for a, b in zip(resumed, variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_saves_no_more_often_than_asked(tmp_path, trained, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, *_: saved.append(self))
    trained(Checkpoint(tmp_path / "c", "key"))
    assert saved == []
    monkeypatch.setenv("AT4RAMT_CHECKPOINT_SECONDS", "0")
    trained(Checkpoint(tmp_path / "c", "key"))
    assert len(saved) > 2 * PLAN.epochs


values = st.integers(0, 3)


@settings(max_examples=30, deadline=None)
@given(first=st.tuples(values, values, values), second=st.tuples(values, values, values))
def test_another_input_setting_or_code_is_another_training(first, second):
    def key(content, level, code):
        return training_key([str(content)], config={"level": level}, code=str(code))

    assert (key(*first) == key(*second)) is (first == second)


def test_a_state_of_another_training_is_not_read_and_goes_with_the_others(tmp_path):
    other = Checkpoint(tmp_path / "a" / "c", "old")
    other.save(TrainingState(epoch=7), [np.ones(3)])
    other.note({"level": 0.5})
    checkpoint = Checkpoint(tmp_path / "a" / "c", "new")
    assert checkpoint.load() is None
    assert checkpoint.noted() is None
    assert other.load()[0].epoch == 7
    checkpoint.clear()
    assert not (tmp_path / "a").exists()


def test_what_somebody_else_put_there_stays(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "key")
    checkpoint.save(TrainingState(), [np.ones(3)])
    (tmp_path / "c" / "mine.txt").write_text("notes")
    checkpoint.clear()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"\x93NUMPY"])
def test_a_damaged_state_begins_the_training_anew(tmp_path, content, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("at4ramt"), "propagate", True)
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.state_path.write_bytes(content)
    with caplog.at_level("WARNING"):
        assert checkpoint.load() is None
    assert "state_key.npz: the saved state cannot be read" in caplog.text


def test_a_state_that_the_disk_does_not_give_is_not_overwritten(tmp_path):
    checkpoint = Checkpoint(tmp_path, "key")
    # It opens, and ends each read with EIO.
    checkpoint.state_path.symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"state_key.npz: .*Input/output error.*check the disk"):
        checkpoint.load()
    checkpoint.notes_path.symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"notes_key.json: .*Input/output error.*check the disk"):
        checkpoint.noted()


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOTCONN])
def test_a_moment_in_which_the_disk_gives_nothing_ends_no_training(tmp_path, monkeypatch, number):
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.save(TrainingState(epoch=7), [np.ones(3)])
    read = zipfile._EndRecData

    def once(*arguments):
        monkeypatch.setattr(zipfile, "_EndRecData", read)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zipfile, "_EndRecData", once)
    with pytest.raises(InputError, match=r"state_key.npz: .*same command again"):
        checkpoint.load()
    assert checkpoint.load()[0].epoch == 7


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_an_interval_that_is_none_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setenv("AT4RAMT_CHECKPOINT_SECONDS", text)
    with pytest.raises(InputError, match=f"AT4RAMT_CHECKPOINT_SECONDS is '{text}'; expected sec"):
        Checkpoint(tmp_path, "key")
