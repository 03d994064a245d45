"""What a bus knows about its line without touching it: times, the bytes that came in, the silence that is waited for. Pure.

* `Timing`: what the line's settings make of time.
* `Inbox`: cuts the reply to the request that is out from what arrived, and drops what was there before the request.
* `Patience`: how long who is waited for.
* `Mute`: whether a connection is dead though nobody said so.
* `Drain`: when a line on which nothing can be trusted has been silent for long enough, or never will be.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from drivers.contract import Exchange
from gateway.errors import BusError
from gateway.model import BusKind, BusSpec, Quality

LONGEST_FRAME_BYTES = 4096
_SHORTEST_QUIET_S = 0.3
_SHORTEST_BABBLE_S = 2.0
_DRAIN_STEP_S = 0.02
_BABBLE_STEP_S = 0.1
_CHARACTER_BITS = 11
_FAST_BAUD = 19200
_FAST_SILENCE_S = 0.00175
_DOUBTS = 3
_NONE = (b"", 0.0, 0.0)
_MUTE_S = 5.0
_MUTE_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """All zero but `quiet_s` for a connection."""

    character_s: float
    silence_s: float
    """T3.5, between the last byte on the line and our next request."""
    quiet_s: float
    """How long the line must be silent after a time-out or a reply that cannot be trusted (reliability.md, rule 7)."""

    @classmethod
    def of(cls, spec: BusSpec) -> Timing:
        """T3.5 counts characters of 11 bits as the standard does (Modbus over serial line V1.02, 2.5.1.1), also on 8N1
        lines: slaves built on FreeMODBUS, the most common stack, wait for that long before they take a frame as ended."""
        quiet_s = max(spec.reply_timeout_s, _SHORTEST_QUIET_S)
        if spec.speaks is not BusKind.SERIAL:
            return cls(0.0, 0.0, quiet_s)
        bits = 9 + (spec.parity != "N") + spec.stop_bits
        silence_s = _FAST_SILENCE_S if spec.baud > _FAST_BAUD else 3.5 * _CHARACTER_BITS / spec.baud
        return cls(bits / spec.baud, silence_s, quiet_s)


class Inbox:
    """The bytes that arrived since the last reply; at most `LONGEST_FRAME_BYTES` of them are kept by `take`."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.dropped = 0
        """Whole frames that answered nothing, or an earlier request."""
        self.noise_bytes = 0
        """Thrown away before replies (`Exchange.noise_bytes`)."""
        self._noise_left = 0
        self._older = 0
        self._echo_due = False

    def expect(self, exchange: Exchange, echo: bool) -> None:
        """Its request goes out: what is here now is older than it."""
        self._noise_left = exchange.noise_bytes
        self._older = len(self.buffer)
        self._echo_due = echo

    def take(self, exchange: Exchange) -> bytes | int:
        """The reply to `exchange`, or how long it will be as far as is known. Raises BusError if it can become none."""
        buffer = self.buffer
        if self._echo_due:
            own = exchange.request[: len(buffer)]
            if not buffer.startswith(own):
                raise BusError(Quality.BAD_FRAME, "the echo differs from the request")
            if len(own) < len(exchange.request):
                return 1
            self._echo_due = False
            del buffer[: len(own)]
        while buffer:
            try:
                length = exchange.framing(buffer)
            except BusError:
                if not self._noise_left:
                    raise
                self._noise_left -= 1
                self.noise_bytes += 1
                del buffer[0]
                continue
            if not 0 < length <= LONGEST_FRAME_BYTES:
                raise BusError(Quality.BAD_FRAME, f"a frame of {length} bytes")
            if len(buffer) < length:
                return length
            frame = bytes(buffer[:length])
            del buffer[:length]
            older, self._older = self._older > 0, max(0, self._older - length)
            if not older and (exchange.mine is None or exchange.mine(frame)):
                return frame
            self.dropped += 1
        return 1


