"""The frames of a MEOKON wireless pressure and hydrant terminal, V3.0. Pure.

     0  A5 5A                     21  number of buffered values
     2  command, 0 = report       23  type: sets the pressure's step; 24 = hydrant
     3  length of the whole frame 24  alarm bits
     5  id, 12 characters         25  low limit, high limit
    17  battery, %                29  current value
    18  signal, int8 dBm          31  time, UTC seconds
    19  interval, s               35  buffered values, oldest first
                                  ..  CRC-16/Modbus over all before, high byte first; 55 AA

All numbers are big endian. Source: standards.md 3.6 and its vector, which this module reproduces byte for byte; offsets
are read off the vector. Not in any source that could be opened: the pressure step of type 24 (taken as that of type 1,
0.001 MPa) and the layout of the server's answer. So any sound frame of this envelope is taken for the answer that
names the terminal, or is too short to name anyone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymodbus.framer import FramerRTU

from firmware_sim.registers import Value

STEP_MPA: Mapping[int, float] = {0: 0.0001, 1: 0.001, 2: 0.001, 24: 0.001}
"""Type -> one count in MPa: 0.1 kPa, 0.001 MPa, 0.01 bar."""

HYDRANT = 24
BITS: Mapping[str, int] = {"low": 0, "high": 1, "battery_low": 2, "sensor_fault": 3, "hardware_fault": 4}
HYDRANT_BITS: Mapping[str, int] = {**BITS, "impact": 5, "tilt": 6, "water_taken": 7}
ENVELOPE = struct.Struct(">2sBH")
REPORT = struct.Struct(">2sBH12sBbHHBBHHHI")
SHORTEST = 9
"""An envelope around nothing: start, command, length, CRC, end."""


def crc(data: bytes) -> bytes:
    """CRC-16/Modbus, high byte first (pymodbus computes it in the order of Modbus, low byte first)."""
    return FramerRTU.compute_CRC(data).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Report:
    """One report, as numbers on the wire."""

    id: str
    battery: int
    rssi: int
    interval_s: int
    type: int
    alarms: int
    low: int
    high: int
    current: int
    time: int
    buffered: Sequence[int] = ()

    def encode(self) -> bytes:
        length = REPORT.size + 2 * len(self.buffered) + 4
        body = REPORT.pack(
            b"\xa5\x5a", 0, length, self.id.encode("ascii").ljust(12), self.battery, self.rssi, self.interval_s,
            len(self.buffered), self.type, self.alarms, self.low, self.high, self.current, self.time,
        ) + struct.pack(f">{len(self.buffered)}H", *self.buffered)  # fmt: skip
        return body + crc(body) + b"\x55\xaa"


@dataclass(frozen=True, slots=True)
class Gauge:
    """What the terminal measures with: turns point values into a report and back into what that report carries."""

    id: str
    type: int = HYDRANT
    limits: tuple[float, float] = (0.14, 1.2)
    """MPa; below and above, the terminal sets its own low and high alarm."""

    @property
    def bits(self) -> Mapping[str, int]:
        return HYDRANT_BITS if self.type == HYDRANT else BITS

    def count(self, pressure: float) -> int:
        """Pressure in MPa -> counts; ValueError when it does not fit."""
        raw = round(pressure / STEP_MPA[self.type])
        if not 0 <= raw <= 0x7FFF:  # beyond, a reader could take it for a negative number; no source says
            raise ValueError(f"pressure: {pressure} MPa needs the raw value {raw}, outside 0..32767")
        return raw

    def check(self, point: str, value: Value) -> None:
        """ValueError when the terminal cannot say this value."""
        if value is None:
            raise ValueError(f"{point}: the terminal has no way to say that there is no value")
        if point == "pressure":
            self.count(value)
            return
        low, high = {"battery": (0, 100), "rssi": (-128, 127)}.get(point, (0, 1))
        if value != int(value) or not low <= value <= high:
            raise ValueError(f"{point}: {value} is not a whole number in {low}..{high}")

    def alarms(self, values: Mapping[str, Value]) -> int:
        """The alarm bits: those that are set, and low and high as the terminal sees them itself."""
        pressure = self.count(values.get("pressure") or 0.0)
        bits = sum(1 << bit for name, bit in self.bits.items() if values.get(name))
        return bits | (pressure < self.count(self.limits[0])) << 0 | (pressure > self.count(self.limits[1])) << 1

    def report(self, values: Mapping[str, Value], interval_s: int, now: int, buffered: Sequence[int]) -> Report:
        return Report(
            self.id, int(values.get("battery") or 0), int(values.get("rssi") or 0), interval_s, self.type,
            self.alarms(values), self.count(self.limits[0]), self.count(self.limits[1]),
            self.count(values.get("pressure") or 0.0), now, buffered,
        )  # fmt: skip

    def carried(self, report: Report) -> dict[str, Value]:
        """The point values that a right reader gets from a report."""
        flags: dict[str, Value] = {name: report.alarms >> bit & 1 for name, bit in self.bits.items()}
        pressure = float(f"{report.current * STEP_MPA[report.type]:.9g}")
        return {"pressure": pressure, "battery": report.battery, "rssi": report.rssi} | flags


def answered(received: bytes, id: str) -> bool:
    """Whether these bytes hold a sound frame that is the server's answer to terminal `id`."""
    start = received.find(b"\xa5\x5a")
    while start >= 0:
        frame = received[start:]
        if len(frame) >= SHORTEST:
            frame = frame[: ENVELOPE.unpack_from(frame)[2]]
            sound = len(frame) >= SHORTEST and frame[-2:] == b"\x55\xaa" and frame[-4:-2] == crc(frame[:-4])
            if sound and (len(frame) < SHORTEST + 12 or frame[5:17] == id.encode("ascii").ljust(12)):
                return True
        start = received.find(b"\xa5\x5a", start + 1)
    return False
