"""Score one model on all pieces and noise levels."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"evaluate_model {snakemake.wildcards.model}")

from at4ramt.evaluation.score_model import score_model

params = snakemake.params
score_model(
    snakemake.input.model,
    params.shards,
    dict(snakemake.output.items()),
    config=params.config,
    shard_settings=snakemake.config["shards"],
    further=params.further,
    threads=snakemake.threads,
)
