"""One serial line or one connection: drives a driver's poll over it. The only bytes in or out of the field, with `listener`.

Guarantees
* A reply is taken only for the request it answers. Before a request the line was silent for T3.5 and what lay in the
  buffer is thrown away and counted; bytes that must have begun before the request had left are older than it and
  thrown away too; after a time-out, or a reply that cannot be trusted, the line is drained until it was silent for
  max(reply time-out, 0.3 s). On a connection `Exchange.mine` and the order of bytes decide, and a stream that is out
  of step is closed. What comes later than the drain and looks alike cannot be told apart by any master.
* `perform` ends: with a scan, with `BusError`, or with the driver's own bug, which goes to whoever awaits it.
* A line that cannot be used is LINE_DOWN at once and for everyone, is opened again with growing pauses (lazily, by the
  next poll after the pause), and a line that is never silent is LINE_DOWN until it is. Buffers are bounded.
* Nothing here waits on the loop: the reader callback drives the poll, silences are a timerfd, time-outs one lazy timer.

It does not decide what to ask or when (`schedule`), and retries nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from enum import Enum
from types import TracebackType
from typing import Any

from drivers.contract import Exchange, Reply
from gateway.clock import Clock
from gateway.errors import BusError
from gateway.field.line import LONGEST_FRAME_BYTES, Drain, Inbox, Timing
from gateway.field.port import Opener, Port, take_all
from gateway.field.timer import Deadline, PreciseTimer
from gateway.model import BusKind, BusSpec, Quality, Scan

Poll = Generator[Exchange, Reply, Scan]

MOST_EXCHANGES = 256
"""A poll that asks more often than this never ends: a bug of its driver."""
_GLITCH_BYTES = 2
"""Stray bytes between two requests that a transceiver makes by changing direction; more is somebody talking: drain."""
_DOZE_S = 0.003
"""A reply whose rest needs longer than this on the wire is not watched byte by byte."""
_CLOCKS = 0.9
"""Times on the wire are certain to this factor: a device's clock may be some percent fast."""
_MUTE_S = 5.0
_MUTE_REQUESTS = 3
"""A connection on which this many requests over this time brought not one byte is opened anew (half-open)."""


class _State(Enum):
    CLOSED = "closed"
    QUIET = "quiet"
    """Open, no request out; a request may be waiting for the silence before it."""
    DRAINING = "draining"
    ASKED = "asked"


@dataclass(slots=True)
class Counters:
    requests: int = 0
    replies: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    stray_bytes: int = 0
    """Arrived while nobody had asked."""
    early_bytes: int = 0
    """Must have begun while the request was still leaving, so they cannot be its answer."""
    drains: int = 0
    babbles: int = 0
    openings: int = 0
    losses: int = 0


