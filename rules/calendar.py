"""A schedule on the local calendar: the one leaf of a condition that is not fed by scans but by the clocks.

Guarantees: UNKNOWN until the wall clock is trusted, and whenever it is not; both tracks say the same, since time does
not flicker. `due` is the next edge of a day or of the time of day. No time zones: an offset from UTC, as handed in.
"""

from __future__ import annotations

import math
from datetime import date

from gateway.model import Sample, Scan
from rules import spec
from rules.clocks import Clocks
from rules.leaf import NEVER, Leaf
from rules.truth import FALSE, TRUE, UNKNOWN

DAY_S = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY, HOLIDAY = 0, 7
_LONGEST_S = 1e11
"""A wall clock beyond this (the year 5138) is none."""


class Calendar:
    __slots__ = ("clocks", "due", "last", "moved", "scan", "schedule")

    def __init__(self, schedule: spec.Schedule) -> None:
        self.schedule = schedule
        self.clocks: Clocks | None = None
        self.due = NEVER
        self.moved = [-math.inf, -math.inf]
        self.scan: Scan | None = None
        self.last = UNKNOWN

    def set(self, clocks: Clocks) -> None:
        sound = clocks.trusted and abs(clocks.wall) < _LONGEST_S and abs(clocks.utc_offset_s) <= DAY_S
        self.clocks = clocks if sound else None

    def wake(self, at: float) -> None:
        """Nothing to do: it looks at the time whenever it is asked."""

    def take(self, scan: Scan, at: float) -> bool:
        return False

    def doubt(self) -> None:
        """Nothing to do: it holds no value of a point."""

    def truth(self, track: int, at: float) -> int:
        truth, self.due = UNKNOWN, NEVER
        clocks = self.clocks
        if clocks is not None:
            day, second = divmod(clocks.wall + (at - clocks.at) + clocks.utc_offset_s, DAY_S)
            edges = (self.schedule.from_s, self.schedule.to_s, DAY_S)
            self.due = at + max(min(edge - second for edge in edges if edge > second), 0.001)
            truth = TRUE if self._open(int(day) + _EPOCH, second) else FALSE
        if truth != self.last:
            self.last = truth
            self.moved = [at, at]
        return truth

    def _open(self, day: int, second: float) -> bool:
        begin, end = self.schedule.from_s, self.schedule.to_s
        if begin < end:
            return begin <= second < end and self._counts(day)
        return (second >= begin and self._counts(day)) or (second < end and self._counts(day - 1))

    def _counts(self, day: int) -> bool:
        plan = self.schedule
        kind = _MONDAY if day in plan.workdays else HOLIDAY if day in plan.holidays else (day - 1) % 7
        return kind in plan.days

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self

    def sample(self) -> Sample | None:
        return None
