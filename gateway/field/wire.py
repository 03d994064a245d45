"""The line side of a bus: whose answer is it, when was the line silent for long enough, when is it lost.

Guarantees
* A reply is taken only for the request it answers. Before a request the line was silent for T3.5 and what lay in the
  buffer is thrown away and counted; bytes that must have begun before the request had left are older than it and
  thrown away too; after a time-out, or a reply that cannot be trusted, the line is drained until it was silent for
  max(reply time-out, 0.3 s); for another address the drain after a shortened, silent try ends at once, since the late
  answer bears its own (not where a reply's checksum is a mere sum). On a connection `Exchange.mine` and the order of
  bytes decide, and a stream that is out of step is closed; a serial server's (RTU over TCP) is a line and is drained like one. What comes later than the
  drain and looks alike cannot be told apart by any master.
* Each exchange ends once: with its frame, with `BusError`, or with the bug of the driver's own functions, which `within`
  takes. A line that is never silent is LINE_DOWN until it is. Buffers are bounded.
* Nothing waits: bytes and timers call in, silences are a precise timer, time-outs one lazy one.

It touches the world through the port, the clock and the timers that it is given, and knows neither loop nor thread: the
fault tests run it in virtual time. It opens nothing and knows no poll: that is `bus`.
"""

from __future__ import annotations

from collections.abc import Hashable

from drivers.contract import Exchange
from gateway.clock import Clock
from gateway.errors import BusError
from gateway.field.line import LONGEST_FRAME_BYTES, Drain, Inbox, Mute, Patience, Timing
from gateway.field.seams import Counters, Ends, Silences, State, Tells
from gateway.field.timer import Deadline
from gateway.field.twice import Twice
from gateway.model import BusKind, BusSpec, Quality

_GLITCH_BYTES = 2
"""Stray bytes between two requests that a transceiver makes by changing direction; more is somebody talking: drain."""
_DOZE_S = 0.003
"""A reply whose rest needs longer than this on the wire is not watched byte by byte."""
_CLOCKS = 0.9
"""Times on the wire are certain to this factor: a device's clock may be some percent fast."""


