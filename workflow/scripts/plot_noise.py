"""Draw the evaluation over noise levels."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_noise

start_log(snakemake.log[0], "plot_noise")
plot_noise(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
