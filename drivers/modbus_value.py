"""Modbus registers <-> values: what a template says under ``at:``, compiled once when a device is opened.

A reply's registers are unpacked into *cells* by one `struct` call: a cell is a number, or the four bytes of a 32-bit
value in another word order. Each point has one small function from its cell to its value. A scan whose values are all
finite, in range and available is recognised in a few passes at C speed; only another one is judged point by point.

Guarantees
* NaN and infinity are NOT_A_NUMBER, the `not_available` raw value is SENSOR_FAULT; neither ever gives a number.
* A decimal scale (0.1, 0.01...) divides, so that a raw 57 at 0.01 is the 0.57 that a limit in a rule is written as.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq, itemgetter, le
from sys import float_info
from typing import Any, ClassVar, Literal, NamedTuple

from drivers.modbus_plan import Need, Range
from drivers.quality import judge
from gateway.model import Kind, Point, Quality, Value


@dataclass(frozen=True, slots=True)
class At:
    """Where a Modbus point is. `register` is the protocol's 0-based address, never the manual's 4xxxx number."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    register: int
    """The first register, or the coil or discrete input."""
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    type: Literal["bit", "uint16", "int16", "uint32", "int32", "float32"] | None = None
    """None is bit in coil and discrete, uint16 in holding and input."""
    bit: int | None = None
    """This bit of an unsigned word; 0 is the least significant."""
    bits: tuple[int, int] | None = None
    """These bits of an unsigned word, lowest and highest, both included."""
    word_order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    """How the four bytes of a 32-bit value come over the wire; A is the most significant."""
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
    order: tuple[int, int, int, int] | None = None
    """Which wire byte is A, B, C, D, when they do not come in that order; then the cell is the bytes."""
    raw: str = ""
    """`struct` format of the ordered bytes."""


