"""The body of a transition: complete, and valid JSON whatever it was made from."""

import json
import math

import pytest

from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Deadline,
    Place,
    Quality,
    Sample,
    Severity,
    State,
    Text,
    Transition,
)
from gateway.wire import alarm, kinds
from rules.spec import Above, AlarmSpec

PLACE = Place(building="12", unit="1", floor="12", flat="1203", zone="b12-f12")
SPEC = AlarmSpec(
    "fire-1203", AlarmClass.FIRE, Severity.CRITICAL, Above("smoke-1203/density", 5.0), Text("火警", "Fire"), PLACE
)
SAMPLE = Sample("smoke-1203/density", 7.5, Quality.GOOD, 1234.5)


def body(after=State.UNACKNOWLEDGED, cause=SAMPLE, spec=SPEC):
    transition = Transition("fire-1203", State.NORMAL, after, 1234.5, cause, 1234.5)
    return json.loads(alarm.encode(transition, spec, simulated=True), parse_constant=pytest.fail)


def test_the_body_is_the_example_of_the_reference():
    """What the page shows is what is sent."""
    assert body() == json.loads(kinds.TRANSITION_EXAMPLE)


def test_the_place_is_not_said_twice():
    """A text that names the place already stays as the site wrote it."""
    told = AlarmSpec("a", AlarmClass.FIRE, Severity.LOW, SPEC.when, alarm.headline(SPEC), PLACE)
    assert alarm.headline(told) == alarm.headline(SPEC)
    nowhere = AlarmSpec("a", AlarmClass.FIRE, Severity.LOW, SPEC.when, Text("火警", "Fire"))
    assert alarm.headline(nowhere) == Text("火警", "Fire")


@pytest.mark.parametrize(
    ("state", "active", "acknowledged"),
    [
        (State.NORMAL, False, False),
        (State.UNACKNOWLEDGED, True, False),
        (State.ACKNOWLEDGED, True, True),
        (State.RETURNED, False, False),
        (State.LATCHED_UNACKNOWLEDGED, True, False),
        (State.LATCHED_ACKNOWLEDGED, True, True),
    ],
)
def test_a_latched_alarm_stands(state, active, acknowledged):
    """Active means: the alarm stands, by its condition or by its latch."""
    assert (body(state)["active"], body(state)["acknowledged"]) == (active, acknowledged)


def test_a_delay_and_a_person_are_causes_too():
    """The deadline carries the sample that last held; the command who and why."""
    told = {"point": "smoke-1203/density", "value": 7.5, "quality": "good", "at": 1234.5}
    assert body(cause=Deadline(1244.5, SAMPLE))["cause"] == {"kind": "deadline", "at": 1244.5, "sample": told}
    assert body(cause=Deadline(1244.5))["cause"] == {"kind": "deadline", "at": 1244.5, "sample": None}
    command = Command(Action.RESET, "fire-1203", "王师傅", 1300.0, "已处理")
    assert body(cause=command)["cause"] == {
        "kind": "command", "action": "reset", "who": "王师傅", "why": "已处理", "at": 1300.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_value_that_json_cannot_say_is_null(value):
    """Valid JSON always."""
    assert body(cause=Sample("p", value, Quality.NOT_A_NUMBER, 1.0))["cause"]["value"] is None


def test_hostile_text_is_still_json():
    """A name typed by a person may hold anything."""
    cause = Command(Action.RESET, "a", 'x"\\\n\ud800', 1.0)
    assert body(cause=cause)["cause"]["who"] == 'x"\\\n?'
