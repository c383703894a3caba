# Noise in the audio.
#
# takes   recordings, results/features/
# makes   results/noise/mixed/{piece}.npz: what models hear of a piece in each kind and ratio of
#         noise that they are scored in; mixed/{split}.json lists those of a split
#         results/noise/{kind}.npz: pools of noise to train with, transformed
#         results/noise/babble_excerpts.npz: what babble is made of, excerpts of training pieces
# steps   cut_babble; mix_noise once a piece; make_noise_pool once a kind that somebody asks for


include: "noise_common.smk"


localrules:
    list_mixtures,


rule cut_babble:
    input:
        babble_rows()["audio"].unique().tolist(),
    output:
        BABBLE,
    log:
        "logs/cut_babble/babble.log",
    benchmark:
        "benchmarks/cut_babble/babble.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        # A recording is in memory at a time: an hour takes 0.7 GB.
        mem_mb=lambda wildcards, attempt: attempt * 1500,
        runtime=30,
    params:
        recordings=babble_rows()
        .reset_index(drop=True)[["piece", "audio", "audio_member"]]
        .values.tolist(),
        seed=SEEDS[0],
        code=source_digest(
            "audio_noise.babble", "audio_noise.kinds", "features.audio", "features.power", "seeds"
        ),
    script:
        "../scripts/cut_babble.py"


rule make_noise_pool:
    input:
        lambda wildcards: [BABBLE] if wildcards.kind == "babble" else [],
    output:
        "results/noise/{kind}.npz",
    log:
        "logs/make_noise_pool/{kind}.log",
    benchmark:
        "benchmarks/make_noise_pool/{kind}.tsv"
    wildcard_constraints:
        kind="white|pink|brown|hum|babble",
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        config=pool_config(config),
        code=source_digest("audio_noise.pool", *MIXING_MODULES),
    script:
        "../scripts/make_noise_pool.py"


rule mix_noise:
    input:
        features="results/features/{piece}.parquet",
        audio=lambda wildcards: audio_of(wildcards.piece),
        excerpts=BABBLE if "babble" in config["evaluation"]["audio_noises"] else [],
    output:
        "results/noise/mixed/{piece}.npz",
    log:
        "logs/mix_noise/{piece}.log",
    benchmark:
        "benchmarks/mix_noise/{piece}.tsv"
    group:
        "mixing"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        # An hour of music is in memory three times, 0.25 GB each, beside a block of its transform.
        mem_mb=lambda wildcards, attempt: attempt * 1500,
        # 0.2 seconds a minute of music and condition; an hour is 30 MB as MP3 at the least.
        runtime=lambda wildcards, input, attempt: (
            attempt
            * (
                3
                + int(
                    CONDITIONS * source_megabytes([row_of(wildcards.piece)], [input.audio]) // 100
                )
            )
        ),
    params:
        config=mixing_config(config),
        member=lambda wildcards: row_of(wildcards.piece)["audio_member"],
        code=source_digest(*MIXING_MODULES),
    script:
        "../scripts/mix_noise.py"


# One file stands for all of a split: an edge of the graph for each piece and model would make a
# plan of 10,000 pieces take minutes.
rule list_mixtures:
    input:
        mixtures_of,
    output:
        "results/noise/mixed/{split}.json",
    log:
        "logs/list_mixtures/{split}.log",
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    script:
        "../scripts/list_mixtures.py"
