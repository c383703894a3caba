"""Write the noise level of every round with its signal-to-noise ratios."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "write_levels")

from at4ramt.evaluation.collect import write_levels
from at4ramt.training.lineage import check_models

params = snakemake.params
check_models(
    snakemake.input.cards,
    snakemake.config,
    [*params.shards["training"], *params.shards["validation"]],
)
write_levels(snakemake.input.cards, params.shards, snakemake.output[0], params.features)
