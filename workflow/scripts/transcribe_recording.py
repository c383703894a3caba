"""Write the notes of one recording."""

from pathlib import Path

from at4ramt.logs import start_log

log = start_log(snakemake.log[0], f"transcribe_recording {snakemake.wildcards.name}")

from at4ramt.features.audio import audio_seconds
from at4ramt.transcription.models import open_model
from at4ramt.transcription.output import plot_roll, write_notes_csv, write_notes_midi
from at4ramt.transcription.transcribe import TranscriptionSettings, transcribe_file

audio = snakemake.input.recording
# Wrong files are told from right ones before a network is loaded.
seconds = audio_seconds(audio)
model = open_model(snakemake.input.model, threads=snakemake.threads)
rule = dict(snakemake.params.transcription)
threshold = rule.pop("threshold")
settings = TranscriptionSettings(None if threshold == "fitted" else threshold, **rule)
log.info("%s: %.1f s; %s (%s)", audio, seconds, model.path, model.runtime)
notes = transcribe_file(
    audio, model, settings, lambda done, whole: log.info("%.0f of %.0f s", done, whole)
)
write_notes_midi(snakemake.output.mid, notes, Path(snakemake.params.title).stem)
write_notes_csv(snakemake.output.csv, notes)
if picture := snakemake.output.get("png"):
    plot_roll(
        picture,
        notes,
        seconds=seconds,
        lowest_pitch=model.features.lowest_pitch,
        pitches=model.features.pitches,
        title=snakemake.params.title,
    )
log.info("%d notes", len(notes))
