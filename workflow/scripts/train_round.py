"""Train one noise round of one arm and seed."""

from at4ramt.logs import start_log

names = snakemake.wildcards
start_log(snakemake.log[0], f"train_round {names.arm} seed {names.seed} round {names.round}")

from at4ramt.config import pool_config, training_config
from at4ramt.parquet import read_frame
from at4ramt.training.jobs import train_round

lead = snakemake.input.get("lead")
train_round(
    snakemake.input.get("parent") or None,
    snakemake.input.training,
    snakemake.input.validation,
    snakemake.output.model,
    snakemake.output.history,
    snakemake.output.search,
    snakemake.output.card,
    arm=names.arm,
    seed=int(names.seed),
    number=int(names.round),
    config=snakemake.params.config,
    code=snakemake.params.code,
    checkpoints=snakemake.params.checkpoints,
    threads=snakemake.threads,
    gpus=snakemake.resources.get("gpu", 0),
    gpu_required=bool(snakemake.resources.get("gpu_required", 0)),
    # Not among the params: neither asks for training again.
    of_rounds=snakemake.config["rounds"]["count"],
    parent_config=training_config(snakemake.config, int(names.round) - 1, names.arm),
    pools=snakemake.input.get("pools") or [],
    pools_made_with=pool_config(snakemake.config),
    epochs=len(read_frame(lead, columns=["epoch"])) if lead else None,
)
