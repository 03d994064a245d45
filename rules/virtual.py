"""Points that are computed from others: difference, maximum, mean, rate... They are the built-in device ``virtual``.

Guarantees
* A computed value is made when every input has had a new scan since the last one (a round of the slowest), so two values
  in a row rest on two readings of each input: nothing clears on one reading that is looked at twice.
* Its time is the time of its newest input, never another.
* An input that is BAD, or that was not heard for `longest_s`, is missing. `maximum`, `minimum` and `count_true` then go over
  those that are there and are UNCERTAIN (`Quality.INCOMPLETE`): they may raise, never clear. All others are BAD.
* An uncertain input makes the result uncertain.

Cost: only scans of groups with inputs; one pass over a point's inputs a round. A rate's window does not survive a restart:
until half of it is filled the point is BAD (not yet). For a trend of hours take the condition `rate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.model import Level, Quality, Scan, Value
from rules.measure import Trend
from rules.truth import QUALITIES, number

DEVICE = "virtual"
Key: TypeAlias = tuple[str, int]
Number: TypeAlias = float | int


@dataclass(frozen=True, slots=True)
class VirtualSpec:
    """One computed point: group `index` of the device ``virtual`` has it alone."""

    id: str
    """``virtual/name``"""
    of: str
    """A key of `KINDS`."""
    points: tuple[str, ...]
    longest_s: float
    """An input that was not heard for so long is missing."""
    window_s: float = 0.0
    """For `rate`."""


def _difference(values: Sequence[Number]) -> Number:
    return values[0] - values[1]


def _mean(values: Sequence[Number]) -> Number:
    return sum(values) / len(values)


def _count_true(values: Sequence[Number]) -> Number:
    return sum(1 for value in values if value)


KINDS: dict[str, Callable[[Sequence[Number]], Number] | None] = {
    "difference": _difference,
    "maximum": max,
    "minimum": min,
    "mean": _mean,
    "sum": sum,
    "count_true": _count_true,
    "rate": None,
}
PARTIAL = frozenset({"maximum", "minimum", "count_true"})
"""Those that say something although an input is missing."""


class _Computed:
    """One point."""

    __slots__ = ("index", "inputs", "keys", "spec", "trend", "waiting")

    def __init__(self, spec: VirtualSpec, index: int, inputs: list[tuple[Key, int]]) -> None:
        self.spec = spec
        self.index = index
        self.inputs = inputs
        self.keys = frozenset(key for key, _ in inputs)
        self.waiting = set(self.keys)
        """Groups that gave nothing since the last value."""
        self.trend = Trend(0.0, spec.window_s) if spec.of == "rate" else None

    def compute(self, latest: Mapping[Key, Scan | None], at: float) -> tuple[Value, Quality]:
        values: list[Number] = []
        doubts, missing = Quality.GOOD, Quality.GOOD
        for key, column in self.inputs:
            scan = latest[key]
            if scan is None:
                missing = missing or Quality.NOT_YET
                continue
            value, quality = scan.values[column], QUALITIES[scan.qualities[column]]
            if quality.level is Level.BAD:
                missing = missing or quality
            elif (x := number(value)) is None:
                missing = missing or Quality.NOT_A_NUMBER
            elif not at - scan.at < self.spec.longest_s:
                missing = missing or Quality.NOT_RESPONDING
            else:
                values.append(x)
                doubts = doubts or quality
        if missing and (not values or self.spec.of not in PARTIAL):
            return None, missing
        return self._result(values, Quality.INCOMPLETE if missing else doubts, at)

    def _result(self, values: list[Number], quality: Quality, at: float) -> tuple[Value, Quality]:
        kind = KINDS[self.spec.of]
        if kind is not None:
            result = kind(values)
            if number(result) is None:
                return None, Quality.NOT_A_NUMBER
            return (result if self.spec.of == "count_true" else float(result)), quality
        assert self.trend is not None
        found = self.trend.slope(values[0], quality.level, at)
        if found is None:
            return None, Quality.NOT_YET
        slope, worst = found
        return slope, quality or (Quality.INCOMPLETE if worst else Quality.GOOD)


class Virtual:
    """All computed points of a site."""

    def __init__(self, specs: Sequence[VirtualSpec], groups: Mapping[Key, tuple[str, ...]], now: float) -> None:
        """`groups`: (device, group) -> point ids in scan order. ValueError for what cannot be computed."""
        columns = {point: (key, column) for key, points in groups.items() for column, point in enumerate(points)}
        self._by_key: dict[Key, list[_Computed]] = {}
        self._latest: dict[Key, Scan | None] = {}
        self._start = now
        for index, spec in enumerate(specs):
            _check(spec, columns)
            computed = _Computed(spec, index, [columns[point] for point in spec.points])
            for key in computed.keys:
                self._by_key.setdefault(key, []).append(computed)
                self._latest[key] = None

    def succeed(self, other: Virtual, same: frozenset[Key]) -> None:
        """Go on where that of another site stands, with the points that are equal over groups that are the `same`."""
        before = {computed.spec: computed for computed in other._all()}
        for key in self._latest.keys() & other._latest.keys() & same:
            self._latest[key] = other._latest[key]
        for computed in self._all():
            was = before.get(computed.spec)
            if was is not None and all(key in same for key in computed.keys):
                computed.waiting, computed.trend = was.waiting, was.trend

    def _all(self) -> set[_Computed]:
        return {computed for several in self._by_key.values() for computed in several}

    def watches(self, scan: Scan) -> bool:
        return (scan.device, scan.group) in self._by_key

    def take(self, scan: Scan) -> list[Scan]:
        """The scans of computed points that a scan completes."""
        key = (scan.device, scan.group)
        if not math.isfinite(scan.at):
            return []
        self._latest[key] = scan
        fed = self._by_key.get(key, ())
        return [made for computed in fed if (made := self._round(computed, key, scan.at)) is not None]

    def _round(self, computed: _Computed, key: Key, at: float) -> Scan | None:
        computed.waiting.discard(key)
        if any(self._awaited(other, computed, at) for other in computed.waiting):
            return None
        computed.waiting = set(computed.keys)
        newest = max(scan.at for one in computed.keys if (scan := self._latest[one]) is not None)
        value, quality = computed.compute(self._latest, newest)
        return Scan(DEVICE, computed.index, newest, (value,), bytes([quality]))

    def _awaited(self, key: Key, computed: _Computed, at: float) -> bool:
        """Not for ever: what is not heard for too long is missing."""
        scan = self._latest[key]
        return at - (self._start if scan is None else scan.at) < computed.spec.longest_s


def _check(spec: VirtualSpec, columns: Mapping[str, tuple[Key, int]]) -> None:
    if spec.of not in KINDS:
        raise ValueError(f"{spec.id}: nothing is computed as {spec.of}")
    for point in spec.points:
        if point not in columns or point.startswith(f"{DEVICE}/"):
            raise ValueError(f"{spec.id}: no such point: {point}")
    wanted = {"difference": 2, "rate": 1}.get(spec.of)
    if not spec.points or (wanted is not None and len(spec.points) != wanted):
        raise ValueError(f"{spec.id}: {len(spec.points)} points")
    if not 0 < spec.longest_s < math.inf or (spec.of == "rate" and not 0.001 <= spec.window_s < math.inf):
        raise ValueError(f"{spec.id}: no time")
