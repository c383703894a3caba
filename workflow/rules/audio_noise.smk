# Evaluation with noise in the audio, beside peers.
# takes: models, results/features/ and recordings of the scored splits, notes, results/noise/mixed/
# makes: results/peers/, results/evaluation/audio.parquet
# steps: score the base and the last rounds on what is heard of each piece; fit the peer's thresholds, like
#        the models', on validation in noise, let it answer in an environment of its own, score that;
#        score models of other runs; put it together


include: "audio_noise_common.smk"


localrules:
    list_peer_pieces,
    evaluate_peer,
    collect_audio,


rule evaluate_in_audio:
    input:
        model="results/models/{model}.onnx",
        files=read_files(audio_splits(), sounding_files(SOUNDING, "features", "notes")),
        mixed=MIXTURES,
    output:
        "results/evaluation/models/{model}.audio.parquet",
    log:
        "logs/evaluate_in_audio/{model}.log",
    benchmark:
        "benchmarks/evaluate_in_audio/{model}.tsv"
    wildcard_constraints:
        model=MODEL_NAME,
    group:
        "evaluation"
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        # One condition of a piece is in memory at a time: an hour's arrays add up to 0.5 GB.
        mem_mb=lambda wildcards, attempt: attempt * 1500,
        runtime=60,
    params:
        pieces=SOUNDING,
        fitting=FITTED_ON,
        config=audio_config(config),
        code=source_digest(
            "evaluation.tables",
            "training.onnx_file",
            *AUDIO_MODULES,
        ),
    script:
        "../scripts/evaluate_in_audio.py"


rule list_peer_pieces:
    output:
        "results/peers/{peer}/{pieces}.json",
    log:
        "logs/list_peer_pieces/{peer}_{pieces}.log",
    wildcard_constraints:
        pieces=f"{PEER_SPLIT}|fitting",
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        job=peer_job,
    script:
        "../scripts/list_peer_pieces.py"


rule fit_peer:
    input:
        files=sounding_files(FITTING),
        job="results/peers/basic_pitch/fitting.json",
        python=peer_environment,
    output:
        "results/peers/basic_pitch/thresholds.json",
    log:
        "logs/fit_peer/basic_pitch.log",
    benchmark:
        "benchmarks/fit_peer/basic_pitch.tsv"
    conda:
        "../../envs/peer.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        python=PEER_PYTHON,
        script=PEER_SCRIPT,
        code=source_digest(*PEER_MODULES),
    shell:
        "{params.python:q} -s {params.script:q} fit {input.job:q} {output:q} {log:q} {threads}"


rule answer_peer:
    input:
        files=lambda wildcards: read_files(
            [wildcards.split], sounding_files(sounding_pieces([wildcards.split]))
        ),
        job="results/peers/basic_pitch/{split}.json",
        thresholds=rules.fit_peer.output[0],
        python=peer_environment,
    output:
        "results/peers/basic_pitch/{split}.parquet",
    log:
        "logs/answer_peer/{split}.log",
    benchmark:
        "benchmarks/answer_peer/{split}.tsv"
    conda:
        "../../envs/peer.yaml"
    threads: 1
    resources:
        # Parts of a recording are in memory at a time. An hour of music takes about 25 minutes.
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        python=PEER_PYTHON,
        script=PEER_SCRIPT,
        code=source_digest(*PEER_MODULES),
    shell:
        "{params.python:q} -s {params.script:q} answer {input.job:q} {output:q} {log:q} {threads}"
        " {input.thresholds:q}"


rule evaluate_peer:
    input:
        answers=lambda wildcards: [
            f"results/peers/{wildcards.peer}/{split}.parquet" for split in audio_splits()
        ],
        files=read_files(audio_splits(), sounding_files(SOUNDING, "features", "notes")),
    output:
        "results/evaluation/peers/{peer}.audio.parquet",
    log:
        "logs/evaluate_peer/{peer}.log",
    benchmark:
        "benchmarks/evaluate_peer/{peer}.tsv"
    wildcard_constraints:
        peer="|".join(PEERS) or "none",
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        pieces=SOUNDING,
        config=peer_config(audio_config(config)),
        code=source_digest(
            "audio_noise.mixing",
            "evaluation.in_audio",
            "evaluation.notes",
            "evaluation.peers",
            "evaluation.tables",
            "features.labels",
            "features.shards",
        ),
    script:
        "../scripts/evaluate_peer.py"


rule evaluate_peer_model:
    input:
        model=peer_model,
        export=peer_export,
        files=read_files(audio_splits(), sounding_files(SOUNDING, "features", "audio", "notes")),
    output:
        "results/evaluation/peers/{peer_model}.audio.parquet",
    log:
        "logs/evaluate_peer_model/{peer_model}.log",
    benchmark:
        "benchmarks/evaluate_peer_model/{peer_model}.tsv"
    wildcard_constraints:
        peer_model="|".join(PEER_MODELS) or "none",
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        # An hour of music is in memory three times, 0.25 GB each, beside its transform.
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        # The robust transcriber takes 0.6 s for a minute of music in a condition: an hour in five, 3 min.
        runtime=lambda wildcards, attempt: attempt * 240,
    params:
        pieces=SOUNDING,
        fitting=FITTED_ON,
        config=peer_config(audio_config(config)),
        code=source_digest(
            "evaluation.peer_models",
            "evaluation.peers",
            "evaluation.tables",
            "training.onnx_file",
            *MIXING_MODULES,
            *AUDIO_MODULES,
        ),
    script:
        "../scripts/evaluate_peer_model.py"


rule collect_audio:
    input:
        parts=[
            stem_of(*model).replace("models", "evaluation/models", 1) + ".audio.parquet"
            for model in LAST_MODELS
        ],
        cards=[stem_of(*model) + ".json" for model in LAST_MODELS],
        peers=[f"results/evaluation/peers/{peer}.audio.parquet" for peer in [*PEERS, *PEER_MODELS]],
    output:
        "results/evaluation/audio.parquet",
    log:
        "logs/collect_audio/audio.log",
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=audio_config(config),
        code=source_digest("evaluation.collect", "evaluation.tables"),
    script:
        "../scripts/collect_audio.py"
