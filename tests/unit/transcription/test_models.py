"""Which model is used, what it is refused for, and that it gives every frame."""

from pathlib import Path

import numpy as np
import pytest
from support.models import write_model

from at4ramt.errors import InputError
from at4ramt.training import onnx_file
from at4ramt.training.backend import start_backend
from at4ramt.transcription.models import Model, find_model, open_model


def test_every_frame_gets_the_window_that_the_network_was_trained_on(demo_config: dict) -> None:
    card = {
        "features": demo_config["features"],
        "frame_step": 2,
        "context_frames": 7,
        "threshold_fitted": 0.5,
    }
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(7, 168, 56)).astype(np.float32)

    def logits(frames: np.ndarray) -> np.ndarray:
        windows = np.stack([frames[at : at + 7] for at in range(len(frames) - 6)])
        return np.einsum("ntb,tbp->np", windows, weights)

    model = Model("m.keras", card, "none", logits)
    assert model.margin_frames == 6
    for frames in (1, 2, 3, 40):
        magnitudes = np.pad(rng.random((frames, 168), np.float32), ((6, 6), (0, 0)))
        found = model.probabilities(magnitudes)
        for frame in range(frames):
            # Every second frame, three on either side.
            window = magnitudes[frame : frame + 13 : 2]
            expected = 1 / (1 + np.exp(-np.tensordot(window, weights, 2).astype(np.float64)))
            np.testing.assert_allclose(found[frame], expected, atol=1e-5)


def test_what_is_no_number_is_no_silence(demo_config: dict) -> None:
    card = {"features": demo_config["features"], "frame_step": 2, "context_frames": 7}

    def logits(frames: np.ndarray) -> np.ndarray:
        found = np.zeros((len(frames) - 6, 56), np.float32)
        found[0, 0] = np.nan
        return found

    with pytest.raises(InputError, match=r"m\.keras: expected probabilities .* no number"):
        Model("m.keras", card, "none", logits).probabilities(np.zeros((20, 168), np.float32))


def test_what_keras_way_refuses_is_told_with_the_file(demo_config: dict) -> None:
    card = {"features": demo_config["features"], "frame_step": 2, "context_frames": 7}

    def logits(frames: np.ndarray) -> np.ndarray:
        raise FloatingPointError("the network answers with what is no number")

    with pytest.raises(InputError, match=r"m\.keras: expected probabilities .* no number"):
        Model("m.keras", card, "none", logits).probabilities(np.zeros((20, 168), np.float32))


def test_a_trained_archive_runs_in_keras_where_there_is_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_backend(1, 0)  # as open_model does: once a process, before Keras
    path = write_model(tmp_path / "round_01.keras", "small")
    asked = []
    monkeypatch.setattr(onnx_file, "exported", lambda path, threads: asked.append(path))
    model = open_model(path)
    assert (model.runtime, model.path, asked) == ("Keras", str(path), [path])
    import keras

    network = keras.models.load_model(path)
    magnitudes = np.random.default_rng(0).random((13, 168), np.float32)
    expected = 1 / (1 + np.exp(-np.asarray(network(magnitudes[None, ::2]))[0]))
    np.testing.assert_allclose(model.probabilities(magnitudes), expected, atol=1e-5)


def test_an_export_is_run_without_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_config: dict
) -> None:
    card = {
        "features": demo_config["features"],
        "frame_step": 2,
        "context_frames": 7,
        "threshold_fitted": 0.5,
    }
    path = tmp_path / "round_01.keras"
    path.touch()

    class Export:
        sizes = 168, 56
        logits = staticmethod(lambda frames: np.zeros((len(frames) - 6, 56), np.float32))

    Export.card = card
    monkeypatch.setattr(onnx_file, "exported", lambda path, threads: Export)
    model = open_model(path)
    assert model.runtime == "ONNX Runtime" and model.card is card
    assert (model.probabilities(np.zeros((20, 168), np.float32)) == 0.5).all()


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        open_model(tmp_path / "round_12.keras")
    text = tmp_path / "text.keras"
    text.write_text("no archive")
    with pytest.raises(InputError, match=r"text\.keras: not a model of this workflow"):
        open_model(text)


def test_the_last_round_of_the_paper_s_arm_is_found(tmp_path: Path) -> None:
    assert find_model(tmp_path) is None
    for name in (
        "base/seed_2",
        "base/seed_10",
        "clean/seed_2/round_01",
        "adversarial/seed_10/round_12",
        "adversarial/seed_2/round_09",
        "adversarial/seed_2/round_10",
    ):
        path = tmp_path / "models" / f"{name}.keras"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def found_without(*removed: str) -> str:
        for name in removed:
            (tmp_path / "models" / f"{name}.keras").unlink()
        found = find_model(tmp_path)
        assert found is not None
        return found.relative_to(tmp_path / "models").with_suffix("").as_posix()

    assert found_without() == "adversarial/seed_2/round_10"
    assert found_without("adversarial/seed_2/round_10") == "adversarial/seed_2/round_09"
    assert found_without("adversarial/seed_2/round_09") == "adversarial/seed_10/round_12"
    assert found_without("adversarial/seed_10/round_12") == "clean/seed_2/round_01"
    assert found_without("clean/seed_2/round_01") == "base/seed_2"
