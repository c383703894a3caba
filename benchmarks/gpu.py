"""Windows a second of training on this machine's GPU, and the hours of the paper's schedule.

    PYTHONPATH=workflow .venv/bin/python benchmarks/gpu.py [--shards results/shards]

Frames are drawn: as many as MAPS has, every second one. The matrix lives on the device, noise is
drawn there, and row numbers travel. For each precision and batch the table has the windows trained
in a second, the arithmetic of these as a share of the device's fastest matrix product in that
precision, and the hours of 1000 epochs and 12 rounds of 50. With ``--shards`` the base is then
trained in both precisions for some epochs, and both F1 are printed. ``KERAS_BACKEND=jax`` runs the
same; without a GPU everything runs on the CPU, in small (``--frames 20000``).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from at4ramt.features.frames import FrameMatrix
from at4ramt.training.backend import start_backend

BINS, PITCHES = 168, 56
PADDING = 3
SCHEDULE_EPOCHS = 1000 + 12 * 50
WARM_STEPS, TIMED_SECONDS = 5, 10.0


def drawn_frames(frames: int, edge: int) -> FrameMatrix:
    """Return a matrix of drawn frames, all of them centres but for the edges."""
    rng = np.random.default_rng(0)
    rows = frames + 2 * edge
    centre = np.zeros(rows, bool)
    centre[edge : edge + frames] = True
    return FrameMatrix(
        magnitudes=rng.random((rows, BINS), np.float32) * np.float32(0.1),
        labels=(rng.random((rows, PITCHES), np.float32) < 0.05).astype(np.uint8),
        centre=centre,
        piece=np.where(centre, 0, -1).astype(np.int32),
        frame=np.where(centre, np.arange(rows), -1).astype(np.int32),
        pieces=("drawn",),
        instruments=("none",),
        padding=PADDING,
        edge=edge,
    )


def operations(network: Any, segment_frames: int) -> float:
    """Return multiplications and additions of one trained window: forward and both gradients."""
    total, frames, width = 0.0, segment_frames + 2 * PADDING, BINS
    for layer in network.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            high, wide = layer.kernel_size
            frames, width = frames - high + 1, width - wide + 1
            each = 2.0 * frames * width * float(np.prod(layer.kernel.shape))
            # The input of the first needs no gradient.
            total += each * (3 if total else 2)
        elif kind == "MaxPooling2D":
            width //= layer.pool_size[1]
        elif kind == "Dense":
            total += 3 * 2.0 * frames * float(np.prod(layer.kernel.shape))
    return total / segment_frames


def peak_operations(precision: str) -> float:
    """Return additions and multiplications a second of this device's best matrix product."""
    import keras
    from keras import ops

    best = 0.0
    kind = "bfloat16" if precision != "float32" else "float32"
    on_cpu = not keras.distribution.list_devices("gpu")
    for size in (1024, 2048) if on_cpu else (4096, 8192):
        one = ops.cast(ops.ones((size, size)), kind)
        for _ in range(2):
            wait(ops.matmul(one, one))
        repeats = 2 if on_cpu else 20
        began = time.perf_counter()
        product = one
        for _ in range(repeats):
            product = ops.matmul(product, one)
        wait(product)
        best = max(best, repeats * 2.0 * size**3 / (time.perf_counter() - began))
    return best


def wait(tensor: Any) -> None:
    """Return when the device has computed ``tensor``: one number of it is fetched."""
    from keras import ops

    float(np.asarray(ops.convert_to_numpy(ops.cast(tensor[0, 0], "float32"))))


