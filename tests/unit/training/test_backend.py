"""The start of a training job: lean, on the device that was promised, nothing hidden for good."""

import os
import re
import subprocess
import sys

SCRIPT = """
import sys
from at4ramt.training.backend import start_backend
start_backend(1, 0)
unused = [name for name in ("matplotlib", "sklearn") if name in sys.modules]
print(unused)
import matplotlib, sklearn
import keras
print(keras.backend.backend(), len(keras.random.normal((3,), seed=1)))
"""


def test_keras_starts_without_what_it_does_not_need_and_hides_nothing_afterwards(root):
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-2:] == ["[]", "tensorflow 3"]


IN_ORDER = """
from at4ramt.training.backend import start_backend
start_backend(1, 0)
import keras
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
"""


def test_a_user_s_own_settings_of_keras_change_no_training(root, tmp_path):
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float64", "epsilon": 0.01, "image_data_format": "channels_first"}'
    )
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow"), "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-c", IN_ORDER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "float32 1e-07 channels_last"


PROMISED = """
import os, sys
from at4ramt.errors import InputError
from at4ramt.training.backend import start_backend
try:
    print(start_backend(1, 0, gpus=int(sys.argv[1]), gpu_required=True))
except InputError as error:
    print("refused:", error)
print(os.environ["CUDA_VISIBLE_DEVICES"])
"""


def test_a_promised_gpu_that_is_not_there_is_an_error_and_not_a_slow_training(root):
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "workflow"),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
        "SLURM_JOB_ID": "77",
    }

    def start(gpus, **more):
        command = [sys.executable, "-c", PROMISED, str(gpus)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment | more
        )
        return done.stdout.splitlines()[-2:]

    refused, _ = start(1)
    assert re.match(
        r"refused: the profile promises this job a GPU \(resource gpu_required\), and tensorflow "
        r"sees none; .*SLURM_JOB_ID=77, CUDA_VISIBLE_DEVICES=.*; .*make setup-gpu.*; .*"
        r"AT4RAMT_GPU=optional .*gpu_required: 0 in the profile$",
        refused,
    )
    assert start(1, AT4RAMT_GPU="optional") == ["cpu", ""]
    # A job that asked for none must not take memory from a training on the same card.
    assert start(0)[1] == "-1"
