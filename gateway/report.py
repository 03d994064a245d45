"""Report by exception: which columns of a scan are worth a record. Pure.

Guarantees
* A point is reported when its quality changes, when its value leaves the dead band around the value last reported, and
  when nothing was reported for its longest interval; always with the time of its own scan.
* BAD is a quality like any other: silence is reported as soon as it begins and repeated at the longest interval.
* With `by_exception` off every scan is reported whole.

It does not decide alarms: rules see every scan.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Group, Scan, Value


class _Column:
    """What was last said about one point."""

    __slots__ = ("at", "band", "longest_s", "quality", "value")

    def __init__(self, band: float, longest_s: float) -> None:
        self.band = band
        self.longest_s = longest_s
        self.value: Value = None
        self.quality = -1
        self.at = 0.0


class Reporter:
    """Remembers what was last reported of each group."""

    def __init__(self, groups: Mapping[tuple[str, int], Group], *, by_exception: bool = True) -> None:
        self._by_exception = by_exception
        self._columns = {
            key: [_Column(point.dead_band, point.longest_interval_s) for point in group.points]
            for key, group in groups.items()
        }

    def succeed(self, other: Reporter, same: frozenset[tuple[str, int]]) -> None:
        """What was said of the groups that are the `same` need not be said again."""
        for key in self._columns.keys() & other._columns.keys() & same:
            self._columns[key] = other._columns[key]

    def columns(self, scan: Scan) -> tuple[int, ...] | None:
        """Indices of the columns to report, in order; None means all of them, an empty tuple none."""
        if not self._by_exception:
            return None
        at = scan.at
        told: list[int] = []
        columns = self._columns[scan.device, scan.group]
        for index, (column, value, quality) in enumerate(zip(columns, scan.values, scan.qualities, strict=True)):
            if (
                quality != column.quality
                or at - column.at >= column.longest_s
                or (value != column.value and _beyond(value, column.value, column.band))
            ):
                column.value, column.quality, column.at = value, quality, at
                told.append(index)
        return None if len(told) == len(columns) else tuple(told)


def _beyond(value: Value, last: Value, band: float) -> bool:
    if isinstance(value, (int, float)) and isinstance(last, (int, float)):
        return abs(value - last) > band
    return True
