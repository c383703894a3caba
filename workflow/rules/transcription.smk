# Transcription of anybody's recordings.
# takes: input/<name>.{wav,flac,mp3,ogg,…}, or the recording of `--config audio=song.wav`; a model
# makes: results/transcriptions/<name>.mid, its notes as a table (.csv), and the piano roll (.png) if
#        transcription.roll is set; a name of other characters than letters, digits and _.- is made plain
# steps: transcribe_recording   once a recording; the model is trained first if there is none


include: "transcription_common.smk"


rule transcribe:
    input:
        lambda wildcards: [
            f"results/transcriptions/{name}.{suffix}"
            for name in recordings()
            for suffix in TRANSCRIBED
        ],


rule transcribe_recording:
    input:
        recording=recording,
        model=TRANSCRIBER,
    output:
        **{suffix: f"results/transcriptions/{{name}}.{suffix}" for suffix in TRANSCRIBED},
    log:
        "logs/transcribe_recording/{name}.log",
    benchmark:
        "benchmarks/transcribe_recording/{name}.tsv"
    wildcard_constraints:
        # It stands in the command lines by which jobs are submitted: at4ramt.corpus.layout.piece_names.
        name=r"[A-Za-z0-9_.-]+",
    group:
        "recordings"
    conda:
        "../../envs/transcription.yaml"
    threads: 1
    resources:
        # A recording is read in blocks: what is held does not grow with its length.
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=20,
    params:
        transcription=NOTE_RULE,
        # Of the recording, not of a link to it.
        title=lambda wildcards: Path(recordings()[wildcards.name]).name,
        code=source_digest("corpus.midi", "transcription.output", *TRANSCRIPTION_MODULES),
    script:
        "../scripts/transcribe_recording.py"
