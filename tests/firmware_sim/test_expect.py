"""What a report learns from the simulator's log: when the change was made that causes an alarm."""

import pytest

from firmware_sim.expect import changed_at, parse


def change(mono, point, value, device="smoke-1"):
    return {"event": "change", "mono": mono, "t": mono + 1000, "device": device, "point": point, "value": value}


FIRE = {"alarm": "fire", "device": "smoke-1", "point": "density", "above": 5}


def found(said, *entries):
    """The monotonic time of the cause of alarm `fire`; None when there is none."""
    cause = changed_at([parse(one) for one in said], entries).get("fire")
    return cause and cause["mono"]


def test_the_first_value_over_the_limit_counts():
    """At the limit itself it is not over it; later changes do not count."""
    ramp = [change(at, "density", value) for at, value in ((1, 4.9), (2, 5), (3, 5.1), (4, 7.5))]
    assert found([FIRE], *ramp) == 3


def test_the_first_of_several_ways_counts():
    """In time, whatever their order in the file."""
    alarm = {"alarm": "fire", "device": "smoke-1", "point": "alarm", "at_value": 1}
    entries = [change(2, "alarm", 1), change(3, "density", 7.0)]
    assert found([FIRE, alarm], *entries) == found([alarm, FIRE], *entries) == 2


@pytest.mark.parametrize(
    "entry", [change(1, "density", 7, device="smoke-2"), change(1, "temperature", 7), change(1, "density", None)]
)
def test_other_devices_and_points_are_no_cause(entry):
    """Nor is a value that is none."""
    assert found([FIRE], entry) is None


def test_below():
    """For pressures."""
    low = {"alarm": "fire", "device": "smoke-1", "point": "density", "below": 1}
    assert found([low], change(1, "density", 1), change(2, "density", 0.9)) == 2


def test_rate_looks_back_over_its_time():
    """0.1 a second at first, 0.5 later: over 2 s, the limit of 0.3 is passed when the mean of 2 s passes it."""
    speed = {"alarm": "fire", "device": "smoke-1", "point": "x", "rate": 0.3, "over_s": 2}
    slow = [change(float(at), "x", 0.1 * at) for at in range(5)]
    fast = [change(4.0 + at, "x", 0.4 + 0.5 * at) for at in range(1, 5)]
    assert found([speed], *slow) is None
    assert found([speed], *slow, *fast) == 6.0


def test_a_fault_is_a_cause():
    """For supervision."""
    silent = {"alarm": "fire", "device": "smoke-1", "fault": "silent"}
    entries = [
        {"event": "fault", "mono": at, "t": at, "device": "smoke-1", "what": what}
        for at, what in ((1, "none"), (2, "silent"))
    ]
    assert found([silent], *entries) == 2


@pytest.mark.parametrize(
    "said",
    [
        {"alarm": "a", "device": "d", "point": "p"},
        {"alarm": "a", "device": "d", "point": "p", "above": 1, "below": 2},
        {"alarm": "a", "device": "d", "above": 1},
        {"alarm": "a", "device": "d", "point": "p", "fault": "silent"},
        {"alarm": "a", "device": "d", "point": "p", "rate": 1},
        {"alarm": "a", "device": "d", "point": "p", "above": 1, "over_s": 1},
        {"alarm": "a", "device": "d", "point": "p", "above": 1, "colour": "red"},
    ],
)
def test_an_entry_that_is_not_clear_is_refused(said):
    """Exactly one test, with what it needs."""
    with pytest.raises(ValueError, match="needs alarm, device, point and one of"):
        parse(said)
