"""Put together what was scored with noise in the audio, of models and of peers."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "collect_audio")

from at4ramt.evaluation.collect import collect_table

collect_table(
    snakemake.input.parts,
    snakemake.input.cards,
    snakemake.output[0],
    made_with=snakemake.params.config,
    peers=snakemake.input.get("peers", []),
)
