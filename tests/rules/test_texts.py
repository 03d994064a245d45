"""What a person reads."""

import pytest

from gateway.model import Action, AlarmClass, Command, Place, Severity, State, Text
from rules.engine import Engine
from rules.lifecycle import TABLE
from rules.spec import Above, AlarmSpec
from rules.texts import FIRE_NOT_OVER, REFUSED, headline, unknown_alarm
from tests.rules.transcript import alarm


def test_an_alarm_is_told_with_its_place():
    """In the words of docs/payloads.md."""
    place = Place(building="12", unit="1", floor="12", flat="1203")
    spec = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Above("a/b", 1), Text("火警", "Fire"), place)
    assert headline(spec) == ("12号楼1单元12层1203室 火警", "Fire, building 12, unit 1, floor 12, flat 1203")


def test_an_alarm_without_a_place_is_told_alone():
    spec = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Above("a/b", 1), Text("火警", "Fire"))
    assert headline(spec) == ("火警", "Fire")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", Action)
def test_every_refusal_of_the_table_has_its_reason(state, action):
    """A command has either a cell or a reason, never both, never neither."""
    ends = {Action.UNSHELVE: State.SHELVED, Action.RETURN: State.OUT_OF_SERVICE}
    allowed = any(before == state and event == action for before, event in TABLE) or ends.get(action) == state
    assert allowed != ((state, action) in REFUSED)


@pytest.mark.parametrize("text", [*REFUSED.values(), FIRE_NOT_OVER, unknown_alarm("x")])
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
