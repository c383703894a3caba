# What the rules of transcription.smk share.

from functools import cache

from snakemake.logging import logger

from at4ramt.transcription.recordings import find_recordings

# The model to transcribe with: the one that was asked for, else the last that was trained. Its
# export is named, or each recording would wait for TensorFlow.
TRANSCRIBER = (
    config["transcription"]["model"] or f"{stem_of(SHOWN_ARM, SEEDS[0], len(ROUNDS))}.onnx"
)
TRANSCRIBED = ("mid", "csv", "png") if config["transcription"]["roll"] else ("mid", "csv")


@cache
def recordings():
    """Path of each recording, by name."""
    try:
        found = find_recordings(config["transcription"]["input"], config["audio"])
    except InputError as error:
        raise WorkflowError(str(error)) from None
    if workflow.is_main_process:
        for name, path in found.items():
            if Path(path).stem != name:
                logger.info(f"{path}: its transcription is results/transcriptions/{name}.mid")
    return found


def recording(wildcards):
    """Path of one recording, or of a link to it."""
    known = recordings()
    if wildcards.name not in known:
        raise WorkflowError(
            f"there is no recording '{wildcards.name}' to transcribe."
            f"{suggestion(wildcards.name, known)} Expected one of: {', '.join(known)}."
        )
    return harmless_path(known[wildcards.name], LINKS)
