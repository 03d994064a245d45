"""What a person reads."""

import pytest

from gateway.model import Action, AlarmClass, Command, Kind, Place, Point, Quality, Sample, Severity, State, Text
from rules.engine import Engine
from rules.lifecycle import TABLE
from rules.spec import Above, AlarmSpec
from rules.texts import (
    ADVICE,
    FIRE_LATCHED,
    FIRE_NOT_OVER,
    REFUSED,
    headline,
    message,
    refusal,
    unknown_alarm,
    value_text,
)
from tests.rules.transcript import alarm


def test_an_alarm_is_told_with_its_place():
    """In the words of docs/payloads.md."""
    place = Place(building="12", unit="1", floor="12", flat="1203")
    spec = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Above("a/b", 1), Text("火警", "Fire"), place)
    assert headline(spec) == ("12号楼1单元12层1203室 火警", "Fire, building 12, unit 1, floor 12, flat 1203")


def test_an_alarm_without_a_place_is_told_alone():
    spec = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Above("a/b", 1), Text("火警", "Fire"))
    assert headline(spec) == ("火警", "Fire")


def test_the_place_is_not_said_twice():
    """A text that names the place already stays as the site wrote it."""
    place = Place(building="12", unit="1", floor="12", flat="1203")
    spec = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Above("a/b", 1), Text("火警", "Fire"), place)
    told = AlarmSpec("a", AlarmClass.FIRE, Severity.LOW, spec.when, headline(spec), place)
    assert headline(told) == headline(spec)


SINCE = Text("2026-11-22 08:20:31", "2026-11-22 08:20:31")


def test_the_message_says_what_where_since_when_the_value_and_what_to_do():
    spec = alarm(Above("a/b", 1), "泵", place=Place(building="3"), advice=Text("停泵", "stop the pump"))
    value = value_text(POINT, Sample("a/b", 0.125, Quality.GOOD, 1.0))
    assert message(spec, State.UNACKNOWLEDGED, SINCE, value) == (
        "3号楼 泵报警：报警，未确认。自 2026-11-22 08:20:31 起。水压 0.125 MPa。处置：停泵",
        "泵, building 3: active, unacknowledged; since 2026-11-22 08:20:31; pressure 0.125 MPa; to do: stop the pump",
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("cls", AlarmClass)
def test_every_class_says_what_to_do_while_something_is_to_be_done(cls, state):
    told = message(alarm(Above("a/b", 1), cls=cls), state, SINCE)
    stands = state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED, *(one for one in State if one.startswith("latched")))
    assert ("处置" in told.zh) == ("to do" in told.en) == stands
    assert ADVICE[cls].zh
    assert ADVICE[cls].en.isascii()


OF_ALARMS = (Action.ACKNOWLEDGE, Action.RESET, Action.SHELVE, Action.UNSHELVE, Action.TAKE_OUT, Action.RETURN)
POINT = Point("a/b", "b", Kind.FLOAT, "MPa", text=Text("水压", "pressure"))


@pytest.mark.parametrize(
    ("point", "value", "quality", "zh", "en"),
    [
        (POINT, 0.1234567, 0, "水压 0.123457 MPa", "pressure 0.123457 MPa"),
        (POINT, 5, Quality.JUMPING, "水压 5 MPa（可疑）", "pressure 5 MPa (in doubt)"),
        (POINT, None, Quality.NOT_RESPONDING, "水压 无有效值", "pressure: no valid value"),
        (POINT, float("nan"), 0, "水压 ? MPa", "pressure ? MPa"),
        (POINT, 10**400, 0, "水压 ? MPa", "pressure ? MPa"),
        (Point("a/b", "b", Kind.FLOAT, "Cel"), 20.0, 0, "b 20 °C", "b 20 °C"),
        (Point("a/b", "b", Kind.ENUM, labels=((2, "up"),)), 2, 0, "b up", "b up"),
        (Point("a/b", "b", Kind.BOOL), 1, 0, "", ""),
        (None, 1, 0, "", ""),
    ],
)
def test_a_value_is_told_with_its_unit_and_its_doubt(point, value, quality, zh, en):
    """A contact says nothing: the alarm's name does."""
    assert value_text(point, Sample("a/b", value, Quality(quality), 1.0)) == (zh, en)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", OF_ALARMS)
def test_every_refusal_of_the_table_has_its_reason(state, action):
    """A command has either a cell or a reason, never both, never neither."""
    ends = {Action.UNSHELVE: State.SHELVED, Action.RETURN: State.OUT_OF_SERVICE}
    allowed = any(before == state and event == action for before, event in TABLE) or ends.get(action) == state
    assert allowed != ((state, action) in REFUSED)


@pytest.mark.parametrize("action", sorted(set(Action) - set(OF_ALARMS)))
def test_what_is_not_asked_of_an_alarm_is_refused_too(action):
    """A level, a partition: it is named as an alarm by mistake."""
    assert "cannot be done to an alarm" in refusal(State.NORMAL, action).en


@pytest.mark.parametrize("text", [*REFUSED.values(), FIRE_NOT_OVER, FIRE_LATCHED, unknown_alarm("x")])
def test_every_refusal_is_in_both_languages(text):
    assert text.en.isascii()
    assert any(ord(letter) > 0x4E00 for letter in text.zh)


def test_an_alarm_that_does_not_exist_is_told_with_the_nearest_that_does():
    """A guard in a hurry types fire-1230."""
    engine = Engine([alarm(Above("s/x", 5), name) for name in ("fire-1203", "lift-3")], {("s", 0): ("s/x",)}, 0.0)
    refused = engine.step(Command(Action.ACKNOWLEDGE, "fire-1230", "Li", 0.0), 0.0).refused
    assert refused.zh == "没有这个报警：fire-1230；是不是“fire-1203”？"
    assert refused.en == "no such alarm: fire-1230; did you mean 'fire-1203'?"
    assert engine.step(Command(Action.RESET, "???", "Li", 0.0), 0.0).refused.en == "no such alarm: ???"
