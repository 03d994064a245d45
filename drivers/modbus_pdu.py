"""Modbus on the wire: requests, the replies that answer them, and nothing else.

`open_link` gives the two functions that talk to one device, over RTU (unit, PDU, CRC) or over TCP (MBAP header, PDU);
whoever asks works in PDUs and does not know which.

Guarantees
* A reply is taken only when its unit, function and byte count (for a write: its echo of address and value) are those
  of the request, its length is exact and, over RTU, its CRC holds. Everything else is a `BusError`.
* Over RTU a reply to a read (function 23 included) that equals its request is an echo of the line, never data (reliability.md, rule 7).
* Over TCP each request has its own transaction id, so that a late reply is never taken for the next one's.

It does not retry, wait or keep a connection: that is the bus. A reply over RTU that comes later than the bus drains
cannot be told from the next one's of the same shape; Modbus has no field for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import count
from typing import Literal, NamedTuple

from drivers.contract import Exchange, Framing, Reply
from gateway.errors import BusError
from gateway.model import BusKind, Quality

READ_FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_READING = (1, 2, 3, 4, 23)
"""Whose replies never equal the request."""
ILLEGAL_DATA_ADDRESS = 2
ILLEGAL_DATA_VALUE = 3
GATEWAY_CODES = (0x0A, 0x0B)
"""A gateway on the way says that it has no path, or that the device behind it is silent."""

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    0x0A: "gateway path unavailable",
    0x0B: "gateway target failed to respond",
}
QUALITIES = {
    ILLEGAL_DATA_ADDRESS: Quality.NO_SUCH_REGISTER,
    0x0A: Quality.NOT_RESPONDING,
    0x0B: Quality.NOT_RESPONDING,
}

CrcOrder = Literal["low_first", "high_first"]
"""The standard sends the CRC's low byte first; some vendors do not (standards.md 3.8)."""

NOISE_BYTES = 2
_MBAP_BYTES = 6
"""Transaction, protocol and length; the unit is counted in the length."""
FRAME_BYTES = {BusKind.SERIAL: 3, BusKind.TCP: _MBAP_BYTES + 1}
"""What a link puts around a PDU: unit and CRC, or the MBAP header."""
_LONGEST_ADU_BYTES = 254
"""Unit and the longest PDU of 253 bytes (Modbus application protocol V1.1b3, 4.1)."""


class Refusal(BusError):
    """The device answered with an exception; `code` is the standard's."""

    def __init__(self, function: int, code: int) -> None:
        meaning = EXCEPTIONS.get(code, "unknown exception")
        super().__init__(QUALITIES.get(code, Quality.REFUSED), f"function {function}: exception {code}, {meaning}")
        self.code = code


class Request(NamedTuple):
    """A request PDU and what its reply PDU must look like."""

    pdu: bytes
    begin: bytes
    """The reply's first bytes: function and byte count, or for a write function, address and value."""
    size: int
    """The reply's length."""


class Link(NamedTuple):
    """How PDUs travel to one device."""

    prepare: Callable[[Request], Callable[[], Exchange]]
    """Done once a request; the function that it gives makes the exchange each time."""
    unwrap: Callable[[Exchange, bytes], bytes]
    """The PDU inside a reply frame; `BusError` when the frame is none from this device."""


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, start 0xFFFF (Modbus over serial line V1.02, 6.2.2)."""
    table = _CRC_TABLE
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def bad_frame(what: str, data: bytes | bytearray) -> BusError:
    return BusError(Quality.BAD_FRAME, f"{what}: {bytes(data[:32]).hex()}")


def read_request(table: str, first: int, quantity: int) -> Request:
    """Functions 1 to 4. `first` is the protocol's 0-based address."""
    function = READ_FUNCTIONS[table]
    size = quantity * 2 if function > 2 else (quantity + 7) // 8
    pdu = bytes([function]) + first.to_bytes(2, "big") + quantity.to_bytes(2, "big")
    return Request(pdu, bytes([function, size]), 2 + size)


