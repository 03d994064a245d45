"""Computed points: what each kind says, when, and what it does where an input is missing."""

import math

import pytest

from gateway.model import Quality, Scan
from rules.engine import Engine
from rules.spec import Above, Equals
from rules.virtual import Virtual, VirtualSpec
from tests.rules.transcript import alarm

GROUPS = {("a", 0): ("a/x", "a/on"), ("b", 0): ("b/x", "b/on"), ("virtual", 0): ("virtual/v",)}
X = ("a/x", "b/x")
ON = ("a/on", "b/on")


def virtual(of, points=X, window_s=0.0):
    return Virtual([VirtualSpec("virtual/v", of, points, 30.0, window_s)], GROUPS, 0.0)


def scan(device, at, x, on=0, quality=Quality.GOOD):
    value = None if quality >= 32 else x
    return Scan(device, 0, at, (value, on), bytes([quality, 0]))


def told(made):
    return [(one.at, one.values[0], Quality(one.qualities[0])) for one in made]


@pytest.mark.parametrize(
    ("of", "points", "value"),
    [
        ("difference", X, -3.0),
        ("maximum", X, 5.0),
        ("minimum", X, 2.0),
        ("mean", X, 3.5),
        ("sum", X, 7.0),
        ("count_true", ON, 1),
    ],
)
def test_what_each_kind_computes(of, points, value):
    """Once all inputs are there, with the time of the newest."""
    computed = virtual(of, points)
    assert computed.take(scan("a", 1.0, 2, 1)) == []
    made = computed.take(scan("b", 2.5, 5, 0))
    assert told(made) == [(2.5, value, Quality.GOOD)]
    assert [(one.device, one.group) for one in made] == [("virtual", 0)]


def test_two_values_in_a_row_rest_on_two_readings_of_each_input():
    """A fast input does not make one reading of a slow one count twice."""
    computed = virtual("maximum")
    computed.take(scan("a", 0.0, 9))
    assert len(computed.take(scan("b", 0.5, 1))) == 1
    assert [computed.take(scan("b", n, 1)) for n in (1.0, 2.0, 3.0)] == [[], [], []]
    assert told(computed.take(scan("a", 10.0, 1))) == [(10.0, 1.0, Quality.GOOD)]


@pytest.mark.parametrize("of", ["difference", "mean", "sum"])
def test_most_kinds_say_nothing_where_an_input_is_missing(of):
    """With the reason of the input."""
    computed = virtual(of)
    computed.take(scan("a", 0.0, 9))
    made = computed.take(scan("b", 1.0, 0, quality=Quality.REFUSED))
    assert told(made) == [(1.0, None, Quality.REFUSED)]


@pytest.mark.parametrize(("of", "points", "value"), [("maximum", X, 9.0), ("minimum", X, 9.0), ("count_true", ON, 1)])
def test_the_greatest_of_those_that_are_there_is_uncertain(of, points, value):
    """It may raise, and clears nothing; of none at all nothing is said."""
    computed = virtual(of, points)
    bad = bytes([Quality.LINE_DOWN] * 2)
    computed.take(scan("a", 0.0, 9, 1))
    assert told(computed.take(Scan("b", 0, 1.0, (None, None), bad))) == [(1.0, value, Quality.INCOMPLETE)]
    computed.take(Scan("b", 0, 2.0, (None, None), bad))
    assert told(computed.take(Scan("a", 0, 2.0, (None, None), bad))) == [(2.0, None, Quality.LINE_DOWN)]


def test_an_uncertain_input_makes_the_result_uncertain():
    computed = virtual("sum")
    computed.take(scan("a", 0.0, 9))
    assert told(computed.take(scan("b", 1.0, 1, quality=Quality.JUMPING))) == [(1.0, 10.0, Quality.JUMPING)]


