"""Write the page of excerpts to listen to."""

from at4ramt.logs import start_log
from at4ramt.report.jobs import write_listening

start_log(snakemake.log[0], "write_listening")
write_listening(
    dict(snakemake.input.items()), dict(snakemake.output.items()), snakemake.params.config
)
