# Figures, tables and the report.
# takes: results/evaluation/, results/tables/levels.csv, histories, search traces and cards of the
#        models, cards of the shards, config/corpus/, benchmarks/
# makes: results/figures/*.svg, results/tables/{*.html,*.csv}, results/report.html
# steps: one rule a category of the report; provenance after them; then the report of all

from at4ramt.files import file_digest, value_digest
from at4ramt.report.nested import write_report, write_rule_graph


# On the submit host: seconds each. write_graph and report ask Snakemake about the whole workflow
# and run in its own Python (`run:`), since the environment of the figures has no Snakemake.
localrules:
    write_summary,
    plot_noise,
    plot_rounds,
    plot_training,
    plot_transcription,
    plot_notes,
    plot_systems,
    write_listening,
    plot_data,
    write_graph,
    write_provenance,
    report,


SUMMARY = "1 Summary"
NOISE = "2 Noisy evaluation"
TRAINING = "3 Training"
TRANSCRIPTION = "4 Transcription"
DATA = "6 Data"
PROVENANCE = "7 Provenance"


rule write_summary:
    input:
        scores="results/evaluation/scores.parquet",
        cards=model_files(),
        pieces=CORPUS_TABLES["pieces"],
    output:
        page=shown("results/tables/summary.html", SUMMARY, "1.1 Summary of the run", "summary"),
        figure=shown("results/figures/headline.svg", SUMMARY, "1.2 F1 over noise level", "headline"),
        table=shown(
            "results/tables/headline.csv", SUMMARY, "1.3 Headline table (CSV)", "headline_table"
        ),
        intervals="results/tables/headline_intervals.csv",
        comparisons="results/tables/comparisons.csv",
    log:
        "logs/write_summary/summary.log",
    benchmark:
        "benchmarks/write_summary/summary.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("corpus", "network", "training", "arms", "rounds", "evaluation", "seeds"),
        code=source_digest(*SCORE_MODULES, "report.summary", "report.training", "report.data"),
    script:
        "../scripts/write_summary.py"


rule plot_noise:
    input:
        scores="results/evaluation/scores.parquet",
        all_frames="results/evaluation/scores_all_frames.parquet",
        frame_metrics="results/evaluation/frame_metrics.parquet",
    output:
        f1=shown("results/figures/noise_f1.svg", NOISE, "2.1 F1 over noise level", "noise_f1"),
        loss=shown(
            "results/figures/noise_loss.svg", NOISE, "2.2 Loss over noise level", "noise_loss"
        ),
        measures=shown(
            "results/tables/measures.html", NOISE, "2.7 All measures (table)", "measures"
        ),
        measures_csv="results/tables/measures.csv",
    log:
        "logs/plot_noise/noise.log",
    benchmark:
        "benchmarks/plot_noise/noise.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "evaluation", "seeds"),
        code=source_digest(*SCORE_MODULES),
    script:
        "../scripts/plot_noise.py"


rule plot_rounds:
    input:
        scores="results/evaluation/scores.parquet",
        all_frames="results/evaluation/scores_all_frames.parquet",
        levels="results/tables/levels.csv",
    output:
        rounds=shown(
            "results/figures/after_rounds.svg",
            NOISE,
            "2.3 Performance after each round",
            "after_rounds",
        ),
        levels=shown("results/figures/levels.svg", NOISE, "2.4 Levels and SNR by round", "levels"),
        levels_page=shown(
            "results/tables/levels.html", NOISE, "2.5 Levels and SNR (table)", "levels"
        ),
        silent=shown(
            "results/figures/silent_frames.svg",
            NOISE,
            "2.6 Silent frames included",
            "silent_frames",
        ),
    log:
        "logs/plot_rounds/rounds.log",
    benchmark:
        "benchmarks/plot_rounds/rounds.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "rounds", "evaluation", "seeds"),
        code=source_digest(*SCORE_MODULES),
    script:
        "../scripts/plot_rounds.py"


