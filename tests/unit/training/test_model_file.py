"""A model's file is all that is needed to use the model, and to refuse a wrong use."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.models import write_model

from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.training.loop import predict_logits
from at4ramt.training.model_file import load_model
from at4ramt.training.onnx_file import export_onnx, load_onnx


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(write_model(path.with_suffix(".keras"), "small"), path)
    return path


@pytest.mark.parametrize("setting", CqtSettings.__dataclass_fields__)
def test_frames_of_other_settings_are_refused_before_the_network_sees_them(
    exported, demo_config, setting
):
    """Most of them would leave the shape of the frames as it is."""
    same = demo_config["features"]
    # Null stands for a number here, and either can be in the config.
    numbers = CqtSettings.from_config(same).as_dict()
    other = {**same, **numbers, setting: numbers[setting] + 1}
    message = rf"other features: {setting} {numbers[setting]} \(here {other[setting]}\); train it"
    for load, suffix in ((load_model, ".keras"), (load_onnx, ".onnx")):
        path = exported.with_suffix(suffix)
        assert load(path, same).card["features"] == load(path).card["features"] == same
        assert load(path, {**same, **numbers}).card["features"] == same
        with pytest.raises(InputError, match=rf"model\{suffix}: the model was .*{message}"):
            load(path, other)


def test_a_model_that_does_not_say_its_settings_is_refused(tmp_path, demo_config):
    path = write_model(tmp_path / "a.keras", "small", card={})
    with pytest.raises(InputError, match=r"sample_rate_hz unknown \(here 16000\), hop_length_sam"):
        load_model(path, demo_config["features"])


def test_any_keras_opens_the_file_and_trains_it_further(tmp_path):
    """In a process that has Keras and nothing of ours."""
    path = write_model(tmp_path / "a.keras", "small")
    script = """if True:
        import importlib.util, keras, numpy as np
        assert importlib.util.find_spec("at4ramt") is None
        network = keras.models.load_model("a.keras")
        frames = np.load("frames.npy")[None]
        np.save("logits.npy", network.predict_on_batch(frames)[0])
        network.compile(network.optimizer, "mse")
        network.fit(frames, np.zeros((1, 24, 56)), verbose=0)
    """
    frames = np.random.default_rng(0).random((30, 168), np.float32)
    np.save(tmp_path / "frames.npy", frames)
    done = run_elsewhere(tmp_path, script)
    assert "optimizer" not in done.stderr, "Keras warns if it cannot restore the optimiser"
    expected = predict_logits(load_model(path).network, frames)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-5)


def test_the_manual_s_programs_give_what_the_workflow_gives(tmp_path, root, exported, demo_config):
    """From a recording and a model's file to logits, at full frame rate, with nothing of ours."""
    audio = np.random.default_rng(1).normal(0, 0.1, 32000).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", audio, 16000, subtype="FLOAT")
    for path in (exported, exported.with_suffix(".keras")):
        (tmp_path / path.name).symlink_to(path)
    manual = (root / "docs" / "models.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", manual, re.S)
    assert len(programs) == 2
    run_elsewhere(
        tmp_path,
        "\n".join(f"{each}\nnp.save('{i}.npy', logits)" for i, each in enumerate(programs)),
    )
    settings = CqtSettings.from_config(demo_config["features"])
    frames = np.abs(complex_cqt(audio, settings))[:, settings.core]
    network = load_model(exported.with_suffix(".keras")).network
    even, odd = (predict_logits(network, np.pad(frames[i::2], ((3, 3), (0, 0)))) for i in (0, 1))
    for name in ("0.npy", "1.npy"):
        found = np.load(tmp_path / name)
        assert found.shape == (len(frames), 56)
        np.testing.assert_allclose(found[0::2], even, atol=1e-4)
        np.testing.assert_allclose(found[1::2], odd, atol=1e-4)


def test_the_manual_s_first_program_runs_the_robust_transcriber(tmp_path, root):
    """Its archive it cannot open without our layers, as the manual says."""
    folder = root / "models" / "robust" / "seed_1"
    audio = np.random.default_rng(1).normal(0, 0.1, 32000).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", audio, 16000, subtype="FLOAT")
    for suffix in (".onnx", ".keras"):
        (tmp_path / "model").with_suffix(suffix).symlink_to(folder / f"round_01{suffix}")
    manual = (root / "docs" / "models.md").read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", manual, re.S)[0]
    script = f"""{program}
np.save("logits.npy", logits)
import keras
try:
    keras.models.load_model("model.keras")
except TypeError as error:
    assert "Could not locate class" in str(error)
else:
    raise AssertionError
"""
    run_elsewhere(tmp_path, script)
    model = load_onnx(folder / "round_01.onnx")
    settings = CqtSettings.from_config(model.card["features"])
    frames = np.abs(complex_cqt(audio, settings))[:, settings.heard]
    half = model.card["context_frames"] // 2
    assert half == 132 and model.card["frame_step"] == 1
    expected = model.logits(np.pad(frames, ((half, half), (0, 0))))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-4)


def run_elsewhere(folder: Path, script: str) -> subprocess.CompletedProcess:
    """Run a script in a folder with Python's packages and without ours; it must succeed."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done