def check_reply(request: Request, pdu: bytes) -> None:
    """Raises `Refusal` for an exception, `BusError` for anything that is not the answer to `request`."""
    if pdu.startswith(request.begin) and len(pdu) == request.size:
        return
    if len(pdu) == 2 and pdu[0] == request.pdu[0] | 0x80:
        raise Refusal(request.pdu[0], pdu[1])
    raise bad_frame("not the reply to this request", pdu)


def open_link(
    kind: BusKind,
    unit: int,
    *,
    timeout_s: float | None = None,
    settle_s: float = 0.0,
    crc_order: CrcOrder = "low_first",
    first_transaction: int = 0,
) -> Link:
    """The link to one device: MBAP on a TCP bus, RTU on a serial one."""
    if kind is BusKind.TCP:
        return _tcp_link(unit, timeout_s, settle_s, first_transaction)
    return _rtu_link(unit, timeout_s, settle_s, "little" if crc_order == "low_first" else "big")


def _rtu_link(unit: int, timeout_s: float | None, settle_s: float, order: Literal["little", "big"]) -> Link:
    def prepare(request: Request) -> Callable[[], Exchange]:
        frame = bytes([unit]) + request.pdu
        frame += crc16(frame).to_bytes(2, order)
        exchange = Exchange(frame, _rtu_framing(unit, request), None, timeout_s, settle_s, unit, sound, NOISE_BYTES)
        return lambda: exchange

    def sound(frame: bytes) -> bool:
        return crc16(frame[:-2]) == int.from_bytes(frame[-2:], order)

    def unwrap(exchange: Exchange, data: bytes) -> bytes:
        if len(data) < 5:
            raise bad_frame("too short", data)
        if crc16(data[:-2]) != int.from_bytes(data[-2:], order):
            raise bad_frame("bad CRC", data)
        if data[0] != unit:
            raise bad_frame(f"unit {data[0]} answered for {unit}", data)
        if data[1] in _READING and data == exchange.request:
            raise bad_frame("echo of the request", data)
        return data[1:-2]

    return Link(prepare, unwrap)


def _rtu_framing(unit: int, request: Request) -> Framing:
    head = bytes([unit]) + request.begin
    refusal = bytes([unit, request.pdu[0] | 0x80])
    whole = request.size + 3

    def framing(data: bytes | bytearray) -> int:
        got = len(data)
        if data[: len(head)] == head[:got]:
            return whole if got > 1 else 5
        if data[:2] == refusal:
            return 5
        raise bad_frame("begins no reply to this request", data)

    return framing


def _tcp_link(unit: int, timeout_s: float | None, settle_s: float, first_transaction: int) -> Link:
    transactions = count(first_transaction)

    def prepare(request: Request) -> Callable[[], Exchange]:
        rest = b"\0\0" + (1 + len(request.pdu)).to_bytes(2, "big") + bytes([unit]) + request.pdu

        def exchange() -> Exchange:
            transaction = (next(transactions) & 0xFFFF).to_bytes(2, "big")
            return Exchange(
                transaction + rest, _tcp_framing, lambda frame: frame[:2] == transaction, timeout_s, settle_s
            )

        return exchange

    def unwrap(exchange: Exchange, data: bytes) -> bytes:
        if len(data) < _MBAP_BYTES + 3 or _tcp_framing(data) != len(data):
            raise bad_frame("wrong length", data)
        if data[:2] != exchange.request[:2]:
            raise bad_frame("foreign transaction", data)
        if data[6] != unit:
            raise bad_frame(f"unit {data[6]} answered for {unit}", data)
        return data[7:]

    return Link(prepare, unwrap)


def _tcp_framing(data: bytes | bytearray) -> int:
    """Frames any reply of the connection, also a late one to another request: `Exchange.mine` tells them apart."""
    if data[2:4] != b"\0\0"[: max(0, len(data) - 2)]:
        raise bad_frame("protocol is not Modbus", data)
    if len(data) < _MBAP_BYTES:
        return _MBAP_BYTES + 3
    length = int.from_bytes(data[4:6], "big")
    if not 3 <= length <= _LONGEST_ADU_BYTES:
        raise bad_frame(f"length {length}", data)
    return _MBAP_BYTES + length


