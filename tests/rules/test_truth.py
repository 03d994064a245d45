"""The five steps of truth and what consecutive frames say together."""

import math

import pytest

from gateway.model import Level, Quality
from rules.truth import AGREE, FALSE, GRADE, LEVELS, QUALITIES, TRUE, UNKNOWN, level, number


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("second", range(5))
def test_two_frames_together_never_claim_more_than_each(first, second):
    """Agreement is certain only where both are; it lies between the two; order does not matter."""
    both = AGREE[first][second]
    assert both == AGREE[second][first]
    assert min(first, second) <= both <= max(first, second)
    assert (both in (FALSE, TRUE)) == (first == second and first in (FALSE, TRUE))
    assert both == UNKNOWN or (both < UNKNOWN) == (first < UNKNOWN) == (second < UNKNOWN)


def test_levels_follow_the_vocabulary_and_an_undefined_byte_is_bad():
    """Each quality has the level that the model gives it; a byte that means nothing is a driver's fault."""
    assert all(LEVELS[quality] == quality.level for quality in Quality)
    assert LEVELS[7] == LEVELS[255] == Level.BAD
    assert QUALITIES[7] == Quality.DRIVER_FAULT


def test_a_missing_value_is_bad_whatever_its_quality_says():
    assert [level(0, 1.0), level(1, 1.0), level(0, None)] == [Level.GOOD, Level.UNCERTAIN, Level.BAD]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "5", None, [5]])
def test_what_is_no_number_is_none(value):
    """Including an integer too large to compute with."""
    assert number(value) is None


def test_numbers_stay_as_they_are():
    assert [number(0), number(-2.5), number(True)] == [0, -2.5, True]


def test_grades_are_ordered():
    assert GRADE == ((0, 1), (4, 3))
