"""What a person reads: one template for an alarm, and why a command was refused. Chinese and English, always both.

The template: what, where, how it stands, since when, the value that decided, and what to do while something is to be done.
Wall time comes in as words: this room knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from gateway.model import Action, AlarmClass, Kind, Level, Point, Sample, State, Text
from rules.lifecycle import STATES
from rules.spec import AlarmSpec
from rules.truth import LARGEST

_UNITS = {"Cel": "°C", "%RH": "% RH", "%LEL": "% LEL", "/": "", "count": ""}
"""SenML units as people write them; others stand as they are."""
NO_WORDS = Text("", "")
_TO_DO = frozenset({State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED})
ADVICE: dict[AlarmClass, Text] = {
    AlarmClass.FIRE: Text(
        "立即到现场核实；确认起火即报119并疏散人员", "go and look at once; if it burns call 119 and evacuate"
    ),
    AlarmClass.PERSONAL: Text("立即派人到现场救助，并与求助人通话", "send somebody at once, and talk to the person"),
    AlarmClass.ENTRAPMENT: Text(
        "安抚被困人员，通知电梯救援；切勿自行扒门",
        "calm the people in the car, call the lift rescue; do not force the doors",
    ),
    AlarmClass.INTRUSION: Text("到现场查看，必要时报警110", "go and look; call 110 if needed"),
    AlarmClass.LIFT: Text("停用该电梯并通知维保单位", "take the lift out of use and call its maintenance"),
    AlarmClass.SLOPE: Text("撤离坡下人员，通知专业单位", "clear the foot of the slope and call the specialists"),
    AlarmClass.WATER: Text("检查水泵、阀门和水位", "check pump, valves and level"),
    AlarmClass.FAULT: Text(
        "检查设备、线路和电源；修复前改为人工巡查", "check device, line and power; patrol until it is repaired"
    ),
}
"""What to do where the site does not say it."""


def headline(spec: AlarmSpec) -> Text:
    """What and where: ``12号楼1单元12层1203室 火警``, ``Fire, building 12, unit 1, floor 12, flat 1203``; a place that the
    site's text names already is not said twice."""
    place, text = spec.place.text(), spec.text
    zh = text.zh if place.zh in text.zh else f"{place.zh} {text.zh}"
    en = text.en if place.en in text.en else f"{text.en}, {place.en}"
    return Text(zh, en)


def advice(spec: AlarmSpec) -> Text:
    return spec.advice or ADVICE[spec.cls]


def message(spec: AlarmSpec, state: State, since: Text, value: Text = NO_WORDS) -> Text:
    """The whole of it. `since`: the wall time in words; empty where there is none. `value`: see `value_text`."""
    head, to_do = headline(spec), advice(spec)
    zh = [f"{head.zh}：{STATES[state].zh}", since.zh and f"自 {since.zh} 起", value.zh]
    en = [f"{head.en}: {STATES[state].en}", since.en and f"since {since.en}", value.en]
    if state in _TO_DO:
        zh.append(f"处置：{to_do.zh}")
        en.append(f"to do: {to_do.en}")
    return Text("。".join(part for part in zh if part), "; ".join(part for part in en if part))


def value_text(point: Point | None, sample: Sample | None) -> Text:
    """``烟雾浓度 7.5 %/m``; the label of a state; nothing for a contact, whose alarm's name says it all."""
    if point is None or sample is None or point.kind is Kind.BOOL:
        return NO_WORDS
    name = Text(point.text.zh or point.name, point.text.en or point.name)
    value = sample.value
    if value is None or sample.quality.level is Level.BAD:
        return Text(f"{name.zh} 无有效值", f"{name.en}: no valid value")
    if isinstance(value, int | float) and not -LARGEST < value < LARGEST:
        told = "?"
    elif isinstance(value, float):
        told = f"{value:.6g}"
    else:
        label = dict(point.labels).get(value) if isinstance(value, int) else None
        told = str(value if label is None else label)[:64]
    unit = _UNITS.get(point.unit, point.unit)
    shown = f"{told} {unit}".strip()
    doubt = Text("（可疑）", " (in doubt)") if sample.quality.level is Level.UNCERTAIN else NO_WORDS
    return Text(f"{name.zh} {shown}{doubt.zh}", f"{name.en} {shown}{doubt.en}")


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
