"""What models hear of one piece in noise: see at4ramt.audio_noise.mixing."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"mix_noise {snakemake.wildcards.piece}")

from at4ramt.audio_noise.mixing import mix_piece

mix_piece(
    snakemake.wildcards.piece,
    snakemake.input.features,
    snakemake.input.audio,
    snakemake.output[0],
    config=snakemake.params.config,
    member=snakemake.params.member,
    excerpts=snakemake.input.get("excerpts") or None,
)
