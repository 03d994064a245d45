"""Can a condition ever be true, given what its points can say? For `gengfu check`: a rule that cannot is a rule forgotten.

Guarantees: a condition that is said to be impossible is impossible (as far as the points keep to what they are said to
say); not every impossible one is found. Conditions over time (rates, windows, calendars) are taken to be possible, but
what they are made of is looked at. The search is bounded; where it would be long, the answer is "possible".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from rules import spec

LONGEST_SEARCH = 5_000
"""Parts of conditions looked at."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a point can say: one of `states`, or where there are none, a number; a bound that is `open` is not reached."""

    low: float = -inf
    high: float = inf
    states: frozenset[float | int | str] | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        if self.states is not None:
            return not self.states
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


Ranges = Mapping[str, Range]
Wanted = tuple[tuple[spec.Condition, bool], ...]
"""Conditions, and what each is to be, all at one time."""


def possible(when: spec.Condition, ranges: Ranges) -> bool:
    """Whether the condition can be true."""
    return _Search(ranges).fits(((when, True),), {})


def certain(when: spec.Condition, ranges: Ranges) -> bool:
    """Whether the condition cannot be false."""
    return not _Search(ranges).fits(((when, False),), {})


@dataclass(slots=True)
class _Search:
    ranges: Ranges
    left: int = LONGEST_SEARCH

    def fits(self, wanted: Wanted, found: Ranges) -> bool:
        """Can all of it be so at one time? `found`: what the points must say for the conditions looked at before."""
        self.left -= 1
        if self.left <= 0 or not wanted:
            return True
        (when, want), rest = wanted[0], wanted[1:]
        match when:
            case spec.Not():
                return self.fits(((when.of, not want), *rest), found)
            case spec.All() | spec.Any() if isinstance(when, spec.All) == want:
                return self.fits((*((part, want) for part in when.of), *rest), found)
            case spec.All() | spec.Any():
                return any(self.fits(((part, want), *rest), found) for part in when.of)
            case spec.Above() | spec.Below() | spec.Outside() | spec.Equals() | spec.Bit():
                return any(self.fits(rest, {**found, key: one}) for key, one in self._narrowed(when, want, found))
            case _:
                return self._over_time(when, want) and self.fits((*_now(when, want), *rest), found)

    def _over_time(self, when: spec.Condition, want: bool) -> bool:
        """Was it possible for the parts to have been true before, each at its own time?"""
        if not want:
            return True
        match when:
            case spec.KOfN():
                return sum(self._alone(part) for part in when.of) >= when.k
            case spec.Sequence():
                return all(map(self._alone, when.of))
            case spec.Times():
                return self._alone(when.of)
            case spec.Absence():
                return self._alone(when.after)
            case spec.Latch():
                return self._alone(when.set)
            case spec.Captured():
                return self.fits(((when.of, True), (when.at, True)), {})
            case spec.Schedule():
                return bool(when.days)
            case _:
                return True

    def _alone(self, when: spec.Condition) -> bool:
        return self.fits(((when, True),), {})

    def _narrowed(self, when: spec.Condition, want: bool, found: Ranges) -> list[tuple[str, Range]]:
        """What the point can still say: one range, or two where a value may lie on either side."""
        assert isinstance(when, spec.Above | spec.Below | spec.Outside | spec.Equals | spec.Bit)
        key = f"{when.point} bit {when.bit}" if isinstance(when, spec.Bit) else when.point
        bits = Range(states=frozenset((0, 1)))
        before = found.get(key, bits if isinstance(when, spec.Bit) else self.ranges.get(key, Range()))
        match when:
            case spec.Bit():
                after = [_equal(before, 1 if want else 0)]
            case spec.Equals():
                after = [_equal(before, when.value) if want else _unequal(before, when.value)]
            case spec.Above():
                after = [_over(before, when.limit) if want else _under(before, when.limit, open_=False)]
            case spec.Below():
                after = [_under(before, when.limit) if want else _over(before, when.limit, open_=False)]
            case spec.Outside() if want:
                after = [_under(before, when.low), _over(before, when.high)]
            case spec.Outside():
                after = [_over(_under(before, when.high, open_=False), when.low, open_=False)]
        return [(key, one) for one in after if not one.empty]


def _now(when: spec.Condition, want: bool) -> Wanted:
    """What must be so at the time at which a condition over time is true."""
    if want and isinstance(when, spec.Held):
        return ((when.of, True),)
    return ((when.of, False),) if want and isinstance(when, spec.Absence) else ()


def _equal(before: Range, value: float | int | str) -> Range:
    if before.states is not None:
        return replace(before, states=before.states & {value})
    if isinstance(value, str):
        return before  # a text can be any
    return _over(_under(before, value, open_=False), value, open_=False)


def _unequal(before: Range, value: float | int | str) -> Range:
    if before.states is not None:
        return replace(before, states=before.states - {value})
    return replace(before, low_open=True) if before.low == before.high == value else before


def _over(before: Range, limit: float, *, open_: bool = True) -> Range:
    if before.states is not None:
        kept = (
            one for one in before.states if not isinstance(one, str) and (one > limit or (one == limit and not open_))
        )
        return replace(before, states=frozenset(kept))
    if limit < before.low:
        return before
    return replace(before, low=limit, low_open=open_ or (limit == before.low and before.low_open))


def _under(before: Range, limit: float, *, open_: bool = True) -> Range:
    if before.states is not None:
        kept = (
            one for one in before.states if not isinstance(one, str) and (one < limit or (one == limit and not open_))
        )
        return replace(before, states=frozenset(kept))
    if limit > before.high:
        return before
    return replace(before, high=limit, high_open=open_ or (limit == before.high and before.high_open))
