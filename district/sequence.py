"""Which numbers of one (gateway, lane, journal) are here, which are missing, and which will not come. Pure.

Guarantees
* `position` is the highest number up to which everything is stored or named; it never passes a hole, in whatever order,
  how often and with whatever losses records arrive.
* Every missing number below `highest` is in exactly one open hole, and every hole that was named or passed over is told
  (`take_closed`), so that nothing goes missing unseen.

A gap record names ``first..last`` of which `dropped` do not come: with fewer dropped than the range is long, the others
do come, and may be lost on the way. So a named range counts only once no more of its numbers are missing than were
dropped; until then its holes stay open, and the gateway, whose position does not move, sends again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

MOST_HOLES = 100_000
"""Only a hostile gateway gets there: what would open one more is stored, but not counted as here."""
MOST_NAMINGS = 1_000


class How(StrEnum):
    """How a hole was closed."""

    FILLED = "filled"
    """Its records came after all."""
    NAMED = "named"
    """A gap record says that they will not come."""
    PASSED = "passed"
    """The record after it says that it follows the one before it (`follows`)."""


class Closed(NamedTuple):
    first: int
    last: int
    how: How


class Naming(NamedTuple):
    """A gap record's range that is not yet accounted for."""

    first: int
    last: int
    dropped: int


class Track:
    """Mutable state of one journal's numbers, which begin at 1."""

    __slots__ = ("_closed", "_firsts", "_lasts", "_namings", "highest")

    def __init__(self, highest: int = 0, holes: Iterable[tuple[int, int]] = (), namings: Iterable[Naming] = ()) -> None:
        self.highest = highest
        ordered = sorted(holes)
        self._firsts = [first for first, _ in ordered]
        self._lasts = [last for _, last in ordered]
        self._namings = list(namings)
        self._closed: list[Closed] = []

    @property
    def position(self) -> int:
        return self._firsts[0] - 1 if self._firsts else self.highest

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The open holes in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    @property
    def namings(self) -> tuple[Naming, ...]:
        return tuple(self._namings)

    def __len__(self) -> int:
        """How many open holes."""
        return len(self._firsts)

    def stored(self, sequence: int, follows: int | None = None) -> None:
        """A record with this number is in the database (also when it was there before)."""
        if sequence <= self.highest:
            self._close(sequence, sequence, How.FILLED)
        elif sequence == self.highest + 1:
            self.highest = sequence
        elif len(self._firsts) < MOST_HOLES:
            self._firsts.append(self.highest + 1)
            self._lasts.append(sequence - 1)
            self.highest = sequence
        else:
            return
        if follows is not None:
            self._close(follows + 1, sequence - 1, How.PASSED)

    def named(self, first: int, last: int, dropped: int) -> None:
        """A new gap record (never a repeated one) says that `dropped` of ``first..last`` will not come."""
        if len(self._namings) < MOST_NAMINGS:
            self._namings.append(Naming(first, last, dropped))

    def take_closed(self) -> list[Closed]:
        """Account for the named ranges; the holes closed since the last call, neighbours joined."""
        self._account()
        closed, self._closed = self._closed, []
        return closed

    def missing(self, first: int, last: int) -> int:
        """How many numbers of ``first..last`` are in open holes."""
        low, high = self._between(first, last)
        return sum(min(last, self._lasts[index]) - max(first, self._firsts[index]) + 1 for index in range(low, high))

    def _account(self) -> None:
        """Ranges that overlap are one range: a range that was thinned twice names its losses in two records."""
        if not self._namings:
            return
        joined: list[Naming] = []
        for naming in sorted(self._namings):
            if joined and naming.first <= joined[-1].last:
                before = joined.pop()
                naming = Naming(before.first, max(before.last, naming.last), before.dropped + naming.dropped)
            joined.append(naming)
        self._namings = []
        for naming in joined:
            if naming.last > self.highest or self.missing(naming.first, naming.last) > naming.dropped:
                self._namings.append(naming)
            else:
                self._close(naming.first, naming.last, How.NAMED)

    def _between(self, first: int, last: int) -> tuple[int, int]:
        """Indices of the holes that touch ``first..last``."""
        low = bisect_left(self._lasts, first)
        return low, max(low, bisect_left(self._firsts, last + 1))

    def _close(self, first: int, last: int, how: How) -> None:
        """Take ``first..last`` out of the open holes."""
        low, high = self._between(first, last)
        if low == high:
            return
        outer_first, outer_last = self._firsts[low], self._lasts[high - 1]
        for index in range(low, high):
            self._tell(max(first, self._firsts[index]), min(last, self._lasts[index]), how)
        rest = [(a, b) for a, b in ((outer_first, first - 1), (last + 1, outer_last)) if a <= b]
        self._firsts[low:high] = [a for a, _ in rest]
        self._lasts[low:high] = [b for _, b in rest]

    def _tell(self, first: int, last: int, how: How) -> None:
        if self._closed and self._closed[-1].how is how and self._closed[-1].last == first - 1:
            first = self._closed.pop().first
        self._closed.append(Closed(first, last, how))
