"""One shard: see at4ramt.features.shards."""

from at4ramt.logs import start_log

job = f"build_shard {snakemake.wildcards.split} {snakemake.wildcards.instrument}"
start_log(snakemake.log[0], job)

from at4ramt.corpus.problems import refuse_pieces
from at4ramt.features.shards import build_shard

refuse_pieces(snakemake.input.checks)
build_shard(
    snakemake.input.features,
    snakemake.output.shard,
    split=snakemake.wildcards.split,
    instrument=snakemake.wildcards.instrument,
    features=snakemake.params.features,
    frame_step=snakemake.params.frame_step,
    minimum_level=snakemake.params.minimum_level,
)
