# The corpus: which pieces there are, and what is wrong with them.
#
# takes: the recordings and notes of config.corpus
# makes: results/corpus/{pieces,works,instruments,sources}.tsv, results/figures/corpus.svg,
#        results/tables/corpus_problems.{csv,html}
# steps: write_corpus    list the pieces with their lengths: `snakemake corpus`
#        check_pieces    listen to some dozen pieces of one split and instrument
#        write_problems  put together what was found
#        check_corpus    stop with a list if a problem has to be mended; with every corpus but the
#                        embedded one this comes first, and no shard is built of what it refuses
#
# The tables of pieces are made when this is parsed. A job is told its own pieces, as
# parameters, so that another piece reruns nothing.
from at4ramt.files import value_digest


localrules:
    corpus,
    write_corpus,
    write_problems,
    check_corpus,


# What says that no problem stops the run; the embedded corpus is not checked unless asked for.
VERDICT = [] if EMBEDDED else "results/corpus/checked.txt"

if EMBEDDED:

    include: "embedded.smk"


rule corpus:
    input:
        "results/corpus/pieces.tsv",
        "results/figures/corpus.svg",
        # MIDI is for the reader: the notes are read from the text.
        [f"{path.removesuffix('.txt')}.mid" for path in PIECES["notes"]] if EMBEDDED else [],


rule write_corpus:
    input:
        PIECES["audio"].unique().tolist(),
        list(CORPUS_TABLES.values()) if EMBEDDED else [],
    output:
        pieces="results/corpus/pieces.tsv",
        works="results/corpus/works.tsv",
        instruments="results/corpus/instruments.tsv",
        sources="results/corpus/sources.tsv",
        figure=report(
            "results/figures/corpus.svg",
            category="6 Data",
            labels={"result": "6.5 Length of the pieces"},
            caption="../report/corpus.rst",
        ),
    log:
        "logs/write_corpus/corpus.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        corpus=LISTED_CORPUS,
        pieces=lambda wildcards: value_digest(PIECES.to_dict("list")),
        code=source_digest("corpus.listing", "corpus.table"),
    script:
        "../scripts/write_corpus.py"


rule check_pieces:
    input:
        lambda wildcards: sorted(
            {row[kind] for row in BATCHES[wildcards.batch] for kind in ("audio", "notes")}
        ),
    output:
        "results/corpus/checks/{batch}.json",
    log:
        "logs/check_pieces/{batch}.log",
    benchmark:
        "benchmarks/check_pieces/{batch}.tsv"
    wildcard_constraints:
        batch=r"[A-Za-z0-9_.-]+",
    # Before the features: hours of work are not spent on a corpus that has to be mended.
    priority: 10
    group:
        "checks"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        # Recordings are read in blocks; what is kept of an hour are 5 MB.
        mem_mb=lambda wildcards, attempt: attempt * 600,
        # Half a minute for an hour, which is 640 MB as WAV.
        runtime=lambda wildcards, input: (
            10 + int(source_megabytes(BATCHES[wildcards.batch], input)) // 200
        ),
    # No code: what once passed the check, and was trained on, is not made again for an edit of
    # it. `--forcerun check_pieces` listens again.
    params:
        pieces=lambda wildcards: BATCHES[wildcards.batch],
        features=config["features"],
    script:
        "../scripts/check_pieces.py"


rule write_problems:
    input:
        expand("results/corpus/checks/{batch}.json", batch=BATCHES),
    output:
        table="results/tables/corpus_problems.csv",
        page=report(
            "results/tables/corpus_problems.html",
            category="6 Data",
            labels={"result": "6.6 Problems of the corpus"},
            caption="../report/corpus_problems.rst",
        ),
    log:
        "logs/write_problems/problems.log",
    priority: 10
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        layout=[vars(problem) for problem in CORPUS.problems],
        excluded=dict(CORPUS.excluded),
        code=source_digest("corpus.check", "corpus.problems", "report.style"),
    script:
        "../scripts/write_problems.py"


rule check_corpus:
    input:
        rules.write_problems.output.table,
    output:
        "results/corpus/checked.txt",
    log:
        "logs/check_corpus/check.log",
    priority: 10
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=source_digest("corpus.problems"),
    script:
        "../scripts/check_corpus.py"
