"""Draw the scores of notes."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_notes

start_log(snakemake.log[0], "plot_notes")
plot_notes(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
