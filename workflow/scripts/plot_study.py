"""Draw the study: every arm in every noise, one thing changed, octaves, levels."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_study

start_log(snakemake.log[0], "plot_study")
plot_study(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
