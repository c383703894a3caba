"""Stop if a problem of the corpus has to be mended: see at4ramt.corpus.problems."""

from at4ramt.logs import start_log

log = start_log(snakemake.log[0], "check_corpus")

from at4ramt.corpus.problems import stop_if_needed
from at4ramt.files import whole_file

verdict = stop_if_needed(snakemake.input[0])
log.info(verdict)
with whole_file(snakemake.output[0]) as temporary:
    temporary.write_text(verdict + "\n", encoding="utf-8")
