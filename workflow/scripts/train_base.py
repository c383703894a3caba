"""Train the base model of one seed."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"train_base seed {snakemake.wildcards.seed}")

from at4ramt.training.jobs import train_base

train_base(
    snakemake.input.training,
    snakemake.input.validation,
    snakemake.output.model,
    snakemake.output.history,
    snakemake.output.card,
    seed=int(snakemake.wildcards.seed),
    config=snakemake.params.config,
    code=snakemake.params.code,
    checkpoints=snakemake.params.checkpoints,
    threads=snakemake.threads,
    gpus=snakemake.resources.get("gpu", 0),
    gpu_required=bool(snakemake.resources.get("gpu_required", 0)),
)
