"""Score what a peer answered."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"evaluate_peer {snakemake.wildcards.peer}")

from at4ramt.evaluation.in_audio import SoundingPiece
from at4ramt.evaluation.peers import score_peer

score_peer(
    snakemake.wildcards.peer,
    snakemake.input.answers,
    [SoundingPiece(**piece) for piece in snakemake.params.pieces],
    snakemake.output[0],
    config=snakemake.params.config,
)
