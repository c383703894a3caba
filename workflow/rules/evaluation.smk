# Evaluation.
# takes: models, results/shards/ of the scored splits
# makes: results/evaluation/{scores,scores_all_frames,frame_metrics,confusion,notes}.parquet, the
#        excerpts that the report shows and plays, results/tables/levels.csv
# steps: score each model on every piece and level; the base and the last rounds by their notes,
#        too; put the parts together


include: "evaluation_common.smk"


# Tables are made on the submit host: a minute of work in all, and each would wait in the queue.
localrules:
    collect_scores,
    write_levels,
    write_example,


rule evaluate_model:
    input:
        model="results/models/{model}.keras",
        shards=[path for split in evaluated_splits() for path in shards_of(split)],
    output:
        **{table: f"results/evaluation/models/{{model}}.{table}.parquet" for table in SCORED_TABLES},
    log:
        "logs/evaluate_model/{model}.log",
    benchmark:
        "benchmarks/evaluate_model/{model}.tsv"
    wildcard_constraints:
        model=MODEL_NAME,
    group:
        "evaluation"
    conda:
        "../../envs/training-cpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 3000,
        runtime=60,
    params:
        shards={split: shards_of(split) for split in evaluated_splits()},
        config=evaluation_config(config),
        # What an arm ends with, and the base, hear more than the paper's noise.
        further=lambda wildcards: wildcards.model in {model_name(*model) for model in LAST_MODELS},
        code=source_digest(
            "evaluation.confusion",
            "evaluation.metrics",
            "evaluation.score_model",
            "features.frames",
            "seeds",
            "training.adversary",
            "training.backend",
            "training.equivariant",
            "training.loop",
            "training.model_file",
            "training.network",
            "training.noise",
        ),
    script:
        "../scripts/evaluate_model.py"


rule evaluate_notes:
    input:
        model="results/models/{model}.keras",
        files=read_files(
            evaluated_splits(),
            sorted({piece[kind] for piece in noted_pieces() for kind in ("features", "notes")}),
        ),
    output:
        "results/evaluation/models/{model}.notes.parquet",
    log:
        "logs/evaluate_notes/{model}.log",
    benchmark:
        "benchmarks/evaluate_notes/{model}.tsv"
    wildcard_constraints:
        model=MODEL_NAME,
    group:
        "evaluation"
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        # One piece is in memory at a time: an hour needs 0.7 GB beside TensorFlow's 0.8.
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=60,
    params:
        pieces=noted_pieces(),
        config=notes_config(config),
        code=source_digest(
            "evaluation.notes",
            "evaluation.score_model",
            "evaluation.tables",
            "features.labels",
            "features.shards",
            "seeds",
            "training.backend",
            "training.loop",
            "training.model_file",
            "training.noise",
            "transcription.models",
            "transcription.notes",
        ),
    script:
        "../scripts/evaluate_notes.py"


rule collect_scores:
    input:
        parts=collected_parts,
        cards=collected_cards,
    output:
        "results/evaluation/{table}.parquet",
    log:
        "logs/collect_scores/{table}.log",
    wildcard_constraints:
        table="|".join(EVALUATED_TABLES),
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        config=lambda wildcards: (
            notes_config(config) if wildcards.table == "notes" else evaluation_config(config)
        ),
        code=source_digest("evaluation.collect", "evaluation.tables"),
    script:
        "../scripts/collect_scores.py"


rule write_levels:
    input:
        cards=model_files(),
        shards=shard_files(),
        counts=shard_counts(),
    output:
        "results/tables/levels.csv",
    log:
        "logs/write_levels/levels.log",
    benchmark:
        "benchmarks/write_levels/levels.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        shards={split: shards_of(split) for split in PIECES["split"].unique()},
        features=config["features"],
        code=source_digest("evaluation.collect", "evaluation.snr", "features.frames"),
    script:
        "../scripts/write_levels.py"


rule write_example:
    input:
        **{
            arm: f"{stem_of(arm, SEEDS[0], len(ROUNDS) if arm != 'base' else 0)}.keras"
            for arm in ("base", SHOWN_ARM)
        },
        shards=shards_of(PIECES.at[config["report"]["example_piece"], "split"]),
    output:
        "results/evaluation/example.npz",
    log:
        "logs/write_example/example.log",
    benchmark:
        "benchmarks/write_example/example.tsv"
    conda:
        "../../envs/training-cpu.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        split=PIECES.at[config["report"]["example_piece"], "split"],
        features=config["features"],
        report=config["report"],
        start_level=config["rounds"]["search"]["start_level"],
        maximum_level=config["rounds"]["maximum_level"],
        code=source_digest(
            "evaluation.collect",
            "evaluation.score_model",
            "features.frames",
            "training.loop",
            "training.model_file",
            "training.noise",
        ),
    script:
        "../scripts/write_example.py"


rule transcribe_excerpts:
    input:
        **{
            arm: f"{stem_of(arm, SEEDS[0], len(ROUNDS) if arm != 'base' else 0)}.onnx"
            for arm in ("base", SHOWN_ARM)
        },
        files=[
            piece[key]
            for piece in heard_pieces()
            for key in ("audio", "notes", "piano")
            if piece[key]
        ],
    output:
        "results/evaluation/listening.json",
    log:
        "logs/transcribe_excerpts/excerpts.log",
    benchmark:
        "benchmarks/transcribe_excerpts/excerpts.tsv"
    group:
        "transcription"
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=20,
    params:
        models=["base", SHOWN_ARM],
        pieces=heard_pieces(),
        transcription=NOTE_RULE,
        seed=SEEDS[0],
        code=source_digest(
            "corpus.pianos",
            "corpus.plain_piano",
            "corpus.sampler",
            "features.power",
            "audio_noise.mixing",
            "evaluation.listening",
            "sounds",
            "evaluation.notes",
            "features.labels",
            *TRANSCRIPTION_MODULES,
        ),
    script:
        "../scripts/transcribe_excerpts.py"


rule evaluation:
    input:
        expand(rules.collect_scores.output[0], table=EVALUATED_TABLES),
        rules.write_levels.output,
        rules.write_example.output,
        rules.transcribe_excerpts.output,
        "results/evaluation/audio.parquet",
