"""Which registers are asked together: pure functions from points' registers to ranges, and from a range to its parts.

Guarantees (held by property tests)
* Every point is in exactly one range of its table, and wholly in it: a 32-bit value is never cut.
* No range is longer than its table's limit, or reaches over a gap longer than `max_gap`.
* `split` gives strictly smaller ranges with the same points, so that splitting ends.

It does not know what a device refused: `drivers.modbus` remembers that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Need(NamedTuple):
    """The registers (or bits) of one point: from `first` to before `end`."""

    table: str
    first: int
    end: int
    point: int
    """Index in the group."""


class Unit(NamedTuple):
    """Registers that points share or overlap in: asked together or not at all."""

    first: int
    end: int
    points: tuple[int, ...]


class Range(NamedTuple):
    """One request."""

    table: str
    units: tuple[Unit, ...]

    @property
    def first(self) -> int:
        return self.units[0].first

    @property
    def end(self) -> int:
        return max(unit.end for unit in self.units)

    @property
    def points(self) -> tuple[int, ...]:
        return tuple(point for unit in self.units for point in unit.points)


def plan(needs: Iterable[Need], max_gap: int, limits: Mapping[str, int]) -> tuple[Range, ...]:
    """The ranges that read all `needs`. `limits` is the longest range of each table; no need may be longer."""
    ranges: list[Range] = []
    for table, units in _units(needs, limits).items():
        run, end = [units[0]], units[0].end
        for unit in units[1:]:
            if unit.first - end <= max_gap and max(end, unit.end) - run[0].first <= limits[table]:
                run.append(unit)
                end = max(end, unit.end)
            else:
                ranges.append(Range(table, tuple(run)))
                run, end = [unit], unit.end
        ranges.append(Range(table, tuple(run)))
    return tuple(ranges)


def _units(needs: Iterable[Need], limits: Mapping[str, int]) -> dict[str, list[Unit]]:
    tables: dict[str, list[Unit]] = {}
    for need in sorted(needs):
        limit = limits[need.table]
        if need.end - need.first > limit:
            raise ValueError(f"point {need.point} needs {need.end - need.first} registers, {limit} can be asked")
        units = tables.setdefault(need.table, [])
        if units and need.first < units[-1].end and max(units[-1].end, need.end) - units[-1].first <= limit:
            last = units[-1]
            units[-1] = Unit(last.first, max(last.end, need.end), (*last.points, need.point))
        else:
            units.append(Unit(need.first, need.end, (need.point,)))
    return tables


def split(asked: Range) -> tuple[Range, ...]:
    """The parts of a refused range: its runs without gaps or, when it has none, its halves. Empty for a single unit."""
    table, units = asked
    if len(units) == 1:
        return ()
    cuts = [index for index in range(1, len(units)) if units[index].first > max(unit.end for unit in units[:index])]
    cuts = cuts or [len(units) // 2]
    return tuple(Range(table, units[start:end]) for start, end in zip([0, *cuts], [*cuts, len(units)], strict=True))
