"""MEOKON wireless pressure and hydrant terminals, protocol V3.0: they call the gateway over TCP and speak first.

Frame (big endian): ``A5 5A | command | length u16 of the whole frame | id, 12 characters | battery | RSSI int8 |
interval u16 | count u16 | type | alarm bits | limits | current | UTC u32 | count buffered values | CRC u16 | 55 AA``;
CRC-16/MODBUS over everything before it, high byte first (standards.md 3.6, both vectors verified: A).

Known from a public gateway for the successor V3.3 only (B), to be proved on a terminal
* the answer ``A5 5A FF 001B id UTC u32 00 00 CRC 55 AA``, which keeps a terminal from buffering; it is due in 5 s;
* battery: bits 0-4 x 5 %, bit 7 external supply (the vector's 0x34 is then 100 %, else 52 %): option `battery`;
* type 24 (hydrant) carries tilt after pressure in limits, current and buffered values; the form without it is taken
  too, since the length tells them apart.
The answer sets the terminal's clock. The driver has no clock, so it gives back the time of the frame: never wrong by
more than the terminal was. `acknowledge: off` is for a terminal that turns out to want another answer.

Guarantees
* Only a frame whose CRC, length, end and layout hold is heard; less than one longest frame is kept of anything else.
* A frame that stays incomplete for `GIVE_UP_S` is searched for whole ones behind its start.
* The sensor-fault bit makes the pressure SENSOR_FAULT; the alarm bits are passed on whatever else is wrong.
* A bit that this type of terminal does not have is NO_SUCH_REGISTER, never a reassuring 0.
* A terminal that the site does not know is a `Stranger` and gets no answer: it keeps its values. One of a type that
  is not in `LAYOUTS` is heard without pressure, and gets no answer since its time cannot be found.

It does not use the buffered values: they are old, and a scan has one time. It never sends settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from drivers.contract import Conversation, Driver, Heard, Received, Send, Stranger, Wait
from drivers.framing import Framer
from drivers.modbus_pdu import crc16
from drivers.quality import judge
from gateway.model import BusKind, Device, Kind, Point, Quality, Scan, Value

START, END = b"\xa5\x5a", b"\x55\xaa"
UPLOAD, ACKNOWLEDGE = 0x00, 0xFF
LONGEST_BYTES = 4096
"""600 buffered samples (standards.md 3.6) of the widest layout, and some room."""
GIVE_UP_S = 5.0
_HEAD_BYTES = 25
_TAIL_BYTES = 8
"""Time, CRC, end."""


class Layout(NamedTuple):
    """What a type of terminal puts between its alarm bits and the time: two limits a value, then the values, of which
    the pressure is first."""

    limits_bytes: int
    current_bytes: int
    steps_per_mpa: int


LAYOUTS: dict[int, tuple[Layout, ...]] = {
    0: (Layout(4, 2, 10_000),),  # 0.1 kPa
    1: (Layout(4, 2, 1_000),),  # 0.001 MPa
    2: (Layout(4, 2, 1_000),),  # 0.01 bar
    24: (Layout(8, 4, 1_000), Layout(4, 2, 1_000)),  # hydrant: with tilt, without
}
HYDRANT = 24
BITS = {"low": 0, "high": 1, "battery_low": 2, "sensor_fault": 3, "hardware_fault": 4}
HYDRANT_BITS = {"impact": 5, "tilt": 6, "water_taken": 7}
INTEGERS = ("battery", "rssi")


@dataclass(frozen=True, slots=True)
class At:
    """Which field of the frame."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    field: Literal[
        "pressure", "battery", "rssi",
        "low", "high", "battery_low", "sensor_fault", "hardware_fault", "impact", "tilt", "water_taken",
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    acknowledge: Literal["v33", "off"] = "v33"
    """The answer to each frame: that of V3.3 (see above), or none."""
    battery: Literal["percent", "v33"] = "percent"
    """The battery byte: percent as it is, or that of V3.3 (see above)."""


class Told(NamedTuple):
    """One sound frame."""

    command: int
    id: bytes
    battery: int
    rssi: int
    type: int
    bits: int
    pressure: float | None
    """MPa; None for a type that is not known."""
    time: bytes
    """The terminal's UTC as it stands in the frame; empty for a type that is not known."""


def _layout(head: bytes, length: int) -> Layout | None:
    """The layout of this type of terminal that makes a frame so long."""
    count = int.from_bytes(head[21:23], "big")
    for layout in LAYOUTS.get(head[23], ()):
        if length == _HEAD_BYTES + layout.limits_bytes + (count + 1) * layout.current_bytes + _TAIL_BYTES:
            return layout
    return None


