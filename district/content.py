"""What the bodies say: alarms, clock mappings, gaps and values. Pure; written from docs/payloads.md alone.

Every reader raises `Malformed` and nothing else; all texts are bounded and encodable, all numbers finite and within
what SQLite holds. A body that makes no sense does not undo its record: `Store` keeps both and notes the flaw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from district.record import Malformed, Record, json_object, json_value

TRANSITION, CLOCK = "gengfu.alarm.transition", "gengfu.event.clock"
GAPS = ("gengfu.event.gap", "gengfu.telemetry.gap")
PACK = "gengfu.telemetry.pack"
LONGEST_TEXT = 1_000
MOST_VALUES = 20_000
MOST_SAMPLES = 100
_LARGEST = 2**63


class AlarmState(NamedTuple):
    alarm: str
    class_: str
    severity: str
    state: str
    active: bool
    acknowledged: bool
    zh: str
    en: str
    simulated: bool


class ClockMapping(NamedTuple):
    boot: str
    monotonic: float
    wall: float


class Gap(NamedTuple):
    first: int
    last: int
    dropped: int
    reason: str


class Value(NamedTuple):
    """One point of a pack. `value` is None exactly when the point is BAD; `quality` is ``good`` or the reason."""

    point: str
    value: float | int | str | None
    unit: str
    quality: str
    time: float


def read_transition(record: Record) -> AlarmState:
    """How an alarm stands. What newer gateways add (`present`, `message`, `evidence`) may be missing, not be wrong."""
    content = json_object(record.body)
    words = _object(content, "text")
    if "message" in content:
        message = _object(content, "message")
        _text(message, "zh"), _text(message, "en")
    if "present" in content:
        _bool(content, "present")
    if content.get("evidence") is not None:
        _check_evidence(_object(content, "evidence"))
    return AlarmState(
        alarm=_text(content, "alarm"),
        class_=_text(content, "class"),
        severity=_text(content, "severity"),
        state=_text(content, "after"),
        active=_bool(content, "active"),
        acknowledged=_bool(content, "acknowledged"),
        zh=_text(words, "zh"),
        en=_text(words, "en"),
        simulated=_bool(content, "simulated") if "simulated" in content else False,
    )


def read_clock(record: Record) -> ClockMapping:
    content = json_object(record.body)
    return ClockMapping(_text(content, "boot"), _number(content, "monotonic"), _number(content, "wall"))


def read_gap(record: Record) -> Gap:
    content = json_object(record.body)
    gap = Gap(_whole(content, "first"), _whole(content, "last"), _whole(content, "dropped"), _text(content, "reason"))
    if not 1 <= gap.first <= gap.last < record.sequence:
        raise Malformed("first, last: not a range of earlier records")
    return gap


def read_pack(record: Record) -> list[Value]:
    """The values of a pack, in order; a point that comes twice is in it twice."""
    content = json_value(record.body)
    if not isinstance(content, list) or len(content) > MOST_VALUES:
        raise Malformed("body: not a SenML array of bounded length")
    values: list[Value] = []
    for name, time, item in _resolved(content):
        if name.endswith("/quality"):
            point, quality = name.removesuffix("/quality"), _text(item, "vs")
            if values and values[-1].point == point and values[-1].time == time:
                values[-1] = values[-1]._replace(quality=quality)
            else:
                values.append(Value(point, None, "", quality, time))
        else:
            unit = _text(item, "u") if "u" in item else ""
            values.append(Value(name, _senml_value(item), unit, "good", time))
    return values


def _check_evidence(evidence: dict[str, Any]) -> None:
    """Samples and trend as described; the condition is any object."""
    _whole(evidence, "left_out")
    _text(evidence, "rule"), _text(evidence, "crc")
    _object(evidence, "when")
    for name in ("samples", "trend"):
        samples = evidence.get(name)
        if not isinstance(samples, list) or len(samples) > MOST_SAMPLES:
            raise Malformed(f"{name}: not a list of samples")
        for sample in samples:
            if not isinstance(sample, dict):
                raise Malformed(f"{name}: not a list of samples")
            _text(sample, "point"), _text(sample, "quality"), _number(sample, "at")


READERS: dict[str, Callable[[Record], Any]] = {
    TRANSITION: read_transition,
    CLOCK: read_clock,
    PACK: read_pack,
    **dict.fromkeys(GAPS, read_gap),
}


def _resolved(content: list[Any]) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """SenML's base name and time applied (RFC 8428, 4.6)."""
    base, base_time = "", 0.0
    for item in content:
        if not isinstance(item, dict):
            raise Malformed("SenML: not an object")
        if "bn" in item:
            base = _text(item, "bn")
        if "bt" in item:
            base_time = _number(item, "bt")
        name = base + (_text(item, "n") if "n" in item else "")
        yield name, base_time + (_number(item, "t") if "t" in item else 0.0), item


def _senml_value(item: dict[str, Any]) -> float | int | str:
    if "v" in item:
        return _number(item, "v")
    if "vb" in item:
        return int(_bool(item, "vb"))
    return _text(item, "vs")


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"{name}: not an object")
    return value


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Malformed(f"{name}: not a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed(f"{name}: not a text") from error
    return value


def _bool(content: dict[str, Any], name: str) -> bool:
    value = content.get(name)
    if not isinstance(value, bool):
        raise Malformed(f"{name}: neither true nor false")
    return value


def _number(content: dict[str, Any], name: str) -> float:
    """A finite number; a whole one stays whole as long as SQLite can hold it."""
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value < _LARGEST:
        raise Malformed(f"{name}: not a number")
    if not math.isfinite(value):
        raise Malformed(f"{name}: not a number")
    return value


def _whole(content: dict[str, Any], name: str) -> int:
    value = _number(content, name)
    if not isinstance(value, int) or value < 0:
        raise Malformed(f"{name}: not a whole number")
    return value
