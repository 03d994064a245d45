"""What became true, when, and how certain that is: `rules.edges`."""

import pytest

from rules.edges import Doubts, Held, Rise, Times
from rules.truth import FALSE, FALSE_UNCERTAIN, TRUE, TRUE_UNCERTAIN, UNKNOWN
from tests.rules.said import Said, both

F, FU, U, TU, T = FALSE, FALSE_UNCERTAIN, UNKNOWN, TRUE_UNCERTAIN, TRUE


@pytest.mark.parametrize(
    ("truths", "rose"),
    [
        ([F, T], T),
        ([F, TU], TU),
        ([FU, T], TU),
        ([F, U, T], TU),
        ([F, U, F, T], T),
        ([U, T], F),
        ([T], F),
        ([T, U, T], F),
        ([T, F], F),
        ([F, U], F),
    ],
)
def test_certain_is_only_what_went_from_known_false_to_true_at_once(truths, rose):
    rise = Rise()
    assert [rise.see(one) for one in truths][-1] == rose


def test_nothing_is_known_of_what_was_before_the_start_nor_of_a_gap():
    """Of what was not seen within ten seconds: unknown while they reach into it, then uncertain, then false."""
    doubts = Doubts(0.0)
    doubts.see([F], 0.0)
    assert [doubts.false(10.0, at) for at in (9.0, 10.0)] == [U, F]
    assert (doubts.due(10.0, 9.0), doubts.due(10.0, 10.0)) == (10.0, float("inf"))
    doubts.see([TU], 20.0)
    doubts.see([F], 21.0)
    assert [doubts.false(10.0, at) for at in (30.0, 31.0)] == [FU, F]
    assert doubts.due(10.0, 22.0) == 31.0


def test_held_is_true_at_its_time_and_says_when():
    part = Said()
    held = Held(part, 10.0)
    assert both(held, -5.0) == (F, F)
    part.say(T)
    assert both(held, 0.0) == (F, F)
    assert held.due == 10.0
    assert both(held, 9.9) == (F, F)
    assert both(held, 10.0) == (T, T)
    part.say(F)
    assert both(held, 11.0) == (F, F)
    assert held.remembered() is None


@pytest.mark.parametrize("saved", [[1.0, 2.0], "1", {"a": 1}, 5])
def test_what_was_not_remembered_is_refused(saved):
    with pytest.raises(ValueError, match="not the time at which"):
        Held(Said(), 10.0).remember(saved, 0.0, 100.0)
    with pytest.raises(ValueError, match="not the times of at most 1"):
        Times(Said(), 1, 10.0, 0.0).remember(saved, 0.0, 100.0)


def test_times_are_counted_until_the_window_ends_and_not_a_moment_longer():
    """Two within ten seconds; the deadline is the end of the first one's."""
    part = Said()
    times = Times(part, 2, 10.0, -100.0)
    for at, truth in ((-100.0, F), (0.0, F), (1.0, T), (2.0, F), (5.0, T)):
        part.say(truth)
        said = both(times, at)
    assert said == (T, T)
    assert times.due == 11.0
    assert both(times, 10.9) == (T, T)
    assert both(times, 11.0) == (F, F)
    assert times.remembered() == [5.0]
    assert both(times, 15.0) == (F, F)
    assert times.remembered() is None
