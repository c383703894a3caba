"""Write the answers to the paper's open questions."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import write_answers

start_log(snakemake.log[0], "write_answers")
write_answers(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