rule plot_training:
    input:
        histories=history_files(),
        searches=search_files(),
        cards=model_files(),
    output:
        base=shown("results/figures/base_curves.svg", TRAINING, "3.1 Base training", "base_curves"),
        rounds=shown(
            "results/figures/round_curves.svg",
            TRAINING,
            "3.2 Within the noise rounds",
            "round_curves",
        ),
        chain=shown("results/figures/chain.svg", TRAINING, "3.3 The whole chain of epochs", "chain"),
        searches=shown(
            "results/figures/level_searches.svg",
            TRAINING,
            "3.4 The level searches",
            "level_searches",
        ),
        models=shown("results/tables/models.html", TRAINING, "3.5 Models (table)", "models"),
        models_csv="results/tables/models.csv",
    log:
        "logs/plot_training/training.log",
    benchmark:
        "benchmarks/plot_training/training.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "rounds"),
        code=source_digest(*STYLE_MODULES, "report.noisy", "report.training"),
    script:
        "../scripts/plot_training.py"


rule plot_transcription:
    input:
        example="results/evaluation/example.npz",
        confusion="results/evaluation/confusion.parquet",
        scores="results/evaluation/scores.parquet",
    output:
        spectra=shown(
            "results/figures/spectra.svg", TRANSCRIPTION, "4.1 Spectra of an excerpt", "spectra"
        ),
        roll=shown(
            "results/figures/piano_roll.svg",
            TRANSCRIPTION,
            "4.2 Piano roll of an excerpt",
            "piano_roll",
        ),
        confusion=shown(
            "results/figures/confusion.svg", TRANSCRIPTION, "4.3 Confusion matrix", "confusion"
        ),
        pitches=shown(
            "results/figures/pitch_f1.svg", TRANSCRIPTION, "4.4 F1 of each pitch", "pitch_f1"
        ),
        pitches_csv="results/tables/pitch_f1.csv",
    log:
        "logs/plot_transcription/transcription.log",
    benchmark:
        "benchmarks/plot_transcription/transcription.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "features", "rounds", "report"),
        code=source_digest(*SCORE_MODULES, "report.transcription", "report.summary"),
    script:
        "../scripts/plot_transcription.py"


rule plot_notes:
    input:
        notes="results/evaluation/notes.parquet",
    output:
        figure=shown("results/figures/notes.svg", TRANSCRIPTION, "4.5 F1 of notes", "notes"),
        page=shown("results/tables/notes.html", TRANSCRIPTION, "4.6 Notes found (table)", "notes"),
        csv="results/tables/notes.csv",
    log:
        "logs/plot_notes/notes.log",
    benchmark:
        "benchmarks/plot_notes/notes.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "evaluation", "seeds"),
        code=source_digest(*SCORE_MODULES, "report.notes"),
    script:
        "../scripts/plot_notes.py"


rule plot_systems:
    input:
        audio="results/evaluation/audio.parquet",
    output:
        figure=shown(
            "results/figures/systems.svg",
            TRANSCRIPTION,
            "4.8 Noise in the audio, and peers",
            "systems",
        ),
        page=shown(
            "results/tables/systems.html",
            TRANSCRIPTION,
            "4.9 Noise in the audio (table)",
            "systems",
        ),
        csv="results/tables/systems.csv",
        differences="results/tables/peer_differences.csv",
    log:
        "logs/plot_systems/systems.log",
    benchmark:
        "benchmarks/plot_systems/systems.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms", "evaluation", "seeds"),
        code=source_digest(
            *SCORE_MODULES,
            "evaluation.beside_peers",
            "evaluation.study_tables",
            "report.answers",
            "report.peers",
            "report.study",
            "report.summary",
            "report.systems",
        ),
    script:
        "../scripts/plot_systems.py"


