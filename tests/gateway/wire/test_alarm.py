"""The body of a transition: complete, and valid JSON whatever it was made from."""

import json
import math

import pytest

from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Deadline,
    Evidence,
    Kind,
    Mark,
    Place,
    Point,
    Quality,
    Sample,
    Severity,
    State,
    Text,
    Transition,
)
from gateway.wire import alarm, kinds
from rules import texts
from rules.evidence import described
from rules.lifecycle import ACTIVE
from rules.spec import Above, AlarmSpec

PLACE = Place(building="12", unit="1", floor="12", flat="1203", zone="b12-f12")
SPEC = AlarmSpec(
    "fire-1203", AlarmClass.FIRE, Severity.CRITICAL, Above("smoke-1203/density", 5.0), Text("火警", "Fire"), PLACE
)
SAMPLE = Sample("smoke-1203/density", 7.5, Quality.GOOD, 1234.5)
POINT = Point("smoke-1203/density", "density", Kind.FLOAT, "%/m", text=Text("烟雾浓度", "smoke"))
EVIDENCE = Evidence(
    (SAMPLE,), 0, (Sample("smoke-1203/density", 2.1, Quality.GOOD, 1233.5),), "", 0x0C5F7A34, described(SPEC.when)
)
SINCE = Text("2026-11-22 08:20:31", "2026-11-22 08:20:31")


def encoded(after=State.UNACKNOWLEDGED, cause=SAMPLE, spec=SPEC, evidence=EVIDENCE):
    transition = Transition(
        "fire-1203", State.NORMAL, after, 1234.5, cause, 1234.5, after in ACTIVE, evidence, (Mark.FIRST_OUT,)
    )
    value = texts.value_text(POINT, SAMPLE)
    words = alarm.Words(texts.headline(spec), texts.message(spec, after, SINCE, value))
    return alarm.encode(transition, spec, words, simulated=True)


def body(*given, **more):
    return json.loads(encoded(*given, **more), parse_constant=pytest.fail)


def test_the_body_is_the_example_of_the_reference():
    """What the page shows is what is sent."""
    assert body() == json.loads(kinds.TRANSITION_EXAMPLE)


@pytest.mark.parametrize(
    ("state", "active", "acknowledged"),
    [
        (State.NORMAL, False, False),
        (State.UNACKNOWLEDGED, True, False),
        (State.ACKNOWLEDGED, True, True),
        (State.RETURNED, False, False),
        (State.LATCHED_UNACKNOWLEDGED, True, False),
        (State.LATCHED_ACKNOWLEDGED, True, True),
        (State.SHELVED, False, False),
        (State.SUPPRESSED, False, False),
        (State.OUT_OF_SERVICE, False, False),
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


def test_a_time_limit_is_told():
    """Who hid it, why, and for how long."""
    cause = Command(Action.SHELVE, "a", "Li", 1.0, "paint", 3600.0)
    assert body(State.SHELVED, cause)["cause"]["for_s"] == 3600.0


LONG = "\u70df" * 300
MANY = Evidence(
    tuple(Sample(f"{'d' * 64}/{'p' * 60}{n}", LONG, Quality.GOOD, 1e6 + n) for n in range(24)), 9,
    tuple(Sample("d/p", LONG, Quality.GOOD, 1e6 + n) for n in range(8)), "x" * 64, 1,
    {"all": [{"equals": {"point": f"d/p{n}", "value": LONG}} for n in range(12)], "n": math.inf, "odd": {1, 2}},
)  # fmt: skip


def test_no_body_is_larger_than_its_limit():
    """A slow link carries it before the next alarm waits for long; evidence gives way, the alarm never does."""
    told = encoded(evidence=MANY)
    assert len(told) <= alarm.LARGEST_BYTES
    assert json.loads(told)["evidence"] is None
    assert json.loads(told)["alarm"] == "fire-1203"
    small = Evidence(MANY.samples[:2], 9, (), "", 1, {"n": math.inf, "odd": {1, 2}})
    assert json.loads(encoded(evidence=small))["evidence"]["when"] == {"n": None, "odd": "{1, 2}"}
    assert len(json.loads(encoded(evidence=small))["evidence"]["samples"][0]["value"]) == alarm.LONGEST_VALUE


def test_an_integer_that_no_receiver_holds_is_null():
    assert body(cause=Sample("p", 10**30, Quality.GOOD, 1.0))["cause"]["value"] is None
