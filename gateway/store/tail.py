"""What a lane holds in memory: commits that are not on the disk yet, in order, and the newest records that are.

Guarantees
* A commit leaves `waiting` only when it is on the disk; those in flight (handed to the disk's thread) are not touched.
* The newest durable records stay here for a while, so that a live reader never needs the disk.
* The tail is bounded: told commits beyond `limit_bytes` are thinned by `retention.spill`; what goes is returned, to be
  counted and told. Their state is not lost: it goes with the next commit. State without a record joins the commit before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from gateway import retention
from gateway.errors import StorageError
from gateway.model import Lane, Record
from gateway.retention import Row
from gateway.store.content import Item
from gateway.store.file import Drop, Work
from gateway.store.ranges import Ranges

Then = Callable[[list[Record], StorageError | None], None]
_FLIGHT_RECORDS = 500
_FLIGHT_BYTES = 4 * 1024 * 1024
_RECENT_BYTES = 512 * 1024
_RECORD_BYTES = 512
"""What a record costs in memory beside its body, about."""


@dataclass(slots=True)
class Batch:
    """One commit."""

    records: list[Record]
    items: dict[Item, bytes | None]
    then: Then | None
    at: float
    drop: Drop | None = None
    told: bool = False
    """`then` was called, or there is nobody to tell."""

    def tell(self, error: StorageError | None) -> tuple[Then, list[Record], StorageError | None] | None:
        """Mark as told, once; what to call, if anybody waits. With an error the records are not durable."""
        if self.told:
            return None
        self.told = True
        if error:
            self.records = [replace(record, durable=False) for record in self.records]
        then, self.then = self.then, None
        return (then, self.records, error) if then else None


class Tail:
    """In the order of commit."""

    def __init__(self, durable: int, limit_bytes: int) -> None:
        self.waiting: deque[Batch] = deque()
        self.durable = durable
        """Every sequence up to here is on the disk, or was never given."""
        self.floor = durable
        """Every record that exists beyond this sequence is here in memory."""
        self._limit_bytes = limit_bytes
        self._flying = 0
        self._recent: deque[Record] = deque()
        self._recent_bytes = 0
        self.bytes = 0

    @property
    def flying(self) -> bool:
        return self._flying > 0

    def push(self, batch: Batch) -> None:
        if len(self.waiting) > self._flying and not (batch.records or batch.then or batch.drop):
            self.waiting[-1].items.update(batch.items)  # or they would pile up behind a disk that is dead for days
            return
        self.waiting.append(batch)
        self.bytes += sum(_cost(record) for record in batch.records)

    def fly(self, *, whole: bool) -> Work:
        """Take what waits into one transaction; a chunk at most, unless it has to be the `whole` of it."""
        work = Work()
        size = 0
        for batch in self.waiting:
            if not whole and self._flying and (len(work.records) >= _FLIGHT_RECORDS or size >= _FLIGHT_BYTES):
                break
            self._flying += 1
            work.records += batch.records
            work.items.update(batch.items)
            work.drops += [batch.drop] if batch.drop else []
            size += sum(len(record.body) for record in batch.records)
        return work

    def land(self) -> list[Batch]:
        """What was in flight is on the disk."""
        landed = [self.waiting.popleft() for _ in range(self._flying)]
        self._flying = 0
        for record in (record for batch in landed for record in batch.records):
            self.bytes -= _cost(record)
            self.durable = record.sequence
            self._recent.append(record if record.durable else replace(record, durable=True))
            self._recent_bytes += _cost(record)
        while self._recent_bytes > _RECENT_BYTES and len(self._recent) > 1:
            old = self._recent.popleft()
            self._recent_bytes -= _cost(old)
            self.floor = old.sequence
        return landed

    def forget(self, gone: Ranges) -> None:
        """These records were dropped from the file."""
        kept = [record for record in self._recent if record.sequence not in gone]
        if len(kept) < len(self._recent):
            self._recent = deque(kept)
            self._recent_bytes = sum(_cost(record) for record in kept)

    def crash(self) -> None:
        """What was in flight is not on the disk."""
        self._flying = 0

    def untold(self) -> Iterator[Batch]:
        return (batch for batch in self.waiting if not batch.told)

    def memory(self, after: int, *, early: bool) -> list[Record]:
        """The visible records beyond `after` that are here; `early`: also those told before they were durable."""
        found = [record for record in self._recent if record.sequence > after]
        if early:
            told = (batch for batch in self.waiting if batch.told)
            found += [record for batch in told for record in batch.records if record.sequence > after]
        return found

    def shrink(self, lane: Lane) -> list[Record]:
        """Keep the bound; what goes is returned in order. Commits in flight, untold ones and gaps stay."""
        if self.bytes <= self._limit_bytes:
            return []
        excess = self.bytes - self._limit_bytes * 3 // 4
        free = [one for one in islice(self.waiting, self._flying, None) if one.told and not one.drop]
        rows = [
            Row(
                record.sequence,
                _cost(record),
                retention.subject_of(record.kind, record.body) if lane is Lane.ALARM else "",
            )
            for batch in free
            for record in batch.records
        ]
        going = set(retention.spill(rows, excess))
        return self._remove(going) if going else []

    def _remove(self, going: set[int]) -> list[Record]:
        lost: list[Record] = []
        kept: deque[Batch] = deque()
        carried: dict[Item, bytes | None] = {}
        for index, batch in enumerate(self.waiting):
            lost += [record for record in batch.records if record.sequence in going]
            batch.records = [record for record in batch.records if record.sequence not in going]
            if carried:
                batch.items, carried = {**carried, **batch.items}, {}
            if index < self._flying or batch.records or batch.drop or not batch.told:
                kept.append(batch)
            else:
                carried = batch.items
        if carried:
            kept.append(Batch([], carried, None, 0.0, told=True))
        self.waiting = kept
        self.bytes -= sum(_cost(record) for record in lost)
        return lost


def _cost(record: Record) -> int:
    return len(record.body) + _RECORD_BYTES
