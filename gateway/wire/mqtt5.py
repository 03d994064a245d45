"""MQTT 5 packets as far as an uplink needs them: what it sends as bytes, what a broker sends as packets. Pure.

Guarantees
* `Inbound.feed` gives whole packets in order, however their bytes were cut; a packet beyond the limit is refused by its
  header, before its body is there.
* Bytes that are no MQTT 5, or a packet that nobody asked for (QoS 2 among them), raise `ProtocolError`, and nothing else.
* A record's packet is built once and costs what its changing attributes cost: those that repeat are kept.

It holds no connection, knows no time and does not number packets: `gateway.link.mqtt` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from gateway.wire.payloads import Message

SUCCESS, NO_SUBSCRIBERS = 0x00, 0x10
"""Of a PUBACK: taken; taken, but nobody listens."""
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
RECEIVE_MAXIMUM = 65_535
MAXIMUM_PACKET_BYTES = 268_435_455
"""What a broker takes that does not say."""

REASONS = {
    0x80: "Unspecified error", 0x81: "Malformed packet", 0x82: "Protocol error", 0x83: "Implementation specific error",
    0x84: "Unsupported protocol version", 0x85: "Client identifier not valid", 0x86: "Bad user name or password",
    0x87: "Not authorized", 0x88: "Server unavailable", 0x89: "Server busy", 0x8A: "Banned", 0x8B: "Server shutting down",
    0x8C: "Bad authentication method", 0x8D: "Keep alive timeout", 0x8E: "Session taken over", 0x8F: "Topic filter invalid",
    0x90: "Topic name invalid", 0x93: "Receive maximum exceeded", 0x95: "Packet too large", 0x96: "Message rate too high",
    0x97: "Quota exceeded", 0x98: "Administrative action", 0x99: "Payload format invalid", 0x9A: "Retain not supported",
    0x9B: "QoS not supported", 0x9C: "Use another server", 0x9D: "Server moved", 0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
}  # fmt: skip
"""Those of section 2.4 that an uplink may be told."""


class ProtocolError(ValueError):
    """Not MQTT 5, or not asked for. Reaction: the session ends the connection."""


class Connected(NamedTuple):
    """CONNACK."""

    code: int
    receive_maximum: int
    maximum_packet_bytes: int
    keepalive_s: int | None
    """The broker's wish; None without one."""


class Subscribed(NamedTuple):
    """SUBACK."""

    code: int


class Taken(NamedTuple):
    """PUBACK."""

    mid: int
    code: int


class Published(NamedTuple):
    """PUBLISH; `mid` is 0 where no PUBACK is wanted."""

    topic: str
    body: bytes
    retained: bool
    mid: int


class Pong(NamedTuple):
    """PINGRESP."""


class Disconnected(NamedTuple):
    """DISCONNECT."""

    code: int


Packet = Connected | Subscribed | Taken | Published | Pong | Disconnected


def reason(code: int) -> str:
    """For people."""
    return REASONS.get(code) or f"reason code 0x{code:02x}"


# What is sent


def connect(client_id: str, keepalive_s: int, will: Message, inbound_bytes: int, inbound_window: int) -> bytes:
    """Clean start, no session kept, the will at QoS 1 and retained."""
    properties = b"\x21" + inbound_window.to_bytes(2, "big") + b"\x27" + inbound_bytes.to_bytes(4, "big")
    head = b"\x00\x04MQTT\x05\x2e" + keepalive_s.to_bytes(2, "big") + _counted(properties)
    described = _counted(_content_type(will.content_type))
    body = len(will.body).to_bytes(2, "big") + will.body
    return _packet(0x10, head + _text(client_id) + described + _text(will.topic) + body)


def subscribe(mid: int, topic: str) -> bytes:
    """At QoS 1; retained messages are told as such, and not sent for the subscription's sake."""
    return _packet(0x82, mid.to_bytes(2, "big") + b"\x00" + _text(topic) + b"\x29")


def publish(mid: int, message: Message, *, retain: bool = False) -> bytes:
    """At QoS 1, with the attributes as user properties."""
    parts = [_content_type(message.content_type)]
    parts += [_user_property(name, value) for name, value in message.properties]
    properties = b"".join(parts)
    size = _variable(len(properties))
    topic = _text(message.topic)
    left = _variable(len(topic) + 2 + len(size) + len(properties) + len(message.body))
    head = b"\x33" if retain else b"\x32"
    return b"".join((head, left, topic, mid.to_bytes(2, "big"), size, properties, message.body))


def puback(mid: int) -> bytes:
    return b"\x40\x02" + mid.to_bytes(2, "big")


@lru_cache(maxsize=256)
def _user_property(name: str, value: str) -> bytes:
    encoded = value.encode()
    return _name(name) + len(encoded).to_bytes(2, "big") + encoded


