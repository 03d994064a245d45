"""What a line may say to the gateway's own side of it, as fuzzing targets: the wire in virtual time, every type of register,
and what a technician's scan reads.
"""

import contextlib
import heapq
import itertools

from drivers.contract import Reply
from drivers.modbus import MODBUS
from drivers.modbus_at import At
from drivers.modbus_pdu import crc16
from drivers.modbus_reads import IDENTIFY, find_reply, identity, read_only, rtu_frame
from gateway.errors import BusError
from gateway.field.line import LONGEST_FRAME_BYTES
from gateway.field.seams import Tells
from gateway.field.wire import Wire
from gateway.model import BusKind, BusSpec, Kind, Level, Quality
from tests.drivers import loading
from tests.fuzz.mutate import Target

# --- every type of register: the reply is sound, its registers are not what anybody meant

TYPES = [
    ("u16", "int", At(0, word_order="BA"), {}),
    ("enum", "enum", At(1), {"labels": ((1, "one"),)}),
    ("i32", "int", At(2, type="int32", word_order="CDAB", scale=3.0, offset=1.0), {"low": -5.0}),
    ("f32", "float", At(4, type="float32", word_order="DCBA"), {"high": 1e9}),
    ("u64", "int", At(6, type="uint64"), {}),
    ("i64", "float", At(10, type="int64", word_order="GHEFCDAB", scale=0.001), {}),
    ("f64", "float", At(14, type="float64", word_order="HGFEDCBA"), {}),
    ("b16", "enum", At(18, type="bcd16"), {"labels": ((12, "twelve"),)}),
    ("b32", "int", At(19, type="bcd32", not_available=99999999), {}),
    ("b64", "float", At(21, type="bcd64", scale=1e9), {}),
    ("ascii", "text", At(25, type="string", registers=4), {}),
    ("gb", "text", At(29, type="string", registers=6, encoding="gb18030", word_order="BA"), {}),
    ("utf", "text", At(35, type="string", registers=5, encoding="utf-8"), {}),
    ("bit", "bool", At(6, type="uint64", bit=63), {}),
    ("field", "int", At(19, type="uint32", bits=(5, 29)), {}),
]
REGISTERS = 40


def _types(data: bytes) -> object:
    poll = MODBUS.open(loading.modbus(TYPES), BusKind.SERIAL)(0)
    next(poll)
    frame = b"\x01\x03" + bytes([2 * REGISTERS]) + data[: 2 * REGISTERS].ljust(2 * REGISTERS, b"\0")
    try:
        poll.send(Reply(frame + crc16(frame).to_bytes(2, "little"), 1.0))
    except StopIteration as end:
        scan = end.value
    for (_, kind, _, _), value, quality in zip(TYPES, scan.values, scan.qualities, strict=True):
        assert (value is None) == (Quality(quality).level is Level.BAD)
        if value is not None:
            assert isinstance(value, str) is (kind == Kind.TEXT)
            assert isinstance(value, (str, float)) or -(2**63) <= value < 2**63
    return scan.qualities


# --- a technician's scan: the first byte says how many bytes are the request, the rest is what was heard


def _reads(data: bytes) -> object:
    size = data[0] if data else 0
    request, heard = data[1 : 1 + size], data[1 + size :]
    asked = [read_only(request, rtu=rtu) for rtu in (True, False)]
    for one in asked:
        assert one is None or request[1 if one.rtu else 7] in (1, 2, 3, 4, IDENTIFY[0])
    identity(heard)
    if asked[0] is None:
        return "no read", asked[1] is None
    found = find_reply(request, heard)
    if found is None:
        return "no reply"
    frame, end = found
    assert heard[end - len(frame) : end] == frame
    return "reply", len(identity(frame[1:-2])), frame[1] > 0x80


def _repair_reads(data: bytearray) -> None:
    size = data[0] if data else 0
    if 4 <= size < len(data) - 5:
        data[size - 1 : size + 1] = crc16(data[1 : size - 1]).to_bytes(2, "little")
        data[-2:] = crc16(data[1 + size : -2]).to_bytes(2, "little")


def _reads_seed(pdu: bytes, reply: bytes) -> bytes:
    request = rtu_frame(1, pdu)
    return bytes([len(request)]) + request + rtu_frame(1, reply)


# --- the wire: the first byte says what kind of line, then pieces: pause, length, bytes


