"""Training: windows a second and memory, beside plain Keras and what the machine can do."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, Protocol

import numpy as np
from benchmarks import data
from benchmarks.measure import (
    Options,
    Row,
    Section,
    Table,
    Took,
    in_process,
    interleaved,
    main_of_section,
    ratios,
    resident_mb,
    row,
    timed,
)

TEXT = """\
A *window* is a centre with three frames on either side. `ours` is the package's own step, from \
row numbers to logged sums, on segments of 8 neighbouring frames, 32 to a batch; only their \
centres count as windows. `plain fit` is `keras.Model.fit` of the same network with the same \
loss and optimiser, 256 windows to a batch, on windows that were all made beforehand. `bare` is \
the limit: the same network's forward and backward pass and Adam on one batch of segments that \
is already a tensor, compiled, with nothing gathered, weighed by mask or counted. `matrix \
product` is the largest rate of a product of square float32 matrices that TensorFlow reaches \
here; a step's operations are counted from the shapes of convolutions and dense layers. \
Everything runs on one thread, as the workflow's trainings do, in one process by turns. Memory \
is of processes of their own; the frame matrix is the float32 magnitudes of all frames."""

WINDOWS_FOR_FIT = 256


def main(options: Options) -> Section:
    """Measure the demo's network and the paper's, then memory."""
    section = Section("Training", TEXT)
    for name in ("small", "paper"):
        repeats, steps = options.size(25, 2), options.size(12 if name == "small" else 6, 4)
        found, _ = in_process(speed, name=name, repeats=repeats, steps=steps)
        _report_speed(section, name, found)
    _measure_memory(section, options)
    return section


def speed(name: str, repeats: int, steps: int) -> dict[str, Any]:
    """Return windows a second of each way, a list each, and the machine's GFLOP/s."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    matrix = data.frame_matrix(40 * data.PIECE_ROWS)
    ours, fit, bare = _Ours(name, matrix), _Fit(name, matrix), _Bare(name, matrix)
    noisy = _Ours(name, matrix, noise="level")
    ways: dict[str, _Way] = {"ours": ours, "bare": bare, "plain fit": fit, "ours with noise": noisy}
    for way in ways.values():
        way.run(3)  # compiles
    counts: dict[str, list[int]] = {key: [] for key in ways}

    def turn(key: str) -> Took:
        def work() -> None:
            counts[key].append(ways[key].run(steps))

        return timed(work)

    taken = interleaved({key: partial(turn, key) for key in ways} | {"product": _product}, repeats)
    product = [PRODUCT_FLOP / took.wall / 1e9 for took in taken.pop("product")]
    rates = {
        key: [count / took.wall for count, took in zip(counts[key], taken[key], strict=True)]
        for key in ways
    }
    segment = data.config()["training"]["segment_frames"]
    batch = data.config()["training"]["batch_segments"]
    operations = step_operations(name, batch, segment) / (batch * segment)
    return {"rates": rates, "product": product, "operations": operations}


class _Way(Protocol):
    def run(self, steps: int) -> int:
        """Train so many steps; return the windows of them."""


class _Ours:
    """The package's steps, without validation."""

    def __init__(self, name: str, matrix: Any, noise: str = "none") -> None:
        import keras

        from at4ramt.training.checkpoint import TrainingState
        from at4ramt.training.segments import SegmentModel

        self.matrix, self.state = matrix, TrainingState()
        self.plan = data.plan(noise=noise, level=0.1 if noise != "none" else 0.0)
        self.model = SegmentModel(
            data.network(name), matrix, data.weights(matrix),
            segment_frames=self.plan.segment_frames, noise=noise,
        )  # fmt: skip
        self.model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
        self.steps = self._steps()

    def _steps(self) -> Any:
        from at4ramt.training.loop import _epoch_steps

        while True:
            yield from _epoch_steps(self.model, self.matrix, self.plan, self.state)
            self.state.epoch, self.state.step, self.state.epoch_seconds = (
                self.state.epoch + 1, 0, 0.0,
            )  # fmt: skip

    def run(self, steps: int) -> int:
        before = self.state.totals.get("cells", 0.0)
        for _ in itertools.islice(self.steps, steps):
            pass
        return round((self.state.totals["cells"] - before) / self.matrix.labels.shape[1])


class _Fit:
    """Keras' own loop on windows in memory, a centre each."""

    def __init__(self, name: str, matrix: Any) -> None:
        import keras

        from at4ramt.training.losses import cross_entropies

        centres = np.flatnonzero(matrix.centre)
        self.windows, self.labels = windows_of(matrix, centres)
        given = data.weights(matrix)
        pair = np.stack([given.inactive, given.active])
        self.model = data.network(name)
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss=lambda truth, logits: cross_entropies(truth, logits, pair)[0],
            jit_compile=False,
        )

    def run(self, steps: int) -> int:
        windows = min(len(self.windows), steps * WINDOWS_FOR_FIT)
        self.model.fit(
            self.windows[:windows], self.labels[:windows],
            batch_size=WINDOWS_FOR_FIT, epochs=1, verbose=0,
        )  # fmt: skip
        return windows


