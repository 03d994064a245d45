"""Modbus registers -> values: what a template says under ``at:`` (`modbus_at`), compiled once when a device is opened.

A reply's registers are unpacked into *cells* by one `struct` call: a cell is a number, or the bytes of a text or of a
value in another byte order. Each point has one small function from its cell to its value. A scan whose values are all
finite, in range and available is recognised in a few passes at C speed; only another one is judged point by point.

Guarantees
* NaN, infinity, a BCD digit above 9, an integer that no journal column holds (2^63 and more) and bytes that are no text in
  their encoding are NOT_A_NUMBER, the `not_available` raw value is SENSOR_FAULT; none of them ever gives a value.
* A decimal scale (0.1, 0.01...) divides, so that a raw 57 at 0.01 is the 0.57 that a limit in a rule is written as.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import nan
from operator import eq, itemgetter, le
from sys import float_info
from typing import Any, NamedTuple

from drivers.modbus_at import BIT_TABLES, At, encode, shape
from drivers.modbus_plan import Range
from drivers.quality import judge
from gateway.model import Kind, Point, Quality, Value

_HIGHEST_INT = 2**63 - 1
"""What the journal's columns hold."""

# From cells to values ------------------------------------------------------------------------------------------------


def _same(cell: Any) -> Any:
    return cell


def _storable(number: int) -> float:
    return number if number <= _HIGHEST_INT else nan


def _decimal(number: int) -> float:
    """BCD: the hexadecimal digits are the decimal ones; one above 9 is none."""
    digits = f"{number:x}"
    return int(digits) if digits.isdecimal() else nan


def _number(at: At) -> Callable[[Any], float]:
    """From a cell to the raw number, or to the bits asked for; NaN where it is none."""
    form = shape(at)
    unpack = struct.Struct(f">{form.raw}").unpack
    order = form.order

    def ordered(cell: bytes) -> float:
        number: float = unpack(bytes([cell[place] for place in order or ()]))[0]
        return number

    whole: Callable[[Any], Any] = ordered if order else _same
    low, high = (at.bit, at.bit) if at.bit is not None else at.bits or (0, None)
    if high is not None:
        mask = (1 << high - low + 1) - 1
        return (lambda cell: whole(cell) >> low & mask) if order else (lambda cell: cell >> low & mask)
    number = _decimal if at.type in ("bcd16", "bcd32", "bcd64") else _storable if at.type == "uint64" else None
    if number is None:
        return whole
    return (lambda cell: number(whole(cell))) if order else number


_NO_TEXT = "\U0010ffff\U0010ffff"
"""What bytes that are no text become until they are judged: greater than any limit, and itself no text."""


def _text(at: At) -> Callable[[bytes], str]:
    def text(cell: bytes) -> str:
        if at.word_order == "BA":
            swapped = bytearray(cell)
            swapped[::2], swapped[1::2] = cell[1::2], cell[::2]
            cell = bytes(swapped)
        try:
            said = cell.partition(b"\0")[0].rstrip(b" \xff").decode(at.encoding)
        except UnicodeDecodeError:
            return _NO_TEXT
        said = said.replace("\u3000", " ").strip()
        return said if said.isprintable() else _NO_TEXT  # a control character could play tricks on a console

    return text


def _converter(point: Point) -> Callable[[Any], Any]:
    at: At = point.source
    if point.kind is Kind.TEXT:
        return _text(at)
    number = _number(at)
    if at.table in BIT_TABLES:
        return int
    if point.kind is Kind.BOOL:
        return number if at.bit is not None else lambda cell: 1 if number(cell) else 0
    if point.kind is not Kind.FLOAT:
        return _whole(at, number)
    return _scaled(at, number)


def _whole(at: At, number: Callable[[Any], float]) -> Callable[[Any], Any]:
    """For int and enum: scale and offset are whole."""
    scale, offset = int(at.scale), int(at.offset)
    if scale == 1 and offset == 0:
        return number
    if at.type not in ("bcd16", "bcd32", "bcd64", "uint64", "int64"):
        return lambda cell: int(number(cell) * scale + offset)

    def whole(cell: Any) -> float:
        value = number(cell) * scale + offset
        return value if abs(value) <= _HIGHEST_INT else nan

    return whole


def _scaled(at: At, number: Callable[[Any], float]) -> Callable[[Any], Any]:
    scale, offset = at.scale, at.offset
    divisor = round(1 / scale)
    by_division = divisor != 0 and abs(1 / scale - divisor) < 1e-9 * abs(divisor)
    if by_division:
        if offset == 0:
            return (lambda cell: cell / divisor) if number is _same else (lambda cell: number(cell) / divisor)
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
    lows: tuple[float | str, ...]
    highs: tuple[float | str, ...]
    absent: tuple[Any, ...] | None
    """Cell of each point that means "sensor fault"; None when no point has one."""
    enums: tuple[tuple[int, frozenset[int]], ...]
    good: bytes


_HIGHEST_TEXT = "\U0010ffff"


def _bound(point: Point, limit: float | None, sign: int) -> float | str:
    """The limit in its value's own type: comparing an int with a float costs twice as much."""
    if point.kind is Kind.TEXT:
        return _HIGHEST_TEXT if sign > 0 else ""
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
    value = codec.convert[index](cell)
    if isinstance(value, str):
        return (None, Quality.NOT_A_NUMBER) if value == _NO_TEXT else (value, Quality.GOOD)
    return judge(codec.points[index], value)


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
