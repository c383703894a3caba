"""What must be settled before Keras is imported, and what it then runs on."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Keras imports these if it finds them, for wrappers and plots that are not used here: more than
# a second of each training job's start.
UNUSED_BY_US = ("matplotlib", "sklearn")


def start_backend(threads: int, seed: int) -> str:
    """Import Keras for reproducible work and name the device it uses.

    Call it once, before anything else imports Keras. On a CPU, sums are made
    in an order that depends on the number of threads: the same number gives
    the same weights.

    Args:
        threads: CPU threads that one operation may use.
        seed: seed of everything that no seed of its own is given to.

    Returns:
        ``"cpu"`` or the names of the GPUs.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with warnings.catch_warnings(), _hidden(UNUSED_BY_US):
        warnings.simplefilter("ignore")
        import keras

    keras.utils.set_random_seed(seed % 2**32)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()
    devices = list(keras.distribution.list_devices("gpu"))
    return ", ".join(devices) if devices else "cpu"


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    # An entry of None makes an import of the module fail as if it were not installed.
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
