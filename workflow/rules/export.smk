# Models for use elsewhere.
# takes: results/models/**/*.keras
# makes: results/models/**/*.onnx, beside each
# steps: write the network with ONNX operators; compare its outputs with Keras'


rule export_onnx:
    input:
        "results/models/{model}.keras",
    output:
        "results/models/{model}.onnx",
    log:
        "logs/export_onnx/{model}.log",
    benchmark:
        "benchmarks/export_onnx/{model}.tsv"
    wildcard_constraints:
        model=MODEL_NAME,
    # Seconds a model, most of them TensorFlow's start: on a cluster one submission does them all,
    # and the excerpts that are transcribed with two of them.
    group:
        "transcription"
    conda:
        "../../envs/training-cpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=10,
    params:
        code=source_digest(
            "features.cqt",
            "training.backend",
            "training.equivariant",
            "training.model_file",
            "training.network",
            "training.onnx_file",
        ),
    script:
        "../scripts/export_onnx.py"


# The models that somebody would use: those that no round goes on from, and the base.
rule onnx:
    input:
        [
            f"{stem_of(arm, seed, number)}.onnx"
            for arm, seed, number in TRAINED
            if number in (0, len(ROUNDS))
        ],
