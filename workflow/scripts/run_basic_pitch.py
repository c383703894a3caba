"""Run basic-pitch: `run_basic_pitch.py fit|answer JOB OUTPUT LOG THREADS [THRESHOLDS]`.

It runs in the environment of basic-pitch, which has no Snakemake: what a script has from it
stands in the JSON file JOB.
"""

import sys

from at4ramt.files import read_json
from at4ramt.logs import start_log

task, job_path, output, log, threads, *thresholds = sys.argv[1:]
start_log(log, f"{task}_peer basic_pitch")

from at4ramt.evaluation.in_audio import SoundingPiece
from at4ramt.evaluation.peer_basic_pitch import answer, fit

job = read_json(job_path)
pieces = [SoundingPiece(**piece) for piece in job["pieces"]]
if task == "fit":
    fit(pieces, output, config=job["config"], threads=int(threads))
else:
    answer(pieces, thresholds[0], output, config=job["config"], threads=int(threads))
