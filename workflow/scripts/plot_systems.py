"""Draw our models beside their peers."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_systems

start_log(snakemake.log[0], "plot_systems")
plot_systems(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
