"""One function for each rule of figures.smk: read the inputs, draw and write the outputs.

``sources`` and ``targets`` are the rule's inputs and outputs by name, ``config``
is the part of the configuration that the rule states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from at4ramt.evaluation import parameters as measured
from at4ramt.evaluation import study_tables
from at4ramt.evaluation.beside_peers import peer_differences
from at4ramt.evaluation.tables import (
    audio_scores,
    headline,
    note_scores,
    read_audio_counts,
    read_frame_metrics,
    read_note_counts,
    read_scores,
)
from at4ramt.parquet import read_frame
from at4ramt.report import (
    answers,
    data,
    listening,
    noisy,
    notes,
    parameters,
    peers,
    provenance,
    study,
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


def _read_uniform(path: str | Path) -> pd.DataFrame:
    """Return the scores on clean input and in the paper's noise, without those of the study."""
    return read_scores(path, noisy.UNIFORM)


def write_summary(sources: Paths, targets: Paths, config: Config) -> None:
    """Write the summary page, the headline figure and table, and the comparisons."""
    style.start_figures(config["arms"])
    scores = _read_uniform(sources["scores"])
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
    style.start_figures(config["arms"])
    scores = _read_uniform(sources["scores"])
    table = noisy.level_intervals(scores, **_draws(config))
    noisy.plot_f1(table, targets["f1"])
    noisy.plot_loss(table, targets["loss"])
    measures = noisy.metrics_table(
        scores, _read_uniform(sources["all_frames"]), read_frame_metrics(sources["frame_metrics"])
    )
    noisy.write_metrics(measures, targets["measures_csv"], targets["measures"])


