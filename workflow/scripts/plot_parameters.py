"""Draw what training does to the parameters."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_parameters

start_log(snakemake.log[0], "plot_parameters")
plot_parameters(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
