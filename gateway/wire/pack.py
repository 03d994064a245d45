"""A pack: the compact binary body of one telemetry record, many scans of many devices. Pure.

A `Layout` names the columns of one group of one device; its id is in every entry, its description is stored once in the
telemetry lane's state under ``layout/<id>``, so that a pack can be read after the site file has changed.

    pack  = version 1 (B), entries
    entry = layout id (Q), at (d, monotonic seconds), mode (B), then by mode, little-endian throughout
      FULL     all columns, all good:      the values
      WHOLE    all columns:                a quality byte each, the values that are not BAD
      PARTIAL  some columns: count (H), indices (H each, rising), a quality byte each, the values that are not BAD
    value = bool B, int and enum q, float d, text H + UTF-8

Guarantees
* What `encode` wrote `decode` returns, value by value. A value that does not fit its column becomes BAD: NOT_A_NUMBER
  for a NaN or infinity outside a FULL entry, DRIVER_FAULT for anything else; it never stops the rest of the pack.
* `decode` of any other bytes raises `DeliveryError` (not to be retried) and nothing else.
* An all-good full scan costs one ``struct.pack``.

It does not know wall time, nor the gateway: `gateway.wire.senml` does.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import isfinite
from typing import NamedTuple

from gateway.errors import DeliveryError
from gateway.model import Kind, Point, Quality, Scan, Value

VERSION = b"\x01"
FULL, WHOLE, PARTIAL = range(3)
LAYOUT = "layout/"
"""Prefix of their keys in the telemetry lane's state."""
TEXT_BYTES = 1024
"""A longer text value is cut here, at a whole character."""

_HEAD = struct.Struct("<QdB")
_COUNT = struct.Struct("<H")
_CODES = {Kind.BOOL: "B", Kind.INT: "q", Kind.ENUM: "q", Kind.FLOAT: "d"}
_BAD = bytes(quality for quality in range(256) if quality >= Quality.NOT_RESPONDING)
_KNOWN = bytes(Quality)


