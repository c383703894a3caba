# Features: what the network hears of each piece, and what it should answer.
#
# takes   a recording and its notes, each perhaps inside a zip
# makes   results/features/{piece}.parquet: complex constant-Q transform, labels
#         and level of every frame
# steps   extract_cqt   once a piece


rule features:
    input:
        expand("results/features/{piece}.parquet", piece=PIECES.index),
        VERDICT,


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
        # Measured: 180 to 300 MB, whether of ten minutes or of three hours. A multiple of 200,
        # because LSF is asked for megabytes per core, and a group has several.
        mem_mb=lambda wildcards, attempt: attempt * 800,
        # Seconds of work a piece, a minute for an hour of audio, which is 640 MB as WAV, and more
        # for a cold network file system.
        runtime=lambda wildcards, input: (
            3 + int(source_megabytes([row_of(wildcards.piece)], input)) // 150
        ),
    params:
        features=config["features"],
        instrument=lambda wildcards: row_of(wildcards.piece)["instrument"],
        audio_member=lambda wildcards: row_of(wildcards.piece)["audio_member"],
        notes_member=lambda wildcards: row_of(wildcards.piece)["notes_member"],
        code=source_digest(
            "corpus.maps",
            "corpus.midi",
            "corpus.midi_file",
            "features.audio",
            "features.cqt",
            "features.labels",
            "features.piece_features",
            "features.power",
            "features.stream",
        ),
    script:
        "../scripts/extract_cqt.py"
