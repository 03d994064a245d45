"""Reads a lane ahead of what is sent, so that who sends never waits for the disk.

Guarantees
* At most one read of a lane in order, and one of a single record, is under way; a read that hangs delays nobody else.
* Records come in order, from the cursor given to `restart`; what was being read for an older cursor is forgotten.
* A read that fails is tried again after `FAILED_S`, and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from gateway.errors import StorageError
from gateway.model import Draft, Record

AHEAD = 64
AHEAD_BYTES = 256 * 1024
FAILED_S = 1.0


class Source(Protocol):
    """What is read: a `gateway.store.journal.Lane`."""

    async def after(self, sequence: int, limit: int, limit_bytes: int) -> list[Record]: ...
    def on_visible(self, callback: Callable[[], None]) -> None: ...


class Store(Source, Protocol):
    """What an uplink needs of a lane besides reading."""

    def position(self, uplink: str) -> int: ...
    def backlog(self, uplink: str) -> int: ...
    def settle(self, uplink: str, sequences: Iterable[int]) -> None: ...
    def settle_to(self, uplink: str, sequence: int) -> None: ...
    def state(self) -> Mapping[str, bytes]: ...
    def commit(self, drafts: Sequence[Draft], state: Mapping[str, bytes | None]) -> object: ...


class Feed:
    """One uplink's reading of one lane."""

    def __init__(self, lane: Source, wake: Callable[[], None]) -> None:
        """`wake` is called on the loop when a `pump` may find something new."""
        self.failed = 0
        self.unread = False
        """Nothing came (or failed) since `restart`."""
        self.buffer: deque[Record] = deque()
        self._lane = lane
        self._wake = wake
        self._cursor = 0
        self._more = False
        self._not_before = 0.0
        self._ahead: asyncio.Task[list[Record]] | None = None
        self._stale = False
        self._single: asyncio.Task[list[Record]] | None = None
        self._wanted = 0
        lane.on_visible(self._visible)

    def restart(self, cursor: int) -> None:
        """Read on after this sequence, whatever was read before."""
        self.buffer.clear()
        self.unread = True
        self._cursor, self._more, self._stale = cursor, True, self._ahead is not None

    def pump(self, now: float) -> None:
        """Take what was read, and begin the next read when there is room."""
        if self._ahead and self._ahead.done():
            records = self._result(self._ahead, now)
            self._ahead = None
            self.unread = self.unread and self._stale
            if records and not self._stale:
                self.buffer.extend(records)
                self._cursor = records[-1].sequence
            self._more = self._more or self._stale or records is None or bool(records)
            self._stale = False
        if self._more and not self._ahead and len(self.buffer) < AHEAD // 2 and now >= self._not_before:
            self._more = False
            self._ahead = self._read(self._cursor, AHEAD)

    def single(self, sequence: int, now: float) -> Record | bool:
        """One record by its number; True while it is being read, False when the journal does not have it (any more)."""
        if self._single is None:
            if now >= self._not_before:
                self._wanted, self._single = sequence, self._read(sequence - 1, 1)
            return True
        if not self._single.done():
            return True
        records = self._result(self._single, now)
        self._single = None
        if records is None or self._wanted != sequence:
            return True
        return records[0] if records and records[0].sequence == sequence else False

    @property
    def idle(self) -> bool:
        """All that is visible came up."""
        return not (self.buffer or self._ahead or self._more)

    def later(self) -> float | None:
        """When a failed read is tried again."""
        return self._not_before or None

    def close(self) -> None:
        for task in (self._ahead, self._single):
            if task:
                task.cancel()
        self._ahead = self._single = None

    def _visible(self) -> None:
        self._more = True
        self._wake()

    def _read(self, cursor: int, limit: int) -> asyncio.Task[list[Record]]:
        task = asyncio.ensure_future(self._lane.after(cursor, limit, AHEAD_BYTES))
        task.add_done_callback(lambda _: self._wake())
        return task

    def _result(self, task: asyncio.Task[list[Record]], now: float) -> list[Record] | None:
        """None when the disk failed; anything else that is raised is a bug and goes up."""
        try:
            records = task.result()
        except StorageError:
            self.failed += 1
            self._not_before = now + FAILED_S
            return None
        self._not_before = 0.0
        return records
