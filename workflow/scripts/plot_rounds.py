"""Draw what each noise round brought."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_rounds

start_log(snakemake.log[0], "plot_rounds")
plot_rounds(dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config)
