"""Conditions over the past of another one: held for a time, became true n times; and what they need to see it.

Guarantees (for each of `Held`, `Times`, and of `Sequence` and `Absence` in `rules.order`)
* Asked twice at one time it says the same; `due` is when time alone will change the answer.
* FALSE and TRUE are said only while the parts themselves are known and certain (`CLIP`): what is unknown now is neither
  over nor certain, so a past that is still in the window never clears an alarm of which nothing is known any more.
* The second track never says more than the first (`AGREE` of both).
* Memory is bounded, and survives a restart; what happened while nobody looked is unknown.

"Became true" is from a known false to true. From unknown to true it may have been true all the while: that is none. From
false through unknown to true it is one, uncertain.
"""

from __future__ import annotations

import math
from collections import deque

from gateway.model import Scan
from rules.leaf import NEVER, Leaf, Node
from rules.truth import AGREE, CLIP, DOUBT, FALSE, FALSE_UNCERTAIN, NOW, SURE, TRUE, TRUE_UNCERTAIN, UNKNOWN
from rules.window import saved_time

TRACKS = (NOW, SURE)
LONG_AGO = -math.inf


class Rise:
    """Sees a truth become true."""

    __slots__ = ("gap", "known")

    def __init__(self) -> None:
        self.known = UNKNOWN
        """The last that was not unknown."""
        self.gap = False
        """Unknown since then."""

    def see(self, truth: int) -> int:
        """FALSE, or how certain it is that it became true just now."""
        if truth == UNKNOWN:
            self.gap = True
            return FALSE
        rose = self.known < UNKNOWN < truth
        grade = TRUE if rose and self.known == FALSE and truth == TRUE and not self.gap else TRUE_UNCERTAIN
        self.known, self.gap = truth, False
        return grade if rose else FALSE


class Doubts:
    """When several truths were last unknown, and last uncertain."""

    __slots__ = ("at", "last")

    def __init__(self, now: float) -> None:
        self.at = [LONG_AGO, LONG_AGO, now]
        """By `DOUBT`: nothing was known before the start."""
        self.last = 2

    def see(self, truths: list[int], at: float) -> int:
        doubt = max(DOUBT[truth] for truth in truths)
        self.at[self.last] = self.at[doubt] = at  # what it was lasted until now
        self.last = doubt
        return doubt

    def false(self, after_s: float, at: float) -> int:
        """The most that can be said of what was not seen within `after_s`."""
        return UNKNOWN if self.at[2] + after_s > at else FALSE_UNCERTAIN if self.at[1] + after_s > at else FALSE

    def due(self, after_s: float, at: float) -> float:
        """When that will be another answer, if it stays as it is."""
        ends = (self.at[doubt] + after_s for doubt in (1, 2) if doubt != self.last)
        return min((end for end in ends if end > at), default=NEVER)


