"""Transcribe the excerpts that the report plays."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], "transcribe_excerpts")

from at4ramt.evaluation.listening import HeardPiece, write_excerpts

params = snakemake.params
write_excerpts(
    {name: snakemake.input[name] for name in params.models},
    [HeardPiece(**piece) for piece in params.pieces],
    snakemake.output[0],
    transcription=params.transcription,
    seed=params.seed,
    threads=snakemake.threads,
)
