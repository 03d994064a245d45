"""The timeline is pure: steps in, moments out."""

import itertools
import math

import pytest

from firmware_sim.story import Moment, timeline

START = {"a/x": 1.0, "a/y": 0, "b/x": None}


def values(moments, point):
    """(time, value) of one point."""
    return [(moment.at, moment.points[point]) for moment in moments if point in moment.points]


def test_a_set_is_one_moment():
    """Several points at once; true is 1."""
    assert timeline([{"at": 8, "set": {"a/y": True, "a/x": 2}}], START) == [Moment(8.0, {"a/y": 1, "a/x": 2})]


def test_steps_may_stand_in_any_order():
    """Their times count."""
    moments = timeline([{"at": 9, "set": {"a/x": 9}}, {"at": 2, "fault": {"device": "a", "what": "silent"}}], START)
    assert [moment.at for moment in moments] == [2.0, 9.0]
    assert moments[0].fault == {"device": "a", "what": "silent"}


def test_a_ramp_is_a_straight_line_in_steps_of_100_ms():
    """From 1.0 to 4.0 in 3 s: thirty steps of 0.1, the last one exactly at the end."""
    ramp = values(timeline([{"at": 3, "ramp": {"point": "a/x", "to": 4, "over_s": 3}}], START), "a/x")
    assert len(ramp) == 30
    assert ramp[0] == (3.1, 1.1)
    assert ramp[-1] == (6.0, 4.0)
    assert all(value == pytest.approx(1 + (at - 3), abs=1e-5) for at, value in ramp)


def test_a_ramp_shorter_than_a_step_ends_where_it_should():
    """One step, at its end."""
    assert values(timeline([{"at": 3, "ramp": {"point": "a/x", "to": 4, "over_s": 0.05}}], START), "a/x") == [
        (3.05, 4.0)
    ]


def test_a_ramp_starts_from_what_the_story_made_of_the_point():
    """Not from the scene's first value."""
    steps = [{"at": 1, "set": {"a/x": 10}}, {"at": 3, "ramp": {"point": "a/x", "to": 20, "over_s": 1}}]
    assert values(timeline(steps, START), "a/x")[1] == (3.1, 11.0)


def test_a_later_step_ends_a_ramp():
    """The two never fight over the point."""
    steps = [{"at": 0, "ramp": {"point": "a/x", "to": 11, "over_s": 10}}, {"at": 5, "set": {"a/x": -1}}]
    assert values(timeline(steps, START), "a/x")[-2:] == [(4.9, 5.9), (5.0, -1)]


def test_steps_of_one_moment_come_together():
    """Two points that change at one time are one moment."""
    moments = timeline([{"at": 5, "set": {"a/x": 2}}, {"at": 5, "set": {"a/y": 1}}], START)
    assert moments == [Moment(5.0, {"a/x": 2, "a/y": 1})]


def test_a_creep_accelerates_as_slopes_do():
    """Speed c / (fails_at - t): the inverse of the speed falls in a straight line to zero at fails_at."""
    creep = values(
        timeline([{"at": 14, "creep": {"point": "a/x", "c": 0.6, "fails_at": 42, "until": 40}}], START), "a/x"
    )
    assert creep[-1][0] == 40.0
    assert creep[-1][1] == pytest.approx(1 + 0.6 * math.log(28 / 2), abs=1e-6)
    for (before, low), (after, high) in itertools.pairwise(creep):
        speed = (high - low) / (after - before)
        assert 1 / speed == pytest.approx((42 - (before + after) / 2) / 0.6, rel=0.01)


def test_other_words_are_left_to_others():
    """The link and the gateway are played by the demo."""
    assert timeline([{"at": 26, "link": "stall"}, {"at": 36, "gateway": "kill"}], START) == []


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"set": {"a/x": 1}}, "at: None"),
        ({"at": -1, "set": {"a/x": 1}}, "at: -1"),
        ({"at": True, "set": {"a/x": 1}}, "at: True"),
        ({"at": 1, "ramp": {"point": "a/x", "to": 2}}, "step at 1.0: KeyError: 'over_s'"),
        ({"at": 1, "ramp": {"point": "a/x", "to": 2, "over_s": 0}}, "over_s"),
        ({"at": 1, "ramp": {"point": "b/x", "to": 2, "over_s": 1}}, "no value"),
        ({"at": 1, "creep": {"point": "a/x", "c": 1, "fails_at": 3, "until": 3}}, "until < fails_at"),
    ],
)
def test_a_step_that_cannot_be_played_is_named(step, complaint):
    """ValueError with the step's time and what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        timeline([step], START)
