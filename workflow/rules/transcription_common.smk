# What the rules of transcription.smk share.

from functools import cache

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
        return find_recordings(config["transcription"]["input"], config["audio"])
    except InputError as error:
        raise WorkflowError(str(error)) from None


def recording(wildcards):
    """Path of one recording."""
    known = recordings()
    if wildcards.name not in known:
        raise WorkflowError(
            f"there is no recording '{wildcards.name}' to transcribe."
            f"{suggestion(wildcards.name, known)} Expected one of: {', '.join(known)}."
        )
    return known[wildcards.name]
