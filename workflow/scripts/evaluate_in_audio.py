"""Score one model on all pieces with noise in their audio."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"evaluate_in_audio {snakemake.wildcards.model}")

from at4ramt.evaluation.in_audio import SoundingPiece, score_in_audio

score_in_audio(
    snakemake.input.model,
    [SoundingPiece(**piece) for piece in snakemake.params.pieces],
    snakemake.output[0],
    fitting=snakemake.params.fitting,
    config=snakemake.params.config,
    threads=snakemake.threads,
)
