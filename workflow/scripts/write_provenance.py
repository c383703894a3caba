"""Write where the numbers come from."""

from at4ramt.files import PACKAGE
from at4ramt.logs import start_log
from at4ramt.report.jobs import write_provenance

start_log(snakemake.log[0], "write_provenance")
write_provenance(
    dict(snakemake.input.items()),
    dict(snakemake.output.items()),
    snakemake.config,
    benchmarks="benchmarks",
    folder=PACKAGE.parents[1],
)
