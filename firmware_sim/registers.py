"""A device's points in Modbus tables: values -> registers and bits. Pure, and worked out without the gateway's driver.

    raw = round((value - offset) / scale)        what the wire carries is raw * scale + offset

Guarantees: a value that does not fit its register is refused (ValueError) when it is set, never wrapped or clamped;
what `carried` says is what a right reader reads. Word orders are named by where the bytes A (highest) to D go:
ABCD high word first, CDAB low word first, BADC and DCBA the same with the bytes of each word swapped; of 64 bits A to H.
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
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BCD64 = "bcd64"
    STRING = "string"
    """Says its number in decimal, padded with NUL."""


STRUCT: Mapping[Type, str] = {
    Type.BIT: ">H",
    Type.UINT16: ">H",
    Type.INT16: ">h",
    Type.UINT32: ">I",
    Type.INT32: ">i",
    Type.FLOAT32: ">f",
    Type.UINT64: ">Q",
    Type.INT64: ">q",
    Type.FLOAT64: ">d",
}
DIGITS: Mapping[Type, int] = {Type.BCD16: 4, Type.BCD32: 8, Type.BCD64: 16}
FLOATS = (Type.FLOAT32, Type.FLOAT64)

ORDERS = (
    *("AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"),
    *("ABCDEFGH", "BADCFEHG", "CDABGHEF", "DCBAHGFE", "EFGHABCD", "FEHGBADC", "GHEFCDAB", "HGFEDCBA"),
)

NAN = {Type.FLOAT32: bytes.fromhex("7fc00000"), Type.FLOAT64: bytes.fromhex("7ff8000000000000")}


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
    registers: int = 1
    """Of a string."""

    @property
    def width(self) -> int:
        """How many addresses of its table the point takes."""
        if self.type is Type.STRING:
            return self.registers
        return DIGITS[self.type] // 4 if self.type in DIGITS else struct.calcsize(STRUCT[self.type]) // 2

    def raw(self, value: Value) -> float:
        """The number on the wire; ValueError when it does not fit."""
        if value is None:
            return self._raw_of_none()
        if not math.isfinite(value):
            raise ValueError(f"{self.name}: {value} is no finite number; null says that there is none")
        plain = (self.scale, self.offset) == (1, 0)  # a division would make a float of a large integer
        scaled = value if plain else (value - self.offset) / self.scale
        if self.type in FLOATS:
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
        if isinstance(raw, int) and (self.scale, self.offset) == (1, 0):
            return raw
        if self.type is Type.FLOAT32:
            raw = struct.unpack(">f", struct.pack(">f", raw))[0]
        read = float(f"{raw * self.scale + self.offset:.9g}")
        return int(read) if read.is_integer() else read

    def words(self, value: Value) -> tuple[int, ...]:
        """The registers, in the order of their addresses; a bit field is in its place, the other bits are 0."""
        data = self._bytes(self.raw(value))
        size = len(self.word_order)
        if self.word_order != "ABCD" or len(data) == size:  # ABCD is "in order" for every width
            places = ["ABCDEFGH".index(letter) for letter in self.word_order]
            data = bytes(data[start + place] for start in range(0, len(data), size) for place in places)
        return struct.unpack(f">{len(data) // 2}H", data)

    def _bytes(self, raw: float) -> bytes:
        """Most significant first; of a string in its own order."""
        if self.type is Type.STRING:
            return str(raw).encode().ljust(2 * self.width, b"\0")
        if self.type in DIGITS:
            return bytes.fromhex(f"{int(raw):0{DIGITS[self.type]}d}")
        if self.type in FLOATS:
            return NAN[self.type] if math.isnan(raw) else struct.pack(STRUCT[self.type], raw)
        return struct.pack(STRUCT[self.type], int(raw) << (self.low_bit or 0))

    def _raw_of_none(self) -> float:
        if self.not_available is not None and self.type in DIGITS:
            return float(self.not_available)
        if self.not_available is not None:
            (signed,) = struct.unpack(
                STRUCT[self.type], (self.not_available % (1 << 16 * self.width)).to_bytes(2 * self.width)
            )
            return float(signed)
        if self.type in FLOATS:
            return math.nan
        raise ValueError(f"{self.name}: the device has no way to say that there is no value (not_available is not set)")

    def _limits(self) -> tuple[int, int]:
        if self.low_bit is not None and self.high_bit is not None:
            return 0, (1 << self.high_bit - self.low_bit + 1) - 1
        if self.type is Type.BIT:
            return 0, 1
        if self.type in DIGITS:
            return 0, 10 ** DIGITS[self.type] - 1
        size = 16 * self.width
        signed = self.type in (Type.INT16, Type.INT32, Type.INT64, Type.STRING)
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
