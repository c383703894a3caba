# Run by Snakemake when it has made the conda environment of peer.yaml, with pip on the PATH:
# basic-pitch goes in without its own requirements (peer-overrides.in says which are wrong).
set -eu
python -m pip install --no-deps "basic-pitch==0.4.0"
