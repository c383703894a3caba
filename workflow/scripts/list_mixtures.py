"""The files of what models hear of a split's pieces in noise, with their digests."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"list_mixtures {snakemake.wildcards.split}")

from at4ramt.files import file_digest, write_json

write_json(snakemake.output[0], {path: file_digest(path) for path in snakemake.input})
