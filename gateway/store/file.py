"""The SQLite file of one lane while it is in use: write, read, prune. Runs on the lane's own thread, never elsewhere.

Guarantees
* `write` is one transaction; when it returns, all of it is on the disk, when it raises, nothing of it counts.
* A failed write may be there after all (a sync that failed after the bytes went out). `write` finds out when it opens the
  file again: what is there with our run is not written twice, what another run wrote is refused.
* A file found damaged while in use is set aside; the next write makes a new one, and the journal goes on under its name
  and with its numbers, since the caller knows where it stood. Alarms that nobody has are carried over (`salvage`).
* A damaged page in the middle keeps its neighbours from being deleted, nothing else: they stay.

Errors: `StorageError` for all that a disk can do wrong; anything else is a bug.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw

from gateway import retention
from gateway.errors import StorageError
from gateway.model import Lane, Record
from gateway.store import open as journal_open
from gateway.store import salvage
from gateway.store.content import Birth, Content, Item, Segment, as_json, join, put, transaction
from gateway.store.open import DAMAGE, Damaged
from gateway.store.ranges import Pair, Ranges
from gateway.store.rows import INSERT, Page, Rows, Verdict, as_row

_GONE_RANGES = 5_000
"""Beyond this the oldest ranges of what is gone are joined, and a loss inside them is no longer seen."""
_ALL = 2**62
_LOOK_BACK = 1_000
"""Broken rows at the end that are given up before the file as a whole is."""


class Drop(NamedTuple):
    """Records that go: rows to delete, and the sequences that nobody shall miss."""

    delete: tuple[int, ...] = ()
    gone: tuple[Pair, ...] = ()


@dataclass(slots=True)
class Work:
    """One transaction."""

    records: list[Record] = field(default_factory=list)
    items: dict[Item, bytes | None] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)


class Expected(NamedTuple):
    """Where the lane stands, for a file that has to be opened again."""

    run: str
    durable: int
    """Every sequence up to here is on the disk, or was never given."""
    segments: tuple[Segment, ...]
    state: Mapping[Item, bytes] | None = None
    """All of the lane's state, for a file that lost it; None: not now, raise and ask again."""
    anew: bool = False
    """The lane has not yet seen what is in the file."""


class Outcome(NamedTuple):
    used_bytes: int
    reopened: Content | None = None
    hole: Pair | None = None
    """Sequences up to `Expected.durable` that the file opened now does not have."""


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError, Damaged) as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error