class _Clock:
    def __init__(self) -> None:
        self.now, self._timers, self._order = 1.0, [], itertools.count()

    def monotonic(self) -> float:
        return self.now

    def call_at(self, at, callback):
        row = [at, next(self._order), callback]
        heapq.heappush(self._timers, row)
        return _Cancel(row)

    def rest(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            at, _, callback = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if callback is not None:
                callback()
        self.now = max(self.now, until)


class _Cancel:
    def __init__(self, row) -> None:
        self._row = row

    def cancel(self) -> None:
        self._row[2] = None


class _Silences:
    def __init__(self, clock, callback) -> None:
        self._clock, self._callback = clock, callback

    def set(self, at: float) -> None:
        self._clock.call_at(at, self._callback)

    def close(self) -> None:
        pass


class _Port:
    modes = ()

    def __init__(self) -> None:
        self.there, self.callback, self.hang_up, self.closed = b"", None, False, False

    def read(self) -> bytes:
        assert not self.closed
        if self.hang_up:
            raise OSError("hang-up")
        data, self.there = self.there, b""
        return data

    def write(self, data: bytes) -> int:
        assert not self.closed
        return len(data)

    def listen(self, callback) -> None:
        self.callback = callback

    def close(self) -> None:
        self.closed = True


LINES = (
    BusSpec("s", BusKind.SERIAL, reply_timeout_s=0.1),
    BusSpec("e", BusKind.SERIAL, baud=115200, echo=True, reply_timeout_s=0.1),
    BusSpec("t", BusKind.TCP, reply_timeout_s=0.1),
    BusSpec("r", BusKind.TCP, reply_timeout_s=0.1, rtu=True),
)


def _wire(data: bytes) -> object:
    spec = LINES[data[0] % len(LINES)] if data else LINES[0]
    clock, port, ends, others = _Clock(), _Port(), [], []
    poll = MODBUS.open(loading.modbus([("a", "int", At(0), {})]), spec.speaks)
    exchange = next(poll(0))

    def end(result: bytes | BusError, at: float = 0.0) -> None:
        ends.append(result)
        wire.exchange = None

    tells = dict.fromkeys(Tells.__dataclass_fields__, others.append)
    tells |= {"answered": end, "failed": end, "within": contextlib.nullcontext()}
    wire = Wire(spec, clock, Tells(**tells))
    wire.open(port, _Silences(clock, wire.on_precise))
    clock.rest(clock.now + 2.0)
    wire.ask(exchange, None, "anybody")
    rest = data[1:]
    while rest and not port.closed:
        pause_s, size = rest[0] / 1000, rest[1] if len(rest) > 1 else 0
        clock.rest(clock.now + pause_s)
        port.there += rest[2 : 2 + size]
        port.hang_up = size == 0xFF
        rest = rest[2 + size :]
        if port.callback is not None and not port.closed:
            port.callback()
        assert len(wire._inbox.buffer) <= 2 * LONGEST_FRAME_BYTES
    clock.rest(clock.now + 60.0)
    assert len(ends) == 1, ends
    if isinstance(ends[0], BusError):
        return spec.id, ends[0].quality, wire.state
    assert exchange.framing(ends[0]) == len(ends[0])
    return spec.id, "answered", wire.state


def _wire_seeds() -> tuple[bytes, ...]:
    seeds = []
    for index, spec in enumerate(LINES):
        asked = next(MODBUS.open(loading.modbus([("a", "int", At(0), {})]), spec.speaks)(0)).request
        body = b"\x01\x03\x02\x00\x07"
        rtu = body + crc16(body).to_bytes(2, "little")
        reply = rtu if spec.speaks is BusKind.SERIAL else asked[:4] + b"\0\5" + body
        echo = asked if spec.echo else b""
        whole = echo + reply
        seeds.append(bytes([index, 20, len(whole)]) + whole)
        seeds.append(
            bytes([index, 15, 3]) + whole[:3] + bytes([4, len(whole) - 3]) + whole[3:] + bytes([9, 4]) + b"\0\1\2\3"
        )
    return tuple(seeds)


ON_LINES = (
    Target("registers", _types, (bytes(range(80)), b"\x12\x34" * 40, "更夫 watch".encode("gb18030") * 8), 2_000),
    Target(
        "scan",
        _reads,
        (
            _reads_seed(b"\x03\0\0\0\2", b"\x03\4\0\1\0\2"),
            _reads_seed(b"\x01\0\0\0\x08", b"\x81\2"),
            _reads_seed(IDENTIFY, b"\x2b\x0e\x01\x01\0\0\2\0\4ACME\1\3X-1"),
        ),
        12_000,
        _repair_reads,
    ),
    Target("wire", _wire, _wire_seeds(), 4_000),
)
