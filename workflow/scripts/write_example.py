"""Write what the models hear and say in the excerpt that the report shows."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "write_example")

from at4ramt.evaluation.collect import write_example

params = snakemake.params
write_example(
    {name: path for name, path in snakemake.input.items() if name != "shards"},
    {params.split: snakemake.input.shards},
    snakemake.output[0],
    config={
        "features": params.features,
        "report": params.report,
        "start_level": params.start_level,
        "maximum_level": params.maximum_level,
    },
    threads=snakemake.threads,
)