def plot_rounds(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw what each round brought, the levels and their ratios, and the frames' influence."""
    style.start_figures(config["arms"])
    scores = _read_uniform(sources["scores"])
    levels = pd.read_csv(sources["levels"])
    strong = float(config["rounds"]["maximum_level"])
    noisy.plot_rounds(scores, targets["rounds"], wanted=(0.0, 0.1, strong), **_draws(config))
    noisy.plot_levels(levels, targets["levels"])
    noisy.write_levels_page(levels, targets["levels_page"])
    noisy.plot_silent(scores, _read_uniform(sources["all_frames"]), targets["silent"])


def plot_training(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw learning curves, noise rounds and level searches; write the table of models."""
    style.start_figures(config["arms"])
    histories = training.read_histories(sources["histories"])
    search = config["rounds"]["search"]
    training.plot_base_curves(histories, targets["base"])
    training.plot_round_curves(histories, targets["rounds"])
    in_decibels = [arm for arm, row in config["arms"].items() if row.get("level") == "decibels"]
    training.plot_chain(histories, targets["chain"], in_decibels=in_decibels)
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
    style.start_figures(config["arms"])
    features = config["features"]
    scores = _read_uniform(sources["scores"])
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
    confusion = read_frame(sources["confusion"])
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
    style.start_figures(config["arms"])
    table = note_scores(read_note_counts(sources["notes"]), **_draws(config))
    notes.plot_notes(table, targets["figure"])
    notes.write_notes(notes.order_rows(table), targets["csv"], targets["page"])


def plot_systems(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw F1 of all systems over the noise in the audio; write tables of it and of peers."""
    style.start_figures(config["arms"])
    counts = read_audio_counts(sources["audio"])
    table = audio_scores(counts, **_draws(config))
    evaluation = config["evaluation"]
    others = [*evaluation["peers"], *(row["name"] for row in evaluation["peer_models"])]
    drawn = noisy.drawn_arms(table["system"], [*others, *noisy.acoustic_arms(config["arms"])])
    tested = counts[counts["split"].isin(noisy.test_splits(counts))]
    differences = peer_differences(tested, evaluation["peers"], **_draws(config))
    said = peers.peer_sentences(
        differences[differences["arm"].isin(drawn)],
        style.order_splits(tested["split"])[-1],
        systems.drawn_thresholds(table),
    )
    systems.plot_systems(table[table["system"].isin(drawn)], targets["figure"], said)
    systems.write_systems(
        systems.order_rows(table), targets["csv"], targets["page"], peers.peer_tables(differences)
    )
    style.write_csv(targets["differences"], differences)


def write_listening(sources: Paths, targets: Paths, config: Config) -> None:
    """Write the page of excerpts to listen to."""
    style.start_figures(config["arms"])
    listening.write_listening(listening.read_listening(sources["excerpts"]), targets["page"])


def plot_study(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw those figures of the study that ``targets`` has, and write the tables of its answers."""
    arms = _trained_arms(config)
    style.start_figures(config["arms"])
    features, draws = config["features"], _draws(config)
    octaves = study_tables.read_octaves(sources["scores"], int(features["lowest_pitch"]))
    octaves = octaves[octaves["split"].isin(noisy.test_splits(octaves))]
    audio = read_audio_counts(sources["audio"])
    audio = audio[audio["split"].isin(set(octaves["split"]))]
    counts = study_tables.condition_counts(octaves, audio)
    present = set(counts["arm"])
    lead, split = noisy.lead_arm(present), style.order_splits(counts["split"])[-1]
    level = float(config["rounds"]["maximum_level"])
    main = study.main_conditions(counts, level)
    shown: dict[str, Any] = {"arms": arms, "split": split}

    compared = {**arms, **study.FREE_CONTROLS}
    pairs = study_tables.arm_pairs(compared, present, lead)
    pairs = list(dict.fromkeys([*pairs, *study.further_pairs(present, arms, lead)]))
    changes = study_tables.change_table(counts, pairs, main, **draws)
    found = answers.find_changes(changes, split)

    def told(questions: Iterable[str], kind: str = "fitted", domain: str = "") -> list[str]:
        chosen = [one for one in found if one.condition[0].startswith(domain)]
        return answers.short_answers(chosen, compared, list(questions), kind=kind, ends=True)

    study.plot_changes(
        changes,
        targets["changes"],
        arms=compared,
        split=split,
        conditions=main,
        said=answers.short_answers(found, compared, list(answers.ASKED), kind="fitted", ends=False),
    )
    study.write_changes(changes, targets["changes_csv"], targets["changes_page"], arms=compared)
    recordings = study_tables.change_table(
        counts,
        study.recording_pairs(present, arms, lead),
        study.recording_conditions(counts),
        **draws,
    )
    style.write_csv(targets["recordings_csv"], recordings)
    if "recordings" in targets:
        heard = [
            one
            for one in answers.find_changes(recordings, split)
            if one.arm == lead or one.reference != "base"
        ]
        study.plot_recordings(
            recordings,
            targets["recordings"],
            split=split,
            kind="fitted",
            said=[answers.RECORDINGS, *answers.answer_recordings(heard, other=None)],
        )
    drawn = ("base", "clean", lead)
    relations = study_tables.octave_relations(octaves, drawn, **draws)
    style.write_csv(targets["relations_csv"], relations)
    if "transfer_fitted" in targets or "search_levels" in targets:
        reference = "clean" if "clean" in present else "base"
        transfer = study_tables.transfer_table(counts, reference=reference, **draws)
    if "transfer_fitted" in targets:
        style.write_csv(targets["transfer_csv"], transfer)
        for kind in ("fitted", "half"):
            study.plot_transfer(
                transfer,
                targets[f"transfer_{kind}"],
                kind=kind,
                level=level,
                snr_db=study.AUDIO_RATIOS_DB[0],
                reference=reference,
                said=told(("noise", "adversary"), kind),
                **shown,
            )
    if "octaves" in targets:
        noised = float(config["evaluation"]["octaves_level"])
        lost = study_tables.octave_losses(octaves, drawn, **draws)
        style.write_csv(targets["octaves_csv"], lost)
        study.plot_octaves(
            lost,
            targets["octaves"],
            split=split,
            kind="fitted",
            level=noised,
            lowest_pitch=int(features["lowest_pitch"]),
            pitches=int(features["pitches"]),
            said=[answers.FREQUENCY, *answers.answer_octaves(relations, split, "fitted", noised)],
        )
    if "search_levels" in targets:
        levels = study_tables.searched_levels(pd.read_csv(sources["levels"]), arms)
        study.plot_search_levels(
            levels,
            transfer,
            targets["search_levels"],
            lead=lead,
            kind="fitted",
            conditions=[one for one in main if one[0] == "magnitudes"],
            said=[
                *told(("reference", "search"), domain="magnitudes"),
                *answers.answer_levels(levels, arms, _cap(config)),
            ],
            **shown,
        )


def plot_parameters(sources: Paths, targets: Paths, config: Config) -> None:
    """Draw the distances from the base, first filters, and what an offset adds to them."""
    style.start_figures(config["arms"])
    arms = _trained_arms(config)
    distances = read_frame(sources["distances"])
    filters = read_frame(sources["filters"])
    lead = noisy.lead_arm(filters["arm"])
    responses = measured.offset_responses(filters)
    differences = measured.response_differences(
        responses, parameters.trained_pairs(responses, lead), **_draws(config)
    )
    style.write_csv(targets["distances_csv"], distances)
    style.write_csv(targets["responses_csv"], responses)
    style.write_csv(targets["differences_csv"], differences)
    moved = [answers.PARAMETERS, *answers.answer_distances(distances, lead)]
    offset = [answers.PARAMETERS, *answers.answer_responses(differences, lead)]
    parameters.plot_distances(distances, targets["distances"], arms=arms, said=moved)
    parameters.plot_filters(filters, targets["filters"], lead=lead, said=offset)
    parameters.plot_responses(responses, targets["responses"], arms=arms, said=offset)


def write_answers(sources: Paths, targets: Paths, config: Config) -> None:
    """Write the page that answers the paper's open questions from the study's tables."""
    style.start_figures(config["arms"])
    arms = _trained_arms(config)
    recordings = pd.read_csv(sources["recordings"])
    relations = pd.read_csv(sources["relations"])
    distances = pd.read_csv(sources["distances"])
    levels = study_tables.searched_levels(pd.read_csv(sources["levels"]), arms)
    lead = noisy.lead_arm(distances["arm"].unique())
    changes = pd.read_csv(sources["changes"])
    split = style.order_splits([*changes["split"], *recordings["split"], *relations["split"]])[-1]
    level = config["evaluation"]["octaves_level"]
    compared = answers.find_changes(changes, split)
    heard = answers.find_changes(recordings, split)
    answers.write_answers(
        targets["page"],
        split=split,
        differences=answers.glance(compared),
        distances=answers.distance_table(distances, lead),
        seeds=len(config["seeds"]),
        parameters=[
            *answers.answer_distances(distances, lead),
            *answers.answer_responses(pd.read_csv(sources["differences"]), lead),
        ],
        octaves=answers.answer_octaves(relations, split, "fitted", float(level or 0.0)),
        changes=answers.answer_changes(compared, {**arms, **study.FREE_CONTROLS}, list(arms)),
        recordings=answers.answer_recordings(heard),
        ratios=answers.ratio_table(heard),
        level_sentences=answers.answer_levels(levels, arms, _cap(config)),
    )


def _cap(config: Config) -> float:
    """Return the level that no search goes beyond, where an arm has none of its own."""
    return float(config["rounds"]["search"]["cap_level"])


def _trained_arms(config: Config) -> dict[str, Any]:
    """Return the rows of the table of arms that this run trains, in the table's order."""
    return {arm: row for arm, row in config["arms"].items() if arm in config["rounds"]["arms"]}


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
