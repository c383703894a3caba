"""Put the parts of one evaluation table together."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"collect_scores {snakemake.wildcards.table}")

from at4ramt.evaluation.collect import collect_table

collect_table(
    snakemake.input.parts,
    snakemake.input.cards,
    snakemake.output[0],
    made_with=snakemake.params.config,
)
