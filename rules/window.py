"""K of n within a time: the one node of a condition that remembers."""

from __future__ import annotations

import math

from gateway.model import Scan
from rules.leaf import NEVER, Leaf, Node, among
from rules.truth import NOW, SURE, TRUE, TRUE_UNCERTAIN, UNKNOWN

REFRESH_S = 5.0


class Window:
    """At least `k` parts were true within the last `within_s`.

    Each part counts with the greatest truth that it had in the window, and the answer is the k-th greatest of these: it
    is false only when enough parts were known to be false all through the window, since an unknown may hide a true. A
    part keeps its truth from one scan to the next, so it counts for `within_s` from the scan that ended it.
    Remembered over a restart: when each part was last true (not older than the truth by more than a quarter of the
    window or 5 s). What happened while nobody looked is unknown.
    """

    __slots__ = ("at", "due_at", "held", "k", "noted", "parts", "until", "within_s")

    def __init__(self, k: int, parts: tuple[Node, ...], within_s: float) -> None:
        self.k = k
        self.parts = parts
        self.within_s = within_s
        self.at = -math.inf
        """When it was asked last."""
        self.noted = -math.inf
        """When it was noted last, for a restart, that parts are still true."""
        self.held = ([UNKNOWN] * len(parts), [UNKNOWN] * len(parts))
        self.until = tuple([[-math.inf] * 5 for _ in parts] for _ in (NOW, SURE))
        """For each track, part and truth: when the part was last at least that true."""
        self.due_at = [NEVER, NEVER]

    @property
    def due(self) -> float:
        return min(self.due_at)

    def wake(self, at: float) -> None:
        """Nothing to do: a window looks at the time whenever it is asked."""

    def truth(self, track: int, at: float) -> int:
        self.at = at
        counts = self._counts(track, at)
        self.due_at[track] = min(
            (end for until in self.until[track] for last in until if (end := last + self.within_s) > at), default=NEVER
        )
        if track == NOW and max(self.held[NOW]) >= TRUE_UNCERTAIN:
            refresh_s = max(self.within_s / 4, REFRESH_S)
            if at >= self.noted + refresh_s:
                self.noted = at
            self.due_at[NOW] = min(self.due_at[NOW], self.noted + refresh_s)
        return sorted(counts, reverse=True)[self.k - 1]

    def _counts(self, track: int, at: float) -> list[int]:
        held, until = self.held[track], self.until[track]
        counts = []
        for index, part in enumerate(self.parts):
            truth = part.truth(track, at)
            last = until[index]
            for ended in range(truth + 1, held[index] + 1):
                last[ended] = at
            if held[index] < TRUE_UNCERTAIN <= truth:
                self.noted = at
            held[index] = truth
            counts.append(max([truth, *(one for one in range(truth + 1, 5) if last[one] + self.within_s > at)]))
        return counts

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        truth = self.truth(track, at)
        counts = self._counts(track, at)
        return among(self.parts, counts, truth, track, at, scan)

    def remembered(self) -> list[list[float | None]] | None:
        times = [
            [self._last_true(index, truth) for truth in (TRUE_UNCERTAIN, TRUE)] for index in range(len(self.parts))
        ]
        return times if any(time is not None for pair in times for time in pair) else None

    def _last_true(self, index: int, truth: int) -> float | None:
        last = self.noted if self.held[NOW][index] >= truth else self.until[NOW][index][truth]
        return last if last + self.within_s > self.at else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        pairs = [[None, None]] * len(self.parts) if saved is None else saved
        if not isinstance(pairs, list) or len(pairs) != len(self.parts):
            raise ValueError(f"not the times of {len(self.parts)} parts: {saved!r}")
        times = [[-math.inf if time is None else saved_time(time, shift_s, now) for time in pair] for pair in pairs]
        if any(len(pair) != 2 for pair in times):
            raise ValueError(f"not two times a part: {saved!r}")
        self.at = now
        for until, pair in zip(self.until[NOW], times, strict=True):
            until[TRUE_UNCERTAIN], until[TRUE] = pair


def saved_time(saved: object, shift_s: float, now: float) -> float:
    """A saved time on this boot's clock, never in the future; ValueError when it is none."""
    if not isinstance(saved, (int, float)) or not math.isfinite(saved):
        raise ValueError(f"no time: {saved!r}")
    return min(saved + shift_s, now)
