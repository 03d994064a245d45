"""Conditions over the past of other conditions, and the calendar: from their shapes to `rules.spec`.

Guarantees: a window too short to see what it asks for, two parts that are one and the same, a schedule that is never or
always true are mistakes. Each function builds its parts with the `Builder` it is given, which tells their mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from gateway.model import Text
from gateway.site.schema import CalendarShape
from gateway.site.shapes_when import (
    DAYS,
    AbsenceShape,
    CapturedShape,
    HeldShape,
    KOfNShape,
    LatchShape,
    ScheduleShape,
    SequenceShape,
    TimesShape,
    WhenShape,
)
from gateway.site.yaml_lines import Document, Keys
from rules import spec


@dataclass(frozen=True, slots=True)
class Builder:
    """How the parts of a condition at `keys` are built, and where its own mistakes go."""

    build: Callable[[WhenShape, Keys], spec.Condition | None]
    gap_s: Callable[[spec.Condition], float]
    """The longest time between two samples of the points that a condition looks at."""
    holidays: tuple[int, ...]
    workdays: tuple[int, ...]
    document: Document
    keys: Keys

    def part(self, shape: WhenShape, *keys: str | int) -> spec.Condition | None:
        return self.build(shape, (*self.keys, *keys))

    def parts(self, shapes: Sequence[WhenShape], *keys: str) -> tuple[spec.Condition, ...] | None:
        made = [self.part(shape, *keys, index) for index, shape in enumerate(shapes)]
        right = tuple(one for one in made if one is not None)
        return right if len(right) == len(made) else None

    def pair(self, first: WhenShape, second: WhenShape, names: tuple[str, str]) -> list[spec.Condition] | None:
        """Two parts that must differ."""
        made = [self.part(shape, name) for shape, name in zip((first, second), names, strict=True)]
        right = [one for one in made if one is not None]
        if len(right) < 2:
            return None
        if right[0] == right[1]:
            text = Text(f"{names[0]} 与 {names[1]} 相同", f"{names[0]} and {names[1]} are the same")
            self.document.complain((*self.keys, names[1]), text)
            return None
        return right

    def window(self, window_s: float, parts: Sequence[spec.Condition], key: str, periods: int = 2) -> None:
        """A window shorter than two periods holds one sample or none."""
        shortest_s = periods * max(map(self.gap_s, parts))
        if window_s < shortest_s:
            text = Text(
                f"短于{'两' if periods == 2 else f' {periods} '}个采样周期（至少 {shortest_s:g} 秒）",
                f"shorter than {'two' if periods == 2 else periods} periods of its point (at least {shortest_s:g} s)",
            )
            self.document.complain((*self.keys, key), text)


def _all(part: list[WhenShape], to: Builder) -> spec.Condition | None:
    parts = to.parts(part)
    return None if parts is None else spec.All(parts)


def _any(part: list[WhenShape], to: Builder) -> spec.Condition | None:
    parts = to.parts(part)
    return None if parts is None else spec.Any(parts)


def _not(part: WhenShape, to: Builder) -> spec.Condition | None:
    inner = to.part(part)
    return None if inner is None else spec.Not(inner)


def _k_of_n(part: KOfNShape, to: Builder) -> spec.Condition | None:
    parts = to.parts(part.of, "of")
    if parts is None:
        return None
    to.window(part.within_s, parts, "within_s")
    return spec.KOfN(part.k, parts, part.within_s)


def _held(part: HeldShape, to: Builder) -> spec.Condition | None:
    inner = to.part(part.of, "of")
    return None if inner is None else spec.Held(inner, part.for_s)


def _times(part: TimesShape, to: Builder) -> spec.Condition | None:
    inner = to.part(part.of, "of")
    if inner is None:
        return None
    to.window(
        part.within_s, [inner], "within_s", 2 * part.n
    )  # each time takes one sample that is false and one that is true
    return spec.Times(inner, part.n, part.within_s)


def _sequence(part: SequenceShape, to: Builder) -> spec.Condition | None:
    parts = to.parts(part.of, "of")
    if parts is None:
        return None
    to.window(part.within_s, parts, "within_s")
    for index, (before, after) in enumerate(pairwise(parts)):
        if before == after:
            text = Text("与前一个条件相同", "the same as the one before it")
            to.document.complain((*to.keys, "of", index + 1), text)
    return spec.Sequence(parts, part.within_s)


def _absence(part: AbsenceShape, to: Builder) -> spec.Condition | None:
    pair = to.pair(part.after, part.of, ("after", "of"))
    if pair is None:
        return None
    to.window(part.within_s, pair[1:], "within_s")
    return spec.Absence(pair[0], pair[1], part.within_s)


def _latch(part: LatchShape, to: Builder) -> spec.Condition | None:
    pair = to.pair(part.set, part.reset, ("set", "reset"))
    return None if pair is None else spec.Latch(*pair)


def _captured(part: CapturedShape, to: Builder) -> spec.Condition | None:
    pair = to.pair(part.of, part.at, ("of", "at"))
    return None if pair is None else spec.Captured(*pair)


def _schedule(part: ScheduleShape, to: Builder) -> spec.Condition | None:
    days = tuple(sorted({DAYS.index(day) for day in part.days}))
    begin_s, end_s = _seconds(part.from_), _seconds(part.to)
    if len(days) == len(DAYS) and (begin_s, end_s) == (0, 86400):
        to.document.complain(to.keys, Text("任何时候都成立", "is always true"))
        return None
    return spec.Schedule(days, begin_s, end_s, to.holidays, to.workdays)


def _seconds(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60


COMPOUND: dict[str, Callable[[Any, Builder], spec.Condition | None]] = {
    "all": _all,
    "any": _any,
    "not": _not,
    "k_of_n": _k_of_n,
    "held": _held,
    "times": _times,
    "sequence": _sequence,
    "absence": _absence,
    "latch": _latch,
    "captured": _captured,
    "schedule": _schedule,
}


def dates(shape: CalendarShape, document: Document) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Holidays and days worked instead, as `datetime.date.toordinal`, after telling those that do not exist."""
    found: list[tuple[int, ...]] = []
    for key, days in (("holidays", shape.holidays), ("workdays", shape.workdays)):
        ordinals = []
        for index, day in enumerate(days):
            try:
                ordinals.append(date.fromisoformat(day).toordinal())
            except ValueError:
                document.complain(("calendar", key, index), Text("没有这一天", "there is no such day"))
        found.append(tuple(sorted(set(ordinals))))
    for index, day in enumerate(shape.workdays):
        if day in shape.holidays:
            text = Text("同时列为节假日", "is among the holidays, too")
            document.complain(("calendar", "workdays", index), text)
    return found[0], found[1]
