"""A scripted MQTT 5 broker: does what no real one does. Own code on asyncio streams, no MQTT library.

    async with FakeBroker(context) as broker:          # TLS context of a server; None for plain TCP
        broker.answer = wrong_id                       # what a PUBLISH gets

An answer is a function of the `Publish` that gives the steps to take: bytes to send, seconds to wait, or `CLOSE`.
"""

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field

from tests.serving import shut

CLOSE = object()
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (1, 2, 3, 4, 8, 9, 12, 13, 14)


@dataclass
class Publish:
    connection: int
    mid: int
    qos: int
    retain: bool
    topic: str
    properties: dict
    body: bytes

    @property
    def id(self):
        return self.properties.get("id", self.topic)


def puback(mid, code=0):
    return packet(PUBACK, 0, struct.pack("!HB", mid, code) + b"\0")


def taken(publish):
    return [puback(publish.mid)]


def coded(code):
    return lambda publish: [puback(publish.mid, code)]


def silent(publish):
    return []


def late(seconds):
    return lambda publish: [seconds, puback(publish.mid)]


def wrong_id(publish):
    return [puback((publish.mid + 1000) % 65536)]


def twice(publish):
    return [puback(publish.mid), puback(publish.mid)]


def close_before(publish):
    return [CLOSE]


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + variable(len(body)) + body


def variable(number):
    out = b""
    while True:
        number, digit = divmod(number, 128)
        out += bytes([digit | (128 if number else 0)])
        if not number:
            return out


def message(topic, body, *, qos=1, mid=1, retain=False):
    """A PUBLISH from the broker."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name + (struct.pack("!H", mid) if qos else b"") + b"\0"
    return packet(PUBLISH, qos << 1 | retain, head + body)


@dataclass
class FakeBroker:
    context: object = None
    answer: object = taken
    connack: int = 0x00
    connack_properties: bytes = b""
    """Encoded; see `receive_maximum` and `maximum_packet`."""
    suback: int = 0x01
    port: int = 0
    connections: int = 0
    connects: list = field(default_factory=list)
    published: list = field(default_factory=list)
    pings: int = 0
    left: int = 0
    """Clients that said good-bye."""
    deaf: bool = False
    """Half-open: takes bytes and never answers."""
    writers: list = field(default_factory=list)
    server: object = None
    tasks: set = field(default_factory=set)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        """The port is closed and every connection cut."""
        await shut(self.server)
        self.cut()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.wait_closed()

    def cut(self):
        for writer in self.writers:
            with contextlib.suppress(AttributeError):  # Python 3.11.2, of Debian 12: one with TLS that was closed twice
                writer.transport.abort()
        self.writers.clear()

    def send(self, data):
        """To the latest connection, as it is."""
        self.writers[-1].write(data)

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self.tasks.discard)
        self.connections += 1
        number = self.connections
        self.writers[:] = [one for one in self.writers if not one.is_closing()] + [writer]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readexactly(1))[0]
                body = await reader.readexactly(await self._length(reader))
                if not self.deaf:
                    await self._handle(number, head, body, writer)
        writer.close()

    async def _length(self, reader):
        length = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return length

    async def _handle(self, number, head, body, writer):
        kind = head >> 4
        if kind == CONNECT:
            self.connects.append(body)
            properties = self.connack_properties
            writer.write(packet(CONNACK, 0, bytes([0, self.connack]) + variable(len(properties)) + properties))
        elif kind == SUBSCRIBE:
            writer.write(packet(SUBACK, 0, body[:2] + b"\0" + bytes([self.suback])))
            self.subscribed.set()
        elif kind == PINGREQ:
            self.pings += 1
            writer.write(packet(PINGRESP, 0, b""))
        elif kind == DISCONNECT:
            self.left += 1
            writer.close()
        elif kind == PUBLISH:
            publish = parse(number, head, body)
            self.published.append(publish)
            for step in self.answer(publish):
                if step is CLOSE:
                    writer.transport.abort()
                elif isinstance(step, bytes):
                    writer.write(step)
                else:
                    await asyncio.sleep(step)


def receive_maximum(number):
    return b"\x21" + struct.pack("!H", number)


def maximum_packet(size):
    return b"\x27" + struct.pack("!I", size)


def parse(number, head, body):
    qos = head >> 1 & 3
    length = struct.unpack_from("!H", body)[0]
    topic, offset = body[2 : 2 + length].decode(), 2 + length
    mid = 0
    if qos:
        mid, offset = struct.unpack_from("!H", body, offset)[0], offset + 2
    size = shift = 0
    while True:
        byte, offset = body[offset], offset + 1
        size |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    properties = dict(_properties(body[offset : offset + size]))
    return Publish(number, mid, qos, bool(head & 1), topic, properties, body[offset + size :])


def _properties(data):
    """User properties, and the content type under ``content-type``; nothing else is sent by a gateway."""
    offset = 0

    def text():
        nonlocal offset
        length = struct.unpack_from("!H", data, offset)[0]
        offset += 2 + length
        return data[offset - length : offset].decode()

    while offset < len(data):
        name, offset = data[offset], offset + 1
        if name == 0x26:
            yield text(), text()
        elif name == 0x03:
            yield "content-type", text()
        else:
            raise ValueError(f"unexpected property {name:#x}")