class Patience:
    """How long an answer is waited for. Tries of a silent device are shortened, as long as an answer that comes too late for
    that is heard in the drain after them: then the device may have become slow, and its next try gets the whole time-out.
    If that was in vain, or where a late answer goes unheard (on a connection, or beyond the drain), each fourth try gets it.

    What is not waited for may still come. It can be taken for the answer to another request to the same address only: such a
    request is therefore held back for as long as the whole time-out and its drain would have taken, the same one until the
    drain after the shortened try is over; and so on, since the same one may get the answer to the one before, and the next its own.
    Other addresses need not wait even for that drain; what comes late between them costs one of them a bad frame at most, and
    is heard.

    `whom` is what is tried: a group of a device, not an address, at which another group may answer meanwhile, and which a
    connection's exchanges do not have."""

    def __init__(self, whole_s: float, heard_s: float) -> None:
        """`heard_s`: for how long the line is listened to after a time-out."""
        self._whole_s = whole_s
        self._heard_s = heard_s
        self._doubts: dict[Hashable, int] = {}
        """Shortened tries that may have missed an answer, since the last whole one."""
        self._awaited: dict[Hashable, float] = {}
        """Whose last time-out was shortened, and until when its answer may come."""
        self._whom: Hashable = None
        """Whose request is out."""
        self._short_s: float | None = None
        """The time-out of the request that is out, if it was shortened."""
        self._late: dict[int | str | None, tuple[bytes, float, float]] = {}
        """What was asked at an address with a shortened time-out, until when its answer may come, and until when it is
        drained for."""

    def timeout_s(self, exchange: Exchange, longest_s: float | None, whom: Hashable) -> float:
        """For a request that goes out now."""
        whole_s = self._whole(exchange)
        self._whom, self._short_s = whom, None
        self._awaited.pop(whom, None)
        if longest_s is None or longest_s >= whole_s:
            self._doubts.pop(whom, None)
            return whole_s
        if self._doubts.get(whom, 0) >= _DOUBTS:
            self._doubts[whom] = 0
            return whole_s
        self._short_s = longest_s
        if whole_s > longest_s + self._heard_s:
            self._doubts[whom] = self._doubts.get(whom, 0) + 1
        return longest_s

    def left(self, exchange: Exchange, at: float) -> None:
        """The request that was asked about last is on its way, whole at `at`."""
        again = bool(self._late) and at < self._late.get(exchange.address, _NONE)[1]
        if not self._heard_s or (self._short_s is None and not again):
            return
        until, drained = at + self._whole(exchange) + self._heard_s, at
        if self._short_s is not None:
            self._awaited[self._whom] = until
            drained += self._short_s + self._heard_s
        self._late[exchange.address] = exchange.request, until, drained

    def free_at(self, exchange: Exchange) -> float:
        """No earlier, lest an answer to another request be taken for this one's. One without an address may be anybody's."""
        late = self._late.values() if exchange.address is None else (self._late.get(exchange.address, _NONE),)
        return max((drained if request == exchange.request else until for request, until, drained in late), default=0.0)

    @property
    def short(self) -> bool:
        """The time-out of the request that is out was shortened."""
        return self._short_s is not None

    def _whole(self, exchange: Exchange) -> float:
        return self._whole_s if exchange.timeout_s is None else exchange.timeout_s

    def heard_late(self, now: float) -> None:
        """Bytes came that nobody waited for, or that are no answer. They may be of each that was not waited for long enough:
        were it only the last of them, a slow device would never be heard where a dead one is always tried after it."""
        for whom, until in self._awaited.items():
            if now <= until:
                self._doubts[whom] = self._doubts.get(whom, _DOUBTS) + 1
        self._awaited.clear()

    def spoilt(self, exchange: Exchange, at: float, now: float) -> None:
        """Something else came for the request that was on its way at `at`: where it may be somebody's late answer, the answer to
        this one is late from here on, too."""
        self.heard_late(now)
        if self._heard_s and any(until > now for _, until, _ in self._late.values()):
            self._late[exchange.address] = exchange.request, at + self._whole(exchange) + self._heard_s, now


class Mute:
    """A connection on which some requests over some seconds brought not one byte is opened anew (half-open)."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._requests = 0

    def asked(self, now: float) -> None:
        if self._since is None:
            self._since, self._requests = now, 0

    def heard(self) -> None:
        self._since = None

    def overdue(self, now: float) -> bool:
        """Another request had no answer: is it dead?"""
        self._requests += 1
        return self._since is not None and self._requests >= _MUTE_REQUESTS and now - self._since >= _MUTE_S


class Drain:
    """Waits for `quiet_s` without a byte. The line is looked at in steps, so that a babbler costs little."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._babble_s = max(4 * quiet_s, _SHORTEST_BABBLE_S)
        self._since = self._quiet_since = 0.0
        self.babbling = False
        """The line was not silent for far too long; true until it is."""

    def begin(self, now: float) -> float:
        """When to look at the line for the first time."""
        self._since = self._quiet_since = now
        return now + _DRAIN_STEP_S

    def look(self, now: float, heard: bool) -> float | None:
        """When to look again, or None: the line is quiet. `heard`: something came since the last look."""
        if heard:
            self._quiet_since = now
        quiet_at = self._quiet_since + self._quiet_s
        if now >= quiet_at:
            self.babbling = False
            return None
        self.babbling = self.babbling or now - self._since > self._babble_s
        return min(quiet_at, now + (_BABBLE_STEP_S if self.babbling else _DRAIN_STEP_S))
