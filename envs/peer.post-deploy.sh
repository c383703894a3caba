# Made by `make lock` from peer.in and lock-peer.txt: edit those. Run by Snakemake when it has made
# the conda environment of peer.yaml, with pip on the PATH: basic-pitch goes in without its own
# requirements (peer-overrides.in says which are wrong), which conda cannot tell pip.
set -eu
wanted="$(mktemp)"
trap 'rm -f "$wanted"' EXIT
echo "basic-pitch==0.4.0 --hash=sha256:6f48ac4b909c990fd59460622137a03b857c829bb1f3e65c71708da576ab68e5 --hash=sha256:738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0" >"$wanted"
python -m pip install --no-deps --require-hashes --requirement "$wanted"
