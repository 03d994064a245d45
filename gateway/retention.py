"""What goes when a lane is full: pure decisions over (how much is used, which rows there are).

The order of giving way (law 5, R9), the same for a file over its quota and for the bounded tail in memory:

1. `prune`: settled records, oldest first. The district has them; no gap is told.
2. telemetry: `thin`, every second of the oldest unsettled packs, one pass over the whole lane before the next pass
   begins, never the newest. An outage gets coarser as a whole instead of losing its beginning.
3. alarms: `fold`, the repeats of one chattering alarm: its first and its last record of the window stay (the last says
   how it stands), those between become a count. Records of different alarms are never dropped for space.

What goes under 2 and 3 is counted and told in a gap record. Nothing here deletes anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

CHUNK_ROWS = 500
"""Rows of one transaction at most, so that a commit never waits long behind a deletion."""
CHUNK_BYTES = 4 * 1024 * 1024
WINDOW_ROWS = 2_000
"""Rows looked at for one decision."""
NEARLY_FULL = 0.8


class Row(NamedTuple):
    """One stored record, as far as retention looks at it."""

    sequence: int
    size_bytes: int
    subject: str = ""
    """Alarm lane: what it is about (`subject_of`)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which records go, in order, and where the next look begins."""

    drop: tuple[int, ...]
    cursor: int
    subject: str = ""
    """`fold`: the alarm whose repeats go, where it is one."""


def excess_bytes(used_bytes: int, quota_bytes: int) -> int:
    """How much must go: nothing up to 15/16 of the quota, beyond it down to 14/16, so that it is not asked each time."""
    if used_bytes * 16 <= quota_bytes * 15:
        return 0
    return used_bytes - quota_bytes * 14 // 16


def nearly_full(used_bytes: int, unsettled_share: float, quota_bytes: int) -> bool:
    """Whether unsettled records fill 80 % of the quota: a fault, while there is still time to act."""
    return used_bytes * unsettled_share >= NEARLY_FULL * quota_bytes


def prune(settled: Sequence[Row], excess: int) -> tuple[int, ...]:
    """The oldest settled records that make up `excess` bytes; at most a chunk."""
    return _take(list(settled), excess)


def thin(rows: Sequence[Row], excess: int, newest: int) -> Decision:
    """Every second of `rows` (unsettled, oldest first from the last cursor), until `excess` bytes are made up.

    `newest` stays whatever happens. The decision's cursor is 0 when the pass reached the end: begin anew at the oldest.
    """
    drop = _take([row for row in rows[1::2] if row.sequence != newest], excess)
    if not drop:
        return Decision((), 0)
    beyond = any(row.sequence > drop[-1] for row in rows)
    return Decision(drop, drop[-1] if beyond else 0)


def fold(rows: Sequence[Row], excess: int) -> Decision:
    """The repeats between the first and the last record of each subject in `rows`, the most repeated subject first."""
    end = rows[-1].sequence if rows else 0
    for subject, count in Counter(row.subject for row in rows).most_common(1):
        if count > 2:
            own = [row for row in rows if row.subject == subject]
            drop = _take(own[1:-1], excess)
            return Decision(drop, own[0].sequence - 1, subject)
    return Decision((), end)


def spill(rows: Sequence[Row], excess: int) -> tuple[int, ...]:
    """What leaves a bounded tail in memory, all of it at once: repeats first, then the oldest; the newest row stays.

    Rows without a subject (telemetry) are repeats of one thing: every second goes.
    """
    first = {row.subject: row.sequence for row in reversed(rows)}
    last = {row.subject: row.sequence for row in rows}
    repeats = [row for row in rows if first[row.subject] < row.sequence < last[row.subject]]
    if rows and not rows[0].subject:
        repeats = repeats[::2]
    chosen = set(repeats)
    rest = [row for row in rows[:-1] if row not in chosen]
    going: list[int] = []
    for row in (*repeats, *rest):
        if excess <= 0:
            break
        going.append(row.sequence)
        excess -= row.size_bytes
    return tuple(sorted(going))


def _take(rows: Sequence[Row], excess: int) -> tuple[int, ...]:
    taken: list[int] = []
    freed = 0
    for row in rows[:CHUNK_ROWS]:
        if freed >= min(excess, CHUNK_BYTES):
            break
        taken.append(row.sequence)
        freed += row.size_bytes
    return tuple(taken)


def subject_of(kind: str, body: bytes) -> str:
    """What a record of the alarm lane is about: kind and alarm (`alarm` of its JSON body); the kind alone if it has none."""
    try:
        content = json.loads(body)
    except ValueError:
        return kind
    alarm = content.get("alarm") if isinstance(content, dict) else None
    return f"{kind} {alarm}" if isinstance(alarm, str) else kind
