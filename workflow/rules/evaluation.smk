# Evaluation.
# takes: models, results/shards/ of the scored splits
# makes: results/evaluation/{scores,scores_all_frames,frame_metrics,confusion}.parquet, the
#        excerpt that the report shows, results/tables/levels.csv
# steps: score each model on every piece and level; put the parts together


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
        model=r"(base/seed_\d+|[a-z_]+/seed_\d+/round_\d+)",
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
        code=source_digest(
            "evaluation.confusion",
            "evaluation.metrics",
            "evaluation.score_model",
            "features.frames",
            "seeds",
            "training.backend",
            "training.loop",
            "training.model_file",
            "training.noise",
        ),
    script:
        "../scripts/evaluate_model.py"


rule collect_scores:
    input:
        parts=[
            stem_of(*model).replace("results/models", "results/evaluation/models")
            + ".{table}.parquet"
            for model in MODELS
        ],
        cards=[stem_of(*model) + ".json" for model in MODELS],
    output:
        "results/evaluation/{table}.parquet",
    log:
        "logs/collect_scores/{table}.log",
    wildcard_constraints:
        table="|".join(SCORED_TABLES),
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        config=evaluation_config(config),
        code=source_digest("evaluation.collect", "evaluation.tables"),
    script:
        "../scripts/collect_scores.py"


rule write_levels:
    input:
        cards=model_files(),
        shards=shard_files(),
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
            for arm in ("base", LEAD if LEAD in ARMS else ARMS[0])
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


rule evaluation:
    input:
        expand(rules.collect_scores.output[0], table=SCORED_TABLES),
        rules.write_levels.output,
        rules.write_example.output,
