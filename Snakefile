# AT4rAMT: adversarial training for robust automatic music transcription.
#
# `snakemake --cores all` runs everything; `snakemake --list` names the stages.
# Values are in config/config.yaml, machine matters in profiles/.

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/noise.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/rounds.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/audio_noise.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/transcription.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        "results/report.html",
        rules.onnx.input,
        VERDICT,
