"""A set of sequence numbers as sorted, disjoint, closed ranges.

An uplink's settled records, and the records that a file no longer holds, are long runs with few holes: a range costs two
integers however long it is. Pure data; adding is O(log n) plus the move of a list, counting as long as the smaller of
what is inside and outside of the question, since the whole is always counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Pair = tuple[int, int]


class Ranges:
    """Mutable; `add` joins what touches. `copy` before handing it to another thread."""

    __slots__ = ("_firsts", "_lasts", "_total")

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._total = 0
        for first, last in pairs:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add ``first..last``; nothing when empty (last < first)."""
        if last < first:
            return
        left = bisect_left(self._lasts, first - 1)
        right = bisect_right(self._firsts, last + 1)
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
            self._total -= self._sum(left, right)
        self._total += last - first + 1
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def coarsen(self, limit: int) -> None:
        """Join the oldest ranges into one until at most `limit` are left, so that the set stays small on disk."""
        extra = len(self._firsts) - max(1, limit)
        if extra > 0:
            self.add(self._firsts[0], self._lasts[extra])

    def copy(self) -> Ranges:
        twin = Ranges()
        twin._firsts, twin._lasts, twin._total = self._firsts.copy(), self._lasts.copy(), self._total
        return twin

    def pairs(self) -> tuple[Pair, ...]:
        return tuple(zip(self._firsts, self._lasts, strict=True))

    def within(self, first: int, last: int) -> Iterator[Pair]:
        """The parts of this set inside ``first..last``, in order."""
        for index in range(bisect_left(self._lasts, first), bisect_right(self._firsts, last)):
            yield max(first, self._firsts[index]), min(last, self._lasts[index])

    def missing(self, first: int, last: int) -> Iterator[Pair]:
        """The parts of ``first..last`` outside this set, in order."""
        for inside_first, inside_last in self.within(first, last):
            if first < inside_first:
                yield first, inside_first - 1
            first = inside_last + 1
        if first <= last:
            yield first, last

    def head(self) -> int:
        """The end of the first range; 0 when the set is empty."""
        return self._lasts[0] if self._lasts else 0

    def count(self, first: int, last: int) -> int:
        """How many numbers of ``first..last`` are in the set."""
        left, right = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if last < first or left >= right:
            return 0
        if 2 * (right - left) > len(self._firsts):
            whole = self._total - self._sum(0, left) - self._sum(right, len(self._firsts))
        else:
            whole = self._sum(left, right)
        return whole - max(0, first - self._firsts[left]) - max(0, self._lasts[right - 1] - last)

    def _sum(self, left: int, right: int) -> int:
        """How many numbers the ranges ``left..right - 1`` have."""
        return sum(self._lasts[left:right]) - sum(self._firsts[left:right]) + right - left

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._lasts, number)
        return index < len(self._lasts) and self._firsts[index] <= number

    def __len__(self) -> int:
        """How many ranges (not numbers)."""
        return len(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self.pairs() == other.pairs()

    __hash__ = None  # type: ignore[assignment]  # mutable, as a list is

    def __repr__(self) -> str:
        return f"Ranges({list(self.pairs())})"


def common(sets: Iterable[Ranges]) -> Ranges:
    """The numbers that are in every one of `sets`; nothing when there are no sets."""
    remaining: Ranges | None = None
    for one in sets:
        if remaining is None:
            remaining = one.copy()
        else:
            remaining = Ranges(part for first, last in remaining.pairs() for part in one.within(first, last))
    return Ranges() if remaining is None else remaining
