"""The Modbus requests that change nothing, recognised on the wire: what a tool may ask on a line that a gateway watches.

Functions 1 to 4 and 43/14 (read device identification). Everything else is refused, also what is believed to be a read:
a function that a device understands in its own way is no read. Broadcasts (unit 0) are refused.

Guarantees: `read_only` gives an exchange only for a request that is exact in every byte, its checksum included; its framing
never asks for more than one longest frame; a reply with a bad checksum, or of another unit or function, is a `BusError`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from drivers.contract import Exchange, Framing, Reply
from drivers.modbus_pdu import bad_frame, crc16
from gateway.errors import BusError

IDENTIFY = bytes((0x2B, 0x0E, 0x01, 0x00))
"""Read device identification, basic objects from number 0 (Modbus application protocol V1.1b3, 6.21)."""
MOST_REGISTERS = 125
MOST_BITS = 2000
_IDENTITY_HEAD = 7
"""Function, type, code, conformity, more follows, next object, number of objects."""
_LONGEST_PDU = 253
OBJECTS = {0: "vendor", 1: "product", 2: "version"}


class ReadOnly(NamedTuple):
    exchange: Exchange
    unit: int
    reply_bytes: int
    """The longest reply."""
    rtu: bool

    def perform(self) -> Generator[Exchange, Reply, bytes]:
        """The reply frame, checked: an exception is a reply like any other."""
        reply = yield self.exchange
        pdu_of(self.exchange.request, reply.data, rtu=self.rtu)
        return reply.data


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu


def read_only(request: bytes, *, rtu: bool, timeout_s: float | None = None) -> ReadOnly | None:
    """The exchange of a request that only reads; None for anything else."""
    if rtu:
        if len(request) < 4 or crc16(request[:-2]) != int.from_bytes(request[-2:], "little"):
            return None
        unit, pdu = request[0], request[1:-2]
        around = 3
    else:
        if len(request) < 8 or request[2:4] != b"\0\0" or int.from_bytes(request[4:6], "big") != len(request) - 6:
            return None
        unit, pdu = request[6], request[7:]
        around = 7
    size = _reply_size(pdu)
    if size is None or not 1 <= unit <= 255 or (rtu and unit > 247):
        return None
    if rtu:
        return ReadOnly(Exchange(request, rtu_framing(unit, pdu), None, timeout_s), unit, size + around, True)
    exchange = Exchange(request, _tcp_framing, lambda frame: frame[:2] == request[:2], timeout_s)
    return ReadOnly(exchange, unit, size + around, False)


def _reply_size(pdu: bytes) -> int | None:
    """The longest reply PDU to a read; None when it is no read."""
    if len(pdu) == 5 and 1 <= pdu[0] <= 4:
        count = int.from_bytes(pdu[3:5], "big")
        most = MOST_BITS if pdu[0] <= 2 else MOST_REGISTERS
        if not 1 <= count <= most or int.from_bytes(pdu[1:3], "big") + count > 0x10000:
            return None
        return 2 + ((count + 7) // 8 if pdu[0] <= 2 else 2 * count)
    if len(pdu) == 4 and pdu[:2] == IDENTIFY[:2] and 1 <= pdu[2] <= 4:
        return _LONGEST_PDU
    return None


def rtu_framing(unit: int, pdu: bytes) -> Framing:
    """How the reply to this read ends on a serial line."""
    function = pdu[0]
    size = _reply_size(pdu)
    assert size is not None  # only of requests that were recognised

    def framing(data: bytes | bytearray) -> int:
        if data[0] != unit or (len(data) > 1 and data[1] & 0x7F != function):
            raise bad_frame("begins no reply to this request", data)
        if len(data) < 2 or data[1] & 0x80:
            return 5
        if function == IDENTIFY[0]:
            return 3 + _identity_size(data[1:])
        if len(data) > 2 and data[2] != size - 2:
            raise bad_frame("not the length that was asked for", data)
        return 3 + size

    return framing


def _identity_size(pdu: bytes | bytearray) -> int:
    """The length of an identification PDU as far as it can be known."""
    if len(pdu) < _IDENTITY_HEAD:
        return _IDENTITY_HEAD
    at = _IDENTITY_HEAD
    for _ in range(pdu[6]):
        if at + 2 > len(pdu):
            return at + 2
        at += 2 + pdu[at + 1]
        if at > _LONGEST_PDU:
            raise bad_frame("an identification without end", pdu)
    return at


def _tcp_framing(data: bytes | bytearray) -> int:
    if data[2:4] != b"\0\0"[: max(0, len(data) - 2)]:
        raise bad_frame("protocol is not Modbus", data)
    if len(data) < 6:
        return 9
    length = int.from_bytes(data[4:6], "big")
    if not 3 <= length <= 254:
        raise bad_frame(f"length {length}", data)
    return 6 + length


def pdu_of(request: bytes, reply: bytes, *, rtu: bool) -> bytes:
    """The PDU of a reply frame to `request`. Raises BusError (BAD_FRAME) when it is none."""
    if rtu:
        if len(reply) < 5 or crc16(reply[:-2]) != int.from_bytes(reply[-2:], "little"):
            raise bad_frame("bad CRC", reply)
        asked, unit, pdu = request[:2], reply[0], reply[1:-2]
    else:
        if len(reply) < 9 or reply[:2] != request[:2]:
            raise bad_frame("foreign transaction", reply)
        asked, unit, pdu = request[6:8], reply[6], reply[7:]
    if unit != asked[0] or pdu[0] & 0x7F != asked[1]:
        raise bad_frame("not the reply to this request", reply)
    return pdu


def identity(pdu: bytes) -> dict[str, str]:
    """Vendor, product and version of an identification reply; empty when it says none."""
    if len(pdu) < _IDENTITY_HEAD or pdu[:2] != IDENTIFY[:2]:
        return {}
    found: dict[str, str] = {}
    at = _IDENTITY_HEAD
    for _ in range(pdu[6]):
        if at + 2 > len(pdu):
            break
        number, size = pdu[at], pdu[at + 1]
        text = pdu[at + 2 : at + 2 + size].decode("ascii", "replace").strip()
        if number in OBJECTS and text:
            found[OBJECTS[number]] = "".join(letter if letter.isprintable() else "?" for letter in text)
        at += 2 + size
    return found


def find_reply(request: bytes, data: bytes) -> tuple[bytes, int] | None:
    """The first sound RTU reply to `request` inside `data`, which may hold an echo, noise or several answers, and where it
    ends; None when there is none."""
    framing = rtu_framing(request[0], request[1:-2])
    for start in range(len(data) - 4):
        rest = data[start:]
        try:
            length = framing(rest)
            if length <= len(rest) and (rest[:length] != request):
                pdu_of(request, rest[:length], rtu=True)
                return rest[:length], start + length
        except BusError:
            continue
    return None
