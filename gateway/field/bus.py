"""One serial line or one connection, as the poller sees it: drives a driver's poll over a `wire`, opens its port again.

Guarantees
* `perform` ends: with a scan, with `BusError`, or with the driver's own bug, which goes to whoever awaits it.
* A line that cannot be used is LINE_DOWN at once and for everyone, and is opened again with growing pauses, lazily: by
  the next poll after the pause.
* Nothing here waits on the loop: the reader callback drives the poll.

Whose answer it is and when the line may be used is the `wire`'s; what to ask, and when, is decided by `schedule`. It
retries nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Hashable
from dataclasses import asdict
from types import TracebackType
from typing import Any, TypeVar

from drivers.contract import Exchange, Reply
from gateway.clock import Clock
from gateway.errors import BusError
from gateway.field.port import Opener, open_port
from gateway.field.seams import Counters, Ends, Silences, Tells
from gateway.field.timer import PreciseTimer
from gateway.field.wire import Wire, never_silent
from gateway.model import BusKind, BusSpec, Quality

T = TypeVar("T")

MOST_EXCHANGES = 256
"""A poll that asks more often than this never ends: a bug of its driver."""


class Bus:
    """One line. `perform` is for one caller at a time; `close` ends it."""

    def __init__(
        self,
        spec: BusSpec,
        clock: Clock,
        opened: Callable[[BusSpec], Coroutine[Any, Any, Ends]] = open_port,
        precise: Callable[[Callable[[], None]], Silences] = PreciseTimer,
    ) -> None:
        """`opened` and `precise` are the seam at which a simulation puts its own line and time."""
        self.spec = spec
        self._opener = Opener(spec, clock, opened)
        self._timer = precise
        self._wire = Wire(
            spec,
            clock,
            Tells(
                self._answered, self._failed, self._opener.lost, _Handover(self), lambda address: self.twice(address)
            ),
        )
        self.twice: Callable[[int | str], None] = lambda address: None
        """Told of an address for which a second device answers."""
        self._precise: Silences | None = None
        self._modes: tuple[str, ...] = ()
        self._busy = False
        self._poll: Generator[Exchange, Reply, Any] | None = None
        self._done: asyncio.Future[Any] | None = None
        self._longest_s: float | None = None
        self._whom: Hashable = None
        self._exchanges = 0
        self.begun_at = clock.monotonic()
        """When the first request of the last poll that was answered went out: before it the line may have been drained."""

    @property
    def counters(self) -> Counters:
        return self._wire.counters

    @property
    def asked_at(self) -> float:
        """When the last request went out: a poll of many exchanges is alive as long as it asks."""
        return self._wire.asked_at

    async def perform(
        self, poll: Generator[Exchange, Reply, T], longest_s: float | None = None, whom: Hashable = None
    ) -> T:
        """Drive `poll` to what it returns, a scan for the poller; `longest_s` shortens its reply time-outs, those of `whom`.
        Raises BusError, or the driver's bug."""
        if self._busy:
            raise RuntimeError(f"two polls at a time on {self.spec.id}")
        self._busy = True
        try:
            if not self._wire.is_open:
                await self._open()
            if self._wire.babbling:
                raise never_silent()
            self._poll, self._longest_s, self._whom, self._exchanges = poll, longest_s, whom, 0
            done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._done = done
            self._resume(next, poll)
            return await done
        finally:
            self._busy = False
            self._done = self._poll = None
            if self._wire.exchange is not None:  # cancelled, or a bug
                self._wire.forget()
            poll.close()

    def rest(self) -> None:
        """Nothing is due for a while: the time-out of what was answered wakes nobody."""
        self._wire.rest()

    def status(self) -> dict[str, object]:
        wire = self._wire
        up = wire.is_open and not wire.babbling
        why = "" if up else str(never_silent()) if wire.babbling else self._opener.why
        return {
            "up": up,
            "state": wire.state.value,
            "why": why,
            **asdict(wire.counters),
            "modes": list(self._modes),
            "stale_frames": wire.stale_frames,
            "noise_bytes": wire.noise_bytes,
        }

    def close(self) -> None:
        self._opener.close()
        self._wire.close()
        if self._precise is not None:
            self._precise.close()
            self._precise = None

    async def _open(self) -> None:
        if self.spec.kind is BusKind.SERIAL and self._precise is None:
            self._precise = self._timer(self._wire.on_precise)
        port = await self._opener.get()
        self._modes = port.modes
        self._wire.open(port, self._precise)

    def _resume(self, step: Callable[[Any], Exchange], what: object) -> None:
        """Let the driver go on, and begin what it asks next."""
        wire, done = self._wire, self._done
        wire.exchange = None
        assert done is not None
        try:
            exchange = step(what)
        except StopIteration as end:
            done.set_result(end.value)
            return
        except BusError as error:
            if isinstance(what, Reply) and error.quality is Quality.BAD_FRAME:
                wire.refuse()
            done.set_exception(error)
            return
        self._exchanges += 1
        if self._exchanges > MOST_EXCHANGES:
            raise RuntimeError(f"a poll on {self.spec.id} asks without end")
        wire.ask(exchange, self._longest_s, self._whom)

    def _answered(self, frame: bytes, at: float) -> None:
        assert self._poll is not None
        self._opener.works()
        if self._exchanges == 1:
            self.begun_at = self._wire.asked_at
        self._resume(self._poll.send, Reply(frame, at))

    def _failed(self, error: BusError) -> None:
        """No reply: tell the driver, which gives up or asks something else."""
        poll, done, wire = self._poll, self._done, self._wire
        assert poll is not None
        assert done is not None
        self._resume(poll.throw, error)
        if wire.exchange is not None and (not wire.is_open or wire.babbling):
            wire.exchange = None
            done.set_exception(error)


class _Handover:
    """What a driver raises inside a callback goes to whoever awaits the poll (and is guarded there), never to the loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __enter__(self) -> None:
        done = self._bus._done
        if done is not None and done.cancelled() and self._bus._wire.exchange is not None:
            self._bus._wire.forget()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        done = self._bus._done
        if not isinstance(error, Exception) or done is None or done.done():
            return False
        done.set_exception(error)
        self._bus._wire.forget()
        return True
