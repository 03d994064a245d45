"""Does a value move? The judge of `changed` and `frozen`, which are one another's opposite.

Two values are the same when they are exactly equal. One frame with another value is a change in doubt, since it may be
a flipped bit: there and back, two changes. It is certain with a second frame of a new value, with a third value, or with
a third change in a row. A gap (BAD) shorter than the window is bridged as
a longer pause between two polls; what is older than a longer one says nothing. It keeps a CRC of the last value, not the
value: a text may be long.

Over a restart goes only that the value stood still, and since when: one that has moved again is known after one frame.
"""

from __future__ import annotations

import math
import zlib

from gateway.model import Level, Value
from rules.truth import CLIP, FALSE, TRUE, TRUE_UNCERTAIN, UNKNOWN
from rules.window import saved_time

STILL_S = 5.0
NEVER = -math.inf


class Motion:
    """Is the value another one than `within_s` ago? With `still`: is it the same?"""

    __slots__ = (
        "before",
        "edition",
        "first",
        "heard",
        "last",
        "maybe",
        "noted",
        "run",
        "settled",
        "since",
        "still",
        "sure",
        "within_s",
    )

    def __init__(self, within_s: float, *, still: bool) -> None:
        self.within_s = within_s
        self.still = still
        self.edition = 0
        """Another number when there is something new to remember."""
        self.noted = False
        self._forget()

    def _forget(self) -> None:
        self.last: int | None = None
        self.before: int | None = None
        """CRC of the last value, and of the one of the frame before it."""
        self.settled: int | None = None
        """CRC of the last value that two frames in a row had (at first: of the first)."""
        self.run = 0
        """Changes in a row."""
        self.first = self.heard = NEVER
        """When the first value was heard that is still bridged to the last one, and when the last one."""
        self.since = NEVER
        """When the value became what it is."""
        self.maybe = self.sure = NEVER
        """When it changed last, perhaps and for certain."""

    def judge(self, value: Value, level: int, at: float) -> int:
        mark = zlib.crc32(repr(value).encode())
        if self.last is None or at - self.heard > self.within_s:
            self._forget()
            self.first = self.since = at
            self.settled = mark
        else:
            self._compare(mark, level, at)
        self.before, self.last, self.heard = self.last, mark, at
        self._note(at)
        moved = self._moved(level, at)
        return TRUE - moved if self.still else moved

    def _compare(self, mark: int, level: int, at: float) -> None:
        if mark == self.last:
            self.run = 0
            if mark != self.settled and level == Level.GOOD:
                self.settled, self.sure = mark, self.since
            return
        self.run += 1
        self.maybe = self.since = at
        if level == Level.GOOD and (self.run > 2 or (self.run == 2 and mark != self.before)):
            self.sure = at

    def _moved(self, level: int, at: float) -> int:
        if at - self.sure < self.within_s:
            return CLIP[level][TRUE]
        if at - self.maybe < self.within_s:
            return TRUE_UNCERTAIN
        return CLIP[level][FALSE] if at - self.first >= self.within_s else UNKNOWN

    def _note(self, at: float) -> None:
        noted = at - self.since >= max(self.within_s / 32, STILL_S)
        if noted != self.noted:
            self.noted = noted
            self.edition += 1

    def remembered(self) -> list[float] | None:
        return [self.last, self.since] if self.noted and self.last is not None else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        self._forget()
        self.noted = saved is not None
        if saved is None:
            return
        if not isinstance(saved, list) or len(saved) != 2 or type(saved[0]) is not int:
            raise ValueError(f"not a value and its time: {saved!r}")
        self.last = self.before = self.settled = saved[0]
        self.first = self.since = saved_time(saved[1], shift_s, now)
        self.heard = now
