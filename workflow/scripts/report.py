"""Write the report of the figures that are there."""

from at4ramt.logs import start_log
from at4ramt.report.nested import write_report

log = start_log(snakemake.log[0], "report")
said = write_report(snakemake.output[0], "figures", snakemake.config, snakemake.input.style)
for line in said.splitlines():
    if "issing" in line or "arning" in line:
        log.warning(line)
log.info("wrote %s", snakemake.output[0])
