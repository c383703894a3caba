"""Write what a peer is to answer, for a Python that Snakemake does not start itself."""

from at4ramt.files import write_json
from at4ramt.logs import start_log

start_log(snakemake.log[0], "list_peer_pieces")
write_json(snakemake.output[0], dict(snakemake.params.job))
