"""A rule's condition as a tree that is kept up to date scan by scan; `build` makes it from `rules.spec`.

Guarantees
* Every node answers on both tracks (see `rules.truth`) and names its `witness`: the leaf that made it what it is.
* Asking twice at one time changes nothing. `Condition.due` is when time alone may change the answer: ask again then.
* A condition that cannot be evaluated (a point that does not exist, `k` of fewer, a negative time) is refused with
  ValueError when it is built, never later.

It does not know delays, states or commands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.model import Scan
from rules import spec
from rules.calendar import DAY_S, HOLIDAY, Calendar
from rules.edges import Held, Times
from rules.expression import Formula
from rules.keep import Captured, Latch
from rules.leaf import NEVER, Kept, Leaf, Memory, Node, Reading, Silence, Timed, among
from rules.measure import Band, Judge, Trend, bit, equals
from rules.motion import Motion
from rules.order import Absence, Sequence
from rules.truth import TRUE
from rules.window import Window

MOST_TIMES = 1000
Key = tuple[str, int]
"""Device and group: what a scan carries."""


class Junction:
    """All (the least of its parts) or any (the greatest)."""

    __slots__ = ("parts", "pick")

    def __init__(self, parts: tuple[Node, ...], pick: Callable[[list[int]], int]) -> None:
        self.parts = parts
        self.pick = pick

    def truth(self, track: int, at: float) -> int:
        return self.pick([part.truth(track, at) for part in self.parts])

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        truths = [part.truth(track, at) for part in self.parts]
        return among(self.parts, truths, self.pick(truths), track, at, scan)


class Opposite:
    __slots__ = ("part",)

    def __init__(self, part: Node) -> None:
        self.part = part

    def truth(self, track: int, at: float) -> int:
        return TRUE - self.part.truth(track, at)

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self.part.witness(track, at, scan)


class Points:
    """Where every point of the site is found."""

    def __init__(self, groups: Mapping[Key, tuple[str, ...]]) -> None:
        self.groups = groups
        self.columns = {point: (key, column) for key, points in groups.items() for column, point in enumerate(points)}

    def of_device(self, device: str) -> dict[int, tuple[str, ...]]:
        return {group: points for (name, group), points in self.groups.items() if name == device}


@dataclass(slots=True)
class Condition:
    """A built rule: the root to ask, the leaves to feed, and the parts that time or a restart concerns."""

    points: Points
    now: float
    root: Node = field(init=False)
    leaves: list[tuple[Key, Leaf]] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    calendars: list[Calendar] = field(default_factory=list)

    @property
    def due(self) -> float:
        due = NEVER
        for part in self.timed:
            if part.due < due:
                due = part.due
        return due

    def wake(self, at: float) -> None:
        for part in self.timed:
            part.wake(at)


def build(when: spec.Condition, points: Points, now: float) -> Condition:
    """`now` is the start from which silence is measured where nothing was heard yet."""
    condition = Condition(points, now)
    condition.root = _build(when, condition)
    return condition


def _build(when: spec.Condition, into: Condition) -> Node:
    return _BUILDERS[type(when)](when, into)


def _reading(point: str, judge: Judge, into: Condition, kept: Kept | None = None) -> Node:
    if point not in into.points.columns:
        raise ValueError(f"no such point: {point}")
    key, column = into.points.columns[point]
    leaf = Reading(point, column, judge, kept)
    into.leaves.append((key, leaf))
    return leaf


def _band(point: str, low: float, high: float, hysteresis: float, into: Condition) -> Node:
    _check(low < high and (math.isfinite(low) or math.isfinite(high)), f"limits of {point} are no numbers")
    _check(0 <= hysteresis < (high - low) / 2, f"hysteresis of {point} leaves no way back to normal")
    band = Band(low, high, hysteresis)
    if hysteresis:
        into.memories.append(band)
    return _reading(point, band.judge, into)


def _above(when: spec.Above, into: Condition) -> Node:
    return _band(when.point, -math.inf, when.limit, when.hysteresis, into)


def _below(when: spec.Below, into: Condition) -> Node:
    return _band(when.point, when.limit, math.inf, when.hysteresis, into)


def _outside(when: spec.Outside, into: Condition) -> Node:
    return _band(when.point, when.low, when.high, when.hysteresis, into)


def _equals(when: spec.Equals, into: Condition) -> Node:
    return _reading(when.point, equals(when.value), into)


def _bit(when: spec.Bit, into: Condition) -> Node:
    _check(when.bit >= 0, f"bit {when.bit} of {when.point} does not exist")
    return _reading(when.point, bit(when.bit), into)


def _rate(when: spec.Rate, into: Condition) -> Node:
    _check(math.isfinite(when.limit), f"rate of {when.point} is no number")
    _check(0.001 <= when.window_s < NEVER, f"window of {when.point} is no time")
    trend = Trend(when.limit, when.window_s)
    into.memories.append(trend)
    return _reading(when.point, trend.judge, into, trend)


def _stale(when: spec.Stale, into: Condition) -> Node:
    _check(0 < when.for_s < NEVER, f"silence of {when.point} needs a time")
    device, _, name = when.point.rpartition("/")
    keys: list[Key]
    if name == "*":
        groups = into.points.of_device(device)
        column = None
        keys = [(device, group) for group in groups]
    elif when.point in into.points.columns:
        key, column = into.points.columns[when.point]
        groups = {key[1]: into.points.groups[key]}
        keys = [key]
    else:
        keys, groups, column = [], {}, None
    _check(bool(keys), f"no such point: {when.point}")
    leaf = Silence(groups, column, when.for_s, into.now)
    into.leaves += [(key, leaf) for key in keys]
    into.timed.append(leaf)
    into.memories.append(leaf)
    return leaf


def _motion(point: str, within_s: float, into: Condition, *, still: bool) -> Node:
    _check(0 < within_s < NEVER, f"time of {point} is no time")
    motion = Motion(within_s, still=still)
    into.memories.append(motion)
    return _reading(point, motion.judge, into, motion)


def _changed(when: spec.Changed, into: Condition) -> Node:
    return _motion(when.point, when.within_s, into, still=False)


def _frozen(when: spec.Frozen, into: Condition) -> Node:
    return _motion(when.point, when.for_s, into, still=True)


def _cel(when: spec.Cel, into: Condition) -> Node:
    formula = Formula(when, into.points.columns)
    into.leaves += [(key, formula) for key in formula.keys]
    return formula


def _schedule(when: spec.Schedule, into: Condition) -> Node:
    _check(bool(when.days) and all(0 <= day <= HOLIDAY for day in when.days), "a schedule of no days")
    _check(0 <= when.from_s < DAY_S and 0 < when.to_s <= DAY_S, "a schedule of no time of day")
    calendar = Calendar(when)
    into.timed.append(calendar)
    into.calendars.append(calendar)
    return calendar


def _held(when: spec.Held, into: Condition) -> Node:
    _check(0 < when.for_s < NEVER, "for_s is no time")
    return _remembering(Held(_build(when.of, into), when.for_s), into)


def _times(when: spec.Times, into: Condition) -> Node:
    _check(1 <= when.n <= MOST_TIMES, f"{when.n} times")
    _check(0 < when.within_s < NEVER, "within_s is no time")
    return _remembering(Times(_build(when.of, into), when.n, when.within_s, into.now), into)


def _sequence(when: spec.Sequence, into: Condition) -> Node:
    _check(len(when.of) > 1, "a sequence of less than two")
    _check(0 < when.within_s < NEVER, "within_s is no time")
    return _remembering(Sequence(_parts(when.of, into), when.within_s, into.now), into)


def _absence(when: spec.Absence, into: Condition) -> Node:
    _check(0 < when.within_s < NEVER, "within_s is no time")
    return _remembering(Absence(_build(when.after, into), _build(when.of, into), when.within_s), into)


def _remembering(node: Held | Times | Sequence | Absence, into: Condition) -> Node:
    into.timed.append(node)
    into.memories.append(node)
    return node


def _latch(when: spec.Latch, into: Condition) -> Node:
    latch = Latch(_build(when.set, into), _build(when.reset, into))
    into.memories.append(latch)
    return latch


def _captured(when: spec.Captured, into: Condition) -> Node:
    captured = Captured(_build(when.of, into), _build(when.at, into))
    into.memories.append(captured)
    return captured


def _parts(of: tuple[spec.Condition, ...], into: Condition) -> tuple[Node, ...]:
    _check(bool(of), "a combination of no conditions")
    return tuple(_build(part, into) for part in of)


def _all(when: spec.All, into: Condition) -> Node:
    return Junction(_parts(when.of, into), min)


def _any(when: spec.Any, into: Condition) -> Node:
    return Junction(_parts(when.of, into), max)


def _not(when: spec.Not, into: Condition) -> Node:
    return Opposite(_build(when.of, into))


def _k_of_n(when: spec.KOfN, into: Condition) -> Node:
    _check(1 <= when.k <= len(when.of), f"{when.k} of {len(when.of)} conditions")
    _check(0 <= when.within_s < NEVER, "within_s is no time")
    window = Window(when.k, _parts(when.of, into), when.within_s)
    into.timed.append(window)
    into.memories.append(window)
    return window


def _check(sound: bool, mistake: str) -> None:
    if not sound:
        raise ValueError(mistake)


_BUILDERS: dict[type, Callable[[Any, Condition], Node]] = {
    spec.Above: _above,
    spec.Below: _below,
    spec.Outside: _outside,
    spec.Equals: _equals,
    spec.Bit: _bit,
    spec.Rate: _rate,
    spec.Stale: _stale,
    spec.All: _all,
    spec.Any: _any,
    spec.Not: _not,
    spec.KOfN: _k_of_n,
    spec.Changed: _changed,
    spec.Frozen: _frozen,
    spec.Held: _held,
    spec.Times: _times,
    spec.Sequence: _sequence,
    spec.Absence: _absence,
    spec.Cel: _cel,
    spec.Schedule: _schedule,
    spec.Latch: _latch,
    spec.Captured: _captured,
}
