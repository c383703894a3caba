# Features: what the network hears of each piece, and what it should answer.
#
# takes   a recording and its notes, in the MAPS layout
# makes   results/features/{piece}.parquet: complex constant-Q transform, labels
#         and level of every frame
# steps   extract_cqt   once a piece


rule features:
    input:
        expand("results/features/{piece}.parquet", piece=PIECES.index),


rule extract_cqt:
    input:
        audio=lambda wildcards: audio_of(wildcards.piece),
        notes=lambda wildcards: notes_of(wildcards.piece),
    output:
        "results/features/{piece}.parquet",
    log:
        "logs/extract_cqt/{piece}.log",
    benchmark:
        "benchmarks/extract_cqt/{piece}.tsv"
    group:
        "features"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        # A piece is transformed whole: measured 350 MB and three times its wav. In steps of 200,
        # because LSF is asked for megabytes per core, and a group has several.
        mem_mb=lambda wildcards, input, attempt: (
            attempt * 200 * (4 + int(5 * input.size_mb) // 200)
        ),
        # Seconds of work a piece, and a minute for a cold network file system.
        runtime=3,
    params:
        features=config["features"],
        instrument=lambda wildcards: PIECES.loc[wildcards.piece, "instrument"],
        code=source_digest(
            "corpus.maps",
            "features.audio",
            "features.cqt",
            "features.labels",
            "features.piece_features",
        ),
    script:
        "../scripts/extract_cqt.py"
