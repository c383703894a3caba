"""Write one model as an ONNX file."""

from at4ramt.logs import start_log

start_log(snakemake.log[0], f"export_onnx {snakemake.wildcards.model}")

from at4ramt.training.backend import start_backend
from at4ramt.training.onnx_file import export_onnx

start_backend(snakemake.threads, 0)
export_onnx(snakemake.input[0], snakemake.output[0])
