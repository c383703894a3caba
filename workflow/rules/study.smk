# The study: every arm in every noise, one thing changed at a time, the parameters.
# takes: results/evaluation/{scores,audio}.parquet, results/tables/levels.csv, all models
# makes: results/evaluation/{distances,filters}.parquet,
#        results/figures/study_*.svg, results/tables/study_*.{html,csv}
# steps: measure the parameters of all models; draw what this configuration has arms, noises and
#        octaves for; answer the paper's open questions from the tables of these


include: "figures_common.smk"


# On the submit host, as all figures: a minute or two each with the arms of the study.
localrules:
    measure_parameters,
    plot_study,
    plot_parameters,
    write_answers,


STUDY = "5 Study"
# Arms whose level is searched.
SEARCHED = [arm for arm in ARMS if config["arms"][arm].get("level") == "searched"]
# Figures and tables that this configuration has something to show in.
STUDIED = {}
if config["evaluation"]["noises"]:
    STUDIED |= {
        "transfer_fitted": shown(
            "results/figures/study_transfer.svg",
            STUDY,
            "5.1 Transfer matrix, fitted threshold",
            "study_transfer",
        ),
        "transfer_half": shown(
            "results/figures/study_transfer_half.svg",
            STUDY,
            "5.1 Transfer matrix, threshold 0.5",
            "study_transfer",
        ),
        "transfer_csv": "results/tables/study_transfer.csv",
    }
if config["evaluation"]["octaves_level"] is not None:
    STUDIED |= {
        "octaves": shown(
            "results/figures/study_octaves.svg", STUDY, "5.3 Octaves", "study_octaves"
        ),
        "octaves_csv": "results/tables/study_octaves.csv",
    }
if config["evaluation"]["audio_noises"] and config["evaluation"]["audio_snr_db"]:
    STUDIED |= {
        "recordings": shown(
            "results/figures/study_recordings.svg",
            STUDY,
            "5.8 Noise in the audio",
            "study_recordings",
        ),
    }
if len(SEARCHED) > 1:
    STUDIED |= {
        "search_levels": shown(
            "results/figures/study_search_levels.svg",
            STUDY,
            "5.7 Levels by search",
            "study_search_levels",
        ),
    }


rule measure_parameters:
    input:
        [stem_of(*model) + ".keras" for model in TRAINED],
    output:
        distances="results/evaluation/distances.parquet",
        filters="results/evaluation/filters.parquet",
    log:
        "logs/measure_parameters/parameters.log",
    benchmark:
        "benchmarks/measure_parameters/parameters.tsv"
    conda:
        "../../envs/training-cpu.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        models=TRAINED,
        code=source_digest("evaluation.parameters"),
    script:
        "../scripts/measure_parameters.py"


rule plot_study:
    input:
        scores="results/evaluation/scores.parquet",
        audio="results/evaluation/audio.parquet",
        levels="results/tables/levels.csv",
    output:
        **STUDIED,
        changes=shown(
            "results/figures/study_changes.svg", STUDY, "5.2 One thing changed", "study_changes"
        ),
        changes_page=shown(
            "results/tables/study_changes.html",
            STUDY,
            "5.2 One thing changed (table)",
            "study_changes",
        ),
        changes_csv="results/tables/study_changes.csv",
        recordings_csv="results/tables/study_recordings.csv",
        relations_csv="results/tables/study_octave_relations.csv",
    log:
        "logs/plot_study/study.log",
    benchmark:
        "benchmarks/plot_study/study.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        config=sections("arms", "features", "rounds", "evaluation", "seeds"),
        code=source_digest(
            *SCORE_MODULES,
            "evaluation.study_tables",
            "report.answers",
            "report.parameters",
            "report.study",
            "report.summary",
        ),
    script:
        "../scripts/plot_study.py"


rule plot_parameters:
    input:
        distances="results/evaluation/distances.parquet",
        filters="results/evaluation/filters.parquet",
    output:
        distances=shown(
            "results/figures/study_distances.svg",
            STUDY,
            "5.4 Distance from the base, by layer",
            "study_distances",
        ),
        filters=shown(
            "results/figures/study_filters.svg",
            STUDY,
            "5.5 First filters, before and after",
            "study_filters",
        ),
        responses=shown(
            "results/figures/study_responses.svg",
            STUDY,
            "5.5 Response of the first filters to an offset",
            "study_responses",
        ),
        distances_csv="results/tables/study_distances.csv",
        responses_csv="results/tables/study_responses.csv",
        differences_csv="results/tables/study_response_differences.csv",
    log:
        "logs/plot_parameters/parameters.log",
    benchmark:
        "benchmarks/plot_parameters/parameters.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "rounds", "evaluation", "seeds"),
        code=source_digest(
            *STYLE_MODULES,
            "evaluation.parameters",
            "report.answers",
            "report.parameters",
            "report.study",
            "report.summary",
        ),
    script:
        "../scripts/plot_parameters.py"


rule write_answers:
    input:
        changes="results/tables/study_changes.csv",
        recordings="results/tables/study_recordings.csv",
        relations="results/tables/study_octave_relations.csv",
        distances="results/tables/study_distances.csv",
        differences="results/tables/study_response_differences.csv",
        levels="results/tables/levels.csv",
    output:
        page=shown("results/tables/study_answers.html", STUDY, "5.6 Answers", "study_answers"),
    log:
        "logs/write_answers/answers.log",
    benchmark:
        "benchmarks/write_answers/answers.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=sections("arms", "rounds", "evaluation", "seeds"),
        code=source_digest(
            *STYLE_MODULES,
            "evaluation.study_tables",
            "report.answers",
            "report.parameters",
            "report.study",
            "report.summary",
        ),
    script:
        "../scripts/write_answers.py"


rule study:
    input:
        rules.plot_study.output,
        rules.plot_parameters.output,
        rules.write_answers.output,
