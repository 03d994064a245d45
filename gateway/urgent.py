"""What goes before everything else on a line: the exchanges of the guard room's outputs.

Guarantees
* An urgent exchange waits for the exchange that is running, with its drain, and for those that were urgent before it; not for
  the rest of a poll, nor for the polls that are due.
* Each is a `perform` of its own, so that the bus drains the line after a reply that it cannot trust. A poll that is
  interrupted goes on with the very exchange that it was about to make.

How often something is urgent is the asker's to bound. It cannot call back what was sent: a device that has just died holds
the line for its time-out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from drivers.contract import Exchange, Reply
from gateway.errors import BusError
from gateway.model import Scan

T = TypeVar("T")


class Asks(Protocol):
    """A bus, real or simulated."""

    @property
    def begun_at(self) -> float:
        """When the first request of the last poll that was answered went out: before it the line may have been drained."""

    async def perform(
        self, poll: Generator[Exchange, Reply, T], longest_s: float | None = None, whom: Hashable = None
    ) -> T: ...
    def rest(self) -> None:
        """No `perform` for a while: wake nobody for what was."""

    def status(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class _Paused:
    """A poll that lets what is urgent go before its next exchange."""

    exchange: Exchange


class Urgent:
    """The queue of one line."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Generator[Exchange, Reply, bool], asyncio.Future[bool]]] = deque()
        self._used = False
        """Something was urgent once: only then polls are looked into."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, poll: Generator[Exchange, Reply, bool]) -> asyncio.Future[bool]:
        """Gets what `poll` returns, False after a bug, or its BusError."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._used = True
        self._waiting.append((poll, done))
        return done

    async def serve(self, perform: Callable[[Generator[Exchange, Reply, bool]], Awaitable[bool | None]]) -> None:
        """All that waits; `perform` gives None after a bug."""
        while self._waiting:
            poll, done = self._waiting.popleft()
            try:
                result = await perform(poll)
            except BusError as error:
                if not done.done():
                    done.set_exception(error)
                await asyncio.sleep(0)  # a line that is down says so without waiting
            else:
                if not done.done():
                    done.set_result(result is True)
            finally:
                done.cancel()  # this task was cancelled; else nothing

    async def between(
        self,
        bus: Asks,
        poll: Generator[Exchange, Reply, Scan],
        longest_s: float | None,
        whom: Hashable,
        serve: Callable[[], Awaitable[None]],
    ) -> Scan:
        """Perform `poll` on `bus`; `serve` whenever something urgent has come, between two of its exchanges."""
        if not self._used:
            return await bus.perform(poll, longest_s, whom)
        try:
            result = await bus.perform(self._part(poll, None), longest_s, whom)
            while isinstance(result, _Paused):
                await serve()
                result = await bus.perform(self._part(poll, result.exchange), longest_s, whom)
        finally:
            poll.close()
        return result

    def _part(
        self, poll: Generator[Exchange, Reply, Scan], exchange: Exchange | None
    ) -> Generator[Exchange, Reply, Scan | _Paused]:
        """The poll from `exchange` (None: its first) to its end, or to where something urgent has come."""
        try:
            asked = next(poll) if exchange is None else exchange
            while True:
                try:
                    reply = yield asked
                except BusError as error:
                    asked = poll.throw(error)
                else:
                    asked = poll.send(reply)
                if self._waiting:
                    return _Paused(asked)
        except StopIteration as end:
            scan: Scan = end.value
            return scan
