"""Excerpts of training pieces that babble is made of: see at4ramt.audio_noise.babble."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "cut_babble")

from at4ramt.audio_noise.babble import cut_excerpts

cut_excerpts(snakemake.params.recordings, snakemake.output[0], seed=snakemake.params.seed)
