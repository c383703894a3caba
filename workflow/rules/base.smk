# Base training.
# takes: results/shards/{training,validation}/*.parquet
# makes: results/models/base/seed_{seed}.keras, its history and its card
# steps: train the network on clean frames; keep the epoch with the best validation F1


rule train_base:
    input:
        training=shards_of("training"),
        validation=shards_of("validation"),
    output:
        model="results/models/base/seed_{seed}.keras",
        history="results/models/base/seed_{seed}.history.parquet",
        card="results/models/base/seed_{seed}.json",
    log:
        "logs/train_base/seed_{seed}.log",
    benchmark:
        "benchmarks/train_base/seed_{seed}.tsv"
    conda:
        "../../envs/training-gpu.yaml"
    # One thread, as in every training: sums, and so weights, depend on their number, and other
    # jobs fill the other cores. A profile may set more (set-threads).
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: min(attempt, 2) * 4000,
        # A slice, not the whole: what it does not suffice for goes on from the checkpoint when
        # the profile tries again.
        runtime=240,
        gpu=1,
    params:
        config=training_config(config, 0),
        # No output: Snakemake deletes the outputs of a failed job, and this outlives it.
        checkpoints="results/checkpoints/base/seed_{seed}",
        code=source_digest(*TRAINING_MODULES),
    script:
        "../scripts/train_base.py"


rule base:
    input:
        expand(rules.train_base.output.model, seed=SEEDS),
