"""Show a corpus: see at4ramt.corpus.listing."""

from at4ramt.logs import start_log

log = start_log(snakemake.log[0], "write_corpus")

from at4ramt.corpus.listing import write_listing

summary = write_listing(snakemake.params.corpus, **dict(snakemake.output.items()))
for line in summary.splitlines():
    log.info(line)
