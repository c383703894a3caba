"""What is run again after a change: exactly what depends on it."""

import pytest

ROUND_2 = "results/models/adversarial/seed_0/round_02.keras"


def test_a_second_run_has_nothing_to_do(small_run):
    assert small_run.planned() == {}


def test_forcing_a_round_runs_exactly_that_one(small_run):
    assert small_run.planned_outputs("train_round", "--force", ROUND_2) == [ROUND_2]
    assert small_run.planned("--force", ROUND_2) == {"train_round": 1}


def test_after_a_forced_round_a_plain_run_makes_the_later_ones_and_their_scores(linked_copy):
    printed = linked_copy.snakemake("--force", ROUND_2)
    assert "1 of 1 steps (100%) done" in printed
    chain = "adversarial/seed_0/round_0"
    assert linked_copy.planned_outputs("train_round") == [f"results/models/{chain}3.keras"]
    assert linked_copy.planned_outputs("evaluate_model") == [
        f"results/evaluation/models/{chain}{number}.scores.parquet" for number in (2, 3)
    ]
    assert not {"train_base", "build_shard", "extract_cqt"} & set(linked_copy.planned())


def test_another_number_of_rounds_adds_only_the_new_ones(small_run, edited):
    edited(small_run.path / "tests" / "workflow" / "small.yaml", "count: 3", "count: 5")
    trained = small_run.planned_outputs("train_round")
    assert trained == sorted(
        f"results/models/{arm}/seed_0/round_0{number}.keras"
        for arm in ("adversarial", "clean", "augmented", "fixed", "gradient")
        for number in (4, 5)
    )
    assert "train_base" not in small_run.planned()


def test_the_configuration_of_a_round_reruns_it_and_the_later_ones(small_run, edited):
    edited(
        small_run.path / "tests" / "workflow" / "small.yaml",
        "  count: 3",
        "  count: 3\n  overrides: {2: {maximum_level: 0.3}}",
    )
    trained = small_run.planned_outputs("train_round")
    assert trained == sorted(
        f"results/models/{arm}/seed_0/round_0{number}.keras"
        for arm in ("adversarial", "clean", "augmented", "fixed", "gradient")
        for number in (2, 3)
    )


def test_models_that_are_kept_from_another_configuration_are_not_taken_for_this_one_s(
    linked_copy, edited
):
    edited(
        linked_copy.path / "tests" / "workflow" / "small.yaml",
        "  count: 3",
        "  count: 3\n  overrides: {2: {maximum_level: 0.3}}",
    )
    kept = ("--rerun-triggers", "mtime", "--force")
    levels = linked_copy.snakemake(*kept, "results/tables/levels.csv", fails=True)
    third = linked_copy.snakemake(*kept, ROUND_2.replace("02", "03"), fails=True)
    for printed in (levels, third):
        assert f"{ROUND_2}: was trained with rounds.maximum_level 0.34 (now 0.3)" in printed


@pytest.mark.parametrize(
    ("module", "stale", "fresh"),
    [
        ("report/style.py", {"report"}, {"train_base", "train_round", "evaluate_model"}),
        ("training/noise.py", {"train_base", "train_round", "evaluate_model"}, {"extract_cqt"}),
        ("training/level_search.py", {"train_round"}, {"train_base", "extract_cqt"}),
        ("features/cqt.py", {"extract_cqt", "build_shard", "train_base"}, {"render_piece"}),
        ("evaluation/tables.py", {"collect_scores"}, {"train_base", "train_round"}),
        ("audio_noise/kinds.py", {"mix_noise", "evaluate_in_audio"}, {"extract_cqt", "train_base"}),
        ("sounds.py", {"prepare_piano", "render_piece", "transcribe_excerpts"}, {"fetch_source"}),
        ("training/losses.py", {"train_base"}, {"render_piece", "extract_cqt", "build_shard"}),
    ],
)
def test_an_edited_module_reruns_what_uses_it(small_run, edited, module, stale, fresh):
    path = small_run.path / "workflow" / "at4ramt" / module
    edited(path, '"""', '# A comment.\n"""')
    planned = set(small_run.planned())
    assert stale <= planned
    assert not planned & fresh


def test_an_edited_row_of_the_pieces_reruns_that_piece_alone(small_run, edited):
    edited(
        small_run.path / "tests" / "workflow" / "small_pieces.tsv",
        "MAPS_MUS-fur_elise-0_SalamC5\tfur_elise\tSalamC5\ttest_unseen_piano\t0",
        "MAPS_MUS-fur_elise-0_SalamC5\tfur_elise\tSalamC5\ttest_unseen_piano\t0.5",
    )
    rendered = small_run.planned_outputs("render_piece")
    assert rendered == ["results/corpus/SalamC5/MUS/MAPS_MUS-fur_elise-0_SalamC5.wav"]
    assert "train_base" not in small_run.planned()
