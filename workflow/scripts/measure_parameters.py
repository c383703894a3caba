"""Measure how far each model's parameters have moved, and keep the first filters."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "measure_parameters")

from at4ramt.evaluation.parameters import write_parameters

models = map(tuple, snakemake.params.models)
write_parameters(
    dict(zip(models, snakemake.input, strict=True)),
    snakemake.output.distances,
    snakemake.output.filters,
)
