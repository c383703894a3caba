"""Score one model's notes on all pieces and noise levels."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"evaluate_notes {snakemake.wildcards.model}")

from at4ramt.evaluation.notes import NotedPiece, score_notes

score_notes(
    snakemake.input.model,
    [NotedPiece(**piece) for piece in snakemake.params.pieces],
    snakemake.output[0],
    config=snakemake.params.config,
    threads=snakemake.threads,
)
