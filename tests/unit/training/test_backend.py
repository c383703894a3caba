"""The start of a training job: lean, and nothing hidden for good."""

import os
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