@lru_cache(maxsize=64)
def _name(name: str) -> bytes:
    return b"\x26" + _text(name)


@lru_cache(maxsize=8)
def _content_type(text: str) -> bytes:
    return b"\x03" + _text(text)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _counted(body)


def _counted(body: bytes) -> bytes:
    return _variable(len(body)) + body


def _variable(number: int) -> bytes:
    """Variable byte integer (1.5.5)."""
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _variable(number >> 7)


# What comes


class Inbound:
    """The bytes of one connection on their way to packets."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that end in `data`; take them all. Raises `ProtocolError`."""
        data = self._rest + data if self._rest else data
        offset = 0
        while len(data) - offset >= 2:
            head, size, begin = data[offset], data[offset + 1], offset + 2
            read = _READERS.get(head if head & 0xF0 != 0x30 else 0x30)
            if read is None or head & 0xF4 == 0x34:
                raise ProtocolError(f"{'QoS 2' if read else f'a packet 0x{head:02x}'}, which nobody asked for")
            if size & 128:
                size, begin = _variable_at(data, offset + 1)
                if size > self._limit_bytes:
                    raise ProtocolError(f"a packet of more than {self._limit_bytes} bytes")
            if not begin or begin + size > len(data):
                break
            offset = begin + size
            try:
                packet = read(head, data[begin:offset])
            except IndexError as error:
                raise ProtocolError(f"a packet 0x{head:02x} that is cut") from error
            yield packet
        self._rest = data[offset:]


def _variable_at(data: bytes, offset: int) -> tuple[int, int]:
    """A variable byte integer and where it ends: 0 when it is not all there. The number is at least what it will be."""
    number = 0
    for index, digit in enumerate(data[offset : offset + 4]):
        number |= (digit & 127) << 7 * index
        if digit < 128:
            return number, offset + index + 1
    if len(data) - offset >= 4:
        raise ProtocolError("a length of more than four bytes")
    return number, 0


def _connected(_: int, body: bytes) -> Connected:
    told = dict(_properties(body, 2)) if len(body) > 2 else {}
    if not (told.get(0x21, 1) and told.get(0x27, 1)):
        raise ProtocolError("a limit of nothing")
    return Connected(
        body[1],
        told.get(0x21, RECEIVE_MAXIMUM),
        told.get(0x27, MAXIMUM_PACKET_BYTES),
        told.get(0x13),
    )


def _subscribed(_: int, body: bytes) -> Subscribed:
    begin = _behind_properties(body, 2)
    return Subscribed(body[begin])


def _taken(_: int, body: bytes) -> Taken:
    return Taken(body[0] << 8 | body[1], body[2] if len(body) > 2 else 0)


def _published(head: int, body: bytes) -> Published:
    end = 2 + (body[0] << 8 | body[1])
    topic = body[2:end].decode("utf-8", "replace")
    mid = 0
    if head & 0x06:
        mid, end = body[end] << 8 | body[end + 1], end + 2
        if not mid:
            raise ProtocolError("a PUBLISH without a packet id")
    return Published(topic, body[_behind_properties(body, end) :], bool(head & 1), mid)


def _pong(_: int, body: bytes) -> Pong:
    if body:
        raise ProtocolError("a PINGRESP with a body")
    return Pong()


def _disconnected(_: int, body: bytes) -> Disconnected:
    return Disconnected(body[0] if body else 0)


_READERS: dict[int, Callable[[int, bytes], Packet]] = {
    0x20: _connected, 0x30: _published, 0x40: _taken, 0x90: _subscribed, 0xD0: _pong, 0xE0: _disconnected,
}  # fmt: skip


def _behind_properties(body: bytes, offset: int) -> int:
    """Where they end; what they say is of no use here."""
    size, begin = _variable_at(body, offset)
    if not begin or begin + size > len(body):
        raise ProtocolError("properties that are cut")
    return begin + size


_WIDTHS = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
_TEXTS = {0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, 0x1F: 1, 0x26: 2}
"""Properties of a CONNACK (3.2.2.3): numbers with their width, texts or bytes with how many."""


def _properties(body: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """The numbers among them."""
    end = _behind_properties(body, offset)
    _, offset = _variable_at(body, offset)
    while offset < end:
        name, offset = body[offset], offset + 1
        if width := _WIDTHS.get(name):
            yield name, int.from_bytes(body[offset : offset + width], "big")
            offset += width
        elif texts := _TEXTS.get(name):
            for _ in range(texts):
                offset += 2 + (body[offset] << 8 | body[offset + 1])
        else:
            raise ProtocolError(f"a property 0x{name:02x} where it has no place")
    if offset != end:
        raise ProtocolError("properties that are cut")