def windows_a_second(
    network_name: str, matrix: FrameMatrix, segment_frames: int, batch: int, precision: str
) -> tuple[float, float]:
    """Return windows a second of noisy training steps, and operations of a window."""
    from at4ramt.training.jobs import _adam
    from at4ramt.training.losses import loss_weights
    from at4ramt.training.network import build_network, computing_in
    from at4ramt.training.segments import SegmentModel

    network = build_network(
        network_name, bins=BINS, pitches=PITCHES, input_scale=10.0, dropout_convolution=0.1,
        dropout_dense=0.2, seed=0,
    )  # fmt: skip
    centres = int(matrix.centre.sum())
    weights = loss_weights("global", matrix.labels[matrix.centre].sum(axis=0), centres, cap=50)
    rng = np.random.default_rng(1)
    starts = matrix.segment_starts(segment_frames, 0).astype(np.int32)
    with computing_in(precision, network):
        model = SegmentModel(
            network, matrix, weights, segment_frames=segment_frames, noise="uniform"
        )
        model.compile(optimizer=_adam(0.001), jit_compile=False)
        steps, began = 0, 0.0
        while True:
            if steps == WARM_STEPS:
                began = time.perf_counter()
            chosen = rng.choice(starts, batch)
            # What it returns has been computed: the clock needs no other wait.
            model.train_on_batch([chosen, np.full(batch, 0.1, np.float32)], return_dict=True)
            steps += 1
            if steps > WARM_STEPS and time.perf_counter() - began > TIMED_SECONDS:
                break
    seconds = time.perf_counter() - began
    windows = (steps - WARM_STEPS) * batch * segment_frames / seconds
    return windows, operations(network, segment_frames)


def f1_of_precisions(shards: Path, network_name: str, epochs: int, batch: int) -> None:
    """Train the base on a finished run's shards in both precisions, and print the F1 of both."""
    from at4ramt.training.jobs import _adam, _weights, load_splits
    from at4ramt.training.loop import Plan, train, validate
    from at4ramt.training.network import build_network

    config = {
        "features": {"margin_pitches": 4, "bins_per_pitch": 3, "lowest_pitch": 37},
        "training": {"segment_frames": 8, "loss": "per_pitch", "weight_cap": 50.0},
    }
    files = {
        split: sorted(map(str, (shards / split).glob("*.parquet")))
        for split in ("training", "validation")
    }
    training, validation = load_splits(files["training"], files["validation"], config, 7)
    weights = _weights(training, config)
    for precision in ("float32", "mixed_bfloat16"):
        network = build_network(
            network_name, bins=BINS, pitches=PITCHES, input_scale=10.0, dropout_convolution=0.1,
            dropout_dense=0.2, seed=0,
        )  # fmt: skip
        plan = Plan(
            label=precision, seed=0, keys=("bench",), noise="none", level=0.0, drawn=False,
            redraw="round", epochs=epochs, patience=epochs, monitor="clean", keep="best",
            monitored_level=0.0,
            segment_frames=8, batch_segments=batch, precision=precision,
        )  # fmt: skip
        began = time.perf_counter()
        train(network, _adam(0.001), training, validation, weights, plan)
        f1 = validate(network, validation, validation.magnitudes, weights)["f1"]
        print(f"{precision}: validation F1 {f1:.3f}, {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--network", default="paper")
    parser.add_argument("--segment-frames", type=int, default=8)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 512, 2048])
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    device = start_backend(os.cpu_count() or 1, 0, gpus=1)
    import keras

    print(f"device: {device}; Keras {keras.__version__} on {keras.backend.backend()}")
    matrix = drawn_frames(asked.frames, PADDING + asked.segment_frames)
    print("precision", "segments a batch", "windows/s", "share of peak", "hours", sep="\t")
    for precision in ("float32", "mixed_bfloat16"):
        peak = peak_operations(precision)
        for batch in asked.batches:
            windows, each = windows_a_second(
                asked.network, matrix, asked.segment_frames, batch, precision
            )
            hours = SCHEDULE_EPOCHS * asked.frames / windows / 3600
            share = windows * each / peak
            print(precision, batch, f"{windows:.0f}", f"{share:.0%}", f"{hours:.1f}", sep="\t")
    if asked.shards:
        f1_of_precisions(asked.shards, asked.network, asked.epochs, max(asked.batches))


if __name__ == "__main__":
    main()
