"""Fetch one archive of the sources table and check it."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"fetch_source {snakemake.wildcards.archive}")

from at4ramt.corpus.sources import fetch

fetch(snakemake.params.source, snakemake.output[0])
