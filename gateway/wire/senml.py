"""A pack as SenML JSON (RFC 8428), the telemetry payload. Pure.

Guarantees
* Always valid JSON: a value that JSON cannot say (NaN, infinity) becomes BAD, not_a_number; strings are escaped.
* A BAD point has no record under its own name, since SenML requires a value; an UNCERTAIN one has a second record.
* An all-good full scan is one ``%`` on a template that was built once for the layout.

Wall times are those of the record that carries the pack, moved by the monotonic distance of each scan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

from gateway.model import Kind, Quality, Value
from gateway.wire.pack import Entry, Layout

_LABELS = {int(quality): quality.label for quality in Quality}
_FIELDS = {Kind.BOOL: "vb", Kind.INT: "v", Kind.FLOAT: "v", Kind.ENUM: "vs", Kind.TEXT: "vs"}


class _Template(NamedTuple):
    """What is ready before a scan comes. Percent signs are doubled in `base` and `full`, not in `records`."""

    base: str
    full: str
    """The whole scan with one conversion for the time and one a column."""
    records: tuple[str, ...]
    """By column: its record up to the value."""
    formats: tuple[str, ...]
    """By column: the conversion of its value."""
    words: tuple[tuple[int, dict[Value, str]], ...]
    """Columns whose value is said by a word: index, and JSON by value; None is for every other value."""


def encode(gateway: str, wall_offset: float, entries: Iterable[Entry]) -> bytes:
    """The SenML array of all entries; `wall_offset` is wall minus monotonic time of the record."""
    parts = []
    for entry in entries:
        template = _template(gateway, entry.layout)
        wall = wall_offset + entry.at
        if not entry.qualities:
            continue
        if entry.columns is None and entry.qualities == entry.layout.good and _finite(entry):
            values: list[Value] = [wall, *entry.values]
            for index, words in template.words:
                values[index + 1] = _word(words, values[index + 1])
            parts.append(template.full % tuple(values))
        else:
            parts.append(_scan(template, wall, entry))
    return f"[{','.join(parts)}]".encode("utf-8", "replace")


def _finite(entry: Entry) -> bool:
    """Whether all values are numbers that JSON can say; one sum instead of a look at each."""
    return entry.layout.full is not None and isfinite(sum(entry.values))  # type: ignore[arg-type]  # `full`: no text, no None


def _scan(template: _Template, wall: float, entry: Entry) -> str:
    records: list[str] = []
    words = dict(template.words)
    columns = range(len(entry.values)) if entry.columns is None else entry.columns
    for index, value, quality in zip(columns, entry.values, entry.qualities, strict=True):
        if isinstance(value, float) and not isfinite(value):
            value, quality = None, Quality.NOT_A_NUMBER
        if value is not None:
            if index in words:
                value = _word(words[index], value)
            elif isinstance(value, str):
                value = _quoted(value)
            records.append("{" + template.records[index] + template.formats[index] % value + "}")
        if quality:
            name = _quoted(entry.layout.points[index].name + "/quality")
            records.append(f'{{"n":{name},"vs":"{_LABELS[quality]}"}}')
    return "{" + template.base % wall + ",".join(records)[1:]


def _word(words: dict[Value, str], value: Value) -> str:
    """A number of an enumeration that has no label is said as the number, in quotes."""
    return words.get(value) or words.get(None) or f'"{value}"'


@lru_cache(maxsize=8192)
def _template(gateway: str, layout: Layout) -> _Template:
    base = f'"bn":{_quoted(f"{gateway}/{layout.device}/")},'.replace("%", "%%") + '"bt":%.3f,'
    records: list[str] = []
    formats: list[str] = []
    words: list[tuple[int, dict[Value, str]]] = []
    for index, point in enumerate(layout.points):
        unit = f'"u":{_quoted(point.unit)},' if point.unit else ""
        records.append(f'"n":{_quoted(point.name)},{unit}"{_FIELDS[point.kind]}":')
        formats.append({Kind.FLOAT: f"%.{layout.digits[index]}g", Kind.INT: "%d"}.get(point.kind, "%s"))
        if point.kind is Kind.BOOL:
            words.append((index, {0: "false", None: "true"}))
        elif point.kind is Kind.ENUM:
            words.append((index, {value: _quoted(label) for value, label in point.labels}))
    columns = [record.replace("%", "%%") + form for record, form in zip(records, formats, strict=True)]
    full = "{" + base + "},{".join(columns) + "}"
    return _Template(base, full, tuple(records), tuple(formats), tuple(words))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