CODES = {"bit": "H", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float32": "f"}
ORDERS = {"CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
"""Each is its own inverse."""
BIT_TABLES = ("coil", "discrete")


def shape(at: At) -> Shape:
    if at.table in BIT_TABLES:
        return Shape("", 1)
    code = CODES[at.type or "uint16"]
    if code in "Hh":
        return Shape(code, 1, None, code)
    order = ORDERS.get(at.word_order)
    return Shape("4s" if order else code, 2, order, code)


def encode(at: At, raw: float) -> bytes:
    """The register bytes that hold `raw`; integers are taken modulo their width, so -1 and 65535 are the same word."""
    form = shape(at)
    if form.raw == "f":
        data = struct.pack(">f", raw)
    else:
        data = (int(raw) & (1 << 16 * form.width) - 1).to_bytes(2 * form.width, "big")
    return bytes(data[place] for place in form.order) if form.order else data


def needs(points: Sequence[Point]) -> list[Need]:
    return [
        Need(point.source.table, point.source.register, point.source.register + shape(point.source).width, index)
        for index, point in enumerate(points)
    ]


# From cells to values ------------------------------------------------------------------------------------------------


def _same(cell: Any) -> Any:
    return cell


def _number(at: At) -> Callable[[Any], float]:
    """From a cell to the raw number, or to the bits asked for."""
    form = shape(at)
    unpack = struct.Struct(f">{form.raw}").unpack
    order = form.order

    def ordered(cell: bytes) -> float:
        number: float = unpack(bytes([cell[place] for place in order or ()]))[0]
        return number

    whole: Callable[[Any], Any] = ordered if order else _same
    low, high = (at.bit, at.bit) if at.bit is not None else at.bits or (0, None)
    if high is None:
        return whole
    mask = (1 << high - low + 1) - 1
    return (lambda cell: whole(cell) >> low & mask) if order else (lambda cell: cell >> low & mask)


def _converter(point: Point) -> Callable[[Any], Any]:
    at: At = point.source
    number = _number(at)
    if at.table in BIT_TABLES:
        return int
    if point.kind is Kind.BOOL:
        return number if at.bit is not None else lambda cell: 1 if number(cell) else 0
    scale, offset = at.scale, at.offset
    if point.kind is not Kind.FLOAT:
        plain = scale == 1 and offset == 0
        return number if plain else lambda cell: int(number(cell) * int(scale) + int(offset))
    divisor = round(1 / scale)
    by_division = divisor != 0 and abs(1 / scale - divisor) < 1e-9 * abs(divisor)
    simple = shape(at).order is None and at.bit is None and at.bits is None
    if by_division:
        if offset == 0:
            return (lambda cell: cell / divisor) if simple else (lambda cell: number(cell) / divisor)
        return lambda cell: number(cell) / divisor + offset
    return lambda cell: number(cell) * scale + offset


def _absent_cell(at: At) -> Any:
    """The cell that means "sensor fault", or None, which equals no cell."""
    if at.not_available is None:
        return None
    return struct.unpack(f">{shape(at).code}", encode(at, at.not_available))[0]


class Codec(NamedTuple):
    """The compiled points of a group."""

    points: tuple[Point, ...]
    convert: tuple[Callable[[Any], Any], ...]
    bare: bool
    """Cells are the values, and any is within its range: plain integers without limits, the usual status block."""
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    absent: tuple[Any, ...] | None
    """Cell of each point that means "sensor fault"; None when no point has one."""
    enums: tuple[tuple[int, frozenset[int]], ...]
    good: bytes


def _bound(point: Point, limit: float | None, sign: int) -> float:
    """The limit in its value's own type: comparing an int with a float costs twice as much."""
    if point.kind is Kind.FLOAT:
        return sign * float_info.max if limit is None else float(limit)
    if limit is None:
        return sign << 64
    return int(limit) if float(limit).is_integer() else limit


def compile_points(points: Sequence[Point]) -> Codec:
    absent = tuple(_absent_cell(point.source) for point in points)
    convert = tuple(_converter(point) for point in points)
    return Codec(
        tuple(points),
        convert,
        all(one is _same for one in convert) and all(point.low is None and point.high is None for point in points),
        tuple(_bound(point, point.low, -1) for point in points),
        tuple(_bound(point, point.high, 1) for point in points),
        absent if any(cell is not None for cell in absent) else None,
        tuple(
            (index, frozenset(value for value, _ in point.labels))
            for index, point in enumerate(points)
            if point.kind is Kind.ENUM
        ),
        bytes(len(points)),
    )


def decode(codec: Codec, cells: Sequence[Any]) -> tuple[tuple[Value, ...], bytes]:
    """Values and qualities from a cell a point, in point order. None of the cells is missing."""
    values = cells if codec.bare else [convert(cell) for convert, cell in zip(codec.convert, cells, strict=True)]
    if (
        (codec.bare or (all(map(le, codec.lows, values)) and all(map(le, values, codec.highs))))
        and not (codec.absent and any(map(eq, codec.absent, cells)))
        and all(values[index] in known for index, known in codec.enums)
    ):
        return tuple(values), codec.good
    judged = [_judge(codec, index, cell) for index, cell in enumerate(cells)]
    return tuple(value for value, _ in judged), bytes(quality for _, quality in judged)


def decode_some(
    codec: Codec, cells: Sequence[Any], failed: Sequence[Quality | None]
) -> tuple[tuple[Value, ...], bytes]:
    """The same when some points have no cell but a reason."""
    judged = [
        (None, reason) if reason is not None else _judge(codec, index, cell)
        for index, (cell, reason) in enumerate(zip(cells, failed, strict=True))
    ]
    return tuple(value for value, _ in judged), bytes(quality for _, quality in judged)


def _judge(codec: Codec, index: int, cell: Any) -> tuple[Value, Quality]:
    if codec.absent and codec.absent[index] is not None and cell == codec.absent[index]:
        return None, Quality.SENSOR_FAULT
    return judge(codec.points[index], codec.convert[index](cell))


# From a reply's bytes to cells ---------------------------------------------------------------------------------------


def compile_range(asked: Range, points: Sequence[Point]) -> Callable[[bytes], Sequence[Any]]:
    """The function that unpacks the reply PDU of a range into the cells of its points, in the range's order."""
    if asked.table in BIT_TABLES:
        return _bit_cells([points[index].source.register - asked.first for index in asked.points])
    wanted = [(points[index].source.register, shape(points[index].source).code) for index in asked.points]
    layers: list[struct.Struct] = []
    places: dict[tuple[int, str], int] = {}
    rest = sorted(set(wanted))
    while rest:  # more than once only when 16- and 32-bit points overlap: a struct cannot step back
        text, at, later = ">", asked.first, []
        for register, code in rest:
            if register < at:
                later.append((register, code))
                continue
            places[register, code] = len(places)
            text += f"{2 * (register - at)}x{code}"
            at = register + struct.calcsize(f">{code}") // 2
        layers.append(struct.Struct(text))
        rest = later
    return _word_cells(layers, [places[key] for key in wanted])


def _bit_cells(bits: list[int]) -> Callable[[bytes], Sequence[Any]]:
    def cells(pdu: bytes) -> Sequence[Any]:
        packed = int.from_bytes(pdu[2:], "little")
        return [packed >> bit & 1 for bit in bits]

    return cells


def _word_cells(layers: list[struct.Struct], places: list[int]) -> Callable[[bytes], Sequence[Any]]:
    unpack = layers[0].unpack_from
    if len(layers) == 1 and places == list(range(len(places))):
        return lambda pdu: unpack(pdu, 2)
    pick = itemgetter(*places) if len(places) > 1 else lambda cells: (cells[places[0]],)

    def cells(pdu: bytes) -> Sequence[Any]:
        found: tuple[Any, ...] = ()
        for layer in layers:
            found += layer.unpack_from(pdu, 2)
        picked: tuple[Any, ...] = pick(found)
        return picked

    return cells
