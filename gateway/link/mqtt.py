"""One MQTT 5 connection over TLS, on the event loop.

Guarantees
* A clean start for each connection: the journal alone decides what is sent again.
* A packet larger than `INBOUND_BYTES`, or of QoS 2, ends the connection before memory is taken for it.
* Every PUBACK's reason code is handed on, once for each packet that was published.
* An idle link that is dead is noticed within twice the keepalive.

It decides nothing: what is sent, again, or settled is `gateway.link.outbox`'s. The packets are `gateway.wire.mqtt5`'s, the
bytes `gateway.link.stream`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock, housekeeping
from gateway.errors import LinkError
from gateway.link.stream import Stream
from gateway.model import UplinkSpec
from gateway.wire import mqtt5
from gateway.wire.payloads import Message

INBOUND_BYTES = 64 * 1024
INBOUND_WINDOW = 20
INBOUND_WAITING = 1000
"""Messages received and not yet taken; further ones are dropped (a receipt comes again). Before the subscription, when nobody
takes them, `INBOUND_WINDOW`."""
ANSWER_S = 5.0
"""For CONNACK with SUBACK."""

_RETRY_LATER = frozenset({0x80, 0x83, 0x88, 0x89, 0x8E, 0x97, 0x9C, 0x9D, 0x9F})
"""CONNACK codes that a person cannot mend here: unspecified, busy, unavailable, quota, moved, rate."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A PUBACK; `code` is its reason code."""

    mid: int
    code: int


@dataclass(frozen=True, slots=True)
class Received:
    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of a session."""

    error: LinkError


Event = Acknowledged | Received | Closed


@dataclass(frozen=True, slots=True)
class Dial:
    """All that a connection needs."""

    spec: UplinkSpec
    client_id: str
    will: Message
    subscribe: str
    """Topic filter; empty for none."""
    wake: Callable[[], None]
    """Called on the loop when there are events to take."""
    clock: Clock
    """By which certificates are judged where the machine's own is behind (`gateway.link.tls`)."""


class Session(Protocol):
    """An open connection."""

    tls: str
    receive_maximum: int
    maximum_packet_bytes: int

    def publish(self, message: Message, *, retain: bool = False) -> int:
        """Queue at QoS 1; the packet id that `Acknowledged` will name. Raises `LinkError`."""

    def take(self) -> list[Event]:
        """What happened since the last call."""

    async def leave(self) -> None:
        """Say good-bye (the will is not published then); returns when it was written."""

    def close(self) -> None:
        """At once, without good-bye; any number of times."""


Connect = Callable[[Dial], Awaitable[Session]]
"""The broker seam. Returns once subscribed; raises `LinkError`."""


async def connect(dial: Dial) -> Session:
    """Over TCP and TLS, to the broker that `dial.spec` names."""
    session = _MqttSession(dial)
    try:
        await session.open()
    except BaseException:
        session.close()
        raise
    return session


