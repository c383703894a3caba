"""Draw what the models hear."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import plot_transcription

start_log(snakemake.log[0], "plot_transcription")
plot_transcription(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