class JournalFile:
    """Owns the connection."""

    def __init__(
        self,
        path: Path,
        birth: Birth,
        tag: Callable[[], str],
        monotonic: Callable[[], float],
        *,
        check_s: float,
        checkpoint_pages: int,
    ) -> None:
        """`tag` names a file that is set aside; `check_s` is the time for quick_check."""
        self._path = path
        self._birth = birth
        self._tag = tag
        self._monotonic = monotonic
        self._check_s = check_s
        self._checkpoint_pages = checkpoint_pages
        self._db: apsw.Connection | None = None
        self._aside: Path | None = None
        self._inode = (0, 0)
        self._suspect = False
        self._carried = _ALL
        """Which numbers a new file may take over from one that was set aside: those below."""
        self._stuck = Ranges()
        """Rows that cannot be deleted, since their page is damaged."""
        self._wal_pages = 0
        self._gone = Ranges()
        self._last = 0

    def open(self) -> Content:
        """Open, or create; a damaged file is set aside first. Raises StorageError."""
        with _storage_errors():
            try:
                content = self._open()
            except DAMAGE:
                self._set_aside()
                content = self._open()
            self._suspect = not content.writable
            return content

    def write(self, work: Work, expected: Expected) -> Outcome:
        """Commit `work`; opens the file again where it has to. Raises StorageError: then nothing of it counts."""
        with _storage_errors():
            try:
                return self._write(work, expected)
            except DAMAGE:
                self._set_aside()
                self._carried = expected.durable + 1  # the loop has the others and writes them again
                raise
            except apsw.FullError:
                raise  # nothing is wrong with the file: try again as it is
            except (apsw.Error, OSError):
                self._suspect = True
                raise

    def checkpoint(self) -> str:
        """Take a log that has grown into the database; why that failed, or nothing. What was committed is durable anyway.

        Not after a failed write: what the log holds is doubtful until it was opened again.
        """
        if self._wal_pages < self._checkpoint_pages or self._suspect or self._db is None:
            return ""
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            return f"checkpoint: {error}"
        self._wal_pages = 0
        return ""

    def read(self, after: int, durable: int, limit: int, limit_bytes: int) -> Page:
        """`durable`: what the loop knows to be on the disk; a failed write may have left more in the file."""
        with _storage_errors():
            return self._rows(durable).read(after, limit, limit_bytes)

    def listing(self, pairs: Sequence[Pair], durable: int, limit: int) -> list[Record]:
        with _storage_errors():
            return self._rows(durable).listing(pairs, limit)

    def verify(self, after: int, durable: int, before: Record | None, limit: int) -> Verdict:
        with _storage_errors():
            return self._rows(durable).verify(after, before, limit)

    def prune(self, settled: Sequence[Pair], excess: int) -> tuple[tuple[int, ...], int]:
        """Delete a chunk of the oldest settled records; (which, bytes used now)."""
        with _storage_errors():
            older = tuple(
                (first, min(last, self._last - 1)) for first, last in settled
            )  # the newest is the chain's end
            going: tuple[int, ...] = ()
            while not going:
                rows = self._rows().weigh(salvage.outside(older, self._stuck), retention.CHUNK_ROWS, kept_kind="")
                chosen = retention.prune(rows, excess)
                if not chosen:
                    break
                gone = Ranges((one, one) for one in chosen)
                self._gone = self._append(Work(drops=[Drop(chosen, gone.pairs())]), self._last)
                going = tuple(one for one in chosen if one not in self._stuck)
            return going, self._used_bytes()

    def decide(self, unsettled: Sequence[Pair], excess: int, kept_kind: str) -> retention.Decision:
        """What of the oldest unsettled records should go; deletes nothing."""
        with _storage_errors():
            rows = self._rows().weigh(salvage.outside(unsettled, self._stuck), retention.WINDOW_ROWS, kept_kind)
            if self._birth.lane == Lane.ALARM:
                return retention.fold(rows, excess)
            return retention.thin(rows, excess, self._rows().last_but(kept_kind))

    def close(self) -> None:
        """Raises StorageError; the file is closed all the same."""
        with _storage_errors():
            db, self._db = self._db, None
            if db is not None:
                db.close()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> Content:
        self._leave()
        self._db = db = journal_open.connect(self._path)
        content = journal_open.load(db, self._birth, self._check_s, self._monotonic, self._carry)
        self._carried, self._stuck = _ALL, Ranges()
        db.set_wal_hook(self._on_wal)
        self._inode = self._path_inode()
        self._gone, self._last = content.gone, content.last
        self._mend_end(content)
        content.set_aside, self._aside = self._aside, None
        return content

    def _mend_end(self, content: Content) -> None:
        """Find the last record that can be trusted; nothing is appended behind a broken one."""
        broken = 0
        for record in self._rows().newest(_LOOK_BACK):
            if record is not None:
                break
            broken += 1
        else:
            if content.first:
                raise Damaged("no record at its end can be trusted")
            return
        if record.journal == content.segments[-1][1]:  # another journal begins a chain of its own
            content.last_digest = record.digest
        if broken:
            # The number of a broken row may be wrong too: count such rows, do not believe them.
            content.damaged_end = (record.sequence + 1, record.sequence + broken)
            self._last = content.last = record.sequence + broken
            if content.writable:
                with transaction(self._connection):
                    self._connection.execute("DELETE FROM record WHERE sequence > ?", (record.sequence,))

    def _carry(self, db: apsw.Connection) -> None:
        salvage.carry(db, journal_open.newest_aside(self._path), self._birth, self._carried, self._monotonic)

    def _set_aside(self) -> None:
        self._leave()
        with suppress(FileNotFoundError):  # gone altogether: then there is nothing to keep
            self._aside = journal_open.set_aside(self._path, self._tag())

    def _leave(self) -> None:
        with suppress(StorageError):  # it is left because it fails
            self.close()

    @property
    def _connection(self) -> apsw.Connection:
        if self._db is None:
            raise StorageError("the file is not open")
        return self._db

    def _rows(self, durable: int | None = None) -> Rows:
        last = self._last if durable is None else min(durable, self._last)
        return Rows(self._connection, self._birth.gateway, Lane(self._birth.lane), self._gone, last)

    def _path_inode(self) -> tuple[int, int]:
        status = os.stat(self._path)
        return status.st_dev, status.st_ino

    # -- writing -------------------------------------------------------------------------------------------------

    def _write(self, work: Work, expected: Expected) -> Outcome:
        reopened: Content | None = None
        hole: Pair | None = None
        there = expected.durable
        items: dict[Item, bytes | None] = {}
        if self._db is None or self._suspect or expected.anew or self._path_inode() != self._inode:
            self._suspect = True  # until all of this went well
            if expected.state is None:
                raise StorageError("the file has to be opened again")
            reopened = self._open()
            if not reopened.writable:
                raise StorageError(reopened.why)
            there = self._find_own(expected)
            self._believe(reopened, there)
            if reopened.last < expected.durable:
                hole = (reopened.last + 1, expected.durable)
            reopened.segments = join(reopened.segments, reopened.last, expected.segments)
            items = {**expected.state, ("own", "segments"): as_json(reopened.segments)}
        self._gone = self._append(work, there, items, hole)
        self._last = max(self._last, expected.durable, *(record.sequence for record in work.records[-1:]))
        self._suspect = False
        return Outcome(self._used_bytes(), reopened, hole)

    def _append(
        self, work: Work, there: int, items: Mapping[Item, bytes | None] | None = None, hole: Pair | None = None
    ) -> Ranges:
        """The transaction; returns what is gone when it is through. Rows beside a damaged page may stay where they are."""
        try:
            return self._transact(work, there, items, hole)
        except DAMAGE:
            if not work.drops:
                raise
        for drop in work.drops:
            for sequence in drop.delete:
                self._stuck.add(sequence, sequence)
        return self._transact(work, there, items, hole)

    def _transact(self, work: Work, there: int, items: Mapping[Item, bytes | None] | None, hole: Pair | None) -> Ranges:
        db = self._connection
        gone = self._gone.copy()
        items = {**(items or {}), **work.items}
        with transaction(db):
            db.executemany(INSERT, (as_row(record) for record in work.records if record.sequence > there))
            for drop in work.drops:
                for sequence in salvage.delete(db, [one for one in drop.delete if one not in self._stuck]):
                    self._stuck.add(sequence, sequence)
                for first, last in drop.gone:
                    gone.add(first, last)
            if hole:
                gone.add(*hole)
            if hole or work.drops:
                gone.coarsen(_GONE_RANGES)
                items["own", "gone"] = as_json(gone.pairs())
            for item, value in items.items():
                put(db, item, value)
        return gone

    def _find_own(self, expected: Expected) -> int:
        """The last sequence of ours that an earlier, failed write left in the file; `expected.durable` without any."""
        rows = self._connection.execute(
            "SELECT sequence, CAST(run AS BLOB) FROM record WHERE sequence > ?", (expected.durable,)
        ).fetchall()
        if any(run != expected.run.encode() for _, run in rows):
            raise StorageError("the file holds later records of another run")
        return max([expected.durable, *(int(str(sequence)) for sequence, _ in rows)])

    def _believe(self, content: Content, there: int) -> None:
        """Of broken rows at the end only those count that were durable; the others are written again."""
        self._last = content.last = min(content.last, there)
        if content.damaged_end:
            first, last = content.damaged_end[0], min(content.damaged_end[1], there)
            content.damaged_end = (first, last) if first <= last else None

    def _on_wal(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _used_bytes(self) -> int:
        db = self._connection
        return (int(db.pragma("page_count")) - int(db.pragma("freelist_count"))) * int(db.pragma("page_size"))
