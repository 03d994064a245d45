"""Alarms in words."""

import json

import pytest

from gateway.model import (
    AlarmClass,
    Deadline,
    Evidence,
    Kind,
    Point,
    Quality,
    Sample,
    Severity,
    State,
    Text,
    Transition,
)
from gateway.restart import Guard
from gateway.wording import Wording
from rules.spec import Above, AlarmSpec
from tests.clocks import HandClock

LEVEL = Point("d/level", "level", Kind.FLOAT, "MPa", text=Text("水压", "pressure"))
SPEC = AlarmSpec("now", AlarmClass.FIRE, Severity.CRITICAL, Above("d/level", 9), Text("急", "now"))
SAMPLE = Sample("d/level", 9.5, Quality.GOOD, 1000.0)
RAISED = Transition(
    "now",
    State.NORMAL,
    State.UNACKNOWLEDGED,
    1000.0,
    Deadline(1000.0),
    1000.0,
    True,
    Evidence((SAMPLE,), 0, (), "", 0, {}),
)


@pytest.fixture
def wording():
    return Wording({"now": SPEC}, [LEVEL], frozenset({"now"}), HandClock(), Guard())


def test_a_transition_is_told_with_its_value(wording):
    """The first sample of its evidence, as a person reads it."""
    words = wording.words(RAISED)
    assert words.text == Text("急", "now")
    assert words.message.en.startswith("now: active, unacknowledged; since ")
    assert "9.5 MPa" in words.message.en
    assert "9.5 MPa" in words.message.zh


def test_its_record_says_that_the_device_is_a_simulated_one(wording):
    draft = wording.draft(RAISED, wording.words(RAISED))
    body = json.loads(draft.body)
    assert (draft.at, body["alarm"], body["message"]["en"]) == (1000.0, "now", wording.words(RAISED).message.en)
    assert body["simulated"] is True


def test_a_bug_in_a_text_keeps_no_alarm_back(wording, monkeypatch):
    """It is told with the words of the site file."""
    monkeypatch.setattr("rules.texts.message", lambda *_: 1 / 0)
    assert wording.words(RAISED) == (Text("急", "now"), Text("急", "now"))
