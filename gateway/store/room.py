"""Keeping a lane within its quota, chunk by chunk, with commits between; `retention` decides what goes.

Settled records are deleted without a word. Unsettled ones go in one transaction with the gap record that tells it. When a
whole look at the lane yields nothing (only different alarms are left), the lane may grow beyond its quota: it is
looked at again when it grew by a part of it, or when something was settled.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from gateway import retention
from gateway.errors import StorageError
from gateway.model import Lane
from gateway.store.file import Drop, JournalFile
from gateway.store.owed import Owed
from gateway.store.ranges import Ranges
from gateway.store.writer import Writer, give


class Room:
    """One lane's room on the disk."""

    def __init__(self, owed: Owed, lane: Lane, file: JournalFile, writer: Writer, quota_bytes: int, gap: str) -> None:
        """`gap`: the kind of gap records, which never give way."""
        self._owed = owed
        self._lane = lane
        self._file = file
        self._writer = writer
        self._quota_bytes = quota_bytes
        self._gap = gap
        self._task: asyncio.Task[None] | None = None
        self._cursor = 0
        """Where the next look begins."""
        self._made = False
        """This pass over the lane made some room."""
        self._stuck_bytes = 0

    @property
    def making(self) -> bool:
        return self._task is not None

    def make(self) -> None:
        """Begin, if the lane is over its quota and it is not going on already."""
        if self._task is None and self._excess_bytes():
            self._task = asyncio.get_running_loop().create_task(self._make())
            self._task.add_done_callback(self._done)

    def look_again(self) -> None:
        """Something was settled: there may be room to make."""
        self._stuck_bytes = 0

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()  # a bug shows in the loop's handler

    def _excess_bytes(self) -> int:
        used = self._writer.used_bytes
        if used <= self._stuck_bytes + self._quota_bytes // 64:
            return 0
        return retention.excess_bytes(used, self._quota_bytes)

    async def _make(self) -> None:
        with suppress(StorageError):  # the next commit shows whether the disk works, and begins anew
            while excess := self._excess_bytes():
                settled = tuple(self._owed.settlement.by_all().within(1, self._writer.tail.durable))
                going, self._writer.used_bytes = await self._writer.ask(partial(self._file.prune, settled, excess))
                self._owed.forget(((one, one) for one in going), "settled")
                if not going and not await self._give_way(excess):
                    break

    async def _give_way(self, excess: int) -> bool:
        """Drop some of the unsettled; whether it is worth going on."""
        unsettled = tuple(self._owed.settlement.by_all().missing(self._cursor + 1, self._writer.tail.durable))
        decision = await self._writer.ask(partial(self._file.decide, unsettled, excess, self._gap))
        self._cursor = decision.cursor
        if decision.drop:
            self._made = True
            return await self._drop(decision)
        if self._cursor:
            return True
        if not self._made:
            self._stuck_bytes = self._writer.used_bytes
        made, self._made = self._made, False
        return made

    async def _drop(self, decision: retention.Decision) -> bool:
        gone = Ranges((one, one) for one in decision.drop).pairs()
        reason = "quota"
        if self._lane is Lane.ALARM:
            reason = f"repeats of {decision.subject}"
            self._owed.settlement.void(gone)
        told: asyncio.Future[StorageError | None] = asyncio.get_running_loop().create_future()
        self._owed.tell_gap(
            (decision.drop[0], decision.drop[-1]),
            len(decision.drop),
            reason,
            Drop(decision.drop, gone),
            lambda _, error: give(told, error),
        )
        return await told is None
