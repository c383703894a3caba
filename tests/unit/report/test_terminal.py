"""The words at the end of `make demo`."""

from __future__ import annotations

from at4ramt.report.terminal import aligned, closing_words, tidy


def test_numbers_are_cut_to_three_digits_and_words_are_left():
    assert [tidy(cell) for cell in ("0.123456", "0.34", "12", "adversarial", "a.wavfile")] == [
        "0.123", "0.34", "12", "adversarial", "a.wavfile",
    ]  # fmt: skip


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned([["arm", "f1"], ["adversarial", "0.5"]]) == "arm          f1\nadversarial  0.5"
    assert aligned([]) == ""


def test_the_table_and_the_place_of_the_report_are_said(tmp_path):
    assert "snakemake report" in closing_words(tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "headline.csv").write_text("arm,f1\nbase,0.61234\n")
    (tmp_path / "report.html").write_text("<html>")
    words = closing_words(tmp_path)
    assert "base  0.612" in words
    assert str(tmp_path / "report.html") in words.splitlines()[-1]
