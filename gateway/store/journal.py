"""One lane of the journal as the event loop sees it: commit, read after a cursor, settle. Nothing here waits for a disk.

Its parts, and which of them run on the lane's own thread: `gateway.store`.

Guarantees
* The order of the records is the order of the calls of `commit`: sequence, CRC and chain are given at once, in memory.
* Records and the state that belongs to them are one transaction.
* `then` is called exactly once a commit, on the loop: when it is on the disk, or with an error when it failed or took over
  `overdue_s`. In the latter case the records stay in a bounded tail and are tried again until they are on the disk, with
  their ids, in their order, once. A dead disk never silences an alarm (law 5).
* `after` gives records in order and never one that does not match its seal. What cannot be given is counted and told by a
  gap record.

Visible before they are durable are the records of the alarm lane (receipts name the full id, with its run), and those of a
journal that was begun in memory since its file could not be written at start, as long as it is not on a disk (until then no
later run can go on with it). Other telemetry is visible when durable: a receipt's position counts sequences, and a later
run gives those again that this run did not get onto the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gateway import retention
from gateway.clock import Clock
from gateway.errors import StorageError
from gateway.model import Draft, Lane, Record
from gateway.store.book import Book
from gateway.store.content import Birth, Content
from gateway.store.file import Drop, Expected, JournalFile, Outcome
from gateway.store.owed import Owed
from gateway.store.ranges import Pair
from gateway.store.reader import Reader
from gateway.store.room import Room
from gateway.store.settlement import Settlement
from gateway.store.tail import Batch, Tail, Then
from gateway.store.words import Counters, Opened
from gateway.store.worker import Worker
from gateway.store.writer import Writer
from gateway.wire import payloads

_GAP = {Lane.ALARM: payloads.EVENT_GAP, Lane.TELEMETRY: payloads.TELEMETRY_GAP}
_CHECKPOINT_PAGES = {Lane.ALARM: 256, Lane.TELEMETRY: 1000}
"""Smaller for alarms, so that none waits long behind a checkpoint."""
_OPEN_S = 10.0
_CLOSE_S = 5.0


class Journal:
    """One lane. All methods are called on the event loop."""

    def __init__(
        self,
        lane: Lane,
        path: Path,
        gateway: str,
        clock: Clock,
        worker: Worker,
        quota_bytes: int,
        random_hex: Callable[[int], str],
        *,
        overdue_s: float = 0.5,
        tail_bytes: int = 4 * 1024 * 1024,
        check_s: float = 5.0,
    ) -> None:
        """`random_hex(n)` gives 2n digits; `tail_bytes` bounds what waits for a failing disk; `check_s`: for quick_check."""
        self.lane = lane
        self._clock = clock
        self._worker = worker
        self._quota_bytes = quota_bytes
        self._overdue_s = overdue_s
        self._tail_bytes = tail_bytes
        birth = Birth(gateway, lane.value, random_hex(4), clock.boot)
        self._book = Book(birth, random_hex(4), clock)
        self._file = JournalFile(
            path,
            birth,
            lambda: random_hex(4),
            clock.monotonic,
            check_s=check_s,
            checkpoint_pages=_CHECKPOINT_PAGES[lane],
        )
        self._state: dict[str, bytes] = {}
        self._erased: set[str] = set()
        """Keys of the state deleted before the file was seen."""
        self._known = False
        """What is in the file has been seen."""
        self._set_aside: Path | None = None
        self._watchers: list[Callable[[], None]] = []
        self._closing = self._closed = False

    @property
    def journal(self) -> str:
        """Id of the journal that new records belong to."""
        return self._book.journal

    @property
    def journals(self) -> tuple[str, ...]:
        """Ids of all journals in this lane; receipts may name any of them."""
        return tuple(journal for _, journal in self._book.segments)

    @property
    def run(self) -> str:
        return self._book.run

    @property
    def settlement(self) -> Settlement:
        """What each uplink has settled."""
        return self._owed.settlement

    # -- opening and closing -------------------------------------------------------------------------------------

    async def open(self) -> Opened:
        """Call it once, first. Always ends with a lane that takes commits."""
        self._writer = self._make_writer(0)
        content: Content | None = None
        why = ""
        try:
            async with asyncio.timeout(_OPEN_S):
                content = await self._writer.ask(self._file.open)
        except (StorageError, TimeoutError) as error:
            why = str(error) or "the disk does not answer"
            self._book.begin_unseen()
        else:
            self._take_over(content)
            if not content.writable:
                why = content.why
                self._book.begin_behind()
        self._writer = self._make_writer(self._book.last)
        self._owed = Owed(self.lane, self._book, self._writer.tail, self._commit_gap, content)
        early = bool(why) or self.lane is Lane.ALARM
        self._reader = Reader(self.lane, self._file, self._writer, self._owed.account, early)
        self._room = Room(self._owed, self.lane, self._file, self._writer, self._quota_bytes, _GAP[self.lane])
        opened = self._opened(content, why)
        if why:
            self._writer.begin_failing(why)
            if self._book.last:
                self._owed.tell_gap((1, self._book.last), 0, "begun in memory")
        if content and content.damaged_end:
            self._owed.account([content.damaged_end], "corrupt")
        return opened

    def _make_writer(self, durable: int) -> Writer:
        tail = Tail(durable, self._tail_bytes)
        return Writer(self, self.lane, self._file, self._worker, self._clock, tail, self._overdue_s)

    def _take_over(self, content: Content) -> None:
        self._known = True
        self._book.go_on(content)
        self._state = content.state
        self._set_aside = content.set_aside

    def _opened(self, content: Content | None, why: str) -> Opened:
        return Opened(
            journal=self.journal,
            run=self.run,
            first=self._book.last + 1,
            durable=not why,
            why=why,
            set_aside=self._set_aside,
            previous_boot=content.previous_boot if content else "",
            checked=content is not None and content.checked,
            damaged_items=content.damaged_items if content else 0,
        )

    async def close(self) -> None:
        """Commit what waits and close the file, within 5 s; what a failing disk does not take is lost."""
        self._closing = True
        self._room.stop()
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.drain()
                await self._writer.ask(self._file.close)
        self._closed = True
        self._writer.stop()
        self._worker.close()

    # -- committing ----------------------------------------------------------------------------------------------

    def commit(
        self, drafts: Sequence[Draft], state: Mapping[str, bytes | None] | None = None, then: Then | None = None
    ) -> list[Record]:
        """One transaction: records of `drafts`, and `state` (None deletes a key). Does not wait; see `then` above."""
        if self._closed:
            raise RuntimeError("the journal is closed")
        return self._commit(drafts, state or {}, then, None)

    def _commit(
        self, drafts: Sequence[Draft], state: Mapping[str, bytes | None], then: Then | None, drop: Drop | None
    ) -> list[Record]:
        records = self._book.enter(drafts)
        for key, value in state.items():
            if value is None:
                self._state.pop(key, None)
                if not self._known:
                    self._erased.add(key)
            else:
                self._state[key] = value
        items = {("state", key): value for key, value in state.items()}
        at = self._clock.monotonic()
        self._writer.push(Batch(list(records), items, then, at, drop, told=not (records or then)))
        return records

    def state(self) -> dict[str, bytes]:
        """As found at open, kept current with every commit."""
        return dict(self._state)

    def expected(self, durable: int, *, with_state: bool) -> Expected:
        state = {("state", key): value for key, value in self._state.items()} if with_state else None
        return Expected(self.run, durable, tuple(self._book.segments), state, anew=not self._known)

    def landed(self, batches: list[Batch], outcome: Outcome) -> None:
        for batch in batches:
            if batch.drop:
                self._owed.forget(batch.drop.gone)
        if outcome.reopened:
            self._reopened(outcome.reopened, outcome.hole)
        self._owed.tell_lost()
        if not self._closing:
            self._room.make()

    def _reopened(self, content: Content, hole: Pair | None) -> None:
        """The file was opened again: the same one, one that could not be seen before, or a new one for a lost one."""
        self._book.segments = self.settlement.segments = content.segments
        self._reader.early = self.lane is Lane.ALARM
        self._set_aside = content.set_aside or self._set_aside
        if not self._known:
            self._known = True
            there = {key: value for key, value in content.state.items() if key not in self._erased}
            self._state = {**there, **self._state}
            self._owed.meet(content, hole)
        elif hole:
            self._owed.account([hole], "lost")
        if content.damaged_end:
            self._owed.account([content.damaged_end], "corrupt")
        self.settlement.touch()

    def lost(self, records: list[Record]) -> None:
        self._owed.lost(records)

    def _commit_gap(self, body: bytes, drop: Drop | None, then: Then | None) -> None:
        self._commit([Draft(_GAP[self.lane], self._clock.monotonic(), body)], {}, then, drop)

    # -- reading -------------------------------------------------------------------------------------------------

    async def after(self, sequence: int, limit: int, limit_bytes: int) -> list[Record]:
        """The next visible records beyond `sequence`, in order: at most `limit` and `limit_bytes` of bodies, but at least one.

        Raises StorageError when the disk cannot be read. In the alarm lane newer records that are in memory are given
        instead, if there are any; `unsettled` gives the skipped ones when the disk is back.
        """
        return await self._reader.after(sequence, limit, limit_bytes)

    async def unsettled(self, uplink: str, limit: int = 500) -> list[Record]:
        """The oldest visible records that `uplink` has not settled; raises StorageError as `after` does."""
        return await self._reader.unsettled(self._owed.settled(uplink), limit)

    async def verify(self, after: int = 0) -> int | None:
        """The first broken sequence beyond `after`: not as sealed, not linked, or missing unaccounted; None if all is sound.

        Looks at what is on the disk, in steps, so that commits go on meanwhile.
        """
        return await self._reader.verify(after)

    def on_visible(self, callback: Callable[[], None]) -> None:
        """`callback` is called on the loop whenever `after` may give more."""
        self._watchers.append(callback)

    def visible(self) -> None:
        for callback in self._watchers:
            asyncio.get_running_loop().call_soon(callback)

    # -- settling ------------------------------------------------------------------------------------------------

    def position(self, uplink: str) -> int:
        """Everything up to here is settled. A new uplink begins at the oldest record kept.

        It can go back once: when a file that could not be read at start is there again. Read on from it then.
        """
        return self._owed.settled(uplink).head()

    def settle(self, uplink: str, sequences: Iterable[int]) -> None:
        """One by one, in any order. Compare ids before: a sequence of an earlier run may be another record."""
        self._owed.settle(uplink, sequences)
        self._settled()

    def settle_to(self, uplink: str, sequence: int) -> None:
        """All of that sequence's journal up to it."""
        self._owed.settle_to(uplink, sequence)
        self._settled()

    def _settled(self) -> None:
        self._room.look_again()
        if self.settlement.dirty:
            self._writer.settle_soon()

    def keep_uplinks(self, names: Iterable[str]) -> None:
        """The uplinks there are; what others had not settled is not kept for them any longer."""
        for name in set(self.settlement.names()).difference(names):
            self.settlement.forget(name)
        self._settled()

    def backlog(self, uplink: str) -> int:
        """How many records `uplink` has not settled."""
        return self._owed.backlog(uplink)

    def counters(self) -> Counters:
        writer = self._writer
        return Counters(
            committed=writer.tally.committed,
            transactions=writer.tally.transactions,
            announced=writer.tally.announced,
            failures=writer.tally.failures,
            dropped=dict(self._owed.dropped),
            waiting=len(writer.tail.waiting),
            waiting_bytes=writer.tail.bytes,
            durable=writer.tail.durable,
            last=self._book.last,
            used_bytes=writer.used_bytes,
            quota_bytes=self._quota_bytes,
            # Looked at once a second, and what is unsettled takes a while to count: only where it can matter.
            nearly_full=retention.nearly_full(writer.used_bytes, 1.0, self._quota_bytes)
            and retention.nearly_full(writer.used_bytes, self._owed.share(), self._quota_bytes),
            failing_since=writer.failing_since,
            why=writer.why if writer.failing_since is not None else "",
            set_aside=self._set_aside,
        )