def measure(data: bytes) -> int:
    """The length of the frame that begins so, for `Framer`."""
    if len(data) < 5:
        return 0
    length = int.from_bytes(data[3:5], "big")
    if length < _HEAD_BYTES + _TAIL_BYTES:
        return -1
    if len(data) >= _HEAD_BYTES and data[2] == UPLOAD and data[23] in LAYOUTS and not _layout(data, length):
        return -1
    return length


def _sound(frame: bytes) -> bool:
    return frame[-2:] == END and crc16(frame[:-4]) == int.from_bytes(frame[-4:-2], "big")


def decode(frame: bytes) -> Told:
    """What a sound frame says."""
    layout = _layout(frame, len(frame))
    pressure, time = None, b""
    if layout:
        start = _HEAD_BYTES + layout.limits_bytes
        pressure = int.from_bytes(frame[start : start + 2], "big", signed=True) / layout.steps_per_mpa
        time = frame[start + layout.current_bytes :][:4]
    rssi = int.from_bytes(frame[18:19], "big", signed=True)
    return Told(frame[2], frame[5:17], frame[17], rssi, frame[23], frame[24], pressure, time)


def _name(raw: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in raw.rstrip(b"\0 "))


def acknowledgement(id: bytes, time: bytes) -> bytes:
    """The answer to a frame; `id` is its 12 bytes, `time` its 4."""
    frame = START + bytes([ACKNOWLEDGE]) + (27).to_bytes(2, "big") + id + time + b"\0\0"
    return frame + crc16(frame).to_bytes(2, "big") + END


def _read(point: Point, told: Told, options: Options) -> tuple[Value, Quality]:
    name = point.source.field
    if name == "pressure":
        if told.bits >> BITS["sensor_fault"] & 1:
            return None, Quality.SENSOR_FAULT
        return (None, Quality.NOT_A_NUMBER) if told.pressure is None else judge(point, told.pressure)
    if name == "battery":
        return judge(point, told.battery if options.battery == "percent" else (told.battery & 0x1F) * 5)
    if name == "rssi":
        return judge(point, told.rssi)
    if name in HYDRANT_BITS:
        if told.type != HYDRANT:
            return None, Quality.NO_SUCH_REGISTER
        return told.bits >> HYDRANT_BITS[name] & 1, Quality.GOOD
    return told.bits >> BITS[name] & 1, Quality.GOOD


def listen(devices: Mapping[str, Device]) -> Conversation:
    """`Driver.listen`: serves one connection for as long as it lasts."""
    framer = Framer(START, measure, _sound, LONGEST_BYTES)
    since = None  # when what is incomplete began
    while True:
        event = yield Wait(None if since is None else since + GIVE_UP_S)
        if event is None:
            continue
        frames = framer.feed(event.data) if isinstance(event, Received) else []
        if frames or not framer.incomplete_bytes:
            since = None
        elif since is not None and event.at >= since + GIVE_UP_S:
            frames, since = framer.give_up(), None
        if since is None and framer.incomplete_bytes:
            since = event.at
        for frame in frames:
            yield from _hear(devices, decode(frame), event.at)


def _hear(devices: Mapping[str, Device], told: Told, at: float) -> Conversation:
    device = devices.get(_name(told.id))
    if device is None:
        yield Stranger(_name(told.id))
        return
    if told.command != UPLOAD:
        return
    options: Options = device.options or Options()
    for index, group in enumerate(device.groups):
        read = [_read(point, told, options) for point in group.points]
        values = tuple(value for value, _ in read)
        yield Heard(Scan(device.id, index, at, values, bytes(quality for _, quality in read)))
    if told.time and options.acknowledge != "off":
        yield Send(acknowledgement(told.id, told.time))


def check(device: Device) -> list[tuple[str, str]]:
    """`Driver.check`."""
    mistakes = []
    address = device.address
    if not isinstance(address, str) or not 1 <= len(address) <= 12 or _name(address.encode()) != address:
        mistakes.append(("address", "must be the terminal's id, up to 12 characters / 必须是终端编号，最多 12 个字符"))
    for group in device.groups:
        for point in group.points:
            name = point.source.field
            wanted = Kind.FLOAT if name == "pressure" else Kind.INT if name in INTEGERS else Kind.BOOL
            if point.kind is not wanted:
                mistakes.append((f"points.{point.name}.kind", f"{name} is {wanted} / {name} 应为 {wanted}"))
    return mistakes


MEOKON = Driver(At, Options, frozenset({BusKind.LISTEN}), listen=listen, check=check)
