"""Can a condition on one point ever be true, and can it end? The tables of what fits which kind of point.

Guarantees: a limit that the instrument cannot reach, a hysteresis that never lets go, a state that the point cannot have
are mistakes. Each function gives the condition as the engine takes it; it counts only if no mistake was told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model import Kind, Point, Text
from gateway.site.shapes_when import (
    AboveShape,
    BelowShape,
    BitShape,
    ChangedShape,
    EqualsShape,
    FrozenShape,
    OutsideShape,
    RateShape,
    StaleShape,
)
from gateway.site.words import nearest
from gateway.site.yaml_lines import Document, Keys
from rules import spec

_NUMBERS = (Kind.INT, Kind.FLOAT)

KINDS: dict[str, tuple[Kind, ...]] = {
    "above": _NUMBERS,
    "below": _NUMBERS,
    "outside": _NUMBERS,
    "rate": _NUMBERS,
    "equals": (Kind.BOOL, Kind.INT, Kind.ENUM, Kind.TEXT),
    "bit": (Kind.INT, Kind.ENUM),
    "stale": tuple(Kind),
    "changed": tuple(Kind),
    "frozen": tuple(Kind),
}


def _reachable(limit: float, point: Point, document: Document, keys: Keys) -> bool:
    low, high = point.low, point.high
    if low is None or high is None or low <= limit <= high:
        return True
    text = Text(f"超出仪表量程 {low:g} 至 {high:g}", f"outside the instrument's range, {low:g} to {high:g}")
    document.complain(keys, text)
    return False


def _clears(clears: bool, document: Document, keys: Keys) -> None:
    if not clears:
        text = Text("回差过大：报警永远不能恢复", "the hysteresis is too large: the alarm could never clear")
        document.complain((*keys, "hysteresis"), text)


def _above(part: AboveShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    if _reachable(part.limit, point, document, (*keys, "limit")):
        if point.high is not None and part.limit == point.high:
            document.complain(
                (*keys, "limit"), Text("量程内永远不会高于此值", "the instrument never reads more than this")
            )
        _clears(point.low is None or part.limit - part.hysteresis > point.low or not part.hysteresis, document, keys)
    return spec.Above(part.point, part.limit, part.hysteresis)


def _below(part: BelowShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    if _reachable(part.limit, point, document, (*keys, "limit")):
        if point.low is not None and part.limit == point.low:
            document.complain(
                (*keys, "limit"), Text("量程内永远不会低于此值", "the instrument never reads less than this")
            )
        _clears(point.high is None or part.limit + part.hysteresis < point.high or not part.hysteresis, document, keys)
    return spec.Below(part.point, part.limit, part.hysteresis)


def _outside(part: OutsideShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    if part.low >= part.high:
        document.complain((*keys, "low"), Text("low 须小于 high", "low must be less than high"))
    else:
        reachable = [_reachable(getattr(part, key), point, document, (*keys, key)) for key in ("low", "high")]
        if all(reachable):
            _clears(part.low + part.hysteresis < part.high - part.hysteresis, document, keys)
    return spec.Outside(part.point, part.low, part.high, part.hysteresis)


def _equals(part: EqualsShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    """The engine sees integers for booleans and enumerations; the file may say true, false or a label."""
    possible: dict[Any, float | int | str] = {}
    if point.kind is Kind.BOOL:
        possible = {0: 0, 1: 1}
    elif point.kind is Kind.ENUM:
        possible = {name: value for value, label in point.labels for name in (label, value)}
    fits = {
        Kind.BOOL: part.value in possible,  # true and false equal 1 and 0
        Kind.ENUM: type(part.value) in (int, str) and part.value in possible,
        Kind.INT: type(part.value) is int,
        Kind.TEXT: isinstance(part.value, str),
    }[point.kind]
    if not fits:
        words = {Kind.INT: ("整数", "a whole number"), Kind.TEXT: ("文字（加引号）", "text (in quotes)")}
        choice = "true, false" if point.kind is Kind.BOOL else ", ".join(label for _, label in point.labels)
        zh, en = words.get(point.kind, (choice, choice))
        hint = nearest(part.value, [label for _, label in point.labels])
        document.complain(
            (*keys, "value"), Text(f"此测点的值只能是 {zh}{hint.zh}", f"this point can only be {en}{hint.en}")
        )
    elif point.kind is Kind.INT:
        _reachable(float(part.value), point, document, (*keys, "value"))
    return spec.Equals(part.point, possible.get(part.value, part.value))


def _bit(part: BitShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    return spec.Bit(part.point, part.bit)


def _rate(part: RateShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    if part.limit == 0:
        document.complain(
            (*keys, "limit"), Text("不能为 0：正数为上升，负数为下降", "must not be 0: its sign is the direction")
        )
    return spec.Rate(part.point, part.limit, part.window_s)


def _stale(part: StaleShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    return spec.Stale(part.point, part.for_s)


def _changed(part: ChangedShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    return spec.Changed(part.point, part.within_s)


def _frozen(part: FrozenShape, point: Point, document: Document, keys: Keys) -> spec.Condition:
    return spec.Frozen(part.point, part.for_s)


LEAVES: dict[str, Callable[[Any, Point, Document, Keys], spec.Condition]] = {
    "above": _above,
    "below": _below,
    "outside": _outside,
    "equals": _equals,
    "bit": _bit,
    "rate": _rate,
    "stale": _stale,
    "changed": _changed,
    "frozen": _frozen,
}
