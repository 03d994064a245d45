"""One MQTT 5 connection over TLS, on the event loop.

Guarantees
* TLS 1.3, both sides verified, the broker's name checked against its alternative names only; a private key that others
  can read is refused before it is loaded.
* A clean start for each connection: the journal alone decides what is sent again.
* Nothing blocks the loop: name look-up, TCP and TLS handshake run in a thread that nobody waits for at the end; of what
  a broker floods at most `READ_BYTES` are looked at before the loop may do something else.
* A packet larger than `INBOUND_BYTES`, or of QoS 2, ends the connection before memory is taken for it.
* Every PUBACK's reason code is handed on. What is published within one turn of the loop shares TLS records.

It decides nothing: what is sent, again, or settled is `gateway.link.outbox`'s. The packets are `gateway.wire.mqtt5`'s.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock, housekeeping
from gateway.errors import LinkError
from gateway.link import tls
from gateway.model import UplinkSpec
from gateway.wire import mqtt5
from gateway.wire.payloads import Message

INBOUND_BYTES = 64 * 1024
INBOUND_WINDOW = 20
INBOUND_WAITING = 1000
"""Messages received and not yet taken; further ones are dropped (a receipt comes again)."""
OUTBOUND_BYTES = 4 * 1024 * 1024
"""Written and not taken by the broker: far more than an uplink's window holds; only a flood of QoS 1 comes here."""
CONNECT_S = 5.0
"""For each of: TCP, TLS handshake, CONNACK with SUBACK."""
USER_TIMEOUT_MS = 10_000
READ_BYTES = 16 * 1024
RECORD_BYTES = 2 * 1024
"""Of a TLS record, about: what is in one is read when its last byte is there, a quarter of a second later at 64 kbit/s."""

_RETRY_LATER = frozenset({0x80, 0x83, 0x88, 0x89, 0x8E, 0x97, 0x9C, 0x9D, 0x9F})
"""CONNACK codes that a person cannot mend here: unspecified, busy, unavailable, quota, moved, rate."""
_AGAIN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


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
    session = _TlsSession(dial)
    try:
        await session.open()
    except BaseException:
        session.close()
        raise
    return session


