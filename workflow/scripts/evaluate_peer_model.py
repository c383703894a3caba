"""Score a trained model of another run on all pieces with noise in their audio."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"evaluate_peer_model {snakemake.wildcards.peer_model}")

from at4ramt.evaluation.in_audio import SoundingPiece
from at4ramt.evaluation.peer_models import score_peer_model

score_peer_model(
    snakemake.wildcards.peer_model,
    snakemake.input.model,
    [SoundingPiece(**piece) for piece in snakemake.params.pieces],
    snakemake.output[0],
    fitting=snakemake.params.fitting,
    config=snakemake.params.config,
    threads=snakemake.threads,
)
