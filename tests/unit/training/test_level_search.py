"""The level search ends, in the range where it can, and says why where it cannot."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at4ramt.training.level_search import SearchSettings, search_level

SETTINGS = SearchSettings(
    frames=1024,
    minimum_increase=0.10,
    maximum_increase=0.20,
    start_level=0.02,
    factor=1.4,
    floor_level=1e-4,
    cap_level=2.0,
    evaluations=40,
)


def loss_of(increase):
    return lambda level: 0.5 * (1 + increase(level))


@given(st.floats(0.05, 200), st.floats(0.3, 8), st.floats(1e-4, 2.0))
def test_any_increasing_loss_ends_in_the_range_or_at_a_bound(scale, power, start):
    increase = lambda level: scale * level**power  # noqa: E731
    result = search_level(loss_of(increase), 0.5, SETTINGS, start)
    if result.status == "in_range":
        assert 0.10 - 1e-9 <= increase(result.level) <= 0.20 + 1e-9
    elif result.status == "cap":
        assert result.level == 2.0 and increase(2.0) < 0.10
    else:
        assert result.status == "floor" and increase(result.level) > 0.20
    assert len(result.trace) <= 40


def test_a_steep_loss_that_the_walk_jumps_over_is_bisected():
    increase = lambda level: 0.0 if level < 0.05 else 50 * (level - 0.05)  # noqa: E731
    result = search_level(loss_of(increase), 0.5, SETTINGS, 0.02)
    assert result.status == "in_range"
    assert {step.phase for step in result.trace} == {"walk", "bisect"}
    verdicts = [step.verdict for step in result.trace]
    assert "too_hard" in verdicts and "too_easy" in verdicts


def test_a_jump_over_the_range_stops_at_the_number_of_evaluations():
    increase = lambda level: 0.0 if level < 0.05 else 1.0  # noqa: E731
    result = search_level(loss_of(increase), 0.5, SETTINGS, 0.02)
    assert result.status == "evaluations"
    assert len(result.trace) == 40
    assert result.level < 0.05
    assert math.isclose(result.level, 0.05, rel_tol=1e-3)


def test_a_hardened_model_is_walked_up_from_where_it_stands():
    # Like a model hardened at 0.2: low levels hurt it too, so that an interval
    # from 0 would be halved to the wrong side.
    increase = lambda level: 0.15 if level < 0.01 else max(0.02, 0.6 * (level - 0.2))  # noqa: E731
    result = search_level(loss_of(increase), 0.5, SETTINGS, 0.2)
    assert result.status == "in_range"
    assert result.level > 0.3


def test_noise_that_helps_is_walked_up_to_the_cap():
    result = search_level(lambda level: 0.4, 0.5, SETTINGS, 0.02)
    assert (result.status, result.level) == ("cap", 2.0)
    levels = [step.level for step in result.trace]
    assert levels == sorted(levels)


@pytest.mark.parametrize(("clean", "noisy"), [(math.nan, 1.0), (0.0, 1.0), (0.5, math.inf)])
def test_a_loss_that_is_no_number_is_an_error(clean, noisy):
    with pytest.raises(FloatingPointError, match="level search"):
        search_level(lambda level: noisy, clean, SETTINGS, 0.02)


def test_the_paper_s_sign_finds_all_noise_too_easy_and_ends_at_the_cap():
    literal = dataclasses.replace(SETTINGS, rule="literal")
    result = search_level(loss_of(lambda level: 20 * level), 0.5, literal, 0.02)
    assert (result.status, result.level) == ("cap", 2.0)
    assert {step.verdict for step in result.trace} == {"too_easy"}
    for step in result.trace:
        # The pseudocode: (loss(clean) - loss(noisy)) / loss(clean).
        assert step.increase == pytest.approx((0.5 - step.loss_noisy) / 0.5)