rule write_listening:
    input:
        excerpts="results/evaluation/listening.json",
    output:
        page=shown(
            "results/tables/listening.html", TRANSCRIPTION, "4.7 Listen and look", "listening"
        ),
    log:
        "logs/write_listening/listening.log",
    benchmark:
        "benchmarks/write_listening/listening.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config=sections("arms"),
        code=source_digest(*STYLE_MODULES, "report.listening", "report.transcription"),
    script:
        "../scripts/write_listening.py"


rule plot_data:
    input:
        shards=shard_counts(),
        pieces=CORPUS_TABLES["pieces"],
        works=CORPUS_TABLES["works"],
        instruments=CORPUS_TABLES["instruments"],
        sources=CORPUS_TABLES["sources"],
    output:
        data=shown("results/tables/data.html", DATA, "6.1 Splits, works, pianos", "data"),
        frames=shown("results/figures/frames.svg", DATA, "6.2 Frames kept and dropped", "frames"),
        labels=shown("results/figures/labels.svg", DATA, "6.3 Label balance by pitch", "labels"),
        licences=shown("results/tables/licences.html", DATA, "6.4 Licences", "licences"),
        data_csv="results/tables/shards.csv",
        labels_csv="results/tables/labels.csv",
        licences_csv="results/tables/licences.csv",
    log:
        "logs/plot_data/data.log",
    benchmark:
        "benchmarks/plot_data/data.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=sections("features"),
        code=source_digest(*STYLE_MODULES, "report.data"),
    script:
        "../scripts/plot_data.py"


rule write_graph:
    output:
        "results/rule_graph.dot",
    log:
        "logs/write_graph/graph.log",
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config_digest=value_digest(config),
        rules=value_digest(
            [file_digest(path) for path in sorted(Path(PACKAGE_PATH).glob("rules/*.smk"))]
        ),
        code=source_digest("report.nested"),
    run:
        write_rule_graph(output[0], "all", config, log[0])


rule write_provenance:
    input:
        graph="results/rule_graph.dot",
        # All figures, so that the table of times is as complete as it can be.
        before=[
            rules.write_summary.output,
            rules.plot_noise.output,
            rules.plot_rounds.output,
            rules.plot_training.output,
            rules.plot_transcription.output,
            rules.plot_notes.output if "notes" in EVALUATED_TABLES else [],
            rules.plot_systems.output,
            rules.write_listening.output,
            rules.study.input,
            rules.plot_data.output,
        ],
        shards=shard_counts(),
        cards=model_files(),
    output:
        page=shown("results/tables/provenance.html", PROVENANCE, "7.1 Provenance", "provenance"),
        times=shown(
            "results/figures/times.svg", PROVENANCE, "7.2 Time and memory of each rule", "times"
        ),
        times_page=shown(
            "results/tables/times.html", PROVENANCE, "7.3 Time and memory (table)", "times"
        ),
        graph=shown("results/figures/rule_graph.svg", PROVENANCE, "7.4 Rule graph", "rule_graph"),
        times_csv="results/tables/times.csv",
    log:
        "logs/write_provenance/provenance.log",
    benchmark:
        "benchmarks/write_provenance/provenance.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        config_digest=value_digest(config),
        code=source_digest(*STYLE_MODULES, "report.data", "report.nested", "report.provenance"),
    script:
        "../scripts/write_provenance.py"


rule figures:
    input:
        rules.write_provenance.input.before,
        rules.write_provenance.output,
        # What the report says of a corpus of somebody's own.
        [] if EMBEDDED else [VERDICT, rules.write_problems.output, rules.write_corpus.output],


rule report:
    input:
        rules.figures.input,
        captions=sorted(
            os.path.relpath(caption)
            for caption in Path(workflow.basedir).glob("workflow/report/*.rst")
        ),
        style=os.path.relpath(Path(workflow.basedir) / "workflow/report/style.css"),
    output:
        "results/report.html",
    log:
        "logs/report/report.log",
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        code=source_digest("report.nested"),
    run:
        write_report(output[0], "figures", config, log[0], input.style)
