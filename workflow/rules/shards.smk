# Shards: the frames that training and evaluation read.
#
# takes   results/features/{piece}.parquet; of a corpus that is not embedded, results/corpus/checks/
#         of its pieces, which must not stop the run
# makes   results/shards/{split}/{instrument}.parquet: every second frame of the
#         split's pieces on that instrument; its counts and digest beside it (.json)
# steps   build_shard   once a split and instrument; in no group: of a job in one, snakemake counts
#                       all inputs anew for each that is done, minutes for 10,000 pieces


rule shards:
    input:
        shard_files(),
        VERDICT,


rule build_shard:
    input:
        features=lambda wildcards: expand(
            "results/features/{piece}.parquet",
            piece=shard_pieces(wildcards.split, wildcards.instrument),
        ),
        checks=lambda wildcards: shard_checks(wildcards.split, wildcards.instrument),
    output:
        shard="results/shards/{split}/{instrument}.parquet",
        counts="results/shards/{split}/{instrument}.json",
    log:
        "logs/build_shard/{split}/{instrument}.log",
    benchmark:
        "benchmarks/build_shard/{split}/{instrument}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        # One piece is in memory at a time.
        mem_mb=lambda wildcards, attempt: attempt * 1000,
        runtime=20,
    params:
        features=config["features"],
        frame_step=config["shards"]["frame_step"],
        minimum_level=config["shards"]["minimum_level"],
        code=source_digest("features.cqt", "features.piece_features", "features.shards"),
    script:
        "../scripts/build_shard.py"
