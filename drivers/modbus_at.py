"""Where a Modbus point is and what its registers are: what a template says under ``at:``.

`shape` says how they are unpacked, `encode` is the way back (for `not_available` and for tests). No values here: those
are `modbus_value`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from drivers.modbus_plan import Need
from gateway.model import Point


@dataclass(frozen=True, slots=True)
class At:
    """Where a Modbus point is. `register` is the protocol's 0-based address, never the manual's 4xxxx number."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    register: int
    """The first register, or the coil or discrete input."""
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    type: (
        Literal["bit", "uint16", "int16", "uint32", "int32", "float32", "uint64", "int64", "float64"]
        | Literal["bcd16", "bcd32", "bcd64", "string"]
        | None
    ) = None
    """None is bit in coil and discrete, uint16 in holding and input. bcd: four decimal digits a register."""
    registers: int | None = None
    """How many a string takes."""
    encoding: Literal["ascii", "utf-8", "gb18030"] = "ascii"
    """Of a string; it ends at the first NUL, blanks and 0xFF at its end are not part of it."""
    bit: int | None = None
    """This bit of an unsigned word; 0 is the least significant."""
    bits: tuple[int, int] | None = None
    """These bits of an unsigned word, lowest and highest, both included."""
    word_order: (
        Literal["AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"]
        | Literal["ABCDEFGH", "BADCFEHG", "CDABGHEF", "DCBAHGFE", "EFGHABCD", "FEHGBADC", "GHEFCDAB", "HGFEDCBA"]
    ) = "ABCD"
    """How the bytes of a value come over the wire; A is the most significant (of a string: the first). One register takes
    two letters, 32 bits four, 64 bits eight; ``ABCD`` is "in order" for all."""
    scale: float = 1.0
    offset: float = 0.0
    """value = raw x scale + offset"""
    not_available: float | None = None
    """The raw value (signed or as the manual writes it) by which the device says that the sensor failed."""


class Shape(NamedTuple):
    """How a point's registers are unpacked."""

    code: str
    """`struct` format of the cell, big endian; empty for a coil or discrete input."""
    width: int
    """Registers (or bits)."""
    order: tuple[int, ...] | None = None
    """Which wire byte is A, B, C..., when they do not come in that order; then the cell is the bytes."""
    raw: str = ""
    """`struct` format of the ordered bytes."""


CODES = {
    "bit": "H", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float32": "f", "uint64": "Q", "int64": "q",
    "float64": "d", "bcd16": "H", "bcd32": "I", "bcd64": "Q",
}  # fmt: skip
UNSIGNED = (None, "bit", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
BIT_TABLES = ("coil", "discrete")


def shape(at: At) -> Shape:
    if at.table in BIT_TABLES:
        return Shape("", 1)
    if at.type == "string":
        return Shape(f"{2 * (at.registers or 1)}s", at.registers or 1)
    code = CODES[at.type or "uint16"]
    size = struct.calcsize(f">{code}")
    order = tuple(ord(letter) - ord("A") for letter in at.word_order)  # each order is its own inverse
    if order == tuple(range(len(order))):
        return Shape(code, size // 2, None, code)
    return Shape(f"{size}s", size // 2, order, code)


def order_fits(at: At) -> bool:
    """Whether `word_order` has as many letters as the type has bytes."""
    if at.table in BIT_TABLES or at.word_order == "ABCD":
        return at.word_order == "ABCD"
    return len(at.word_order) == (2 if at.type == "string" else 2 * shape(At(0, type=at.type)).width)


def encode(at: At, raw: float) -> bytes:
    """The register bytes that hold `raw`; integers are taken modulo their width, so -1 and 65535 are the same word."""
    form = shape(at)
    if form.raw in ("f", "d"):
        data = struct.pack(f">{form.raw}", raw)
    elif at.type is not None and at.type.startswith("bcd"):
        data = bytes.fromhex(f"{int(raw):0{4 * form.width}d}"[-4 * form.width :])
    else:
        data = (int(raw) & (1 << 16 * form.width) - 1).to_bytes(2 * form.width, "big")
    return bytes(data[place] for place in form.order) if form.order else data


def needs(points: Sequence[Point]) -> list[Need]:
    return [
        Need(point.source.table, point.source.register, point.source.register + shape(point.source).width, index)
        for index, point in enumerate(points)
    ]
