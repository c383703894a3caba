"""The words at the end of `make demo`."""

from __future__ import annotations

from at4ramt.report.terminal import aligned, closing_words

HEADLINE = """split,arm,round,level,f1_half
test,base,0,0.0,0.61234
test,base,0,0.34,0.1
test,adversarial,12,0.0,0.5
test,adversarial,12,0.34,0.4
test_unseen_piano,base,0,0.0,0.25
"""


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned([["arm", "f1"], ["adversarial", "0.5"]]) == "arm          f1\nadversarial  0.5"
    assert aligned([]) == ""


def test_each_split_has_its_arms_and_levels_and_the_report_s_place_is_last(tmp_path):
    assert "snakemake --cores all report" in closing_words(tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "headline.csv").write_text(HEADLINE)
    (tmp_path / "report.html").write_text("<html>")
    lines = closing_words(tmp_path).splitlines()
    assert lines[1:5] == [
        "F1 at threshold 0.5, test",
        "noise level  0      0.34",
        "base         0.612  0.100",
        "adversarial  0.500  0.400",
    ]
    assert lines[7:9] == ["noise level  0", "base         0.250"]
    assert str(tmp_path / "report.html") in lines[-1]