class Layout:
    """The columns of one group of one device, in `Scan` order. Equal when its description is equal."""

    __slots__ = ("_whole_bytes", "device", "digits", "full", "good", "group", "id", "points", "text", "wire_bytes")

    def __init__(self, device: str, group: int, points: Sequence[Point], digits: Mapping[str, int] | None = None):
        """`digits`: significant digits of a float column by point name: 6 where a 16-bit register is behind it; 9 else."""
        self.device = device
        self.group = group
        self.points = tuple(points)
        self.digits = tuple((digits or {}).get(point.name, 9) for point in self.points)
        self.good = bytes(len(self.points))
        codes = "".join(_CODES.get(point.kind, "?") for point in self.points)
        self.full = struct.Struct("<QdB" + codes) if "?" not in codes else None
        """None when a column is a text: such a scan is never packed in one go."""
        self.text = self._description()
        self.id = int.from_bytes(sha256(self.text).digest()[:8], "little")
        self.wire_bytes = tuple(map(_wire_bytes, self.points))
        self._whole_bytes = 48 + len(device) + sum(self.wire_bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.text == other.text

    def __hash__(self) -> int:
        return self.id

    def _description(self) -> bytes:
        columns = [
            [point.name, point.kind.value, point.unit, digits, [list(label) for label in point.labels]]
            for point, digits in zip(self.points, self.digits, strict=True)
        ]
        description = {"columns": columns, "device": self.device, "group": self.group}
        return json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def size(self, columns: Sequence[int] | None) -> int:
        """About how many bytes a scan with these columns (None: all) takes on the wire, as SenML."""
        if columns is None:
            return self._whole_bytes
        return 48 + len(self.device) + sum(map(self.wire_bytes.__getitem__, columns))

    def to_json(self) -> bytes:
        """Canonical: the same layout always gives the same bytes."""
        return self.text

    @classmethod
    def from_json(cls, text: bytes) -> Layout:
        """The opposite of `to_json`; raises `DeliveryError` when it is none."""
        try:
            description = json.loads(text)
            device = str(description["device"])
            points = tuple(
                Point(
                    f"{device}/{name}",
                    name,
                    Kind(kind),
                    unit,
                    labels=tuple((int(n), str(label)) for n, label in labels),
                )
                for name, kind, unit, _, labels in description["columns"]
            )
            digits = {column[0]: int(column[3]) for column in description["columns"]}
            return cls(device, int(description["group"]), points, digits)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise DeliveryError(f"layout cannot be read: {error!r}", retry=False) from error


_VALUE_BYTES = {Kind.BOOL: 6, Kind.INT: 6, Kind.ENUM: 12, Kind.FLOAT: 8, Kind.TEXT: 40}


def _wire_bytes(point: Point) -> int:
    """``{"n":"name","u":"unit","v":value},`` with a value of the usual length."""
    unit = 7 + len(point.unit) if point.unit else 0
    return 15 + len(point.name) + unit + _VALUE_BYTES[point.kind]


class Layouts(Mapping[int, Layout]):
    """The layouts stored in the telemetry lane's state, read when first needed."""

    def __init__(self, state: Callable[[], Mapping[str, bytes]]) -> None:
        self._state = state
        self._read: dict[int, Layout] = {}

    def __getitem__(self, key: int) -> Layout:
        layout = self._read.get(key)
        if layout is None:
            layout = self._read[key] = Layout.from_json(self._state()[f"{LAYOUT}{key}"])
        return layout

    def __iter__(self) -> Iterator[int]:
        return (int(key.removeprefix(LAYOUT)) for key in self._state() if key.startswith(LAYOUT))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Entry(NamedTuple):
    """One scan as it came out of a pack; `values` and `qualities` are those of `columns` (None: all)."""

    layout: Layout
    at: float
    columns: tuple[int, ...] | None
    values: tuple[Value, ...]
    qualities: bytes


def encode(scans: Sequence[tuple[Layout, Scan, tuple[int, ...] | None]]) -> bytes:
    """One body from scans with their layouts and the columns to keep (None: all)."""
    parts = [VERSION]
    for layout, scan, columns in scans:
        if columns is None and layout.full and scan.qualities == layout.good:
            try:
                parts.append(layout.full.pack(layout.id, scan.at, FULL, *scan.values))
                continue
            except (struct.error, TypeError):
                pass  # a value that does not fit its column: found one by one below
        parts.append(_encode_some(layout, scan, columns))
    return b"".join(parts)


def _encode_some(layout: Layout, scan: Scan, columns: tuple[int, ...] | None) -> bytes:
    qualities = bytearray()
    values: list[bytes] = []
    for index in range(len(layout.points)) if columns is None else columns:
        quality, value = _fit(layout.points[index].kind, scan.values[index], scan.qualities[index])
        qualities.append(quality)
        values.append(value)
    head = _HEAD.pack(layout.id, scan.at, WHOLE if columns is None else PARTIAL)
    which = b"" if columns is None else struct.pack(f"<H{len(columns)}H", len(columns), *columns)
    return head + which + bytes(qualities) + b"".join(values)


def _fit(kind: Kind, value: Value, quality: int) -> tuple[int, bytes]:
    """The quality and the bytes of one value, as far as it fits its column."""
    if quality in _BAD:
        return quality, b""
    try:
        if kind is Kind.TEXT:
            text = str(value).encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore").encode()
            return quality, _COUNT.pack(len(text)) + text
        if kind is Kind.FLOAT and not isfinite(value):  # type: ignore[arg-type]  # a wrong type raises, as wanted
            return Quality.NOT_A_NUMBER, b""
        return quality, struct.pack("<" + _CODES[kind], value)
    except (struct.error, TypeError):
        return Quality.DRIVER_FAULT, b""


def decode(body: bytes, layouts: Mapping[int, Layout]) -> Iterator[Entry]:
    """The entries of a body, in order; raises `DeliveryError` where it cannot be read on."""
    try:
        if body[:1] != VERSION:
            raise ValueError(f"version {body[:1].hex()}")
        offset = 1
        while offset < len(body):
            entry, offset = _decode_entry(body, offset, layouts)
            yield entry
    except (ValueError, KeyError, struct.error) as error:
        raise DeliveryError(f"pack cannot be read: {error!r}", retry=False) from error


def _decode_entry(body: bytes, offset: int, layouts: Mapping[int, Layout]) -> tuple[Entry, int]:
    key, at, mode = _HEAD.unpack_from(body, offset)
    layout = layouts[key]
    if not isfinite(at):
        raise ValueError(f"at {at}")
    if mode == FULL and layout.full:
        values = layout.full.unpack_from(body, offset)[3:]
        return Entry(layout, at, None, values, layout.good), offset + layout.full.size
    if mode not in (WHOLE, PARTIAL):
        raise ValueError(f"mode {mode}")
    offset += _HEAD.size
    columns = None
    if mode == PARTIAL:
        count = _COUNT.unpack_from(body, offset)[0]
        columns = struct.unpack_from(f"<{count}H", body, offset + 2)
        offset += 2 + 2 * count
        if any(a >= b for a, b in zip(columns, (*columns[1:], len(layout.points)), strict=True)):
            raise ValueError("columns out of order or unknown")
    points = layout.points if columns is None else tuple(layout.points[index] for index in columns)
    qualities = body[offset : offset + len(points)]
    if len(qualities) < len(points) or qualities.strip(_KNOWN):
        raise ValueError("qualities cut or unknown")
    offset += len(points)
    values_: list[Value] = []
    for point, quality in zip(points, qualities, strict=True):
        value, offset = (None, offset) if quality in _BAD else _decode_value(body, offset, point.kind)
        values_.append(value)
    return Entry(layout, at, columns, tuple(values_), qualities), offset


def _decode_value(body: bytes, offset: int, kind: Kind) -> tuple[Value, int]:
    if kind is Kind.TEXT:
        start = offset + 2
        end = start + _COUNT.unpack_from(body, offset)[0]
        if end > len(body):
            raise ValueError("text cut")
        return body[start:end].decode(), end
    code = struct.Struct("<" + _CODES[kind])
    value: Value = code.unpack_from(body, offset)[0]
    return value, offset + code.size
