"""Listen to some pieces: see at4ramt.corpus.check."""

from at4ramt.logs import start_log

log = start_log(snakemake.log[0], f"check_pieces {snakemake.wildcards.batch}")

from at4ramt.corpus.check import check_piece
from at4ramt.files import write_json

checks = []
for piece in snakemake.params.pieces:
    checks.append(check_piece(piece, snakemake.params.features))
    for problem in checks[-1]["problems"]:
        log.info("%s: %s", problem["problem"], problem["message"])
write_json(snakemake.output[0], checks)
log.info("%d pieces, %d problems", len(checks), sum(len(check["problems"]) for check in checks))
