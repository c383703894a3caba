"""Cells are told apart as a loop over cells and notes would do it."""

import itertools

import numpy as np
import pytest
from benchmarks.where_it_fails import AGES, AT_ONCE, groups, note_ages

from at4ramt.corpus.maps import LABEL
from at4ramt.evaluation.in_audio import Reference, rolled
from at4ramt.features.cqt import CqtSettings


@pytest.fixture
def reference(demo_config):
    settings = CqtSettings.from_config(demo_config["features"])
    rng = np.random.default_rng(0)
    notes = np.zeros(120, LABEL)
    notes["pitch"] = rng.integers(
        settings.lowest_pitch, settings.lowest_pitch + settings.pitches, 120
    )
    notes["onset"] = np.sort(rng.uniform(0, 12, 120))
    notes["offset"] = notes["onset"] + rng.uniform(0.01, 7, 120)
    return settings, Reference(rolled(notes, 400, settings), notes)


def test_age_octave_and_number_of_notes(reference):
    settings, sounding = reference
    ages = note_ages(sounding, settings)
    found = {(by, name): cells for by, name, cells in groups(sounding.frames, ages, settings, True)}
    frames, pitches = sounding.frames.shape
    for frame, column in itertools.product(range(frames), range(pitches)):
        pitch, time = settings.lowest_pitch + column, frame * 0.032
        onsets = [
            note["onset"] for note in sounding.notes
            if note["pitch"] == pitch and note["onset"] <= time
        ]  # fmt: skip
        if sounding.frames[frame, column]:
            age = time - max(onsets)
            [expected] = [
                name for (name, until), start in zip(
                    AGES.items(), [0, *AGES.values()], strict=False
                ) if start <= age < until
            ]  # fmt: skip
        else:
            expected = None
        assert [name for name in AGES if found["age", name][frame, column]] == (
            [expected] if expected else []
        )
        octaves = [name for by, name in found if by == "octave" and found[by, name][frame, column]]
        [(low, high)] = [map(int, name.split(" to ")) for name in octaves]
        assert low <= pitch <= high and low // 12 == high // 12
        number = sum(sounding.frames[frame])
        at_once = [name for name in AT_ONCE if found["notes at once", name][frame, column]]
        named = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5 or 6", 6: "5 or 6"}
        assert at_once == ([named.get(number, "7 on")] if number else [])
    assert found["all", ""].all()


def test_without_detail_there_is_the_whole_alone(reference):
    settings, sounding = reference
    ages = note_ages(sounding, settings)
    assert [by for by, _, _ in groups(sounding.frames, ages, settings, False)] == ["all"]
