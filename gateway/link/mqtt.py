"""One MQTT 5 connection over TLS: paho, driven by the event loop.

Guarantees
* TLS 1.3, both sides verified, the broker's name checked against its alternative names only; a private key that others
  can read is refused before it is loaded.
* A fresh client and a clean start for each connection: the journal alone decides what is sent again.
* Nothing blocks the loop: name look-up, TCP and TLS handshake run in a thread that nobody waits for at the end.
* A packet larger than `tls.INBOUND_BYTES`, or of QoS 2, ends the connection before memory is taken for it.
* Every PUBACK's reason code is handed on.

It decides nothing: what is sent, again, or settled is `gateway.link.uplink`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.link import tls
from gateway.model import UplinkSpec
from gateway.wire.payloads import Message

INBOUND_WAITING = 1000
"""Messages received and not yet taken; further ones are dropped (a receipt comes again)."""
CONNECT_S = 5.0
"""For each of: TCP, TLS handshake, CONNACK with SUBACK."""
USER_TIMEOUT_MS = 10_000
TICK_S = 1.0
READS = 8
"""Rounds of reading before the loop may do something else."""

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
    session = _PahoSession(dial)
    try:
        await session.open()
    except BaseException:
        session.close()
        raise
    return session


class _PahoSession:
    """See `Session`. Until `_attach` the client belongs to the dialling thread, afterwards to the loop."""

    def __init__(self, dial: Dial) -> None:
        self.tls = ""
        self.receive_maximum = 65_535
        self.maximum_packet_bytes = 268_435_455
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._closed = asyncio.Event()
        self._attached = False
        self._context: tls.Context | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._client = self._make_client()

    def _make_client(self) -> Client:
        dial = self._dial
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=dial.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(0)  # the window is the uplink's
        described = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]  # paho has no types here
        described.ContentType = dial.will.content_type
        client.will_set(dial.will.topic, dial.will.body, qos=1, retain=True, properties=described)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    # Opening

    async def open(self) -> None:
        dialled: asyncio.Future[None] = self._loop.create_future()
        # A daemon thread, no executor: at the end of the program nobody waits for a name server that does not answer.
        threading.Thread(target=self._call, args=(dialled,), name=f"dial {self._dial.spec.id}", daemon=True).start()
        await dialled
        self._attach()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._ready
        except TimeoutError as error:
            raise LinkError("the broker does not answer CONNECT or SUBSCRIBE") from error

    def _call(self, dialled: asyncio.Future[None]) -> None:
        """In the thread. Whatever happens, the loop is told; with the loop gone, the socket is closed here."""
        error: LinkError | None = LinkError("dialling failed by a bug, see the log")
        try:
            self._dial_out()
            error = None
        except LinkError as failure:
            error = failure
        except ssl.SSLError as failure:
            error = LinkError(f"TLS: {tls.words(failure)}", refused=isinstance(failure, ssl.SSLCertVerificationError))
        except (OSError, ValueError) as failure:
            error = LinkError(f"{self._dial.spec.host}:{self._dial.spec.port}: {failure}")
        finally:
            try:
                self._loop.call_soon_threadsafe(self._dialled, dialled, error)
            except RuntimeError:  # the loop has ended meanwhile
                self._close_socket()

    def _dial_out(self) -> None:
        spec = self._dial.spec
        self._context = context = tls.context(spec, self._dial.clock)
        self._client.tls_set_context(context)
        wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        wanted.MaximumPacketSize = tls.INBOUND_BYTES
        wanted.ReceiveMaximum = 20
        wanted.SessionExpiryInterval = 0
        # One second less than asked for: with a tick of a second, an idle dead link is still noticed within 2 x keepalive.
        self._client.connect(spec.host, spec.port, max(1, spec.keepalive_s - 1), clean_start=True, properties=wanted)

    def _dialled(self, dialled: asyncio.Future[None], error: LinkError | None) -> None:
        if dialled.cancelled() or error:
            self._close_socket()
        if not dialled.cancelled():
            dialled.set_exception(error) if error else dialled.set_result(None)

    def _attach(self) -> None:
        """From here on the loop drives the client. CONNECT is waiting to be written."""
        sock = self._client.socket()
        if not isinstance(sock, tls.Socket):
            raise LinkError("the connection was lost while it was opened")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.tls = sock.version() or ""
        self._attached = True
        self._loop.add_reader(sock, self._readable)
        self._loop.add_writer(sock, self._client.loop_write)
        self._tick()

    # Using

    def publish(self, message: Message, *, retain: bool = False) -> int:
        packed: Any = _Packed(message)
        info = self._client.publish(message.topic, message.body, 1, retain, packed)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(f"cannot publish: {info.rc.name}")
        return info.mid

    def take(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events

    async def leave(self) -> None:
        self._client.disconnect()
        if self._client.socket():
            await self._closed.wait()

    def close(self) -> None:
        if self._tick_timer:
            self._tick_timer.cancel()
        if not self._ready.done():
            self._ready.cancel()
        self._attached = False
        sock = self._client.socket()
        if sock and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._close_socket()

    def _close_socket(self) -> None:
        if self._context and self._context.opened:
            self._context.opened.close()

    # Driving paho

    def _readable(self) -> None:
        for _ in range(READS):
            self._client.loop_read()
            sock = self._client.socket()
            if not (isinstance(sock, tls.Socket) and self._attached and sock.pending()):
                return
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._attached:
            self._readable()

    def _tick(self) -> None:
        self._client.loop_misc()
        if self._attached:
            self._tick_timer = self._loop.call_later(TICK_S, self._tick)

    def _on_register_write(self, client: Client, userdata: Any, sock: Any) -> None:
        if self._attached:
            self._loop.add_writer(sock, client.loop_write)

    def _on_unregister_write(self, client: Client, userdata: Any, sock: Any) -> None:
        if self._attached:
            self._loop.remove_writer(sock)

    def _on_socket_close(self, client: Client, userdata: Any, sock: Any) -> None:
        if self._attached:
            self._attached = False
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    # What paho tells

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._dial.wake()

    def _on_connect(self, client: Client, userdata: Any, flags: Any, code: ReasonCode, told: Properties | None) -> None:
        if code.is_failure:
            self._fail(LinkError(f"the broker refused: {code}", refused=code.value not in _RETRY_LATER))
            return
        self.receive_maximum = getattr(told, "ReceiveMaximum", self.receive_maximum)
        self.maximum_packet_bytes = getattr(told, "MaximumPacketSize", self.maximum_packet_bytes)
        if self._dial.subscribe:
            options = SubscribeOptions(
                qos=1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND
            )
            client.subscribe(self._dial.subscribe, options=options)
        else:
            self._set_ready()

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, codes: list[ReasonCode], told: Properties | None
    ) -> None:
        if any(code.is_failure for code in codes) or not codes:
            self._fail(LinkError(f"the broker does not let us read {self._dial.subscribe}: {codes}", refused=True))
        else:
            self._set_ready()

    def _set_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_publish(self, client: Client, userdata: Any, mid: int, code: ReasonCode, told: Properties | None) -> None:
        self._tell(Acknowledged(mid, code.value))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        topic = ""
        with contextlib.suppress(UnicodeDecodeError):
            topic = message.topic
        if len(self._events) < INBOUND_WAITING:
            self._tell(Received(topic, bytes(message.payload), message.retain))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: Any, code: ReasonCode, told: Properties | None
    ) -> None:
        failure = self._context.opened.failure if self._context and self._context.opened else None
        refused = isinstance(failure, ssl.SSLError) and "ALERT" in (failure.reason or "")
        if isinstance(failure, ssl.SSLError):
            words = f"TLS: {tls.words(failure)}"
        else:
            words = str(failure or (code if flags.is_disconnect_packet_from_server else "the connection was lost"))
        self._fail(LinkError(words, refused=refused))

    def _fail(self, error: LinkError) -> None:
        self._closed.set()
        if self._ready.done():
            self._tell(Closed(error))
        else:
            self._ready.set_exception(error)


class _Packed:
    """Content type and user properties of a PUBLISH, encoded here: paho only calls `pack`, and its own `Properties`
    takes 150 us for what takes 10 (a third of a record's whole way)."""

    __slots__ = ("_bytes",)

    def __init__(self, message: Message) -> None:
        parts = [b"\x03", *_text(message.content_type)]
        for name, value in message.properties:
            parts += (b"\x26", *_text(name), *_text(value))
        body = b"".join(parts)
        self._bytes = _variable(len(body)) + body

    def pack(self) -> bytes:
        return self._bytes


def _text(text: str) -> tuple[bytes, bytes]:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big"), encoded


def _variable(number: int) -> bytes:
    """Variable byte integer, MQTT 5, 1.5.5."""
    encoded = bytearray()
    while number >= 128:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