class _TlsSession:
    """See `Session`."""

    def __init__(self, dial: Dial) -> None:
        self.tls = ""
        self.receive_maximum = mqtt5.RECEIVE_MAXIMUM
        self.maximum_packet_bytes = mqtt5.MAXIMUM_PACKET_BYTES
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._socket: ssl.SSLSocket | None = None
        """None before the handshake and after the end."""
        self._inbound = mqtt5.Inbound(INBOUND_BYTES)
        self._out = bytearray()
        self._flushing = self._blocked = False
        self._written = asyncio.Event()
        """`_out` is empty, or will never be."""
        self._mid = 0
        self._open: set[int] = set()
        """Packet ids without a PUBACK."""
        # One second less than asked for: with a tick of a second, an idle dead link is still noticed within 2 x keepalive.
        self._keepalive_s = max(1, dial.spec.keepalive_s - 1)
        self._sent_at = self._heard_at = self._loop.time()
        self._pinged_at: float | None = None
        self._tick_timer: asyncio.TimerHandle | None = None

    # Opening

    async def open(self) -> None:
        dialled: asyncio.Future[None] = self._loop.create_future()
        # A daemon thread, no executor: at the end of the program nobody waits for a name server that does not answer.
        threading.Thread(target=self._call, args=(dialled,), name=f"dial {self._dial.spec.id}", daemon=True).start()
        await dialled
        self._attach()
        dial = self._dial
        self._write(mqtt5.connect(dial.client_id, self._keepalive_s, dial.will, INBOUND_BYTES, INBOUND_WINDOW))
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._ready
        except TimeoutError as error:
            raise LinkError("the broker does not answer CONNECT or SUBSCRIBE") from error

    def _call(self, dialled: asyncio.Future[None]) -> None:
        """In the thread. Whatever happens, the loop is told; with the loop gone, the socket is closed here."""
        outcome: ssl.SSLSocket | LinkError = LinkError("dialling failed by a bug, see the log")
        try:
            outcome = _dialled(self._dial)
        except LinkError as error:
            outcome = error
        finally:
            try:
                self._loop.call_soon_threadsafe(self._told, dialled, outcome)
            except RuntimeError:  # the loop has ended meanwhile
                if isinstance(outcome, ssl.SSLSocket):
                    outcome.close()

    def _told(self, dialled: asyncio.Future[None], outcome: ssl.SSLSocket | LinkError) -> None:
        if isinstance(outcome, ssl.SSLSocket):
            if dialled.cancelled():
                outcome.close()
            else:
                self._socket = outcome
                dialled.set_result(None)
        elif not dialled.cancelled():
            dialled.set_exception(outcome)

    def _attach(self) -> None:
        sock = self._socket
        assert sock is not None, "by _told"
        sock.setblocking(False)
        self.tls = sock.version() or ""
        self._loop.add_reader(sock, self._readable)
        self._tick_timer = self._loop.call_at(housekeeping(self._loop.time()), self._tick)

    # Using

    def publish(self, message: Message, *, retain: bool = False) -> int:
        if self._socket is None:
            raise LinkError("cannot publish: there is no connection")
        mid = self._new_mid()
        self._write(mqtt5.publish(mid, message, retain=retain))
        return mid

    def take(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events

    async def leave(self) -> None:
        self._write(mqtt5.DISCONNECT)
        await self._written.wait()

    def close(self) -> None:
        self._detach()
        if not self._ready.done():
            self._ready.cancel()

    def _new_mid(self) -> int:
        while True:
            self._mid = self._mid % 65_535 + 1
            if self._mid not in self._open:
                self._open.add(self._mid)
                return self._mid

    # The wire

    def _write(self, data: bytes) -> None:
        """Goes out when the loop's turn ends, with what else is written in it."""
        self._out += data
        if not self._flushing:
            self._flushing = True
            self._written.clear()
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        try:
            while self._socket and self._out:
                sent = self._socket.send(self._out[:RECORD_BYTES])
                del self._out[:sent]
                self._sent_at = self._loop.time()
        except _AGAIN:
            self._block(True)
            return
        except OSError as error:
            self._readable()  # the broker's reason may be there
            self._lost(error)
        self._block(False)
        self._written.set()

    def _block(self, blocked: bool) -> None:
        """Whether it takes the socket to go on writing."""
        if self._socket and blocked != self._blocked:
            if blocked:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)
        self._blocked = blocked

    def _readable(self) -> None:
        taken = 0
        try:
            while self._socket and taken < READ_BYTES:
                data = self._socket.recv(READ_BYTES)
                taken += len(data)
                self._hear(data)
        except _AGAIN:
            return
        except mqtt5.ProtocolError as error:
            self._fail(LinkError(f"the broker sent {error}"))
        except OSError as error:
            self._lost(error)
        if self._socket:
            self._loop.call_soon(self._readable)  # what TLS has already taken from the socket wakes nobody

    def _hear(self, data: bytes) -> None:
        if not data:
            self._fail(LinkError("the broker closed the connection"))
            return
        self._heard_at, self._pinged_at = self._loop.time(), None
        for packet in self._inbound.feed(data):
            self._handle(packet)
            if self._socket is None:
                return
        if len(self._out) > OUTBOUND_BYTES:
            self._fail(LinkError("the broker sends and does not read"))

    def _tick(self) -> None:
        now = self._loop.time()
        if self._pinged_at is not None and now - self._pinged_at >= self._keepalive_s:
            self._fail(LinkError(f"no answer to a ping for {self._keepalive_s} s"))
            return
        if self._pinged_at is None and now - min(self._sent_at, self._heard_at) >= self._keepalive_s:
            self._pinged_at = now
            self._write(mqtt5.PINGREQ)
        self._tick_timer = self._loop.call_at(housekeeping(self._loop.time()), self._tick)

    # What the broker says

    def _handle(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.Taken(mid, code):
                if mid in self._open:
                    self._open.discard(mid)
                    self._tell(Acknowledged(mid, code))
            case mqtt5.Published(topic, body, retained, mid):
                if mid:
                    self._write(mqtt5.puback(mid))
                if len(self._events) < INBOUND_WAITING:
                    self._tell(Received(topic, body, retained))
            case mqtt5.Connected():
                self._connected(packet)
            case mqtt5.Subscribed(code):
                self._subscribed(code)
            case mqtt5.Disconnected(code):
                self._fail(LinkError(f"the broker closed the connection: {mqtt5.reason(code)}"))
            case mqtt5.Pong():
                pass  # that it was heard is all it says

    def _connected(self, told: mqtt5.Connected) -> None:
        if told.code:
            words = f"the broker refused: {mqtt5.reason(told.code)}"
            self._fail(LinkError(words, refused=told.code not in _RETRY_LATER))
            return
        self.receive_maximum, self.maximum_packet_bytes = told.receive_maximum, told.maximum_packet_bytes
        if told.keepalive_s:
            self._keepalive_s = min(self._keepalive_s, told.keepalive_s)
        if self._dial.subscribe:
            self._write(mqtt5.subscribe(self._new_mid(), self._dial.subscribe))
        else:
            self._set_ready()

    def _subscribed(self, code: int) -> None:
        if code >= 0x80:
            words = f"the broker does not let us read {self._dial.subscribe}: {mqtt5.reason(code)}"
            self._fail(LinkError(words, refused=True))
        else:
            self._open.clear()  # it was the only one
            self._set_ready()

    def _set_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._dial.wake()

    # The end

    def _lost(self, error: OSError) -> None:
        refused = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        words = f"TLS: {tls.words(error)}" if isinstance(error, ssl.SSLError) else str(error)
        self._fail(LinkError(words, refused=refused))

    def _fail(self, error: LinkError) -> None:
        if self._socket is None:
            return
        self._detach()
        if self._ready.done():
            self._tell(Closed(error))
        else:
            self._ready.set_exception(error)

    def _detach(self) -> None:
        self._written.set()
        if self._tick_timer:
            self._tick_timer.cancel()
        if self._socket:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None


def _dialled(dial: Dial) -> ssl.SSLSocket:
    """A verified connection; blocks. Raises `LinkError`."""
    spec = dial.spec
    trust = tls.trust(spec, dial.clock)
    try:
        plain = socket.create_connection((spec.host, spec.port), CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2)):
            plain.setsockopt(socket.IPPROTO_TCP, option, value)
        return trust.wrap(plain)
    except ssl.SSLError as error:
        refused = isinstance(error, ssl.SSLCertVerificationError)
        raise LinkError(f"TLS: {tls.words(error)}", refused=refused) from error
    except (OSError, ValueError) as error:
        raise LinkError(f"{spec.host}:{spec.port}: {error}") from error
