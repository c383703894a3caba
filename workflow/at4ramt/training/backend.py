"""What must be settled before Keras is imported, and what it then runs on."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from at4ramt.errors import InputError
from at4ramt.features.frames import ALIGNED_BYTES

# Keras imports these if it finds them, for wrappers and plots that are not used here: more than
# a second of each training job's start.
UNUSED_BY_US = ("matplotlib", "sklearn")
# Set to "optional", it lets a job go on on the CPU where a GPU was promised.
GPU_VARIABLE = "AT4RAMT_GPU"
JOB_VARIABLES = ("LSB_JOBID", "SLURM_JOB_ID")


def start_backend(threads: int, seed: int, *, gpus: int = 0, gpu_required: bool = False) -> str:
    """Import Keras for reproducible work and name the device it uses.

    Call it once, before anything else imports Keras. On a CPU, sums are made
    in an order that depends on the number of threads: the same number gives
    the same weights. GPU memory is taken as it is needed.

    Args:
        threads: CPU threads that one operation may use.
        seed: seed of everything that no seed of its own is given to.
        gpus: GPUs that the job was given; with 0 it sees none, so that it takes
            nothing from a training on the same machine.
        gpu_required: whether going on without a GPU is an error.

    Returns:
        ``"cpu"`` or the names of the GPUs.

    Raises:
        InputError: if a GPU is required and none is seen.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with warnings.catch_warnings(), _hidden(UNUSED_BY_US):
        warnings.simplefilter("ignore")
        import keras

    # A user's ~/.keras/keras.json may have said otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed % 2**32)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()
    found = list(keras.distribution.list_devices("gpu")) if gpus else []
    if gpu_required and not found and os.environ.get(GPU_VARIABLE) != "optional":
        raise InputError(_no_gpu(keras))
    return ", ".join(_gpu_names(keras, found)) if found else "cpu"


def sharing_tensor(value: npt.NDArray[Any], dtype: str) -> Any:
    """Return a tensor of an array, without a copy of its memory where the backend can.

    TensorFlow can on a CPU, with writable arrays that begin at a multiple of
    :data:`at4ramt.features.frames.ALIGNED_BYTES`. The array must not be written
    to as long as the tensor is used.
    """
    import keras

    aligned = value.ctypes.data % ALIGNED_BYTES == 0 and value.flags.c_contiguous
    if (
        keras.backend.backend() == "tensorflow"
        and aligned
        and value.size
        and value.flags.writeable
        and value.dtype == dtype
    ):
        import tensorflow as tf

        return tf.experimental.dlpack.from_dlpack(value.__dlpack__())
    return keras.ops.convert_to_tensor(value, dtype)


def gradient_of(loss: Callable[[Any], Any], at: Any) -> Any:
    """Return the gradient of a scalar function of a tensor, in a graph or outside of one."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(at)
            value = loss(at)
        return tape.gradient(value, at)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(loss)(at)
    raise NotImplementedError(f"no gradient with respect to inputs for {keras.backend.backend()}")


def place() -> str:
    """Return where this process runs: host, queue's job and the GPUs it was given."""
    parts = [socket.gethostname()]
    parts += [f"{name}={os.environ[name]}" for name in JOB_VARIABLES if name in os.environ]
    parts.append(f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}")
    return ", ".join(parts)


def _no_gpu(keras: Any) -> str:
    lines = [
        "the profile promises this job a GPU (resource gpu_required), and "
        f"{keras.backend.backend()} sees none; it does not go on on the CPU, where it would take "
        f"many times as long ({place()})"
    ]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.test.is_built_with_cuda():
            lines.append(
                "this TensorFlow is built without CUDA: set the environment up with "
                "`make setup-gpu`, or run with --sdm conda"
            )
    lines.append(
        "`nvidia-smi` in a job of that queue shows what it was given. To train on the CPU all the "
        f"same, set {GPU_VARIABLE}=optional before snakemake, or gpu_required: 0 in the profile"
    )
    return "; ".join(lines)


def _gpu_names(keras: Any, found: list[str]) -> list[str]:
    if keras.backend.backend() != "tensorflow":
        return found
    import tensorflow as tf

    return [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]


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
