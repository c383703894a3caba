"""Decode one instrument's recordings."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"prepare_piano {snakemake.wildcards.instrument}")

from at4ramt.corpus.pianos import prepare_piano
from at4ramt.corpus.sources import check_archive

for archive, sha256 in zip(snakemake.input.archives, snakemake.params.sha256, strict=True):
    check_archive(archive, sha256)
prepare_piano(snakemake.wildcards.instrument, snakemake.input.archives, snakemake.output[0])
