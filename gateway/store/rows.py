"""Rows of a journal file as records: read, list, verify, weigh. Reads only; runs on the lane's own thread.

Guarantees
* Only records whose CRC (alarm lane: and digest) holds come out; every column is cast, so that a damaged type cannot
  surprise anybody.
* A page that SQLite cannot read is stepped over, sequence by sequence.
* What is broken or missing is named, unless it is accounted for (`gone`).

Raises apsw errors when the disk cannot be read; `JournalFile` translates them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from gateway.model import Lane, Record
from gateway.retention import Row, subject_of
from gateway.store.ranges import Pair, Ranges
from gateway.store.seal import ZERO, sound

_SELECT = """SELECT CAST(sequence AS INTEGER), CAST(journal AS BLOB), CAST(run AS BLOB), CAST(kind AS BLOB),
  CAST(boot AS BLOB), CAST(at AS REAL), CAST(wall AS REAL), CAST(trusted AS INTEGER), CAST(body AS BLOB),
  CAST(crc AS INTEGER), CAST(previous AS BLOB), CAST(digest AS BLOB) FROM record """
_AFTER = _SELECT + "WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
_BEHIND = _SELECT + "WHERE sequence > ? AND sequence <= ? ORDER BY sequence"
_ONE = _SELECT + "WHERE sequence = ?"
_LAST_BUT = "SELECT sequence FROM record WHERE kind <> ? ORDER BY sequence DESC LIMIT 1"
_MORE = "SELECT 1 FROM record WHERE sequence > ? AND sequence <= ? LIMIT 1"
_NEWEST = _SELECT + "ORDER BY sequence DESC LIMIT ?"
_BETWEEN = _SELECT + "WHERE sequence BETWEEN ? AND ? AND kind <> ? ORDER BY sequence LIMIT ?"
_SIZES = """SELECT sequence, length(body) FROM record
  WHERE sequence BETWEEN ? AND ? AND kind <> ? ORDER BY sequence LIMIT ?"""
INSERT = "INSERT INTO record VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TYPES = (int, bytes, bytes, bytes, bytes, float, float, int, bytes, int, bytes, bytes)
"""Of the columns of `_SELECT`."""
_DAMAGE = (apsw.CorruptError, apsw.TooBigError, apsw.NoMemError)
_ROW_BYTES = 256
"""What a row takes beside its body, about."""


class Page(NamedTuple):
    records: list[Record]
    broken: tuple[Pair, ...]
    """Sequences that should be there and cannot be given."""
    cursor: int
    end: bool
    """There is nothing behind; else the next page begins after `cursor`."""


class Verdict(NamedTuple):
    broken: int | None
    cursor: int
    before: Record | None
    """The record at `cursor`."""
    end: bool


class Rows(NamedTuple):
    """A view of an open file at one moment."""

    db: apsw.Connection
    gateway: str
    lane: Lane
    gone: Ranges
    last: int
    """What lies beyond is not looked at: a failed write may have left it there."""

    def read(self, after: int, limit: int, limit_bytes: int) -> Page:
        """Sound records after `after`: at most `limit`, and `limit_bytes` of bodies, but at least one if there is any."""
        records: list[Record] = []
        broken: list[Pair] = []
        size = 0
        cursor = after
        for sequence, record in self._each(after, limit):
            if records and record is not None and size + len(record.body) > limit_bytes:
                return Page(records, tuple(broken), cursor, end=False)
            broken.extend(self.gone.missing(cursor + 1, sequence - 1))
            cursor = sequence
            if record is None:
                broken.extend(self.gone.missing(sequence, sequence))
            else:
                records.append(record)
                size += len(record.body)
        if self._more(cursor):
            return Page(records, tuple(broken), cursor, end=False)
        broken.extend(self.gone.missing(cursor + 1, self.last))
        return Page(records, tuple(broken), max(cursor, self.last), end=True)

    def listing(self, pairs: Sequence[Pair], limit: int) -> list[Record]:
        """The sound records inside `pairs`, oldest first."""
        found: list[Record] = []
        for first, last in pairs:
            wanted = min(limit - len(found), last - first + 1)
            if wanted <= 0:
                break
            found += [record for sequence, record in self._each(first - 1, wanted) if record and sequence <= last]
        return found

    def verify(self, after: int, before: Record | None, limit: int) -> Verdict:
        """One step of proving the lane: every record sound, every link of the chain, nothing missing unaccounted."""
        cursor = after
        for sequence, record in self._each(after, limit):
            hole = next(self.gone.missing(cursor + 1, sequence - 1), None)
            if hole:
                return Verdict(hole[0], cursor, before, end=True)
            neighbour = before if cursor == sequence - 1 else None
            if record is None or not self._linked(record, neighbour):
                return Verdict(sequence, cursor, before, end=True)
            cursor, before = sequence, record
        if self._more(cursor):
            return Verdict(None, cursor, before, end=False)
        hole = next(self.gone.missing(cursor + 1, self.last), None)
        return Verdict(hole[0] if hole else None, cursor, before, end=True)

    def behind(self, after: int) -> Iterator[Record | None]:
        """All rows beyond `after` up to `last`, as they lie; raises where a page cannot be read."""
        for row in self.db.execute(_BEHIND, (after, self.last)):
            yield self._record(row)

    def newest(self, limit: int) -> Iterator[Record | None]:
        for row in self.db.execute(_NEWEST, (limit,)):
            yield self._record(row)

    def last_but(self, kind: str) -> int:
        """The newest record of another kind; 0 without any."""
        found = self.db.execute(_LAST_BUT, (kind,)).fetchone()
        return int(found[0]) if found else 0

    def weigh(self, pairs: Sequence[Pair], limit: int, kept_kind: str) -> list[Row]:
        """What retention looks at, oldest first; records of `kept_kind` are not shown to it, nor what cannot be read."""
        found: list[Row] = []
        for pair in pairs:
            if self.lane is Lane.ALARM:
                records = map(self._record, self._readable(_BETWEEN, *pair, kept_kind, limit - len(found)))
                found += [
                    Row(record.sequence, len(record.body) + _ROW_BYTES, subject_of(record.kind, record.body))
                    for record in records
                    if record is not None
                ]
            else:
                sizes = self._readable(_SIZES, *pair, kept_kind, limit - len(found))
                found += [Row(one, (size or 0) + _ROW_BYTES) for one, size in sizes]
            if len(found) >= limit:
                break
        return found

    def _readable(self, query: str, first: int, last: int, kept_kind: str, limit: int) -> Iterator[tuple[Any, ...]]:
        """Rows in order; where they cannot be read, it goes on behind, in growing steps."""
        step = 1
        while first <= last:
            try:
                for row in self.db.execute(query, (first, last, kept_kind, limit)):
                    first = int(row[0]) + 1
                    limit -= 1
                    yield row
                return
            except _DAMAGE:
                first += step
                step *= 2

    def _more(self, after: int) -> bool:
        if after >= self.last:
            return False
        try:
            return self.db.execute(_MORE, (after, self.last)).fetchone() is not None
        except _DAMAGE:
            return True

    def _each(self, after: int, limit: int) -> Iterator[tuple[int, Record | None]]:
        """Rows in order; None for one that is broken or cannot be read."""
        cursor = after
        given = 0
        try:
            for row in self.db.execute(_AFTER, (after, self.last, limit)):
                cursor = int(row[0])
                given += 1
                yield cursor, self._record(row)
            return
        except _DAMAGE:
            pass
        # One by one, but never through what is gone: there is no end to that, and nothing would move the reader on.
        for first, last in self.gone.missing(cursor + 1, self.last):
            for sequence in range(first, min(last, first + limit - given - 1) + 1):
                given += 1
                yield sequence, self._one(sequence)
            if given >= limit:
                return

    def _one(self, sequence: int) -> Record | None:
        try:
            row = self.db.execute(_ONE, (sequence,)).fetchone()
        except _DAMAGE:
            return None
        return None if row is None else self._record(row)

    def _record(self, row: tuple[Any, ...]) -> Record | None:
        """The record, if it is what was sealed."""
        if tuple(map(type, row)) != _TYPES:  # `match` would cost as much as all the rest
            return None
        sequence, journal, run, kind, boot, at, wall, trusted, body, crc, previous, digest = row
        try:
            names = journal.decode(), run.decode(), kind.decode(), boot.decode()
        except UnicodeDecodeError:
            return None
        record = Record(
            lane=self.lane,
            journal=names[0],
            run=names[1],
            sequence=sequence,
            kind=names[2],
            boot=names[3],
            at=at,
            wall=wall,
            trusted=bool(trusted),
            body=body,
            crc=crc,
            previous=previous.hex(),
            digest=digest.hex(),
        )
        return record if trusted in (0, 1) and sound(self.gateway, record) else None

    def _linked(self, record: Record, neighbour: Record | None) -> bool:
        if self.lane is not Lane.ALARM or neighbour is None:
            return True
        return record.previous == (neighbour.digest if neighbour.journal == record.journal else ZERO)


def as_row(record: Record) -> tuple[object, ...]:
    """For `INSERT`."""
    return (
        record.sequence, record.journal, record.run, record.kind, record.boot, record.at, record.wall,
        int(record.trusted), record.body, record.crc, bytes.fromhex(record.previous), bytes.fromhex(record.digest),
    )  # fmt: skip
