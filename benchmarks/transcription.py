"""What notes and frames of a finished demo score in noise, with and without refined onsets.

    PYTHONPATH=workflow .venv/bin/python benchmarks/transcription.py results \
        docs/results/demo_transcription.csv

writes the table of docs/transcription.md. Scored are the test pieces of the embedded corpus, all
notes and frames pooled, at the threshold that was fitted to each model. Printed is, for the notes
that the clean arm finds without noise, how far their onsets are off, and how their velocities rank
beside those that were played.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.mixing import with_noise
from at4ramt.corpus.midi import read_midi
from at4ramt.evaluation.metrics import pooled
from at4ramt.evaluation.notes import OFFSET_SHARES, match_notes, notes_in_range
from at4ramt.features.audio import read_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.labels import frame_labels, read_labels
from at4ramt.files import whole_file
from at4ramt.seeds import purpose_seed
from at4ramt.training.noise import uniform_noise
from at4ramt.transcription.models import Model, open_model
from at4ramt.transcription.notes import NoteSettings, notes_from_probabilities

PIECES = Path(__file__).resolve().parents[1] / "config/corpus/pieces.tsv"
NOISES = {"none": None, "audio, 10 dB": 10.0, "audio, 6 dB": 6.0, "audio, 0 dB": 0.0}
UNIFORM_LEVEL = 0.34
ARMS = ("base", "clean", "adversarial")
TIMED = "clean"
"""The arm whose onsets and velocities are compared with the played ones."""
C3 = 48


def main(results: Path, out: Path) -> None:
    """Write a row for each noise and model."""
    models = {arm: _model(results, arm) for arm in ARMS}
    features = models["base"].features
    pieces = pd.read_csv(PIECES, sep="\t", dtype=str)
    pieces = pieces[pieces["split"].isin(["test", "test_unseen_piano"])]
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    found: list[pd.DataFrame] = []
    for piece, instrument in zip(pieces["piece"], pieces["instrument"], strict=True):
        recording = results / "corpus" / instrument / "MUS" / f"{piece}.wav"
        audio = read_audio(recording, features.sample_rate_hz)
        reference = notes_in_range(read_labels(recording.with_suffix(".txt")), features)
        for noise, heard in _heard(audio, features, piece):
            answers = {arm: _answer(heard, model) for arm, model in models.items()}
            if noise == "none":
                found.append(_found(heard, recording, features, *answers[TIMED]))
                truth = _roll(reference, len(heard), features)
                answers["true roll"] = truth.astype(np.float32), 0.5
            for (arm, answer), refine in itertools.product(answers.items(), (False, True)):
                key = (noise, arm, "refined" if refine else "runs alone")
                scored = _score(heard, reference, features, *answer, refine=refine)
                counts.setdefault(key, Counter()).update(scored)
        print(piece, file=sys.stderr)
    columns = (*OFFSET_SHARES, "frames", "frames of notes")
    rows = [(*key, *(_f1(count, name) for name in columns)) for key, count in counts.items()]
    table = pd.DataFrame(rows, columns=["noise", "model", "notes", *columns])
    with whole_file(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    _print_found(found)


def _f1(count: Counter[str], name: str) -> float:
    return pooled(*(count[f"{name} {part}"] for part in ("hit", "false", "missed")))[2]


def _model(results: Path, arm: str) -> Model:
    found = sorted((results / "models" / arm).glob("**/*.keras"))
    return open_model(found[-1])


def _heard(
    audio: npt.NDArray[np.float32], features: CqtSettings, piece: str
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the name of each noise and the magnitudes in it."""
    seed = purpose_seed(0, "benchmark", piece)
    for name, snr_db in NOISES.items():
        samples = audio
        if snr_db is not None:
            random = np.random.default_rng(seed)
            samples = with_noise(audio, features.sample_rate_hz, snr_db, random)
        yield name, np.abs(complex_cqt(samples, features)[:, features.core])
    clean = np.abs(complex_cqt(audio, features)[:, features.core])
    noise = uniform_noise(seed, np.arange(len(clean)), clean.shape[1])
    yield f"magnitudes, {UNIFORM_LEVEL}", clean + np.float32(UNIFORM_LEVEL) * noise


def _answer(
    magnitudes: npt.NDArray[np.float32], model: Model
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the model's probabilities and its threshold."""
    padded = np.pad(magnitudes, ((model.margin_frames,) * 2, (0, 0)))
    return model.probabilities(padded), float(model.card["threshold_fitted"])


def _roll(notes: npt.NDArray[np.void], frames: int, features: CqtSettings) -> npt.NDArray[np.bool_]:
    core = slice(features.margin_pitches, features.margin_pitches + features.pitches)
    return frame_labels(notes, frames, features)[:, core].astype(bool)


def _score(
    magnitudes: npt.NDArray[np.float32],
    reference: npt.NDArray[np.void],
    features: CqtSettings,
    probabilities: npt.NDArray[np.float32],
    threshold: float,
    *,
    refine: bool,
) -> Counter[str]:
    """Return hits, false ones and misses of notes and frames."""
    rule = NoteSettings.for_features(features, threshold, refine_onsets=refine)
    notes = notes_from_probabilities(probabilities, rule, magnitudes)
    count: Counter[str] = Counter()
    for criterion in OFFSET_SHARES:
        hits = len(match_notes(reference, notes, criterion))
        count[f"{criterion} hit"] = hits
        count[f"{criterion} false"] = len(notes) - hits
        count[f"{criterion} missed"] = len(reference) - hits
    truth, written = (_roll(each, len(magnitudes), features) for each in (reference, notes))
    for name, active in (("frames", probabilities >= threshold), ("frames of notes", written)):
        count[f"{name} hit"] = int((active & truth).sum())
        count[f"{name} false"] = int((active & ~truth).sum())
        count[f"{name} missed"] = int((~active & truth).sum())
    return count


def _found(
    magnitudes: npt.NDArray[np.float32],
    recording: Path,
    features: CqtSettings,
    probabilities: npt.NDArray[np.float32],
    threshold: float,
) -> pd.DataFrame:
    """Return a row for each note found: pitch, what its onset is off (s), both velocities."""
    rule = NoteSettings.for_features(features, threshold, refine_onsets=True)
    notes = notes_from_probabilities(probabilities, rule, magnitudes)
    played = notes_in_range(read_midi(recording.with_suffix(".mid")).notes, features)
    pairs = match_notes(played, notes, "onset")
    one, other = played[pairs[:, 0]], notes[pairs[:, 1]]
    return pd.DataFrame(
        {
            "pitch": one["pitch"],
            "off": other["onset"] - one["onset"],
            "played": one["velocity"],
            "estimated": other["velocity"],
        }
    )


def _print_found(pieces: list[pd.DataFrame]) -> None:
    notes = pd.concat(pieces)
    low, high = (notes.loc[chosen, "off"] for chosen in (notes["pitch"] < C3, notes["pitch"] >= C3))
    print(f"median distance of onsets: {1000 * notes['off'].abs().median():.0f} ms")
    print(f"median offset of onsets below C3: {1000 * low.median():+.0f} ms")
    print(f"median offset of the others: {1000 * high.median():+.0f} ms")
    # Evenly played pieces have no ranks to compare.
    ranks = [
        piece["played"].corr(piece["estimated"], method="spearman")
        for piece in pieces
        if piece["played"].std() > 0
    ]
    print(
        f"rank correlation of velocities, {len(ranks)} pieces: median {np.median(ranks):.1f}, "
        f"from {min(ranks):.1f} to {max(ranks):.1f}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
