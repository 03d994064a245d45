"""The district's memory: SQLite in WAL mode with ``synchronous=FULL``.

Guarantees
* What `commit` returns may be receipted: the transaction with all of it is on the disk. When it raises `StoreError`,
  nothing of the batch is there, and the same batch may be given again.
* A record is stored once, by its id; a repetition is counted. The same id with another content is set aside, and the
  stored one stays; an alarm gets no receipt then.
* Numbers that are missing stand in `gap` until their records come or are named; a telemetry position never passes one.
* One process at a time (a lock file says so); anybody may read beside it.

Everything in here runs on one thread, which is not the event loop's. `rejected` is bounded on the disk.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from district.content import CLOCK, GAPS, PACK, READERS, TRANSITION, AlarmState, ClockMapping, Value
from district.journals import Journal, Journals, Position
from district.record import ALARM, ZEROS, Malformed, Record, Status, digest_holds
from district.schema import (
    APPLICATION_ID,
    INSERT_RECORD,
    RECORDS_AT,
    REPEAT_RECORD,
    SCHEMA,
    UPSERT_ALARM,
    UPSERT_VALUE,
    VERSION,
)

MOST_REJECTED = 1_000
REJECTED_BYTES = 4_096
BUSY_MS = 5_000

Values = dict[tuple[str, str], tuple[Any, ...]]
"""Rows for the table of latest values, by gateway and point: one a batch, however many packs."""


class StoreError(Exception):
    """The database cannot be opened or written. Reaction: no receipt; the receiver tries again, or does not start."""


class Rejected(NamedTuple):
    """A message that is no record: kept to be looked at."""

    topic: str
    reason: str
    attributes: Sequence[tuple[str, str]]
    body: bytes


class Arrival(NamedTuple):
    """One message, and the wall time at which it came."""

    at: float
    what: Record | Status | Rejected


class Outcome(NamedTuple):
    """What may be receipted now."""

    alarms: dict[str, list[str]]
    """Gateway: ids, duplicates included."""
    positions: list[Position]


class Store:
    """See the module. `commit` and `close` belong to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = _lock(path)
        try:
            self._db = apsw.Connection(str(path))
            _prepare(self._db)
        except apsw.Error as error:
            os.close(self._lock)
            raise StoreError(f"{path}: {error}") from error
        self._journals = Journals(self._db)

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)

    def commit(self, arrivals: Sequence[Arrival]) -> Outcome:
        """Store all of it in one transaction. Raises `StoreError`; then nothing of it is stored."""
        stored = False
        try:
            with self._db:
                outcome = self._store(arrivals)
            stored = True
        except apsw.Error as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error
        finally:
            self._journals.end(stored)
        return outcome

    def _store(self, arrivals: Sequence[Arrival]) -> Outcome:
        alarms: dict[str, list[str]] = {}
        values: Values = {}
        for at, what in arrivals:
            if isinstance(what, Rejected):
                self._reject(at, what)
            elif isinstance(what, Status):
                self._status(at, what)
            elif self._record(at, what, values) and what.lane == ALARM:
                alarms.setdefault(what.gateway, []).append(what.id)
        self._db.executemany(UPSERT_VALUE, list(values.values()))
        return Outcome(alarms, self._journals.save())

    # --- records ------------------------------------------------------------------------------------------------------

    def _record(self, at: float, record: Record, values: Values) -> bool:
        """Store one record; False when it must not be receipted."""
        journal = self._journals.touch(record.gateway, record.lane, record.journal, at)
        if self._insert(at, record):
            journal.records += 1
            self._understand(at, record, journal, values)
        elif self._repeated(record):
            journal.duplicates += 1
        else:
            attributes = [("id", record.id), ("type", record.type), ("time_us", str(record.time_us))]
            self._reject(at, Rejected(record.id, "id: stored already with another content", attributes, record.body))
            if record.lane == ALARM:
                return False
            journal.duplicates += 1  # the number is here: telemetry must not stand still for it
        journal.track.stored(record.sequence, record.follows)
        return True

    def _insert(self, at: float, record: Record) -> bool:
        """False when its id is there already."""
        alarm = record.lane == ALARM
        flaw = "digest: not the one of this record" if alarm and not digest_holds(record) else None
        self._db.execute(
            INSERT_RECORD,
            (
                record.id, record.gateway, record.lane, record.journal, record.run, record.sequence, record.type,
                record.time_us / 1_000_000, record.boot, float(record.monotonic),
                "trusted" if record.trusted else "untrusted", int(record.durable), record.content_type, record.body,
                record.previous or None, record.digest or None, None, flaw, round(at, 3),
            ),
        )  # fmt: skip
        if not self._db.changes():
            return False
        if alarm:
            self._chain(record)
        return True

    def _repeated(self, record: Record) -> bool:
        """Count a repetition; False when it is not the record that was stored. A later copy may be durable by now."""
        self._db.execute(
            REPEAT_RECORD,
            (
                int(record.durable), record.id, record.type, record.time_us / 1_000_000, record.boot,
                float(record.monotonic), "trusted" if record.trusted else "untrusted", record.digest or None,
                record.body,
            ),
        )  # fmt: skip
        return bool(self._db.changes())

    def _chain(self, record: Record) -> None:
        """Judge the link to the record before, and those of the records after, which may have come first.

        A number seen with two runs has two records; a link is sound when one of them is meant.
        """
        where = (record.gateway, record.lane, record.journal)
        after: list[Any] = self._db.execute(RECORDS_AT, (*where, record.sequence + 1)).fetchall()
        for id_, previous, sequence in [(record.id, record.previous, record.sequence), *(row[:3] for row in after)]:
            before = [row[3] for row in self._db.execute(RECORDS_AT, (*where, sequence - 1))]
            first = sequence == 1 and previous == ZEROS
            state = "linked" if first or previous in before else "broken" if before or sequence == 1 else "open"
            self._db.execute("UPDATE record SET chain = ? WHERE id = ?", (state, id_))

    def _understand(self, at: float, record: Record, journal: Journal, values: Values) -> None:
        """What the body means for the tables of latest states; a flaw is noted, the record stays."""
        reader = READERS.get(record.type)
        if reader is None:
            return
        try:
            content = reader(record)
        except Malformed as flaw:
            self._db.execute(
                "UPDATE record SET flaw = coalesce(flaw || '; ', '') || ? WHERE id = ?", (str(flaw), record.id)
            )
            return
        order = (journal.ordinal, record.sequence)
        if record.type == TRANSITION:
            self._alarm(at, record, content, order)
        elif record.type == CLOCK:
            self._clock(record.gateway, content)
        elif record.type in GAPS:
            # None dropped: numbers that were never given to a record, so all of them.
            journal.track.named(content.first, content.last, content.dropped or content.last - content.first + 1)
        elif record.type == PACK:
            _collect(at, record, content, order, values)

    def _alarm(self, at: float, record: Record, state: AlarmState, order: tuple[int, int]) -> None:
        self._db.execute(
            UPSERT_ALARM,
            (
                record.gateway, state.alarm, record.id, *order, state.class_, state.severity, state.state,
                int(state.active), int(state.acknowledged), state.zh, state.en, int(state.simulated),
                record.time_us / 1_000_000, round(at, 3),
            ),
        )  # fmt: skip

    def _clock(self, gateway: str, mapping: ClockMapping) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO clock VALUES(?, ?, ?, ?)",
            (gateway, mapping.boot, float(mapping.monotonic), float(mapping.wall)),
        )

    # --- statuses and rejects -----------------------------------------------------------------------------------------

    def _status(self, at: float, status: Status) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO status VALUES(?, ?, ?, ?)",
            (status.gateway, int(status.online), status.body.decode("utf-8"), round(at, 3)),
        )

    def _reject(self, at: float, what: Rejected) -> None:
        attributes = json.dumps(list(what.attributes)[:64])[:REJECTED_BYTES]
        topic = what.topic[:256].encode("utf-8", "replace").decode("utf-8")
        self._db.execute(
            "INSERT INTO rejected(received_at, topic, reason, attributes, body) VALUES(?, ?, ?, ?, ?)",
            (round(at, 3), topic, what.reason, attributes, what.body[:REJECTED_BYTES]),
        )
        self._db.execute("DELETE FROM rejected WHERE number <= ?", (self._db.last_insert_rowid() - MOST_REJECTED,))


def _collect(at: float, record: Record, content: Sequence[Value], order: tuple[int, int], values: Values) -> None:
    for point, value, unit, quality, time in content:
        key = (record.gateway, point)
        if key not in values or values[key][-2:] <= order:
            values[key] = (*key, value, unit, quality, float(time), round(at, 3), *order)


def _lock(path: Path) -> int:
    """Two receivers on one database would not know of each other's records."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{path}: another district is at work on it") from error
    return descriptor


def _prepare(db: apsw.Connection) -> None:
    """Settings, and the schema of a new file; refuses a file of something else or of a later version."""
    db.set_busy_timeout(BUSY_MS)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    settings = (db.execute("PRAGMA user_version").get, db.execute("PRAGMA application_id").get)
    empty = db.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if empty:
        with db:
            db.execute(SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif settings != (VERSION, APPLICATION_ID):
        raise apsw.NotADBError(f"not a district database of version {VERSION}")
