"""From a recording to notes: frames to notes, models that run, files that are written."""
