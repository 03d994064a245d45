"""Conditions over several others in time: became true in this order, and one without the other. See `rules.edges` for
what they guarantee."""

from __future__ import annotations

from gateway.model import Scan
from rules.edges import LONG_AGO, TRACKS, Doubts, Rise
from rules.leaf import NEVER, Leaf, Node
from rules.truth import AGREE, CLIP, DOUBT, FALSE, NOW, SURE, TRUE, TRUE_UNCERTAIN, UNKNOWN
from rules.window import saved_time


class _Chain:
    """How far a sequence has come: for each part the latest start from which the parts up to it followed each other."""

    __slots__ = ("done", "reached", "starts")

    def __init__(self, parts: int) -> None:
        self.starts = [LONG_AGO] * parts
        self.reached = [LONG_AGO] * parts
        self.done = LONG_AGO
        """When it was last complete."""

    def take(self, part: int, at: float, within_s: float, *, later: bool) -> None:
        """A part became true; `later`: only what came before it, not with it, is its beginning."""
        start = self.starts[part - 1] if part else at
        if start < at - within_s or (later and part and self.reached[part - 1] >= at):
            return
        self.starts[part] = max(self.starts[part], start)
        self.reached[part] = at
        if part == len(self.starts) - 1:
            self.done = at


class Sequence:
    """The parts became true in this order within `within_s`, not longer ago than that."""

    __slots__ = ("at", "certain", "doubts", "due_at", "loose", "parts", "rises", "within_s")

    def __init__(self, parts: tuple[Node, ...], within_s: float, now: float) -> None:
        self.parts = parts
        self.within_s = within_s
        self.at: float
        """When it was asked last."""
        self.rises: tuple[tuple[Rise, ...], ...]
        self.doubts: tuple[Doubts, ...]
        self.loose: tuple[_Chain, ...]
        """By track: with those that were uncertain or seen at once, and without."""
        self.certain: tuple[_Chain, ...]
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
        self.at = at
        truths = [part.truth(track, at) for part in self.parts]
        loose, certain, doubts = self.loose[track], self.certain[track], self.doubts[track]
        doubt = doubts.see(truths, at)
        for index, truth in enumerate(truths):
            rose = self.rises[track][index].see(truth)
            if rose:
                loose.take(index, at, self.within_s, later=False)
            if rose == TRUE:
                certain.take(index, at, self.within_s, later=True)
        ends = (chain.done + self.within_s for chain in (loose, certain))
        self.due_at[track] = min(
            doubts.due(2 * self.within_s, at), min((end for end in ends if end > at), default=NEVER)
        )
        if at < certain.done + self.within_s:
            return CLIP[doubt][TRUE]
        return TRUE_UNCERTAIN if at < loose.done + self.within_s else doubts.false(2 * self.within_s, at)

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self.parts[-1].witness(track, at, scan)

    def remembered(self) -> list[float | None] | None:
        """The first track's starts, and when it was complete; after a restart they count as uncertain."""
        loose = self.loose[NOW]
        times = [one if one + self.within_s > self.at else None for one in (*loose.starts, loose.done)]
        return times if any(one is not None for one in times) else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        count = len(self.parts)
        times = [None] * (count + 1) if saved is None else saved
        if not isinstance(times, list) or len(times) != count + 1:
            raise ValueError(f"not the times of {count} parts: {saved!r}")
        back = [LONG_AGO if one is None else saved_time(one, shift_s, now) for one in times]
        self.at = now
        self.rises = tuple(tuple(Rise() for _ in self.parts) for _ in TRACKS)
        self.doubts = tuple(Doubts(now) for _ in TRACKS)
        self.loose = tuple(_Chain(count) for _ in TRACKS)
        self.certain = tuple(_Chain(count) for _ in TRACKS)
        self.loose[NOW].starts, self.loose[NOW].done = back[:-1], back[-1]
        self.due_at = [NEVER, NEVER]


class Absence:
    """`after` became true, and `of` was not surely true within `within_s`; until it is.

    One that is under way is not replaced by a later one: the earliest deadline counts.
    """

    __slots__ = ("after", "confirmed", "due", "grade", "of", "pending", "rises", "within_s")

    def __init__(self, after: Node, of: Node, within_s: float) -> None:
        self.after = after
        self.of = of
        self.within_s = within_s
        self.pending: float | None
        """Since when `of` is awaited."""
        self.grade: int
        """How certain it is that `after` became true and `of` was not true since."""
        self.confirmed: bool
        """The second track saw it, too."""
        self.rises: tuple[Rise, Rise]
        self.due: float
        self.remember(None, 0.0, 0.0)

    def wake(self, at: float) -> None:
        """Nothing to do: it looks at the time whenever it is asked."""

    def truth(self, track: int, at: float) -> int:
        now = self._truth(NOW, at)
        return now if track == NOW else AGREE[now][self._truth(SURE, at)]

    def _truth(self, track: int, at: float) -> int:
        after, of = self.after.truth(track, at), self.of.truth(track, at)
        self._see(track, after, of, at)
        if self.of.truth(SURE, at) == TRUE:
            self.pending = None
        self.due = NEVER if self.pending is None or at >= self.pending + self.within_s else self.pending + self.within_s
        if self.pending is None:
            return CLIP[DOUBT[after]][FALSE]
        doubt = max(DOUBT[after], DOUBT[of])
        if at < self.pending + self.within_s:
            return CLIP[doubt][FALSE]
        missing = min(TRUE - of, self.grade)
        if track == SURE and not self.confirmed:
            missing = min(missing, UNKNOWN)
        return UNKNOWN if of == UNKNOWN else CLIP[doubt][missing]

    def _see(self, track: int, after: int, of: int, at: float) -> None:
        rise = self.rises[track]
        unheard = rise.known == UNKNOWN
        rose = rise.see(after)
        if unheard and after > UNKNOWN:  # true when it is first heard: since when, nobody knows
            rose = TRUE_UNCERTAIN
        if track == SURE:
            self.confirmed = self.confirmed or bool(rose)
        elif rose and self.pending is None:
            self.pending, self.grade, self.confirmed = at, rose, False
        if track == NOW and of != FALSE:
            self.grade = TRUE_UNCERTAIN

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        missing = self.truth(track, at) >= UNKNOWN
        return (self.after if missing else self.of).witness(track, at, scan)

    def remembered(self) -> list[object] | None:
        """Since when something is missing, how certain that is, and whether `after` was true last."""
        true = self.rises[NOW].known > UNKNOWN
        return [self.pending, self.grade, self.confirmed, true] if true or self.pending is not None else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        state = [None, TRUE, False, False] if saved is None else saved
        if not isinstance(state, list) or len(state) != 4:
            raise ValueError(f"not what is missing: {saved!r}")
        pending, grade, confirmed, true = state
        if grade not in (TRUE_UNCERTAIN, TRUE):
            raise ValueError(f"not how certain it is: {grade!r}")
        self.pending = None if pending is None else saved_time(pending, shift_s, now)
        self.grade = int(grade)
        self.confirmed = confirmed is True
        self.rises = (Rise(), Rise())
        for rise in self.rises:
            rise.known = TRUE_UNCERTAIN if true is True else UNKNOWN
        self.due = NEVER
