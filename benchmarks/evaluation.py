"""Evaluation: a whole piece at once, beside a window for each of its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks import data
from benchmarks.measure import (
    Options,
    Section,
    Table,
    in_process,
    interleaved,
    main_of_section,
    ratios,
    row,
    timed,
)

TEXT = """\
`whole sequence` is how models are scored: the network, convolutional over time, goes over 512 \
frames at a time. `windowed` gives it 7 frames for each one, 512 windows to a batch, gathered as \
they are needed. The logits of both are compared in the run. One thread, one process, by turns; \
a piece of four minutes."""

LARGEST_DIFFERENCE = 1e-4
"""Of logits, which are of the size of 10: sums in another order."""

BATCH = 512


def main(options: Options) -> Section:
    """Measure both networks."""
    section = Section("Evaluation", TEXT)
    for name, label in (("small", "the demo's network"), ("paper", "the paper's network")):
        frames, repeats = options.size(3750, 600), options.size(7, 1)
        found, took = in_process(both, name=name, frames=frames, repeats=repeats)
        if found["difference"] > LARGEST_DIFFERENCE:
            raise AssertionError(f"logits differ by {found['difference']}")
        whole, windowed = found["whole"], found["windowed"]
        section.rows.append(
            row(f"evaluation, {label}: windowed / whole sequence, time", ratios(windowed, whole),
                (">=", 1.5), note=f"logits within {found['difference']:.1e}")
        )  # fmt: skip
        rates = {"whole sequence": whole, "windowed": windowed}
        section.tables.append(
            Table(
                f"Frames a second, {label}; {frames:,} frames; peak {took.peak_mb:.0f} MB",
                ["", "median", "from, to"],
                [
                    [way, f"{frames / np.median(times):,.0f}",
                     f"{frames / max(times):,.0f} to {frames / min(times):,.0f}"]
                    for way, times in rates.items()
                ],
            )
        )  # fmt: skip
    return section


def both(name: str, frames: int, repeats: int) -> dict[str, Any]:
    """Return seconds of each way, and the largest difference of their logits."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    from at4ramt.training.loop import predict_logits
    from at4ramt.training.network import context_frames

    network = data.network(name)
    window = context_frames(network)
    magnitudes = data.frame_matrix(frames, edge=window // 2).magnitudes

    def whole() -> Any:
        return predict_logits(network, magnitudes)

    def windowed() -> Any:
        outputs = []
        for first in range(0, frames, BATCH):
            rows = np.arange(first, min(first + BATCH, frames))
            windows = magnitudes[rows[:, None] + np.arange(window)]
            missing = BATCH - len(rows)  # one shape: compiled once, as the other way
            windows = np.pad(windows, ((0, missing), (0, 0), (0, 0)))
            outputs.append(network.predict_on_batch(windows)[: len(rows), 0])
        return np.concatenate(outputs)

    difference = float(np.abs(whole() - windowed()).max())
    taken = interleaved(
        {"whole": lambda: timed(whole), "windowed": lambda: timed(windowed)}, repeats
    )
    seconds = {way: [took.wall for took in each] for way, each in taken.items()}
    return {"difference": difference, **seconds}


if __name__ == "__main__":
    main_of_section(main)
