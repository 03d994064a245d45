"""BWSENSING BWM826 dual-axis inclinometer: its own serial protocol, one request for both axes.

Frame: ``77 length address(2) command data sum``; the length counts from itself to the sum, the sum is of the same bytes
without itself, modulo 256. Request 04 is answered by 84 with three angles in BCD, SXXX.YYYY: S is 0 or 1 (negative);
the manual writes three decimals and a 0, the device's resolution. The third angle is always 0.
Source: BWM826 manual, "2.3 Read angle of X,Y axis", whose example is the template's golden exchange.

Guarantees: a reply with another address, command, length or sum is a `BusError`; a digit that is none makes that axis
NOT_A_NUMBER. The sum misses some damage of two bits and more: no better check is in the protocol, the range is.
It never sets the zero point, the baud rate or the address. Beside Modbus devices on one line it needs a unit other
than 119 (0x77) to be free, since its start byte is a Modbus address.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, Literal

from drivers.contract import Driver, Exchange, Poll, Reply
from drivers.quality import judge
from drivers.times import check_times
from gateway.errors import BusError
from gateway.model import BusKind, Device, Kind, Point, Quality, Scan, Value

_START = 0x77
_READ = 0x04
_READ_ANSWER = 0x84
_ANSWER_BYTES = 18
_OFFSETS = {"x": 5, "y": 9}


@dataclass(frozen=True, slots=True)
class At:
    """Which axis."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    axis: Literal["x", "y"]


@dataclass(frozen=True, slots=True)
class Options:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    timeout_s: float | None = None
    """Longest wait for the reply; None takes the bus's."""
    settle_s: float = 0.0
    """Pause after each reply."""


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    body = bytes([len(data) + 5]) + address.to_bytes(2, "big") + bytes([command]) + data
    return bytes([_START]) + body + bytes([sum(body) & 0xFF])


def angle(bcd: bytes) -> float | None:
    """SXXX.YYYY in degrees; None when the sign is not 0 or 1 or a digit is not 0 to 9."""
    digits = bcd.hex()
    if digits[0] not in "01" or not digits.isdecimal():
        return None
    degrees = int(digits[1:]) / 10000
    return -degrees if digits[0] == "1" else degrees


def open_device(device: Device, bus: BusKind) -> Poll:
    """`Driver.open`."""
    options: Options = device.options or Options()
    request = frame(int(device.address), _READ)
    head = bytes([_START, _ANSWER_BYTES - 1]) + request[2:4] + bytes([_READ_ANSWER])

    def sound(data: bytes) -> bool:
        return sum(data[1:-1]) & 0xFF == data[-1]

    def framing(data: bytes | bytearray) -> int:
        if data[: len(head)] != head[: len(data)]:
            raise BusError(Quality.BAD_FRAME, f"begins no reply to this request: {bytes(data[:32]).hex()}")
        return _ANSWER_BYTES

    exchange = Exchange(request, framing, None, options.timeout_s, options.settle_s, device.address, sound)

    def poll(group: int) -> Generator[Exchange, Reply, Scan]:
        reply = yield exchange
        data = reply.data
        if len(data) != _ANSWER_BYTES or not data.startswith(head) or not sound(data):
            raise BusError(Quality.BAD_FRAME, f"not the reply to this request: {data[:32].hex()}")
        read = [_read(point, data) for point in device.groups[group].points]
        values = tuple(value for value, _ in read)
        return Scan(device.id, group, reply.at, values, bytes(quality for _, quality in read))

    return poll


def _read(point: Point, data: bytes) -> tuple[Value, Quality]:
    offset = _OFFSETS[point.source.axis]
    degrees = angle(data[offset : offset + 4])
    return (None, Quality.NOT_A_NUMBER) if degrees is None else judge(point, degrees)


def exchanges(device: Device, bus: BusKind) -> list[list[tuple[int, int]]]:
    """`Driver.exchanges`: one request for both axes."""
    return [[(len(frame(int(device.address), _READ)), _ANSWER_BYTES)] for _ in device.groups]


def check(device: Device) -> list[tuple[str, str]]:
    """`Driver.check`."""
    mistakes = []
    if not isinstance(device.address, int) or not 0 <= device.address <= 0xFFFF:
        mistakes.append(("address", "must be 0 to 65535 / 必须在 0 到 65535 之间"))
    options: Options = device.options or Options()
    mistakes += check_times(options.timeout_s, options.settle_s)
    for group in device.groups:
        mistakes += [
            (f"points.{point.name}.kind", "an angle is a float / 角度必须是 float")
            for point in group.points
            if point.kind is not Kind.FLOAT
        ]
    return mistakes


BWM826 = Driver(At, Options, frozenset({BusKind.SERIAL}), open=open_device, check=check, exchanges=exchanges)