def _written(link: Link, request: Request) -> Generator[Exchange, Reply, bytes]:
    exchange = link.prepare(request)()
    reply = yield exchange
    pdu = link.unwrap(exchange, reply.data)
    check_reply(request, pdu)
    return pdu


def write_coil(link: Link, address: int, value: Literal[0, 1]) -> Generator[Exchange, Reply, None]:
    """Function 5. The reply repeats the request; an echoing line looks the same, so read back what matters."""
    pdu = b"\x05" + address.to_bytes(2, "big") + (b"\xff\0" if value else b"\0\0")
    yield from _written(link, Request(pdu, pdu, 5))


def switch_coil(link: Link, address: int, on: bool) -> Generator[Exchange, Reply, bool]:
    """Function 5, then function 1, whose reply is no echo: True when the coil is as it was told to be."""
    yield from write_coil(link, address, 1 if on else 0)
    pdu = yield from _written(link, read_request("coil", address, 1))
    if bool(pdu[2] & 1) is not on:
        raise BusError(Quality.REFUSED, f"coil {address} does not read back as {'on' if on else 'off'}")
    return True


def write_register(link: Link, address: int, value: int) -> Generator[Exchange, Reply, None]:
    """Function 6; `value` is the unsigned word. The reply repeats the request, see `write_coil`."""
    pdu = b"\x06" + address.to_bytes(2, "big") + value.to_bytes(2, "big")
    yield from _written(link, Request(pdu, pdu, 5))


def write_coils(link: Link, address: int, values: Sequence[Literal[0, 1]]) -> Generator[Exchange, Reply, None]:
    """Function 15, 1 to 1968 coils; the reply repeats address and quantity."""
    if not 1 <= len(values) <= 1968:
        raise ValueError(f"{len(values)} coils in one write")
    packed = sum(bool(value) << bit for bit, value in enumerate(values)).to_bytes((len(values) + 7) // 8, "little")
    head = b"\x0f" + address.to_bytes(2, "big") + len(values).to_bytes(2, "big")
    yield from _written(link, Request(head + bytes([len(packed)]) + packed, head, 5))


def write_registers(link: Link, address: int, words: Sequence[int]) -> Generator[Exchange, Reply, None]:
    """Function 16, 1 to 123 unsigned words; the reply repeats address and quantity."""
    if not 1 <= len(words) <= 123:
        raise ValueError(f"{len(words)} registers in one write")
    data = b"".join(word.to_bytes(2, "big") for word in words)
    head = b"\x10" + address.to_bytes(2, "big") + len(words).to_bytes(2, "big")
    yield from _written(link, Request(head + bytes([len(data)]) + data, head, 5))


def mask_write_register(link: Link, address: int, keep: int, set_to: int) -> Generator[Exchange, Reply, None]:
    """Function 22: the bits of `keep` stay, the others become those of `set_to`; in one step, so that no other master's
    write is lost between a read and a write. The reply repeats the request, see `write_coil`."""
    pdu = b"\x16" + address.to_bytes(2, "big") + keep.to_bytes(2, "big") + (set_to & ~keep).to_bytes(2, "big")
    yield from _written(link, Request(pdu, pdu, 7))


def read_write_registers(
    link: Link, first: int, quantity: int, address: int, words: Sequence[int]
) -> Generator[Exchange, Reply, tuple[int, ...]]:
    """Function 23: writes `words` at `address`, 1 to 121 of them, then reads 1 to 125 registers from `first`."""
    if not (1 <= len(words) <= 121 and 1 <= quantity <= 125):
        raise ValueError(f"{len(words)} registers written and {quantity} read in one exchange")
    data = b"".join(word.to_bytes(2, "big") for word in words)
    pdu = b"".join(number.to_bytes(2, "big") for number in (first, quantity, address, len(words)))
    request = Request(b"\x17" + pdu + bytes([len(data)]) + data, bytes([0x17, 2 * quantity]), 2 + 2 * quantity)
    reply = yield from _written(link, request)
    return tuple(int.from_bytes(reply[place : place + 2], "big") for place in range(2, len(reply), 2))
