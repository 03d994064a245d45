"""What a person reads: an alarm with its place, and why a command was refused. Chinese and English, always both."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from gateway.model import Action, State, Text
from rules.spec import AlarmSpec


def headline(spec: AlarmSpec) -> Text:
    """The alarm's text with its place: ``12号楼1单元12层1203室 火警``, ``Fire, building 12, unit 1, floor 12, flat 1203``."""
    place = spec.place.text()
    return Text(f"{place.zh} {spec.text.zh}".strip(), f"{spec.text.en}, {place.en}" if place.en else spec.text.en)


def unknown_alarm(alarm: str, known: Iterable[str] = ()) -> Text:
    """With the nearest one that is known, if one is near."""
    near = next(iter(get_close_matches(alarm, list(known), n=1)), "")
    zh, en = (f"；是不是“{near}”？", f"; did you mean '{near}'?") if near else ("", "")
    return Text(f"没有这个报警：{alarm}{zh}", f"no such alarm: {alarm}{en}")


FIRE_NOT_OVER = Text(
    "火警的条件尚未确认消除，不能在此复位；请先在火灾报警控制器上处理",
    "the fire's condition is not known to be over: it cannot be reset here; see to the fire panel first",
)

FIRE_LATCHED = Text(
    "火警已锁存：须先复位，再停用", "the fire alarm is latched: reset it before it is taken out of service"
)
_NOT_AN_ALARMS = Text("此操作不适用于报警", "this cannot be done to an alarm")
_SHELVED_ALREADY = Text("报警已被搁置；请先取消搁置", "the alarm is shelved already: unshelve it first")
_OUT_ALREADY = Text("报警已停用；请先恢复使用", "the alarm is out of service already: return it first")
_NOT_SHELVED = Text("报警没有被搁置", "the alarm is not shelved")
_NOT_OUT = Text("报警没有停用", "the alarm is not out of service")
_ASIDE = Text("报警已被搁置、抑制或停用", "the alarm is shelved, suppressed or out of service")
_NOT_ACTIVE = Text("当前没有报警", "the alarm is not active")
_ACKNOWLEDGED = Text("报警已经确认过", "the alarm is acknowledged already")
_STILL_THERE = Text("报警条件仍然存在，不能复位", "the alarm's condition is still there: it cannot be reset")
_NOT_LATCHED = Text("报警没有锁存，无需复位，请确认", "the alarm is not latched: acknowledge it instead")

REFUSED: dict[tuple[State, Action], Text] = {
    (State.NORMAL, Action.ACKNOWLEDGE): _NOT_ACTIVE,
    (State.ACKNOWLEDGED, Action.ACKNOWLEDGE): _ACKNOWLEDGED,
    (State.LATCHED_ACKNOWLEDGED, Action.ACKNOWLEDGE): _ACKNOWLEDGED,
    (State.SHELVED, Action.ACKNOWLEDGE): _ASIDE,
    (State.SUPPRESSED, Action.ACKNOWLEDGE): _ASIDE,
    (State.OUT_OF_SERVICE, Action.ACKNOWLEDGE): _ASIDE,
    (State.NORMAL, Action.RESET): _NOT_ACTIVE,
    (State.UNACKNOWLEDGED, Action.RESET): _STILL_THERE,
    (State.ACKNOWLEDGED, Action.RESET): _STILL_THERE,
    (State.RETURNED, Action.RESET): _NOT_LATCHED,
    (State.SHELVED, Action.RESET): _ASIDE,
    (State.SUPPRESSED, Action.RESET): _ASIDE,
    (State.OUT_OF_SERVICE, Action.RESET): _ASIDE,
    (State.SHELVED, Action.SHELVE): _SHELVED_ALREADY,
    (State.OUT_OF_SERVICE, Action.TAKE_OUT): _OUT_ALREADY,
    **{(state, Action.UNSHELVE): _NOT_SHELVED for state in State if state != State.SHELVED},
    **{(state, Action.RETURN): _NOT_OUT for state in State if state != State.OUT_OF_SERVICE},
}
"""Why a command finds no cell in the life cycle's table."""


def refusal(state: State, action: Action) -> Text:
    """Why an alarm in this state cannot follow; an action that is no alarm's finds no cell anywhere."""
    return REFUSED.get((state, action), _NOT_AN_ALARMS)
