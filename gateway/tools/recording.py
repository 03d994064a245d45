"""Recordings: what was read and said, one JSON object a line (docs/recordings.md has the format).

Guarantees
* Personal data does not get in: a text (a card number, a name) becomes ``#1``, ``#2``... in the order of its first
  appearance, and the bytes of a line on which a device tells texts are left out. There is no switch to keep them.
* At most `LONGEST_BYTES`; then it ends and says so. What is written is on the disk line by line: a killed tool leaves a
  recording that can be read.
* `load` takes a file as hostile: bounded lines, checked shapes; what is wrong is told with its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import IO, Any, NamedTuple

from gateway.model import Quality, Text
from gateway.tools.channel import ToolError

LONGEST_BYTES = 256 * 1024 * 1024
LINE_BYTES = 1024 * 1024
LONGEST_S = 31 * 86_400.0
"""A later event is a mistake or an attack: rules that are woken for each of its periods would never come to its end."""
REMOVED = "texts replaced by numbers; bytes of lines with texts left out"
_QUALITIES = frozenset(Quality)


class Writer:
    """An open recording; `event` returns False when it is full."""

    def __init__(self, file: IO[str], header: dict[str, Any]) -> None:
        self._file = file
        self._names: dict[str, str] = {}
        self._size = 0
        self.events = 0
        self._put({"gengfu_recording": 1, **header, "personal": REMOVED})

    def event(self, event: dict[str, Any]) -> bool:
        if self._size > LONGEST_BYTES:
            return False
        if "values" in event:
            event = {**event, "values": [self._clean(value) for value in event["values"]]}
        self._put(event)
        self.events += 1
        return True

    def _clean(self, value: Any) -> Any:
        return self._names.setdefault(value, f"#{len(self._names) + 1}") if isinstance(value, str) else value

    def _put(self, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False) + "\n"
        self._size += len(line)
        self._file.write(line)
        self._file.flush()


class Recording(NamedTuple):
    header: dict[str, Any]
    events: list[dict[str, Any]]


def load(path: Path) -> Recording:
    """Raises `ToolError` with the line that is wrong. A last line that breaks off is what a killed tool left: it is dropped."""
    rows = list(_rows(path))
    if not rows or rows[0].get("gengfu_recording") != 1:
        raise ToolError(Text(f"{path} 不是录制文件", f"{path} is no recording"))
    if not _is_layout(rows[0].get("points", {})):
        raise ToolError(Text(f"{path} 文件头中的测点无效", f"{path}:1: the points of the header are none"))
    for number, row in enumerate(rows[1:], 2):
        if not _is_event(row):
            raise ToolError(Text(f"{path} 第 {number} 行不是有效事件", f"{path}:{number}: no event of a recording"))
    return Recording(rows[0], rows[1:])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) == LINE_BYTES:
                        raise ToolError(Text(f"{path} 第 {number} 行过长", f"{path}:{number}: a line without end"))
                    return
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("no object")
                yield row
    except OSError as error:
        raise ToolError(Text(f"无法读取 {path}：{error}", f"cannot read {path}: {error}")) from None
    except (ValueError, RecursionError):
        raise ToolError(Text(f"{path} 第 {number} 行不是 JSON 对象", f"{path}:{number}: no JSON object")) from None


def _is_layout(points: object) -> bool:
    """Device -> its groups -> the names of their points, each once."""
    return isinstance(points, dict) and all(
        isinstance(groups, list)
        and all(
            isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
            for names in groups
        )
        for groups in points.values()
    )


def _is_event(row: dict[str, Any]) -> bool:
    t = row.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t <= LONGEST_S:
        return False
    if "device" in row:
        values, qualities = row.get("values"), row.get("qualities")
        return (
            isinstance(row["device"], str)
            and type(row.get("group")) is int
            and isinstance(values, list)
            and isinstance(qualities, list)
            and len(values) == len(qualities)
            and all(value is None or isinstance(value, str) or _is_number(value) for value in values)
            and all(type(one) is int and one in _QUALITIES for one in qualities)
        )
    if "bus" in row:
        data = row.get("tx", row.get("rx"))
        return isinstance(row["bus"], str) and isinstance(data, str) and _is_hex(data)
    return isinstance(row.get("command"), dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300 and isfinite(value)


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True