def test_an_input_that_is_never_heard_is_missing_in_the_end():
    """It does not hold up the others for ever; and its old value does not count."""
    computed = virtual("maximum")
    assert [computed.take(scan("a", at, 1)) for at in (0.0, 10.0, 29.0)] == [[], [], []]
    assert told(computed.take(scan("a", 30.0, 1))) == [(30.0, 1.0, Quality.INCOMPLETE)]
    computed.take(scan("b", 31.0, 99))
    assert told(computed.take(scan("a", 32.0, 1))) == [(32.0, 99.0, Quality.GOOD)]
    computed.take(scan("a", 50.0, 2))
    assert told(computed.take(scan("a", 61.0, 2))) == [(61.0, 2.0, Quality.INCOMPLETE)]


def test_a_rate_waits_for_half_its_window():
    computed = virtual("rate", ("a/x",), 8.0)
    found = [told(computed.take(scan("a", float(at), 3.0 * at)))[0] for at in range(6)]
    assert [quality for _, _, quality in found] == [Quality.NOT_YET] * 4 + [Quality.GOOD] * 2
    assert found[5][1] == pytest.approx(3.0)
    assert told(computed.take(scan("a", 6.0, 18.0, quality=Quality.JUMPING)))[0][2] is Quality.JUMPING
    assert told(computed.take(scan("a", 7.0, 21.0)))[0][2] is Quality.INCOMPLETE


@pytest.mark.parametrize("value", ["text", float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_missing(value):
    computed = virtual("sum")
    computed.take(scan("a", 0.0, 1))
    assert told(computed.take(scan("b", 1.0, value))) == [(1.0, None, Quality.NOT_A_NUMBER)]
    assert computed.take(scan("b", math.nan, 1)) == []


def test_sums_that_leave_all_bounds_are_no_numbers():
    computed = virtual("sum")
    computed.take(scan("a", 0.0, 9e299))
    assert told(computed.take(scan("b", 1.0, 9e299))) == [(1.0, None, Quality.NOT_A_NUMBER)]


@pytest.mark.parametrize(
    "spec",
    [
        VirtualSpec("virtual/v", "median", X, 30.0),
        VirtualSpec("virtual/v", "sum", (), 30.0),
        VirtualSpec("virtual/v", "sum", ("a/none",), 30.0),
        VirtualSpec("virtual/v", "sum", ("virtual/v",), 30.0),
        VirtualSpec("virtual/v", "difference", ("a/x",), 30.0),
        VirtualSpec("virtual/v", "rate", ("a/x",), 30.0),
        VirtualSpec("virtual/v", "sum", X, math.inf),
    ],
)
def test_what_cannot_be_computed_is_refused(spec):
    with pytest.raises(ValueError, match="virtual/v"):
        Virtual([spec], GROUPS, 0.0)


def test_alarms_see_a_computed_point_in_the_step_of_its_input():
    """One step: the scan, the computed scan, the alarm over it; and it is handed out to be reported."""
    specs = [VirtualSpec("virtual/v", "count_true", ON, 30.0)]
    rules = [alarm(Above("virtual/v", 1), "two"), alarm(Equals("a/on", 1), "first")]
    engine = Engine(rules, GROUPS, 0.0, virtual=specs)
    assert [one.alarm for one in engine.step(scan("a", 1.0, 0, 1), 1.0).transitions] == ["first"]
    step = engine.step(scan("b", 2.0, 0, 1), 2.0)
    assert [(one.alarm, one.at) for one in step.transitions] == [("two", 2.0)]
    assert told(step.scans) == [(2.0, 2, Quality.GOOD)]
    assert engine.step(None, 3.0).scans == ()


def test_an_input_that_was_never_heard_hides_not_the_others():
    """The first of the two is silent from the start: after the longest time the maximum is that of the rest."""
    computed = virtual("maximum")
    assert told(computed.take(scan("b", 29.9, 5))) == []
    assert told(computed.take(scan("b", 30.0, 5))) == [(30.0, 5.0, Quality.INCOMPLETE)]


def test_an_input_that_was_not_heard_yet_is_waited_for_also_when_the_clock_runs_for_long():
    computed = Virtual([VirtualSpec("virtual/v", "maximum", X, 30.0, 0.0)], GROUPS, 1000.0)
    assert computed.take(scan("b", 1001.0, 5)) == []
    assert told(computed.take(scan("b", 1030.0, 5))) == [(1030.0, 5.0, Quality.INCOMPLETE)]
