"""What a point says over time, in one line: the series notation of rule tests, after Prometheus' promtool.

    0x10 5+1x10 _x3 stale 1? usual

| written            | means                                                                                     |
|--------------------|-------------------------------------------------------------------------------------------|
| ``5``, ``-0.3``    | a good value; also ``true``, ``false``, a label of the point, a ``'text in quotes'``      |
| ``5x3``            | the value **and three more**: 5 5 5 5 (promtool counts so)                                |
| ``5+1x3``          | 5 6 7 8; ``5-1x3`` is 5 4 3 2                                                             |
| ``5?``             | the value, but UNCERTAIN (out of range); ``5?(jumping)`` with another reason              |
| ``_``, ``_x3``     | nothing is read in this step; in three steps                                              |
| ``stale``          | the device does not answer (BAD); ``stale(line_down)`` with another reason                |
| ``bad``            | it answers, but the value is invalid (BAD, sensor_fault); ``bad(refused)``                |
| ``usual``          | what the point says when nobody mentions it                                               |

``x`` after ``stale``, ``bad`` and ``usual`` counts as with a value: ``stalex2`` is three steps. Pure; knows no points.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.model import Level, Quality, Value

LONGEST = 100_000
"""Steps of one series."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<gap>_)
    | (?P<none>stale|bad)(?:\((?P<why>\w+)\))?
    | (?:(?P<number>{_NUMBER})(?P<step>[-+](?:\d+\.?\d*|\.\d+))? | '(?P<text>[^']*)' | (?P<word>[^\W\d_][\w.-]*?))
      (?P<doubt>\?(?:\((?P<reason>\w+)\))?)?
    )(?:x(?P<times>\d{{1,6}}))?(?=\s|$)""",
    re.VERBOSE,
)
_LABELS = {quality.label: quality for quality in Quality}
_BAD = {"stale": Quality.NOT_RESPONDING, "bad": Quality.SENSOR_FAULT}


class Word(str):
    """``true``, ``usual`` or a label: what it means depends on the point."""

    __slots__ = ()


class Entry(NamedTuple):
    """What is read in one step."""

    value: Value
    quality: Quality = Quality.GOOD


Series = tuple[Entry | None, ...]
"""An entry a step; None: nothing is read."""


def parse(text: str) -> Series:
    """The steps of a series. ValueError says what cannot be read."""
    entries: list[Entry | None] = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"'{text[place:].split()[0]}'")
        place = found.end()
        entries += _entries(found, int(found["times"]) if found["times"] else None)
        if len(entries) > LONGEST:
            raise ValueError(f"> {LONGEST}")
    if not entries:
        raise ValueError("''")
    return tuple(entries)


def _entries(found: re.Match[str], times: int | None) -> list[Entry | None]:
    if times is not None and times > LONGEST:
        raise ValueError(f"> {LONGEST}")
    if found["gap"]:
        return [None] * (1 if times is None else times)
    more = range((times or 0) + 1)
    if found["none"]:
        quality = _quality(found["why"], Level.BAD) if found["why"] else _BAD[found["none"]]
        return [Entry(None, quality) for _ in more]
    quality = Quality.GOOD
    if found["doubt"]:
        quality = _quality(found["reason"], Level.UNCERTAIN) if found["reason"] else Quality.OUT_OF_RANGE
    if found["number"] is None:
        return [Entry(Word(found["word"]) if found["word"] else found["text"], quality) for _ in more]
    first, step = _number(found["number"]), _number(found["step"] or "0")
    return [Entry(round(first + count * step, 9) if step else first, quality) for count in more]


def _quality(label: str, level: Level) -> Quality:
    quality = _LABELS.get(label)
    if quality is None or quality.level != level:
        raise ValueError(f"'{label}'")
    return quality


def _number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"[-+]?\d{1,18}", text) else float(text)
