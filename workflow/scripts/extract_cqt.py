"""Features of one piece: see at4ramt.features.piece_features."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"extract_cqt {snakemake.wildcards.piece}")

from at4ramt.features.piece_features import extract_piece

extract_piece(
    snakemake.input.audio,
    snakemake.input.notes,
    snakemake.output[0],
    piece=snakemake.wildcards.piece,
    instrument=snakemake.params.instrument,
    features=snakemake.params.features,
    audio_member=snakemake.params.audio_member,
    notes_member=snakemake.params.notes_member,
)
