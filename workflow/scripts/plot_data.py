"""Draw what the data are."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_data

start_log(snakemake.log[0], "plot_data")
plot_data(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