class Bus:
    """One line. `perform` is for one caller at a time; `close` ends it."""

    def __init__(self, spec: BusSpec, clock: Clock) -> None:
        self.spec = spec
        self.counters = Counters()
        self.asked_at = clock.monotonic()
        """When the last request went out: a poll of many exchanges is alive as long as it asks."""
        self._clock = clock
        self._timing = Timing.of(spec)
        self._serial = spec.kind is BusKind.SERIAL
        self._deadline = Deadline(clock, self._on_deadline)
        self._precise: PreciseTimer | None = None
        self._handover = _Handover(self)
        # the line
        self._opener = Opener(spec, clock)
        self._port: Port | None = None
        self._fd = -1
        self._listening = False
        self._state = _State.CLOSED
        self._inbox = Inbox()
        self._drainage = Drain(self._timing.quiet_s)
        self._free_at = 0.0  # no request before this
        self._strays = 0
        self._mute_since: float | None = None
        self._unheard = 0
        # the poll
        self._busy = False
        self._poll: Poll | None = None
        self._done: asyncio.Future[Scan] | None = None
        self._longest_s: float | None = None
        self._exchanges = 0
        self._exchange: Exchange | None = None  # the request that is out, or waits for silence
        self._left_at = self._early_until = self._timeout_s = 0.0

    async def perform(self, poll: Poll, longest_s: float | None = None) -> Scan:
        """Drive `poll` to its scan; `longest_s` shortens its reply time-outs. Raises BusError, or the driver's bug."""
        if self._busy:
            raise RuntimeError(f"two polls at a time on {self.spec.id}")
        self._busy = True
        try:
            if self._port is None:
                await self._open()
            if self._drainage.babbling:
                raise _never_silent()
            self._poll, self._longest_s, self._exchanges = poll, longest_s, 0
            done: asyncio.Future[Scan] = asyncio.get_running_loop().create_future()
            self._done = done
            self._resume(next, poll)
            return await done
        finally:
            self._busy = False
            self._done = self._poll = None
            if self._exchange is not None:  # cancelled, or a bug
                self._abandon()
            poll.close()

    def status(self) -> dict[str, object]:
        babbling = self._drainage.babbling
        up = self._port is not None and not babbling
        why = "" if up else str(_never_silent()) if babbling else self._opener.why
        stale = {"stale_frames": self._inbox.dropped}
        return {"up": up, "state": self._state.value, "why": why, **asdict(self.counters), **stale}

    def close(self) -> None:
        self._opener.close()
        if self._port is not None:
            self._shut("closed")
        if self._precise is not None:
            self._precise.close()
            self._precise = None
        self._deadline.close()

    # -- the port ------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self._serial and self._precise is None:
            self._precise = PreciseTimer(self._on_precise)
        port = await self._opener.get()
        self._port, self._fd = port, port.fd
        self._state = _State.QUIET
        self._mute_since = None
        self.counters.openings += 1
        if self._serial:
            self._drain()  # a device may still be answering the process that was killed before us
        else:
            self._listen(True)

    def _shut(self, why: str) -> None:
        """Close the port; the next poll opens it again."""
        assert self._port is not None
        self._listen(False)
        self._opener.lost(why)
        self._port.close()
        self._port, self._fd = None, -1
        self._state = _State.CLOSED
        self._drainage.babbling = False
        self._inbox.buffer.clear()
        self._deadline.clear()
        self.counters.losses += 1

    def _lost(self, why: str) -> None:
        self._shut(why)
        if self._exchange is not None:
            self._throw(BusError(Quality.LINE_DOWN, why))

    def _listen(self, on: bool) -> None:
        if on is self._listening:
            return
        self._listening = on
        loop = asyncio.get_running_loop()
        if on:
            loop.add_reader(self._fd, self._on_readable)
        else:
            loop.remove_reader(self._fd)

    # -- the poll ------------------------------------------------------------------------------------------------------

    def _resume(self, step: Callable[[Any], Exchange], what: object) -> None:
        """Let the driver go on, and begin what it asks next."""
        self._exchange = None
        done = self._done
        assert done is not None
        try:
            exchange = step(what)
        except StopIteration as end:
            done.set_result(end.value)
            return
        except BusError as error:
            if isinstance(what, Reply) and error.quality is Quality.BAD_FRAME:
                self.counters.bad_frames += 1
                if self._serial:
                    self._drain()
            done.set_exception(error)
            return
        self._exchanges += 1
        if self._exchanges > MOST_EXCHANGES:
            raise RuntimeError(f"a poll on {self.spec.id} asks without end")
        self._exchange = exchange
        if self._state is _State.QUIET:
            self._send()

    def _throw(self, error: BusError) -> None:
        """No reply: tell the driver, which gives up or asks something else."""
        poll, done = self._poll, self._done
        assert poll is not None
        assert done is not None
        self._resume(poll.throw, error)
        if self._exchange is not None and (self._port is None or self._drainage.babbling):
            self._exchange = None
            done.set_exception(error)

    def _abandon(self) -> None:
        """The poll was cancelled or its driver has a bug; its answer may still come."""
        self._exchange = None
        if self._state is _State.ASKED:
            self._distrust("a poll was given up")

    def _distrust(self, why: str) -> None:
        """What comes next on the line has no owner."""
        self._state = _State.QUIET
        self._deadline.clear()
        if self._serial:
            self._drain()
        else:
            self._shut(why)

    # -- the request ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Write the pending request, now or as soon as the line was silent for long enough."""
        exchange = self._exchange
        assert exchange is not None
        now = self._clock.monotonic()
        if now >= self._free_at:
            try:
                early = take_all(self._fd, LONGEST_FRAME_BYTES)
            except OSError as error:
                self._lost(str(error))
                return
            if early:
                self._stray(early, now)
                if self._state is not _State.QUIET:
                    return
        if now < self._free_at:
            if self._precise is not None:
                self._precise.set(self._free_at)
            else:
                self._deadline.set(self._free_at)
            return
        request = exchange.request
        try:
            written = os.write(self._fd, request)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._lost(str(error))
            return
        if written < len(request):
            self._lost("the port takes no more bytes")
            return
        self._asked(exchange, now)

    def _asked(self, exchange: Exchange, now: float) -> None:
        self.counters.requests += 1
        self.asked_at = now
        character_s = self._timing.character_s
        leaving_s = len(exchange.request) * character_s
        self._left_at = now + leaving_s
        self._free_at = self._left_at + self._timing.silence_s
        self._early_until = 0.0 if self.spec.echo else now + _CLOCKS * leaving_s
        self._inbox.expect(self.spec.echo)
        self._strays = 0
        timeout_s = self.spec.reply_timeout_s if exchange.timeout_s is None else exchange.timeout_s
        self._timeout_s = timeout_s if self._longest_s is None else min(timeout_s, self._longest_s)
        self._state = _State.ASKED
        self._deadline.set(self._left_at + self._timeout_s + character_s)
        if self._mute_since is None:
            self._mute_since, self._unheard = now, 0

    # -- the reply -----------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        with self._handover:
            try:
                data = os.read(self._fd, LONGEST_FRAME_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(str(error))
                return
            if data:
                self._received(data, self._clock.monotonic())
            else:
                self._lost("hang-up")

    def _received(self, data: bytes, now: float) -> None:
        exchange = self._exchange
        if self._state is not _State.ASKED or exchange is None:
            self._stray(data, now)
            return
        self._free_at = max(self._left_at, now) + self._timing.silence_s
        if not self._inbox.buffer and now - _CLOCKS * len(data) * self._timing.character_s < self._early_until:
            self.counters.early_bytes += len(data)
            return
        self._mute_since = None
        self._inbox.buffer += data
        try:
            taken = self._inbox.take(exchange)
        except BusError as error:
            self.counters.bad_frames += 1
            self._distrust(str(error))
            self._throw(error)
            return
        if isinstance(taken, int):
            self._await_rest(taken, now)
        else:
            self._answered(exchange, taken, now)

    def _await_rest(self, length: int, now: float) -> None:
        """Allow the rest its time on the wire, and look again only when it can be there."""
        character_s = self._timing.character_s
        self._deadline.set(self._left_at + self._timeout_s + length * character_s)
        rest_s = (length - len(self._inbox.buffer)) * character_s
        if self._precise is not None and rest_s > _DOZE_S:
            self._listen(False)
            self._precise.set(now + 0.95 * rest_s - 0.0005)

    def _answered(self, exchange: Exchange, frame: bytes, now: float) -> None:
        poll = self._poll
        assert poll is not None
        self.counters.replies += 1
        self._opener.works()
        self._state = _State.QUIET
        self._deadline.clear()
        if exchange.settle_s:
            self._free_at = max(self._free_at, now + exchange.settle_s)
        buffer = self._inbox.buffer
        if self._serial and buffer:
            rest = bytes(buffer)
            buffer.clear()
            self._stray(rest, now)
        self._resume(poll.send, Reply(frame, now))

    # -- silence and time-outs -----------------------------------------------------------------------------------------

    def _on_precise(self) -> None:
        with self._handover:
            if self._state is _State.ASKED:
                self._listen(True)
            elif self._state is _State.QUIET and self._exchange is not None:
                self._send()

    def _on_deadline(self) -> None:
        with self._handover:
            if self._state is _State.ASKED:
                self._overdue()
            elif self._state is _State.DRAINING:
                self._go_on_draining()
            elif self._state is _State.QUIET and self._exchange is not None:
                self._send()

    def _overdue(self) -> None:
        now = self._clock.monotonic()
        try:  # a loop that was held up finds the reply here, in time
            data = take_all(self._fd, LONGEST_FRAME_BYTES)
        except OSError as error:
            self._lost(str(error))
            return
        exchange = self._exchange
        if data:
            self._received(data, now)
            if self._state is not _State.ASKED or self._exchange is not exchange:
                return
        assert exchange is not None
        self.counters.timeouts += 1
        overdue = (
            BusError(Quality.BAD_FRAME, "the reply broke off")
            if self._inbox.buffer
            else BusError(Quality.NOT_RESPONDING, f"no reply within {self._timeout_s:.3g} s")
        )
        self._unheard += 1
        mute = self._mute_since is not None and self._unheard >= _MUTE_REQUESTS and now - self._mute_since >= _MUTE_S
        if self._serial or exchange.mine is None or mute:
            self._distrust(str(overdue))
        else:
            self._state = _State.QUIET
        self._throw(overdue)

    def _stray(self, data: bytes, now: float) -> None:
        """Bytes that nobody asked for."""
        self.counters.stray_bytes += len(data)
        self._free_at = max(self._free_at, now + self._timing.silence_s)
        if self._serial:
            self._strays += len(data)
            if self._strays > _GLITCH_BYTES:
                self._drain()
            return
        self._inbox.buffer += data  # half a frame of a stream is kept, else what follows is out of step
        if len(self._inbox.buffer) > LONGEST_FRAME_BYTES:
            self._lost("the other side talks without being asked")

    def _drain(self) -> None:
        """Throw away what comes until the line was silent; looked at in steps, so that a babbler costs little."""
        if self._state is not _State.QUIET:
            return
        self._state = _State.DRAINING
        self._listen(False)
        self._inbox.buffer.clear()
        self.counters.drains += 1
        self._deadline.set(self._drainage.begin(self._clock.monotonic()))

    def _go_on_draining(self) -> None:
        now = self._clock.monotonic()
        try:
            data = take_all(self._fd, 16 * LONGEST_FRAME_BYTES)
        except OSError as error:
            self._lost(str(error))
            return
        self.counters.stray_bytes += len(data)
        babbled = self._drainage.babbling
        next_look = self._drainage.look(now, bool(data))
        if next_look is None:
            self._strays = 0
            self._state = _State.QUIET
            self._listen(True)
            if self._exchange is not None:
                self._send()
            return
        self._deadline.set(next_look)
        if self._drainage.babbling and not babbled:
            self.counters.babbles += 1
            if self._exchange is not None:
                self._throw(_never_silent())


def _never_silent() -> BusError:
    return BusError(Quality.LINE_DOWN, "the line is never silent")


class _Handover:
    """What a driver raises inside a callback goes to whoever awaits the poll (and is guarded there), never to the loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __enter__(self) -> None:
        done = self._bus._done
        if done is not None and done.cancelled() and self._bus._exchange is not None:
            self._bus._abandon()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        done = self._bus._done
        if not isinstance(error, Exception) or done is None or done.done():
            return False
        done.set_exception(error)
        self._bus._abandon()
        return True
