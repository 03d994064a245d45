"""How commits get onto the disk: one transaction in flight, told in time, tried again until they are there.

Guarantees
* Order of `push` is the order on the disk; what waits shares the next transaction.
* Each commit is told exactly once: when it is durable, or with an error when it failed, when it took over `overdue_s`, or
  at once while the disk is known to fail. Callbacks run in order, each on its own turn of the loop.
* A failed commit stays in the tail and is tried again, with back-off up to 2 s. One that is only slow is not written twice:
  nothing else is sent to the disk until it is known what became of it.

All of it runs on the loop; only the jobs given to the worker touch the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from gateway.clock import Clock, Timer
from gateway.errors import StorageError
from gateway.model import Lane, Record
from gateway.store.content import Item
from gateway.store.file import Expected, JournalFile, Outcome, Work
from gateway.store.settlement import Settlement
from gateway.store.tail import Batch, Tail
from gateway.store.worker import Worker

T = TypeVar("T")

SETTLE_S = 2.0
"""Settlements wait this long for a commit to share: longer than the second between two commits of telemetry, or each receipt
would cost a sync of its own. Losing them only repeats records."""
_BUG = StorageError("failed by a bug, see the log")
"""Told when a job raises anything else: its thread ends with it, but nobody may wait for ever for what it did."""
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_TROUBLE_S = 2.0


class Owner(Protocol):
    """What the writer asks and tells the journal it works for."""

    @property
    def settlement(self) -> Settlement: ...
    def expected(self, durable: int, *, with_state: bool) -> Expected: ...
    def landed(self, batches: list[Batch], outcome: Outcome) -> None:
        """These are on the disk; called before they are told."""

    def lost(self, records: list[Record]) -> None:
        """These left the bounded tail and will never be on the disk."""

    def visible(self) -> None:
        """`Tail.memory` may give more."""


@dataclass(slots=True)
class Tally:
    committed: int = 0
    transactions: int = 0
    announced: int = 0
    failures: int = 0


class Writer:
    """One lane's way to the disk."""

    def __init__(
        self, owner: Owner, lane: Lane, file: JournalFile, worker: Worker, clock: Clock, tail: Tail, overdue_s: float
    ) -> None:
        self._owner = owner
        self._lane = lane
        self._file = file
        self._worker = worker
        self._clock = clock
        self._overdue_s = overdue_s
        self._loop = asyncio.get_running_loop()
        self._flying = False
        self._troubled = False
        """The last checkpoint failed."""
        self._tries = 0
        self._retry: Timer | None = None
        self._overdue: Timer | None = None
        self._flush: Timer | None = None
        self._moved = asyncio.Event()
        self.tail = tail
        self.tally = Tally()
        self.used_bytes = 0
        self.failing_since: float | None = None
        self.why = ""

    # -- the disk's thread ---------------------------------------------------------------------------------------

    def ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        """Have the thread answer; StorageError comes out of the future."""
        answer: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            reply = partial(_refuse, answer, _BUG)
            try:
                reply = partial(give, answer, question())
            except StorageError as error:
                reply = partial(_refuse, answer, error)
            finally:
                self._post(reply)

        answer.add_done_callback(_seen)
        self._worker.submit(job)
        return answer

    def _post(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback)

    # -- commits -------------------------------------------------------------------------------------------------

    def push(self, batch: Batch) -> None:
        self.tail.push(batch)
        if self._retry:
            self._loop.call_soon(self._tell_waiting, StorageError(self.why))
        else:
            self._pump()
            self._watch()

    def settle_soon(self) -> None:
        """Write the settlements with the next commit, or after `SETTLE_S`."""
        if self._flush is None:
            self._flush = self._clock.call_at(self._clock.monotonic() + SETTLE_S, self._flush_now)

    def begin_failing(self, why: str) -> None:
        """The file could not be written when it was opened: work from memory, try again."""
        self._fail(StorageError(why))

    async def drain(self) -> None:
        """Until nothing waits, or the disk refuses."""
        if self._retry:
            self._try_again()
        failures = self.tally.failures
        while (self.tail.waiting or self._flying or self._owner.settlement.dirty) and failures == self.tally.failures:
            self._moved.clear()
            self._pump(forced=True)
            await self._moved.wait()

    def stop(self) -> None:
        for timer in (self._retry, self._overdue, self._flush):
            if timer:
                timer.cancel()

    def _flush_now(self) -> None:
        self._flush = None
        self._pump(forced=True)

    def _pump(self, *, forced: bool = False) -> None:
        """Send what waits to the disk, unless something is in flight or the disk rests after a failure."""
        if self._flying or self._retry or not (self.tail.waiting or forced):
            return
        failing = self.failing_since is not None
        # Whole after a failure: `expected.state` and what was settled early are no older than the last record told.
        work = self.tail.fly(whole=failing)
        if not failing or self._troubled:  # the log takes them, whatever becomes of the checkpoint
            self._settle(work)
        expected = self._owner.expected(self.tail.durable, with_state=failing)
        self._flying = True
        troubled = self._troubled

        def job() -> None:
            reply = partial(self._crashed, tuple(work.items), _BUG)
            try:
                reply = partial(self._landed, self._file.write(work, expected))
            except StorageError as error:
                reply = partial(self._crashed, tuple(work.items), error)
            finally:
                self._post(reply)
            trouble = self._file.checkpoint()  # after it was told: nobody waits for what takes several syncs
            if trouble or troubled:
                self._post(partial(self._checkpointed, trouble))

        self._worker.submit(job)

    def _settle(self, work: Work) -> None:
        """What was settled shares this transaction, and needs none of its own."""
        work.items.update(self._owner.settlement.take())
        if self._flush:
            self._flush.cancel()
            self._flush = None

    def _landed(self, outcome: Outcome) -> None:
        self._flying = False
        batches = self.tail.land()
        self.used_bytes = outcome.used_bytes
        self.tally.transactions += 1
        self.tally.committed += sum(len(batch.records) for batch in batches)
        self._tries = 0
        if not self._troubled:
            self.failing_since = None
        self._owner.landed(batches, outcome)
        for batch in batches:
            self._tell(batch, None)
        if self._owner.settlement.dirty:
            self.settle_soon()  # what a failed write had taken along
        self._owner.visible()
        self._pump()
        self._watch()
        self._moved.set()

    def _checkpointed(self, trouble: str) -> None:
        """After a commit that is on the disk; it fails as long as its checkpoint does."""
        self._troubled = bool(trouble)
        if trouble:
            self._note_failing(trouble)
            self._flush = self._flush or self._clock.call_at(self._clock.monotonic() + _TROUBLE_S, self._flush_now)
        elif not self._retry:
            self.failing_since = None

    def _crashed(self, items: tuple[Item, ...], error: StorageError) -> None:
        self._flying = False
        self.tail.crash()
        self._owner.settlement.failed(items)
        self._fail(error)

    def _fail(self, error: StorageError) -> None:
        self.tally.failures += 1
        self._note_failing(str(error))
        pause_s = _RETRY_S[min(self._tries, len(_RETRY_S) - 1)]
        self._tries += 1
        self._retry = self._clock.call_at(self._clock.monotonic() + pause_s, self._try_again)
        self._tell_waiting(error)
        self._moved.set()

    def _note_failing(self, why: str) -> None:
        self.why = why
        if self.failing_since is None:
            self.failing_since = self._clock.monotonic()

    def _try_again(self) -> None:
        if self._retry:
            self._retry.cancel()
        self._retry = None
        self._pump(forced=True)
        self._watch()

    # -- telling -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Wake when the oldest untold commit is overdue."""
        oldest = next(self.tail.untold(), None)
        if oldest and self._overdue is None:
            self._overdue = self._clock.call_at(oldest.at + self._overdue_s, self._check_overdue)

    def _check_overdue(self) -> None:
        self._overdue = None
        now = self._clock.monotonic()
        late = [batch for batch in self.tail.untold() if batch.at + self._overdue_s <= now]
        if late:
            error = StorageError(f"not on the disk after {self._overdue_s} s")
            self._note_failing(str(error))
            self._announce(late, error)
        self._watch()

    def _tell_waiting(self, error: StorageError) -> None:
        self._announce(list(self.tail.untold()), error)

    def _announce(self, batches: list[Batch], error: StorageError) -> None:
        for batch in batches:
            self.tally.announced += 1
            self._tell(batch, error)
        lost = self.tail.shrink(self._lane)
        if lost:
            self._owner.lost(lost)
        if batches:
            self._owner.visible()

    def _tell(self, batch: Batch, error: StorageError | None) -> None:
        call = batch.tell(error)
        if call:
            then, records, told = call
            self._loop.call_soon(then, records, told)


def give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _refuse(answer: asyncio.Future[T], error: StorageError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _seen(answer: asyncio.Future[T]) -> None:
    """Nobody may be left to look at an answer that came late."""
    if not answer.cancelled():
        answer.exception()
