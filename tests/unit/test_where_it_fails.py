"""Cells are told apart as a loop over cells and notes would do it."""

import itertools

import numpy as np
import pandas as pd
import pytest
from benchmarks.where_it_fails import (
    AGES,
    AT_ONCE,
    BESIDE,
    DETAILED,
    ELSEWHERE,
    KINDS,
    NEAR,
    RATIOS_DB,
    VELOCITIES,
    beside,
    groups,
    last_strokes,
    tables,
)

from at4ramt.corpus.midi import NOTE
from at4ramt.evaluation.in_audio import Reference, rolled
from at4ramt.features.cqt import CqtSettings


@pytest.fixture
def reference(demo_config):
    settings = CqtSettings.from_config(demo_config["features"])
    rng = np.random.default_rng(0)
    notes = np.zeros(120, NOTE)
    notes["pitch"] = rng.integers(
        settings.lowest_pitch, settings.lowest_pitch + settings.pitches, 120
    )
    notes["onset"] = np.sort(rng.uniform(0, 12, 120))
    notes["offset"] = notes["onset"] + rng.uniform(0.01, 7, 120)
    notes["velocity"] = rng.integers(1, 128, 120)
    return settings, Reference(rolled(notes, 400, settings), notes)


def told_apart(reference, detailed):
    settings, sounding = reference
    struck = last_strokes(sounding.notes, len(sounding.frames), settings)
    return {
        (by, name): cells for by, name, cells in groups(sounding.frames, struck, settings, detailed)
    }


def test_age_velocity_octave_and_number_of_notes(reference):
    settings, sounding = reference
    found = told_apart(reference, detailed=True)
    frames, pitches = sounding.frames.shape
    for frame, column in itertools.product(range(frames), range(pitches)):
        pitch, time = settings.lowest_pitch + column, frame * 0.032
        strokes = [
            (note["onset"], note["velocity"]) for note in sounding.notes
            if note["pitch"] == pitch and note["onset"] <= time
        ]  # fmt: skip
        hit = [name for name in VELOCITIES if found["velocity", name][frame, column]]
        if sounding.frames[frame, column]:
            onset, velocity = max(strokes)
            [(softest, hardest)] = [map(int, name.split(" to ")) for name in hit]
            assert softest <= velocity <= hardest
            age = time - onset
            [expected] = [
                name for (name, until), start in zip(
                    AGES.items(), [0, *AGES.values()], strict=False
                ) if start <= age < until
            ]  # fmt: skip
        else:
            expected = None
            assert not hit
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


def test_which_silent_cells_are_beside_a_note(reference):
    _, sounding = reference
    found = told_apart(reference, detailed=True)
    pitches = sounding.frames.shape[1]
    for distance in (-24, -19, -12, 12, 19, 24):
        name = f"{abs(distance)} {'above' if distance > 0 else 'below'}"
        expected = np.zeros_like(sounding.frames)
        for frame, column in np.argwhere(sounding.frames):
            if 0 <= column + distance < pitches:
                expected[frame, column + distance] = True
        expected &= ~sounding.frames
        assert expected.any()
        np.testing.assert_array_equal(beside(sounding.frames, distance), expected)
        np.testing.assert_array_equal(found[BESIDE, name], expected)
    either = np.any([found[BESIDE, name] for by, name in found
                     if by == BESIDE and name not in (NEAR, ELSEWHERE)], axis=0)  # fmt: skip
    np.testing.assert_array_equal(found[BESIDE, NEAR], either)
    np.testing.assert_array_equal(found[BESIDE, ELSEWHERE], ~either & ~sounding.frames)


def test_without_detail_there_is_the_whole_alone(reference):
    assert [by for by, _ in told_apart(reference, detailed=False)] == ["all"]


def test_the_table_of_what_is_added_has_shares_of_false_frames_and_of_silent_cells():
    """The other tables are recall, precision and F1, by functions with tests of their own."""
    conditions = [("none", np.inf), *itertools.product(KINDS, RATIOS_DB)]
    rows = [(*condition, "all", "", 4, 4, 2, 9) for condition in conditions]
    distances = [f"{each} {side}" for side in ("above", "below") for each in (12, 19, 24)]
    for number, (noise, ratio) in enumerate(DETAILED):
        # Both pianos; a cell may lie at two distances.
        for false in (10 + number, 20 + number):
            rows += [(noise, ratio, BESIDE, name, 0, false, 0, 50) for name in distances]
            rows.append((noise, ratio, BESIDE, NEAR, 0, 2 * false, 0, 200))
            rows.append((noise, ratio, BESIDE, ELSEWHERE, 0, 40, 0, 600))
    names = ["noise", "snr_db", "by", "group", "reference", "estimated", "matched", "cells"]
    told = tables(pd.DataFrame(rows, columns=names))
    assert len(told) == 2
    head, _, *lines = told[1].splitlines()
    assert head.startswith(f"| {BESIDE} | false frames, clean | false frames, white noise, 0 dB |")
    found = {cells[1].strip(): [float(cell) for cell in cells[2:5]]
             for cells in (line.split("|") for line in lines)}  # fmt: skip
    first, second = 100 / (60 + 80), 100 / (64 + 80)
    expected = [30 * first, 32 * second, 100 * 100 / 1600]
    assert set(found) == {*distances, NEAR}
    np.testing.assert_allclose(found["19 below"], expected, atol=0.05)
    np.testing.assert_allclose(found[NEAR], [60 * first, 64 * second, 100 * 400 / 1600], atol=0.05)