class Held:
    """True for `for_s` already. Without a break: TRUE; with an unknown in between: TRUE_UNCERTAIN."""

    __slots__ = ("begun", "due_at", "for_s", "part", "since")

    def __init__(self, part: Node, for_s: float) -> None:
        self.part = part
        self.for_s = for_s
        self.begun = [NEVER, NEVER]
        """By track: when it became true, if it has not been known to be false since."""
        self.since = [[LONG_AGO, LONG_AGO, LONG_AGO, NEVER, NEVER] for _ in TRACKS]
        """By track and truth: since when it is at least that true, without a break."""
        self.due_at = [NEVER, NEVER]

    @property
    def due(self) -> float:
        return min(self.due_at)

    def wake(self, at: float) -> None:
        """Nothing to do: it looks at the time whenever it is asked."""

    def truth(self, track: int, at: float) -> int:
        now = self._truth(NOW, at)
        return now if track == NOW else AGREE[now][self._truth(SURE, at)]

    def _truth(self, track: int, at: float) -> int:
        truth, since = self.part.truth(track, at), self.since[track]
        for one in range(1, 5):
            since[one] = NEVER if truth < one else min(since[one], at)
        self.begun[track] = (
            NEVER if truth == FALSE else min(self.begun[track], at) if truth > UNKNOWN else self.begun[track]
        )
        ends = [one + self.for_s for one in (*since[1:], self.begun[track])]
        self.due_at[track] = min((end for end in ends if end > at), default=NEVER) if truth > UNKNOWN else NEVER
        held = sum(end <= at for end in ends[:4])
        if truth > UNKNOWN and ends[4] <= at:
            held = max(held, TRUE_UNCERTAIN)
        return CLIP[DOUBT[truth]][held]

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self.part.witness(track, at, scan)

    def remembered(self) -> list[float] | None:
        return [self.begun[NOW]] if self.begun[NOW] < NEVER else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        times = [] if saved is None else saved
        if not isinstance(times, list) or len(times) > 1:
            raise ValueError(f"not the time at which it began: {saved!r}")
        self.begun = [saved_time(times[0], shift_s, now) if times else NEVER, NEVER]
        self.since = [[LONG_AGO, LONG_AGO, LONG_AGO, NEVER, NEVER] for _ in TRACKS]


class Times:
    """Became true `n` times within `within_s`."""

    __slots__ = ("all", "at", "certain", "doubts", "due_at", "n", "part", "rises", "within_s")

    def __init__(self, part: Node, n: int, within_s: float, now: float) -> None:
        self.part = part
        self.n = n
        self.within_s = within_s
        self.at: float
        """When it was asked last."""
        self.rises: tuple[Rise, Rise]
        self.doubts: tuple[Doubts, Doubts]
        self.all: tuple[deque[float], deque[float]]
        """By track: the last `n` times at which it became true, and those of them that are certain."""
        self.certain: tuple[deque[float], deque[float]]
        self.due_at: list[float]
        self.remember(None, 0.0, now)

    @property
    def due(self) -> float:
        return min(self.due_at)

    def wake(self, at: float) -> None:
        """Nothing to do: it looks at the time whenever it is asked."""

    def truth(self, track: int, at: float) -> int:
        now = self._truth(NOW, at)
        return now if track == NOW else AGREE[now][self._truth(SURE, at)]

    def _truth(self, track: int, at: float) -> int:
        truth = self.part.truth(track, at)
        rose = self.rises[track].see(truth)
        if rose:
            self.all[track].append(at)
        if rose == TRUE:
            self.certain[track].append(at)
        self.at = at
        doubt = self.doubts[track].see([truth], at)
        ends = (one + self.within_s for one in (*self.all[track], *self.certain[track]))
        self.due_at[track] = min(
            self.doubts[track].due(self.within_s, at), min((end for end in ends if end > at), default=NEVER)
        )
        if self._often(self.certain[track], at):
            return CLIP[doubt][TRUE]
        return TRUE_UNCERTAIN if self._often(self.all[track], at) else self.doubts[track].false(self.within_s, at)

    def _often(self, times: deque[float], at: float) -> bool:
        return len(times) == self.n and times[0] + self.within_s > at

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self.part.witness(track, at, scan)

    def remembered(self) -> list[float] | None:
        """The times of the first track; after a restart they count as uncertain: there is a gap behind them."""
        return [one for one in self.all[NOW] if one + self.within_s > self.at] or None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        times = [] if saved is None else saved
        if not isinstance(times, list) or len(times) > self.n:
            raise ValueError(f"not the times of at most {self.n} events: {saved!r}")
        self.at = now
        self.rises = (Rise(), Rise())
        self.doubts = (Doubts(now), Doubts(now))
        self.all = (deque(maxlen=self.n), deque(maxlen=self.n))
        self.all[NOW].extend(saved_time(one, shift_s, now) for one in times)
        self.certain = (deque(maxlen=self.n), deque(maxlen=self.n))
        self.due_at = [NEVER, NEVER]
