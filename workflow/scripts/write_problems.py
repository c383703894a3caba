"""List everything that is wrong with the corpus: see at4ramt.corpus.problems."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "write_problems")

from at4ramt.corpus.problems import write_problems

write_problems(
    snakemake.input,
    snakemake.params.layout,
    snakemake.params.excluded,
    table=snakemake.output.table,
    page=snakemake.output.page,
)
