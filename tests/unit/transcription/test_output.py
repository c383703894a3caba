"""The files of a transcription say what the notes say."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.corpus.midi import NOTE, read_midi
from at4ramt.transcription.output import note_name, plot_roll, write_notes_csv, write_notes_midi


@settings(max_examples=30, deadline=None)
@given(
    notes=st.lists(
        st.tuples(st.integers(0, 100_000), st.integers(2, 500), st.integers(21, 108),
                  st.integers(1, 127)),
        min_size=1, max_size=60, unique_by=lambda note: note[2],
    ),
    title=st.text(max_size=20),
)  # fmt: skip
def test_midi_and_table_read_back_as_written(
    notes: list[tuple[int, int, int, int]], title: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Times as the rule makes them: multiples of half a frame.
    written = np.array(
        [(0.016 * at, 0.016 * (at + long), pitch, velocity) for at, long, pitch, velocity in notes],
        NOTE,
    )
    written = np.sort(written, order=["onset", "pitch"])
    folder = tmp_path_factory.mktemp("written")
    write_notes_midi(folder / "a.mid", written, title)
    performance = read_midi(folder / "a.mid")
    assert len(performance.pedal) == 0
    write_notes_csv(folder / "a.csv", written)
    with open(folder / "a.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    for name, of_table in (("onset", "onset_seconds"), ("offset", "offset_seconds")):
        np.testing.assert_allclose(performance.notes[name], written[name], atol=6e-5)
        np.testing.assert_allclose([float(row[of_table]) for row in rows], written[name], atol=6e-5)
    for name in ("pitch", "velocity"):
        assert performance.notes[name].tolist() == written[name].tolist()
        assert [int(row[name]) for row in rows] == written[name].tolist()


def test_pitches_have_their_names() -> None:
    assert [note_name(pitch) for pitch in (21, 60, 61, 69, 108)] == ["A0", "C4", "C#4", "A4", "C8"]


def test_no_notes_are_a_midi_file_and_a_table_all_the_same(tmp_path: Path) -> None:
    import mido

    write_notes_midi(tmp_path / "a.mid", np.zeros(0, NOTE), "nothing")
    assert not any(m.type == "note_on" for m in mido.MidiFile(tmp_path / "a.mid"))
    write_notes_csv(tmp_path / "a.csv", np.zeros(0, NOTE))
    assert (tmp_path / "a.csv").read_text() == "onset_seconds,offset_seconds,pitch,name,velocity\n"


@pytest.mark.parametrize("seconds", [0.5, 4000.0])
def test_the_picture_shows_each_note_where_it_is(seconds: float, tmp_path: Path) -> None:
    def ink(notes: list[tuple[float, float, int, int]]) -> np.ndarray:
        plot_roll(
            tmp_path / "roll.png", np.array(notes, NOTE), seconds=seconds, lowest_pitch=37,
            pitches=56, title="",
        )  # fmt: skip
        return matplotlib.image.imread(tmp_path / "roll.png")[..., :3].sum(axis=2)

    empty = ink([])
    early = ink([(0.0, 0.2 * seconds, 60, 100)]) != empty
    late = ink([(0.8 * seconds, seconds, 60, 100)]) != empty
    assert early.any() and late.any()
    assert not (early & late).any()
    assert empty.shape[0] < 4000


def test_a_title_between_dollars_is_no_formula(tmp_path: Path) -> None:
    plot_roll(
        tmp_path / "roll.png", np.array([(0.1, 0.4, 60, 100)], NOTE), seconds=0.5, lowest_pitch=37,
        pitches=56, title=r"$\nonsense{ and $HOME",
    )  # fmt: skip
    assert (tmp_path / "roll.png").stat().st_size > 1000