class _Bare:
    """Forward, backward and Adam on a batch that is in place."""

    def __init__(self, name: str, matrix: Any) -> None:
        import keras
        import tensorflow as tf

        from at4ramt.training.losses import cross_entropies

        section = data.config()["training"]
        batch, run = section["batch_segments"], section["segment_frames"]
        starts = np.flatnonzero(matrix.centre)[:: run + 1][:batch]
        rows = starts[:, None] + np.arange(run + 2 * matrix.padding) - matrix.padding
        signal = tf.constant(matrix.magnitudes[rows])
        inner = slice(matrix.padding, -matrix.padding)
        labels = tf.constant(matrix.labels[rows[:, inner]].astype(np.float32))
        given = data.weights(matrix)
        pair = tf.constant(np.stack([given.inactive, given.active]))
        network, optimizer = data.network(name), keras.optimizers.Adam(1e-3)
        optimizer.build(network.trainable_variables)

        @tf.function(jit_compile=False)
        def step() -> Any:
            with tf.GradientTape() as tape:
                logits = network(signal, training=True)
                loss = tf.reduce_mean(cross_entropies(labels, logits, pair)[0])
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
            return loss

        self.step, self.windows_a_step = step, batch * run

    def run(self, steps: int) -> int:
        for _ in range(steps):
            loss = self.step()
        float(loss)
        # As many of its outputs as of ours are no centres; they cost the same.
        return steps * self.windows_a_step


def windows_of(matrix: Any, centres: Any) -> tuple[Any, Any]:
    """Return windows ``(n, 7, bins)`` and their labels ``(n, 1, pitches)``, float32."""
    reach = np.arange(-matrix.padding, matrix.padding + 1)
    windows = matrix.magnitudes[centres[:, None] + reach]
    return windows, matrix.labels[centres][:, None].astype(np.float32)


PRODUCT_SIDE = 2048
PRODUCT_TIMES = 4
PRODUCT_FLOP = PRODUCT_TIMES * 2 * PRODUCT_SIDE**3


def _product() -> Took:
    import tensorflow as tf

    square = tf.ones((PRODUCT_SIDE, PRODUCT_SIDE))

    def work() -> None:
        for _ in range(PRODUCT_TIMES):
            last = tf.matmul(square, square)
        last.numpy()

    return timed(work)


def step_operations(name: str, batch: int, segment: int) -> float:
    """Return the floating-point operations of a step's matrix products.

    Two for each product and sum. Going back costs each layer as much for the gradient of its
    weights and again for that of its input, which the first one does not need.
    """
    from at4ramt.training.network import KERNELS, NETWORKS, POOL, NetworkSize

    size, section = NETWORKS[name], data.config()["features"]
    assert isinstance(size, NetworkSize)
    context = sum(long - 1 for long, _ in KERNELS)
    frames, width = segment + context, section["pitches"] * section["bins_per_pitch"]
    channels, total = 1, 0.0
    for number, (long, wide) in enumerate(KERNELS):
        frames, width = frames - long + 1, width - wide + 1
        forward = 2.0 * batch * frames * width * size.filters * long * wide * channels
        total += forward * (2 if number == 0 else 3)
        channels, width = size.filters, width // POOL[1]
    inputs = width * channels
    for units in (*size.dense, section["pitches"]):
        total += 3 * 2.0 * batch * frames * inputs * units
        inputs = units
    return total


def _report_speed(section: Section, name: str, found: dict[str, Any]) -> None:
    rates, product = found["rates"], found["product"]
    demo = name == "small"
    label = "the demo's network" if demo else "the paper's network"
    # The bare step's outputs are all counted; ours has a few that are no centres.
    share = ratios(rates["ours"], rates["bare"])
    used = [rate * found["operations"] / 1e9 for rate in rates["bare"]]
    section.rows += [
        row(f"training, {label}: ours / plain fit, windows/s",
            ratios(rates["ours"], rates["plain fit"]), (">=", 1.6) if demo else None),
        row(f"training, {label}: ours / bare step, windows/s", share,
            (">=", 0.9) if demo else None),
        row(f"training, {label}: with noise / bare step, windows/s",
            ratios(rates["ours with noise"], rates["bare"])),
        row(f"training, {label}: bare step / peak of the matrix product, operations/s",
            ratios(used, product)),
    ]  # fmt: skip
    lines = [
        [key, f"{np.median(values):,.0f}", f"{min(values):,.0f} to {max(values):,.0f}"]
        for key, values in rates.items()
    ]
    section.tables.append(
        Table(
            f"Windows a second, {label} ({found['operations'] / 1e6:.1f} MFLOP a window; matrix "
            f"product: {np.median(product):.0f} GFLOP/s)",
            ["", "median", "from, to"],
            lines,
        )
    )


