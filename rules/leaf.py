"""The leaves of a condition: `Reading` (a judged value of one point) and `Silence` (nothing usable for too long).

Guarantees
* A leaf is told of every scan of its group and says whether anything moved; nothing else needs to be looked at.
* Nothing is known before it was heard: after a start or a restart a reading is UNKNOWN, whatever it was before.
* A leaf keeps the last scan it looked at, as evidence: value, quality and the time it was true.

It also says what every part of a condition can do (`Node`, `Memory`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model import Level, Sample, Scan
from rules.measure import Judge
from rules.truth import AGREE, FALSE, LEVELS, NOW, QUALITIES, SURE, TRUE, UNKNOWN, level

NEVER = math.inf
_BAD = int(Level.BAD)


class Node(Protocol):
    def truth(self, track: int, at: float) -> int: ...

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf: ...


class Memory(Protocol):
    """A part that must survive a restart."""

    def remembered(self) -> object: ...

    def remember(self, saved: object, shift_s: float, now: float) -> None: ...


class Timed(Protocol):
    """A part that time alone may change."""

    @property
    def due(self) -> float: ...

    def wake(self, at: float) -> None: ...


class Kept(Protocol):
    """The memory of a judge: `edition` is another number when there is something new to save."""

    edition: int


class Leaf(Protocol):
    """What a condition's truth comes down to; the evidence of an alarm."""

    moved: list[float]
    """When the answer became another, on each track."""
    scan: Scan | None

    def take(self, scan: Scan, at: float) -> bool: ...

    def doubt(self) -> None: ...

    def truth(self, track: int, at: float) -> int: ...

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf: ...

    def sample(self) -> Sample | None: ...


class Reading:
    """One comparison of one point."""

    __slots__ = ("column", "edition", "judge", "kept", "moved", "now", "point", "scan", "sure")

    def __init__(self, point: str, column: int, judge: Judge, kept: Kept | None = None) -> None:
        self.point = point
        self.column = column
        self.judge = judge
        self.kept = kept
        self.edition = 0
        self.now = UNKNOWN
        self.sure = UNKNOWN
        self.moved = [-math.inf, -math.inf]
        """When the answer became another, on each track."""
        self.scan: Scan | None = None

    def take(self, scan: Scan, at: float) -> bool:
        """A new scan of the point's group; true when `now` or `sure` became another, or there is something to save."""
        self.scan = scan
        value = scan.values[self.column]
        grade = LEVELS[scan.qualities[self.column]]
        truth = UNKNOWN if grade == _BAD or value is None else self.judge(value, grade, at)
        if truth == self.now == self.sure:
            return self.kept is not None and self._news(self.kept)
        sure = AGREE[self.now][truth]
        if truth != self.now:
            self.moved[NOW] = at
        if sure != self.sure:
            self.moved[SURE] = at
        self.now = truth
        self.sure = sure
        return True

    def _news(self, kept: Kept) -> bool:
        news, self.edition = kept.edition != self.edition, kept.edition
        return news

    def doubt(self) -> None:
        """What it says is not to be relied on: nothing is known until the next scan."""
        self.now = self.sure = UNKNOWN

    def truth(self, track: int, at: float) -> int:
        return self.sure if track else self.now

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self

    def sample(self) -> Sample | None:
        return None if self.scan is None else _sample(self.scan, self.column, self.point)


class Silence:
    """No usable value of a point, or of any point of a device, for `for_s`.

    NOW is never UNKNOWN: what was never heard counts from the start (or restart) of the engine. SURE is, until frames
    came: a start proves nothing, so an alarm that was active before it is not cleared by it. Time does not lie: when the
    silence is long enough both tracks are TRUE at once. An UNCERTAIN value breaks the silence and clears nothing.
    """

    __slots__ = ("column", "due", "for_s", "last", "moved", "now", "points", "scan", "sure")

    def __init__(self, points: Mapping[int, tuple[str, ...]], column: int | None, for_s: float, now: float) -> None:
        self.points = points
        self.column = column
        """None: any point of the device."""
        self.for_s = for_s
        self.moved = [-math.inf, -math.inf]
        self.scan: Scan | None = None
        self.remember(None, 0.0, now)

    def remembered(self) -> bool | None:
        return True if self.now == TRUE else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        if saved is not None and saved is not True:
            raise ValueError(f"no silence: {saved!r}")
        self.now = TRUE if saved else FALSE
        self.sure = self.last = TRUE if saved else UNKNOWN
        self.due = NEVER if saved else now + self.for_s

    def wake(self, at: float) -> None:
        """Time went on; `due` may be there."""
        if at >= self.due:
            self.now = self.sure = self.last = TRUE
            self.due = NEVER
            self.moved = [at, at]

    def take(self, scan: Scan, at: float) -> bool:
        frame = self._frame(scan)
        now, sure = self.now, AGREE[self.last][frame]
        if frame != UNKNOWN:
            self.due = at + self.for_s
            self.scan = scan
            now = frame
        elif now == TRUE:
            sure = TRUE
        self.last = frame
        if now == self.now and sure == self.sure:
            return False
        if now != self.now:
            self.moved[NOW] = at
        if sure != self.sure:
            self.moved[SURE] = at
        self.now = now
        self.sure = sure
        return True

    def doubt(self) -> None:
        """Two new frames are needed to say that it is over."""
        if self.now != TRUE:
            self.sure = self.last = UNKNOWN

    def _frame(self, scan: Scan) -> int:
        """What one scan says about silence: a level is also FALSE, FALSE_UNCERTAIN or UNKNOWN, in this order."""
        if self.column is not None:
            return level(scan.qualities[self.column], scan.values[self.column])
        if not any(scan.qualities) and None not in scan.values:  # the common scan, fast
            return FALSE if scan.values else UNKNOWN
        return min(map(level, scan.qualities, scan.values))

    def truth(self, track: int, at: float) -> int:
        return self.sure if track else self.now

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self

    def sample(self) -> Sample | None:
        """The last usable value; of a device, the first of the best quality in its last usable scan."""
        scan = self.scan
        if scan is None:
            return None
        levels: list[int] = list(map(level, scan.qualities, scan.values))
        column = levels.index(min(levels)) if self.column is None else self.column
        return _sample(scan, column, self.points[scan.group][column])


def _sample(scan: Scan, column: int, point: str) -> Sample:
    return Sample(point, scan.values[column], QUALITIES[scan.qualities[column]], scan.at)


def among(parts: Sequence[Node], truths: Sequence[int], truth: int, track: int, at: float, scan: Scan | None) -> Leaf:
    """The leaf that completed the answer `truth`: of the parts on its side the one that moved last; of two that moved at
    one time, the one just read. No part is on its side where "k of n" asks about a truth that only it remembers: then any."""
    told = [part for part, one in zip(parts, truths, strict=True) if _same_side(one, truth)] or parts
    leaves = [part.witness(track, at, scan) for part in told]
    return max(leaves, key=lambda leaf: (leaf.moved[track], leaf.scan is scan))


def _same_side(first: int, second: int) -> bool:
    """Do both say true, or both false?"""
    return (first - UNKNOWN) * (second - UNKNOWN) > 0
