"""Draw the training."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_training

start_log(snakemake.log[0], "plot_training")
plot_training(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
