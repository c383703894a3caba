"""A pool of one kind of noise to train with: see at4ramt.audio_noise.pool."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"make_noise_pool {snakemake.wildcards.kind}")

from at4ramt.audio_noise.pool import make_pool

make_pool(
    snakemake.wildcards.kind,
    snakemake.output[0],
    config=snakemake.params.config,
    excerpts=snakemake.input[0] if snakemake.input else None,
)
