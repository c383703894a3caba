"""Write the summary of the run."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import write_summary

start_log(snakemake.log[0], "write_summary")
write_summary(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
