"""Render one piece: wav, mid and txt."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"render_piece {snakemake.wildcards.piece}")

from at4ramt.corpus.render import render_piece

render_piece(
    archive=snakemake.input.archive,
    piano=snakemake.input.piano,
    wav=snakemake.output.wav,
    mid=snakemake.output.mid,
    txt=snakemake.output.txt,
    **snakemake.params.piece,
)
