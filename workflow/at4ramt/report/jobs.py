"""One function for each rule of figures.smk: read the inputs, draw and write the outputs.

``sources`` and ``targets`` are the rule's inputs and outputs by name, ``config``
is the part of the configuration that the rule states.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from at4ramt.evaluation.tables import (
    audio_scores,
    headline,
    note_scores,
    read_audio_counts,
    read_frame_metrics,
    read_note_counts,
    read_scores,
)
from at4ramt.report import (
    data,
    listening,
    noisy,
    notes,
    provenance,
    style,
    summary,
    systems,
    training,
    transcription,
)

Paths = Mapping[str, Any]
Config = Mapping[str, Any]


def _draws(config: Config) -> dict[str, Any]:
    """Return the settings of the bootstrap."""
    return {
        "draws": int(config["evaluation"]["bootstrap_draws"]),
        "base_seed": int(config["seeds"][0]),
    }


def write_summary(sources: Paths, targets: Paths, config: Config) -> None:
    """Write the summary page, the headline figure and table, and the comparisons."""
    style.start_figures()
    scores = read_scores(sources["scores"])
    level = summary.strong_level(scores, float(config["rounds"]["maximum_level"]))
    table = headline(scores, splits=noisy.test_splits(scores), **_draws(config))
    comparisons = summary.compare_arms(scores, level=level, **_draws(config))
    rounds = training.read_rounds(sources["cards"])
    first = rounds[rounds["seed"] == rounds["seed"].min()]
    epochs = first.groupby("arm", sort=False)["epochs"].sum().to_dict()
    summary.plot_headline(table, targets["figure"])
    style.write_csv(targets["table"], summary.short_headline(table))
    style.write_csv(targets["intervals"], table)
    style.write_csv(targets["comparisons"], summary.comparisons_table(comparisons))
    summary.write_summary(
        targets["page"],
        table=table,
        comparisons=comparisons,
        arms=set(scores["arm"]),
        run=summary.describe_run(config, data.read_table(sources["pieces"]), scores, epochs),
        expectations=summary.check_expectations(scores, comparisons, level),
    )


def plot_noise(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw F1 and loss over noise level and write the table of all measures."""
    style.start_figures()
    scores = read_scores(sources["scores"])
    table = noisy.level_intervals(scores, **_draws(config))
    noisy.plot_f1(table, targets["f1"])
    noisy.plot_loss(table, targets["loss"])
    measures = noisy.metrics_table(
        scores, read_scores(sources["all_frames"]), read_frame_metrics(sources["frame_metrics"])
    )
    noisy.write_metrics(measures, targets["measures_csv"], targets["measures"])


def plot_rounds(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw what each round brought, the levels and their ratios, and the frames' influence."""
    style.start_figures()
    scores = read_scores(sources["scores"])
    levels = pd.read_csv(sources["levels"])
    strong = float(config["rounds"]["maximum_level"])
    noisy.plot_rounds(scores, targets["rounds"], wanted=(0.0, 0.1, strong), **_draws(config))
    noisy.plot_levels(levels, targets["levels"])
    noisy.write_levels_page(levels, targets["levels_page"])
    noisy.plot_silent(scores, read_scores(sources["all_frames"]), targets["silent"])


def plot_training(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw learning curves, noise rounds and level searches; write the table of models."""
    style.start_figures()
    histories = training.read_histories(sources["histories"])
    search = config["rounds"]["search"]
    training.plot_base_curves(histories, targets["base"])
    training.plot_round_curves(histories, targets["rounds"])
    training.plot_chain(histories, targets["chain"])
    training.plot_searches(
        training.read_searches(sources["searches"]),
        search["minimum_increase"],
        search["maximum_increase"],
        targets["searches"],
    )
    training.write_rounds_table(
        training.read_rounds(sources["cards"]), targets["models_csv"], targets["models"]
    )


def plot_transcription(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw spectra and piano roll of the example, confusions, and F1 of each pitch."""
    style.start_figures()
    features = config["features"]
    scores = read_scores(sources["scores"])
    example = transcription.read_example(sources["example"])
    lowest, title = int(features["lowest_pitch"]), str(config["report"]["example_piece"])
    strong = summary.strong_level(scores, float(config["rounds"]["maximum_level"]))
    transcription.plot_spectra(
        example,
        targets["spectra"],
        lowest_pitch=lowest,
        title=title,
        bins_per_pitch=int(features["bins_per_pitch"]),
    )
    transcription.plot_roll(example, targets["roll"], lowest_pitch=lowest, title=title)
    confusion = pd.read_parquet(sources["confusion"])
    level = min(
        confusion.loc[confusion["level"] > 0, "level"].unique(),
        key=lambda value: abs(value - strong),
        default=strong,
    )
    transcription.plot_confusion(
        confusion,
        targets["confusion"],
        split=noisy.test_splits(scores)[-1],
        kind="fitted",
        level=float(level),
        pitches=range(lowest, lowest + int(features["pitches"])),
    )
    pitches = transcription.pitch_table(scores, [0.0, strong])
    transcription.plot_pitches(pitches, targets["pitches"])
    style.write_csv(targets["pitches_csv"], pitches)


def plot_notes(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw F1 of notes over noise level and write the table of precision, recall and F1."""
    style.start_figures()
    table = note_scores(read_note_counts(sources["notes"]), **_draws(config))
    notes.plot_notes(table, targets["figure"])
    notes.write_notes(notes.order_rows(table), targets["csv"], targets["page"])


def plot_systems(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw F1 of all systems over the noise in the audio and write the table of it."""
    style.start_figures()
    table = audio_scores(read_audio_counts(sources["audio"]), **_draws(config))
    systems.plot_systems(table, targets["figure"])
    systems.write_systems(systems.order_rows(table), targets["csv"], targets["page"])


def write_listening(sources: Paths, targets: Paths) -> None:
    """Write the page of excerpts to listen to."""
    style.start_figures()
    listening.write_listening(listening.read_listening(sources["excerpts"]), targets["page"])


def plot_data(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw frames kept and dropped and the balance of labels; write data and licences."""
    style.start_figures()
    shards = data.read_shards(sources["shards"])
    tables = {
        name: data.read_table(sources[name])
        for name in ("pieces", "works", "instruments", "sources")
    }
    shares = data.label_shares(shards, int(config["features"]["lowest_pitch"]))
    data.plot_frames(shards, targets["frames"])
    data.plot_labels(shares, targets["labels"])
    style.write_csv(targets["labels_csv"], shares)
    data.write_licences(targets["licences_csv"], targets["licences"], **tables)
    del tables["sources"]
    data.write_data(targets["data_csv"], targets["data"], shards=shards, **tables)


def write_provenance(
    sources: Paths, targets: Paths, config: Config, *, benchmarks: str | Path, folder: str | Path
) -> None:
    """Write configuration, code, machine, digests and times; draw the rule graph.

    ``benchmarks`` is the folder of Snakemake's benchmarks, ``folder`` the clone.
    """
    style.start_figures()
    shards, models = provenance.list_digests(data.read_shards(sources["shards"]), sources["cards"])
    times = provenance.rule_times(provenance.read_benchmarks(benchmarks))
    provenance.plot_times(times, targets["times"])
    provenance.write_times(times, targets["times_csv"], targets["times_page"])
    provenance.plot_graph(Path(sources["graph"]).read_text(encoding="utf-8"), targets["graph"])
    provenance.write_provenance(
        targets["page"],
        config=config,
        shards=shards,
        models=models,
        commit=provenance.describe_commit(folder),
    )
