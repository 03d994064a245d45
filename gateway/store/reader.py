"""Reading a lane on the loop: backlog and live are one path; a disk that does not answer is said, not waited for.

The newest records are in memory (`tail`); older ones come through the lane's thread. What the file cannot give is
handed to `account`, which counts and tells it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from gateway.errors import StorageError
from gateway.model import Lane, Record
from gateway.store.file import JournalFile
from gateway.store.ranges import Pair, Ranges
from gateway.store.rows import Verdict
from gateway.store.writer import Writer

T = TypeVar("T")

_WAIT_S = {Lane.ALARM: 1.0, Lane.TELEMETRY: 5.0}
_VERIFY_ROWS = 500


class Reader:
    """Reads what `writer` writes."""

    def __init__(
        self, lane: Lane, file: JournalFile, writer: Writer, account: Callable[[Iterable[Pair], str], None], early: bool
    ) -> None:
        """`early`: records told before they were durable are visible, too."""
        self._lane = lane
        self._file = file
        self._writer = writer
        self._account = account
        self.early = early
        self._hanging: asyncio.Future[Any] | None = None

    async def after(self, sequence: int, limit: int, limit_bytes: int) -> list[Record]:
        tail = self._writer.tail
        while sequence < tail.floor:
            try:
                page = await self._ask(partial(self._file.read, sequence, tail.durable, limit, limit_bytes))
            except StorageError:
                newer = self._in_memory(sequence)
                if self._lane is Lane.ALARM and newer:
                    return _cut(newer, limit, limit_bytes)
                raise
            for pair in page.broken:
                self._account([pair], "corrupt")
            if page.records:
                return page.records
            sequence = page.cursor
            if page.end:
                break
        return _cut(self._in_memory(sequence), limit, limit_bytes)

    async def unsettled(self, settled: Ranges, limit: int) -> list[Record]:
        floor = self._writer.tail.floor
        pairs = tuple(islice(settled.missing(1, floor), limit))
        stored: list[Record] = []
        newer = [record for record in self._in_memory(floor) if record.sequence not in settled]
        if pairs:
            try:
                stored = await self._ask(partial(self._file.listing, pairs, self._writer.tail.durable, limit))
            except StorageError:
                if self._lane is not Lane.ALARM or not newer:
                    raise
        return (stored + newer)[:limit]

    async def verify(self, after: int) -> int | None:
        durable = self._writer.tail.durable
        verdict = Verdict(None, after, None, end=False)
        while not verdict.end:
            question = partial(self._file.verify, verdict.cursor, durable, verdict.before, _VERIFY_ROWS)
            verdict = await self._writer.ask(question)
        return verdict.broken

    def _in_memory(self, after: int) -> list[Record]:
        return self._writer.tail.memory(after, early=self.early)

    async def _ask(self, question: Callable[[], T]) -> T:
        """The thread's answer in time; while an earlier question hangs, the answer is known."""
        if self._hanging and not self._hanging.done():
            raise StorageError("the disk does not answer")
        answer = self._writer.ask(question)
        done, _ = await asyncio.wait([answer], timeout=_WAIT_S[self._lane])
        if not done:
            self._hanging = answer
            raise StorageError("the disk does not answer")
        return answer.result()


def _cut(records: list[Record], limit: int, limit_bytes: int) -> list[Record]:
    size = 0
    for index, record in enumerate(records[:limit]):
        size += len(record.body)
        if index and size > limit_bytes:
            return records[:index]
    return records[:limit]
