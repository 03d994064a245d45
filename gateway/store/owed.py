"""What a lane owes its uplinks: every record that they have not settled, but for those that are gone. Lives on the loop.

Guarantee: a record that can never be given is counted by its reason, told in a gap record, and missed no more, once. Settled
ones go without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gateway.model import Lane, Record
from gateway.store.book import Book
from gateway.store.content import Content
from gateway.store.file import Drop
from gateway.store.ranges import Pair, Ranges
from gateway.store.settlement import Settlement
from gateway.store.tail import Tail, Then
from gateway.wire import payloads

_GONE_RANGES = 50_000
"""About 5 MB. A longer outage joins the oldest ranges of what is gone; `backlog` then counts some records less."""


class Owed:
    """Of one lane."""

    def __init__(
        self,
        lane: Lane,
        book: Book,
        tail: Tail,
        tell: Callable[[bytes, Drop | None, Then | None], object],
        content: Content | None,
    ) -> None:
        """`tell` commits a gap record with this body; `content`: what was found in the file, when it was seen."""
        self._lane = lane
        self._book = book
        self._tail = tail
        self._tell = tell
        self.settlement = Settlement(content.uplinks if content else {}, book.segments)
        self._gone = content.gone.copy() if content else Ranges()
        self._oldest = (content and content.first) or book.last + 1
        self._missing = Ranges()
        """Dropped from the tail; told when the disk works again."""
        self.dropped: Counter[str] = Counter()
        """By reason."""

    def meet(self, content: Content, hole: Pair | None) -> None:
        """A file that could not be seen until now came back; `hole`: numbers between its records and ours, never given."""
        self._gone = content.gone.copy()
        self._oldest = content.first or self._oldest
        self.settlement.merge(content.uplinks, hole[1] if hole else content.last, self._oldest)
        if hole:
            self._void([hole])

    # -- what is gone --------------------------------------------------------------------------------------------

    def account(self, pairs: Iterable[Pair], reason: str) -> None:
        """Records that can never be given: count them, tell them in one gap record, miss them no more."""
        parts = tuple(part for pair in pairs for part in self._gone.missing(*pair))
        if parts:
            self._void(parts)
            self.tell_gap((parts[0][0], parts[-1][1]), _count(parts), reason, Drop(gone=parts))

    def tell_gap(
        self, pair: Pair, dropped: int, reason: str, drop: Drop | None = None, then: Then | None = None
    ) -> None:
        """So many in between go with this record, in one transaction."""
        if dropped:
            self.dropped[reason.partition(" ")[0]] += dropped
        self._tell(payloads.gap(*pair, dropped, reason), drop, then)

    def lost(self, records: Iterable[Record]) -> None:
        """These left the memory and will never be on the disk; to be told when it works again."""
        for record in records:
            self._missing.add(record.sequence, record.sequence)

    def tell_lost(self) -> None:
        if len(self._missing):
            missing, self._missing = self._missing, Ranges()
            self.account(missing.pairs(), "memory")

    def forget(self, pairs: Iterable[Pair], reason: str = "") -> None:
        """They are gone from the file. `reason`: where they were not counted before."""
        gone = Ranges(pairs)
        for first, last in gone.pairs():
            self._gone.add(first, last)
        self._gone.coarsen(_GONE_RANGES)
        self._tail.forget(gone)
        if reason:
            self.dropped[reason] += _count(gone.pairs())

    def _void(self, pairs: Sequence[Pair]) -> None:
        for first, last in pairs:
            self._gone.add(first, last)
        self.settlement.void(pairs)

    # -- what each uplink has settled ----------------------------------------------------------------------------

    def settled(self, uplink: str) -> Ranges:
        """A new uplink begins at the oldest record that is kept."""
        first, _ = next(self._gone.missing(self._oldest, self._book.last + 1))
        begins = [begin - 1 for begin, _ in self._book.segments[1:]]
        return self.settlement.enter(
            uplink,
            first,
            # alarms are settled one by one; telemetry only needs a bridge between two journals
            (
                pair
                for pair in self._gone.pairs()
                if self._lane is Lane.ALARM or any(pair[0] <= end <= pair[1] for end in begins)
            ),
        )

    def settle(self, uplink: str, sequences: Iterable[int]) -> None:
        self.settled(uplink)
        self.settlement.settle(uplink, sequences, self._book.last)

    def settle_to(self, uplink: str, sequence: int) -> None:
        self.settled(uplink)
        self.settlement.settle_to(uplink, sequence, self._book.last)

    def backlog(self, uplink: str) -> int:
        """How many records `uplink` has not settled."""
        return self._kept(self.settled(uplink).missing(1, self._book.last))

    def share(self) -> float:
        """Of the records on the disk, how many somebody has not settled."""
        durable = self._tail.durable
        kept = self._kept([(1, durable)])
        return self._kept(self.settlement.by_all().missing(1, durable)) / kept if kept > 0 else 0.0

    def _kept(self, pairs: Iterable[Pair]) -> int:
        """How many of these there are."""
        return sum(last - first + 1 - self._gone.count(first, last) for first, last in pairs)


def _count(pairs: Iterable[Pair]) -> int:
    return sum(last - first + 1 for first, last in pairs)