def memory_ours(rows: int, validation_rows: int, steps: int) -> dict[str, Any]:
    """Train some steps on so many frames and validate; return bytes of the matrix and centres."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    from at4ramt.training.loop import validate

    matrix = data.frame_matrix(rows)
    ours = _Ours("small", matrix, noise="level")
    ours.run(steps)
    held = data.frame_matrix(validation_rows, seed=1)
    validate(ours.model.network, held, held.magnitudes, data.weights(matrix))
    return {"bytes": matrix.magnitudes.nbytes, "centres": int(matrix.centre.sum())}


def memory_stages(rows: int, steps: int) -> list[tuple[str, float]]:
    """Return resident MB after each stage of a training on so many frames."""
    stages = [("Python and NumPy", resident_mb())]

    def reached(name: str) -> None:
        stages.append((name, resident_mb()))

    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    reached("TensorFlow and Keras imported")
    matrix = data.frame_matrix(rows)
    reached("frames and labels in memory")
    ours = _Ours("small", matrix, noise="level")
    reached("network made, frames on the device")
    ours.run(steps)
    reached("first steps")
    return stages


def memory_fit(rows: int, steps: int) -> dict[str, Any]:
    """The same by plain fit, whose windows are all made first."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    matrix = data.frame_matrix(rows)
    _Fit("small", matrix).run(steps)
    return {"bytes": matrix.magnitudes.nbytes, "centres": int(matrix.centre.sum())}


def memory_bare(rows: int, steps: int) -> dict[str, Any]:
    """The same by the bare step, which holds one batch (and here the matrix it comes from)."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    matrix = data.frame_matrix(rows)
    _Bare("small", matrix).run(steps)
    return {"bytes": matrix.magnitudes.nbytes, "centres": int(matrix.centre.sum())}


def _measure_memory(section: Section, options: Options) -> None:
    steps, validation = 8, options.size(20_000, 1_000)
    some = options.size(150_000, 6_000)
    full = options.size(1_115_000, 12_000)
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("ours", memory_ours, {"rows": 2_000, "validation_rows": validation}),
        ("ours", memory_ours, {"rows": some, "validation_rows": validation}),
        ("ours", memory_ours, {"rows": full, "validation_rows": validation}),
        ("bare step", memory_bare, {"rows": some}),
        ("plain fit", memory_fit, {"rows": some}),
    ]
    lines, peaks, sizes, centres = [], [], [], 0
    for name, work, arguments in cases:
        found, took = in_process(work, steps=steps, **arguments)
        peaks.append(took.peak_mb)
        centres = max(centres, found["centres"])
        sizes.append(found["bytes"] / 1e6)
        lines.append(
            [name, f"{found['centres']:,}", f"{sizes[-1]:,.0f}", f"{peaks[-1]:,.0f}",
             f"{peaks[-1] / sizes[-1]:.2f}" if sizes[-1] > 50 else "-"]
        )  # fmt: skip
    grown = (peaks[2] - peaks[0]) / (sizes[2] - sizes[0])
    section.rows += [
        _once(f"training, memory: ours, peak / frame matrix, {centres:,} centres",
              peaks[2] / sizes[2], ("<", 2.0), "everything included, TensorFlow too"),
        _once("training, memory: ours, growth of the peak / growth of the frame matrix", grown),
        _once(f"training, memory: ours, peak with {centres:,} centres", peaks[2] / 1e3,
              ("<", 4.0), "full MAPS: a million; synthetic frames, some steps, a validation", "GB"),
        _once("training, memory: plain fit / ours, the same frames", peaks[4] / peaks[1]),
    ]  # fmt: skip
    stages, _ = in_process(memory_stages, rows=full, steps=steps)
    section.tables.append(
        Table(
            f"Resident memory of ours along the way, {centres:,} centres",
            ["after", "resident [MB]", "more than before [MB]"],
            [
                [name, f"{now:,.0f}", f"{now - before:,.0f}"]
                for (name, now), before in zip(
                    stages, [0.0, *(each for _, each in stages)], strict=False
                )
            ],
        )
    )
    section.tables.append(
        Table(
            "Peak of resident memory",
            ["", "centres", "frame matrix [MB]", "peak [MB]", "peak / frame matrix"],
            lines,
        )
    )


def _once(
    name: str,
    value: float,
    target: tuple[str, float] | None = None,
    note: str = "",
    unit: str = "x",
) -> Row:
    return row(name, [value], target, unit, note)


if __name__ == "__main__":
    main_of_section(main)
