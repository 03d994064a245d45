"""A device's points in Modbus tables: values -> registers and bits. Pure, and worked out without the gateway's driver.

    raw = round((value - offset) / scale)        what the wire carries is raw * scale + offset

Guarantees: a value that does not fit its register is refused (ValueError) when it is set, never wrapped or clamped;
what `carried` says is what a right reader reads. Word orders are named by where the bytes A (highest) to D go:
ABCD high word first, CDAB low word first, BADC and DCBA the same with the bytes of each word swapped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Value = float | int | None
"""None: the device has no value and says so in its own way (`PointMap.not_available`, or NaN)."""


class Table(StrEnum):
    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"


class Type(StrEnum):
    BIT = "bit"
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    FLOAT32 = "float32"


STRUCT: Mapping[Type, str] = {
    Type.BIT: ">H",
    Type.UINT16: ">H",
    Type.INT16: ">h",
    Type.UINT32: ">I",
    Type.INT32: ">i",
    Type.FLOAT32: ">f",
}

BYTES: Mapping[str, tuple[int, int, int, int]] = {
    "ABCD": (0, 1, 2, 3),
    "CDAB": (2, 3, 0, 1),
    "BADC": (1, 0, 3, 2),
    "DCBA": (3, 2, 1, 0),
}

NAN = bytes.fromhex("7fc00000")


@dataclass(frozen=True, slots=True)
class PointMap:
    """Where one point lies in the device's tables."""

    name: str
    table: Table
    register: int
    type: Type
    low_bit: int | None = None
    """A field inside a register begins at this bit, 0 = least significant..."""
    high_bit: int | None = None
    """...and ends at this one, inclusive."""
    word_order: str = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    not_available: int | None = None

    @property
    def width(self) -> int:
        """How many addresses of its table the point takes."""
        return 2 if STRUCT[self.type] in (">I", ">i", ">f") else 1

    def raw(self, value: Value) -> float:
        """The number on the wire; ValueError when it does not fit."""
        if value is None:
            return self._raw_of_none()
        if not math.isfinite(value):
            raise ValueError(f"{self.name}: {value} is no finite number; null says that there is none")
        scaled = (value - self.offset) / self.scale
        if self.type is Type.FLOAT32:
            return scaled
        raw, (low, high) = round(scaled), self._limits()
        if not low <= raw <= high:
            raise ValueError(f"{self.name}: {value} needs the raw value {raw}, outside {low}..{high}")
        return raw

    def carried(self, value: Value) -> Value:
        """The value as a right reader gets it; nine digits, so that 0.1 * 7 is 0.7."""
        if value is None:
            return None
        raw = self.raw(value)
        if self.type is Type.FLOAT32:
            raw = struct.unpack(">f", struct.pack(">f", raw))[0]
        read = float(f"{raw * self.scale + self.offset:.9g}")
        return int(read) if read.is_integer() else read

    def words(self, value: Value) -> tuple[int, ...]:
        """The registers, in the order of their addresses; a bit field is in its place, the other bits are 0."""
        raw = self.raw(value)
        if self.type is Type.FLOAT32:
            data = NAN if math.isnan(raw) else struct.pack(">f", raw)
        else:
            data = struct.pack(STRUCT[self.type], int(raw) << (self.low_bit or 0))
        if len(data) == 4:
            data = bytes(data[place] for place in BYTES[self.word_order])
        return struct.unpack(f">{len(data) // 2}H", data)

    def _raw_of_none(self) -> float:
        if self.not_available is not None:
            (signed,) = struct.unpack(
                STRUCT[self.type], (self.not_available % (1 << 16 * self.width)).to_bytes(2 * self.width)
            )
            return float(signed)
        if self.type is Type.FLOAT32:
            return math.nan
        raise ValueError(f"{self.name}: the device has no way to say that there is no value (not_available is not set)")

    def _limits(self) -> tuple[int, int]:
        if self.low_bit is not None and self.high_bit is not None:
            return 0, (1 << self.high_bit - self.low_bit + 1) - 1
        if self.type is Type.BIT:
            return 0, 1
        size = 16 * self.width
        signed = self.type in (Type.INT16, Type.INT32)
        return (-(1 << size - 1), (1 << size - 1) - 1) if signed else (0, (1 << size) - 1)


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """All tables of one device."""

    points: tuple[PointMap, ...]
    gaps_refused: bool = False
    """What a read gets that touches addresses between the points: zeros, or ILLEGAL DATA ADDRESS."""

    def read(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> list[int] | None:
        """The content of `count` addresses from `start`; None when the device has not got them."""
        mine = [point for point in self.points if point.table is table]
        there = {address for point in mine for address in range(point.register, point.register + point.width)}
        wanted = range(start, start + count)
        if not there or wanted[0] < min(there) or wanted[-1] > max(there):
            return None
        if self.gaps_refused and not there.issuperset(wanted):
            return None
        image = dict.fromkeys(wanted, 0)
        for point in mine:
            for address, word in enumerate(point.words(values[point.name]), point.register):
                if address in image:
                    image[address] |= word
        return list(image.values())

    def carried(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> dict[str, Value]:
        """The points that lie whole inside such a read, with the values that it carries."""
        return {
            point.name: point.carried(values[point.name])
            for point in self.points
            if point.table is table and start <= point.register and point.register + point.width <= start + count
        }
