"""What the daemon keeps beside the site file while sites change, in order, on a journal's thread: a slow disk is not waited for
on the loop. What the files mean is `gateway.last_good`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway import last_good
from gateway.store.worker import Worker

T = TypeVar("T")


class Shelf:
    def __init__(self, path: Path, disk: Worker) -> None:
        self._path, self._disk = path, disk

    async def begin(self) -> str:
        """The file runs: its copy is staged, and kept at once where nothing is yet. Its digest."""

        def begin() -> str:
            last_good.stage(self._path)
            if not last_good.is_kept(self._path):
                last_good.keep(self._path)
                last_good.stage(self._path)
            return last_good.digest(last_good.staged(self._path))

        return await self.do(begin)

    async def digest(self, path: Path) -> str:
        return await self.do(partial(last_good.digest, path))

    async def hold(self, digest: str, *, fallback: bool) -> bool | None:
        """The site that runs is kept, the one of `digest` staged and doubted. None: the file is another one meanwhile; false:
        nothing can be kept here, so that a start during the trial would take the new one."""

        def hold() -> bool | None:
            if not fallback and last_good.staged(self._path).exists():
                last_good.keep(self._path)
            last_good.stage(self._path)
            if last_good.digest(last_good.staged(self._path)) not in (digest, ""):
                last_good.drop(self._path)
                return None
            return bool(digest) and last_good.is_kept(self._path) and last_good.doubt(self._path, digest)

        return await self.do(hold)

    async def prove(self) -> None:
        """What is staged has proved itself."""
        await self._each(last_good.keep, last_good.believe)

    async def same(self) -> None:
        """What runs is what the file says, were it in other words."""
        await self._each(last_good.stage, last_good.keep, last_good.believe)

    async def undo(self) -> None:
        """What is staged has not proved itself: it stays doubted."""
        await self._each(last_good.drop)

    async def forget(self) -> None:
        """What is staged never ran."""
        await self._each(last_good.drop, last_good.believe)

    async def _each(self, *steps: Callable[[Path], None]) -> None:
        def each() -> None:
            for step in steps:
                step(self._path)

        await self.do(each)

    async def do(self, call: Callable[[], T]) -> T:
        """Anything that touches the disk."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def told(result: T) -> None:
            if not done.done():
                done.set_result(result)

        def run() -> None:
            result = call()
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(told, result)

        self._disk.submit(run)
        return await done
