"""The tasks of a running gateway, by name: what of a site runs for ever, and what is done once.

Guarantees
* Each is kept alive by the guard (`gateway.restart`). Those that see the fire (buses, the watchdog's feeder) take the process
  with them when they fall too often; the others are tried for ever.
* `stop` returns when the task has ended; `dismiss` at once, and what starts in its place can wait for it.

All are children of one task group: nothing outlives the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.clock import Clock
from gateway.restart import LIMIT, Guard

Run = Callable[[], Coroutine[Any, Any, None]]


class Crew:
    def __init__(self, group: asyncio.TaskGroup, guard: Guard, clock: Clock) -> None:
        self._group, self._guard, self._clock = group, guard, clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Run, after: asyncio.Task[None] | None = None) -> None:
        """For ever. `after`: one that has to end before."""
        vital = name.startswith("bus ") or name == "health"
        kept = self._guard.keep(name, run, self._clock, limit=LIMIT if vital else None)
        self._tasks[name] = self._group.create_task(_after(after, kept), name=name)

    def once(self, name: str, run: Run) -> None:
        """Something that ends; a bug of it is told and goes no further."""

        async def guarded() -> None:
            await self._guard.wait(name, run())

        self._tasks[name] = self._group.create_task(guarded(), name=name)

    def dismiss(self, name: str) -> asyncio.Task[None] | None:
        """It ends soon; None: there is no such task."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            for part in (name, name.replace("bus ", "listen ")):
                self._guard.faults.pop(part, None)  # what is gone is not broken
        return task

    async def stop(self, names: list[str]) -> None:
        ending = [task for name in names if (task := self.dismiss(name)) is not None]
        if ending:
            await asyncio.wait(ending)

    def end(self, which: Callable[[str], bool] = lambda name: True) -> None:
        for name, task in self._tasks.items():
            if which(name):
                task.cancel()


async def _after(before: asyncio.Task[None] | None, then: Awaitable[None]) -> None:
    if before is not None:
        await asyncio.wait((before,))
    await then