class Wire:
    """One line or connection, open or not. One exchange at a time."""

    def __init__(self, spec: BusSpec, clock: Clock, tells: Tells) -> None:
        self.spec = spec
        self.counters = Counters()
        self.state = State.CLOSED
        self.exchange: Exchange | None = None
        """The request that is out, or waits for silence."""
        self.asked_at = clock.monotonic()
        self._clock = clock
        self._tells = tells
        self._timing = Timing.of(spec)
        self._serial = spec.kind is BusKind.SERIAL
        self._drained = spec.speaks is BusKind.SERIAL
        """Whether what is not trusted is waited out; a connection with transaction ids is closed instead."""
        self._deadline = Deadline(clock, self._on_deadline)
        self._precise: Silences = self._deadline
        self._port: Ends | None = None
        self._listening = False
        self._inbox = Inbox()
        self._twice = Twice()
        self._patience = Patience(spec.reply_timeout_s, self._timing.quiet_s if self._drained else 0.0)
        self._drainage = Drain(self._timing.quiet_s)
        self._longest_s: float | None = None
        self._whom: Hashable = None
        self._free_at = 0.0  # no request before this
        self._drained_for: int | str | None = None
        """Whose late answer alone the line is drained for."""
        self._strays = 0
        self._mute = Mute()
        self._left_at = self._early_until = self._timeout_s = self._begun_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._port is not None

    @property
    def babbling(self) -> bool:
        return self._drainage.babbling

    @property
    def stale_frames(self) -> int:
        return self._inbox.dropped

    @property
    def noise_bytes(self) -> int:
        return self._inbox.noise_bytes

    def open(self, port: Ends, precise: Silences | None = None) -> None:
        """Use `port`; `precise` is for silences that the loop's own clock is too coarse for."""
        self._port = port
        self._precise = precise or self._deadline
        self.state = State.QUIET
        self._mute.heard()
        self.counters.openings += 1
        if self._drained:
            self._drain()  # a device may still be answering the process that was killed before us
        else:
            self._listen(True)

    def ask(self, exchange: Exchange, longest_s: float | None, whom: Hashable) -> None:
        """Send when the line allows it; `longest_s` shortens the reply time-out, as far as `Patience` allows."""
        self.exchange, self._longest_s, self._whom = exchange, longest_s, whom
        self._free_at = max(self._free_at, self._patience.free_at(exchange))
        if self.state is State.DRAINING and self._need_not_wait(exchange):
            self._end_drain()
        if self.state is State.QUIET:
            self._send()

    def _need_not_wait(self, exchange: Exchange) -> bool:
        """The drain is for another address, and the checksum would see that address's late answer in this one's reply: where
        it allows noise it is no mere sum."""
        return (
            self._drained_for is not None
            and exchange.noise_bytes > 0
            and exchange.address not in (None, self._drained_for)
        )

    def refuse(self) -> None:
        """The last reply was none: its driver says so."""
        self.counters.bad_frames += 1
        self._patience.heard_late(self._clock.monotonic())
        if self._drained:
            self._drain()

    def forget(self) -> None:
        """Nobody waits any more; the answer may still come."""
        self.exchange = None
        if self.state is State.ASKED:
            self._distrust("a poll was given up")

    def rest(self) -> None:
        """No exchange for a while."""
        self._deadline.rest()

    def close(self) -> None:
        if self._port is not None:
            self._shut("closed")
        self._deadline.close()

    # -- the port ------------------------------------------------------------------------------------------------------

    def _shut(self, why: str) -> None:
        port = self._port
        assert port is not None
        self._listen(False)
        self._tells.lost(why)
        port.close()
        self._port = None
        self.state = State.CLOSED
        self._drainage.babbling = False
        self._inbox.buffer.clear()
        self._deadline.clear()
        self.counters.losses += 1

    def _lost(self, why: str) -> None:
        self._shut(why)
        if self.exchange is not None:
            self._tells.failed(BusError(Quality.LINE_DOWN, why))

    def _listen(self, on: bool) -> None:
        assert self._port is not None
        if on is not self._listening:
            self._listening = on
            self._port.listen(self._on_readable if on else None)

    def _take(self, limit_bytes: int) -> bytes | None:
        """Everything that can be read now, up to `limit_bytes`; None when the port is lost, which was told."""
        assert self._port is not None
        taken = b""
        try:
            while len(taken) < limit_bytes and (data := self._port.read()):
                taken += data
        except OSError as error:
            self._lost(str(error))
            return None
        return taken

    def _distrust(self, why: str) -> None:
        """What comes next on the line has no owner."""
        self.state = State.QUIET
        self._deadline.clear()
        if self._drained:
            self._drain()
        else:
            self._shut(why)

    # -- the request ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Write the pending request, now or as soon as the line was silent for long enough."""
        exchange, port = self.exchange, self._port
        assert exchange is not None
        assert port is not None
        now = self._clock.monotonic()
        if now >= self._free_at:
            early = self._take(LONGEST_FRAME_BYTES)
            if early is None:
                return
            if early:
                self._stray(early, now)
                if self.state is not State.QUIET:
                    return
        if now < self._free_at:
            self._precise.set(self._free_at)
            return
        try:
            written = port.write(exchange.request)
        except OSError as error:
            self._lost(str(error))
            return
        if written < len(exchange.request):
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
        self._early_until = now + _CLOCKS * leaving_s if self._serial and not self.spec.echo else 0.0
        self._inbox.expect(exchange, self.spec.echo)
        self._strays = 0
        self._timeout_s = self._patience.timeout_s(exchange, self._longest_s, self._whom)
        self._patience.left(exchange, self._left_at)
        self.state = State.ASKED
        self._deadline.set(self._left_at + self._timeout_s + character_s)
        self._mute.asked(now)

    # -- the reply -----------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        with self._tells.within:
            if self._port is None:  # the poll was given up in this turn of the loop, and the connection with it
                return
            try:
                data = self._port.read()
            except OSError as error:
                self._lost(str(error))
                return
            if data:
                self._received(data, self._clock.monotonic())

    def _received(self, data: bytes, now: float) -> None:
        exchange = self.exchange
        if self.state is not State.ASKED or exchange is None:
            self._stray(data, now)
            return
        self._free_at = max(self._left_at, now) + self._timing.silence_s
        if not self._inbox.buffer and now - _CLOCKS * len(data) * self._timing.character_s < self._early_until:
            self.counters.early_bytes += len(data)
            self._patience.heard_late(now)
            self._unasked(data, now)
            return
        self._mute.heard()
        if not self._inbox.buffer:
            self._begun_at = now - len(data) * self._timing.character_s
        self._inbox.buffer += data
        try:
            taken = self._inbox.take(exchange)
        except BusError as error:
            self.counters.bad_frames += 1
            self._patience.spoilt(exchange, self._left_at, now)
            self._unasked(bytes(self._inbox.buffer), now)
            self._distrust(str(error))
            self._tells.failed(error)
            return
        if isinstance(taken, int):
            self._await_rest(taken, now)
        else:
            self._answered(exchange, taken, now)

    def _await_rest(self, length: int, now: float) -> None:
        """Allow the rest its time on the wire, and look again only when it can be there."""
        character_s = self._timing.character_s
        self._deadline.set(self._left_at + self._timeout_s + length * character_s)
        rest_s = self._begun_at + length * character_s - now  # by the first bytes: adapters hand over in blocks, late
        if self._serial and rest_s > _DOZE_S:
            self._listen(False)
            self._precise.set(now + 0.95 * rest_s - 0.0005)

    def _answered(self, exchange: Exchange, frame: bytes, now: float) -> None:
        self.counters.replies += 1
        self.state = State.QUIET
        self._deadline.clear()
        if exchange.settle_s:
            self._free_at = max(self._free_at, now + exchange.settle_s)
        if self._drained:
            self._twice.answered(exchange, now)
        buffer = self._inbox.buffer
        if self._drained and buffer:
            rest = bytes(buffer)
            buffer.clear()
            self._stray(rest, now)
        self._tells.answered(frame, now)

    # -- silence and time-outs -----------------------------------------------------------------------------------------

    def on_precise(self) -> None:
        """The precise timer's callback."""
        with self._tells.within:
            if self.state is State.ASKED:
                self._listen(True)
            elif self.state is State.QUIET and self.exchange is not None:
                self._send()

    def _on_deadline(self) -> None:
        with self._tells.within:
            if self.state is State.ASKED:
                self._overdue()
            elif self.state is State.DRAINING:
                self._go_on_draining()
            elif self.state is State.QUIET and self.exchange is not None:
                self._send()

    def _overdue(self) -> None:
        now = self._clock.monotonic()
        exchange = self.exchange
        assert exchange is not None
        data = self._take(LONGEST_FRAME_BYTES)  # a loop that was held up finds the reply here, in time
        if data is None:
            return
        if data:
            self._received(data, now)
            if self.state is not State.ASKED or self.exchange is not exchange:
                return
        self.counters.timeouts += 1
        self._twice.overdue(exchange, now)
        overdue = (
            BusError(Quality.BAD_FRAME, "the reply broke off")
            if self._inbox.buffer
            else BusError(Quality.NOT_RESPONDING, f"no reply within {self._timeout_s:.3g} s")
        )
        if self._mute.overdue(now) and not self._serial:
            self._shut(str(overdue))
        elif self._drained or exchange.mine is None:
            silent = not self._inbox.buffer
            if not silent:
                self._patience.heard_late(now)
            self._distrust(str(overdue))
            if self._serial and silent and self._patience.short:
                self._drained_for = exchange.address
        else:
            self.state = State.QUIET
        self._tells.failed(overdue)

    def _unasked(self, data: bytes, now: float) -> None:
        """Is it a second answer? Then the address has two devices."""
        address = self._twice.heard(data, now) if self._drained else None
        if address is not None:
            self.counters.second_answers += 1
            self._tells.twice(address)

    def _stray(self, data: bytes, now: float) -> None:
        """Bytes that nobody asked for."""
        self.counters.stray_bytes += len(data)
        self._unasked(data, now)
        self._free_at = max(self._free_at, now + self._timing.silence_s)
        if self._drained:
            self._strays += len(data)
            if self._strays > _GLITCH_BYTES:
                self._patience.heard_late(now)
                self._drain()
            return
        self._inbox.buffer += data  # half a frame of a stream is kept, else what follows is out of step
        if len(self._inbox.buffer) > LONGEST_FRAME_BYTES:
            self._lost("the other side talks without being asked")

    def _drain(self) -> None:
        """Throw away what comes until the line was silent; looked at in steps, so that a babbler costs little."""
        if self.state is not State.QUIET:
            return
        self.state = State.DRAINING
        self._drained_for = None
        self._listen(False)
        self._inbox.buffer.clear()
        self.counters.drains += 1
        self._deadline.set(self._drainage.begin(self._clock.monotonic()))

    def _go_on_draining(self) -> None:
        now = self._clock.monotonic()
        data = self._take(16 * LONGEST_FRAME_BYTES)
        if data is None:
            return
        self.counters.stray_bytes += len(data)
        if data:
            self._patience.heard_late(now)
            self._drained_for = None
        self._unasked(data, now)
        babbled = self._drainage.babbling
        next_look = self._drainage.look(now, bool(data))
        if next_look is None:
            self._end_drain()
            if self.exchange is not None:
                self._send()
            return
        self._deadline.set(next_look)
        if self._drainage.babbling and not babbled:
            self.counters.babbles += 1
            if self.exchange is not None:
                self._tells.failed(never_silent())

    def _end_drain(self) -> None:
        self._strays = 0
        self.state = State.QUIET
        self._deadline.clear()
        self._listen(True)


def never_silent() -> BusError:
    return BusError(Quality.LINE_DOWN, "the line is never silent")