class _MqttSession:
    """See `Session`."""

    def __init__(self, dial: Dial) -> None:
        self.tls = ""
        self.receive_maximum = mqtt5.RECEIVE_MAXIMUM
        self.maximum_packet_bytes = mqtt5.MAXIMUM_PACKET_BYTES
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._stream = Stream(self._hear, self._ended)
        self._inbound = mqtt5.Inbound(INBOUND_BYTES)
        self._mid = 0
        self._open: set[int] = set()
        """Packet ids without a PUBACK."""
        # One second less than told: with a tick of a second, the broker still hears us in time, and an idle dead link is
        # noticed within 2 x keepalive.
        self._keepalive_s = max(1, dial.spec.keepalive_s - 1)
        self._heard_at = self._loop.time()
        self._pinged_at: float | None = None
        self._tick_timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        dial = self._dial
        await self._stream.open(dial.spec, dial.clock)
        self.tls = self._stream.version
        self._heard_at = self._loop.time()
        self._tick()
        keepalive_s = dial.spec.keepalive_s
        self._stream.write(mqtt5.connect(dial.client_id, keepalive_s, dial.will, INBOUND_BYTES, INBOUND_WINDOW))
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._ready
        except TimeoutError as error:
            raise LinkError("the broker does not answer CONNECT or SUBSCRIBE") from error

    # Using

    def publish(self, message: Message, *, retain: bool = False) -> int:
        if not self._stream.alive:
            raise LinkError("cannot publish: there is no connection")
        mid = self._new_mid()
        self._stream.write(mqtt5.publish(mid, message, retain=retain))
        return mid

    def take(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events

    async def leave(self) -> None:
        self._stream.write(mqtt5.DISCONNECT)
        await self._stream.drained()

    def close(self) -> None:
        self._stream.close()
        if self._tick_timer:
            self._tick_timer.cancel()

    def _new_mid(self) -> int:
        while True:
            self._mid = self._mid % 65_535 + 1
            if self._mid not in self._open:
                self._open.add(self._mid)
                return self._mid

    def _tick(self) -> None:
        now = self._loop.time()
        if self._pinged_at is not None and now - self._pinged_at >= self._keepalive_s:
            self._stream.end(LinkError(f"no answer to a ping for {self._keepalive_s} s"))
            return
        if self._pinged_at is None and now - min(self._stream.sent_at, self._heard_at) >= self._keepalive_s:
            self._pinged_at = now
            self._stream.write(mqtt5.PINGREQ)
        self._tick_timer = self._loop.call_at(housekeeping(now), self._tick)

    # What the broker says

    def _hear(self, data: bytes) -> None:
        self._heard_at, self._pinged_at = self._loop.time(), None
        try:
            for packet in self._inbound.feed(data):
                self._handle(packet)
        except mqtt5.ProtocolError as error:
            raise LinkError(f"the broker sent {error}") from error

    def _handle(self, packet: mqtt5.Packet) -> None:
        """Raises `LinkError` where it ends the connection."""
        match packet:
            case mqtt5.Taken(mid, code):
                if mid in self._open:
                    self._open.discard(mid)
                    self._tell(Acknowledged(mid, code))
            case mqtt5.Published(topic, body, retained, mid):
                if mid:
                    self._stream.write(mqtt5.puback(mid))
                if len(self._events) < (INBOUND_WAITING if self._ready.done() else INBOUND_WINDOW):
                    self._tell(Received(topic, body, retained))
            case mqtt5.Connected() if not (self._ready.done() or self._open):
                self._connected(packet)
            case mqtt5.Subscribed(code) if self._open and not self._ready.done():  # it is SUBSCRIBE's id
                self._subscribed(code)
            case mqtt5.Disconnected(code):
                raise LinkError(f"the broker closed the connection: {mqtt5.reason(code)}")
            case mqtt5.Pong():
                pass  # that it was heard is all it says
            case _:  # each would take a packet id, or set one free that is in use
                raise LinkError("the broker sent an answer that was not asked for")

    def _connected(self, told: mqtt5.Connected) -> None:
        if told.code:
            words = f"the broker refused: {mqtt5.reason(told.code)}"
            raise LinkError(words, refused=told.code not in _RETRY_LATER)
        self.receive_maximum, self.maximum_packet_bytes = told.receive_maximum, told.maximum_packet_bytes
        if told.keepalive_s:
            self._keepalive_s = min(self._keepalive_s, max(1, told.keepalive_s - 1))
        if self._dial.subscribe:
            self._stream.write(mqtt5.subscribe(self._new_mid(), self._dial.subscribe))
        else:
            self._set_ready()

    def _subscribed(self, code: int) -> None:
        if code >= 0x80:
            words = f"the broker does not let us read {self._dial.subscribe}: {mqtt5.reason(code)}"
            raise LinkError(words, refused=True)
        self._open.clear()  # it was the only one
        self._set_ready()

    def _set_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._dial.wake()

    def _ended(self, error: LinkError) -> None:
        if self._tick_timer:
            self._tick_timer.cancel()
        if self._ready.done():
            self._tell(Closed(error))
        else:
            self._ready.set_exception(error)
