"""The search for a round's level, in epochs of training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks import data
from benchmarks.measure import Options, Section, Table, in_process, main_of_section, row, timed

TEXT = """\
A base is trained on synthetic frames, as many as the demo has, then rounds of the adversarial \
arm, each with a search for its level and the demo's epochs, by the functions that the workflow \
calls. The ratio is the time of a round's search, its sample and noise included, to that of an \
epoch of training without validation in the same round. The first round, which starts from a \
level far off, is one of them. One thread."""


def main(options: Options) -> Section:
    """Measure some rounds."""
    section = Section("Level search", TEXT)
    found, took = in_process(
        rounds,
        frames=options.size(33, 6) * data.PIECE_ROWS,
        base_epochs=options.size(8, 2),
        count=options.size(6, 2),
    )
    section.rows.append(
        row("level search: a round's search / an epoch, time",
            [each["search"] / each["epoch"] for each in found], ("<", 0.5))
    )  # fmt: skip
    section.tables.append(
        Table(
            f"Rounds (peak {took.peak_mb:.0f} MB)",
            ["round", "levels tried", "ended", "level", "search [s]", "a level [s]", "epoch [s]"],
            [
                [str(number), str(each["tried"]), each["status"].replace("_", " "),
                 f"{each['level']:.3f}", f"{each['search']:.2f}",
                 f"{each['search'] / (each['tried'] + 1):.2f}", f"{each['epoch']:.2f}"]
                for number, each in enumerate(found, start=1)
            ],
        )
    )  # fmt: skip
    return section


def rounds(frames: int, base_epochs: int, count: int) -> list[dict[str, Any]]:
    """Train a base and rounds; return seconds of search and epoch for each."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    import keras

    from at4ramt.training.level_search import SearchResult, SearchSettings, search_level
    from at4ramt.training.loop import sample_loss, train

    matrix, held = data.frame_matrix(frames), data.frame_matrix(4 * data.PIECE_ROWS, seed=1)
    network, weights = data.network(), data.weights(matrix)
    optimizer = keras.optimizers.Adam(data.config()["training"]["learning_rate"])
    base = data.plan(label="base", epochs=base_epochs)
    train(network, optimizer, matrix, held, weights, base)
    section = data.config()["rounds"]
    settings = SearchSettings(**section["search"])
    level, found = settings.start_level, []
    for number in range(1, count + 1):
        ended: list[SearchResult] = []

        def search(number: int = number, level: float = level, ended: Any = ended) -> None:
            loss = sample_loss(network, matrix, weights, frames=settings.frames, seed=number)
            ended.append(search_level(loss, loss(0.0), settings, level))

        took = timed(search)
        result, level = ended[0], ended[0].level
        plan = replace(
            base, label=f"round {number}", keys=("adversarial", number), noise="level",
            level=level, epochs=section["epochs"], monitor="noisy", monitored_level=level,
        )  # fmt: skip
        state = train(network, optimizer, matrix, held, weights, plan)
        epochs = [record["seconds"] for record in state.history]
        found.append(
            {
                "search": took.wall,
                # Of the epochs the quickest: the first one compiles the step.
                "epoch": float(np.min(epochs)),
                "tried": len(result.trace),
                "status": result.status,
                "level": level,
            }
        )
    return found


if __name__ == "__main__":
    main_of_section(main)
