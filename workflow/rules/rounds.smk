# Noise rounds.
# takes: the model of the round before, results/shards/{training,validation}/*.parquet; of arms
#        with noise in the audio, results/noise/{kind}.npz
# makes: results/models/{arm}/seed_{seed}/round_{round}.keras, its history, search trace and card
# steps: choose the noise level as the arm does; train on; keep the epoch with the best F1 in noise


rule train_round:
    input:
        parent=parent_model,
        training=shards_of("training"),
        validation=shards_of("validation"),
        lead=lead_history,
        pools=lambda wildcards: noise_pools(config["arms"][wildcards.arm]["noise"]),
    output:
        model="results/models/{arm}/seed_{seed}/round_{round}.keras",
        history="results/models/{arm}/seed_{seed}/round_{round}.history.parquet",
        search="results/models/{arm}/seed_{seed}/round_{round}.search.parquet",
        card="results/models/{arm}/seed_{seed}/round_{round}.json",
    log:
        "logs/train_round/{arm}/seed_{seed}/round_{round}.log",
    benchmark:
        "benchmarks/train_round/{arm}/seed_{seed}/round_{round}.tsv"
    conda:
        "../../envs/training-gpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: min(attempt, 2) * 4000,
        # A slice, not the whole: what it does not suffice for goes on from the checkpoint when
        # the profile tries again.
        runtime=240,
        gpu=1,
    params:
        config=lambda wildcards: training_config(config, int(wildcards.round), wildcards.arm),
        # No output: Snakemake deletes the outputs of a failed job, and this outlives it.
        checkpoints="results/checkpoints/{arm}/seed_{seed}/round_{round}",
        code=source_digest(
            *TRAINING_MODULES, "training.acoustic", "training.arms", "training.level_search"
        ),
    script:
        "../scripts/train_round.py"


rule rounds:
    input:
        expand(rules.train_round.output.model, arm=ARMS, seed=SEEDS, round=ROUNDS),
