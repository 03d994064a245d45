"""Conditions with a memory that only another condition ends: a latch with its own reset, a truth captured at a moment.

Guarantees: asked twice at one time they say the same; the second track never says more than the first; what is kept is
certain only while what it rests on is known (`CLIP`); the memory is a few small numbers and survives a restart.
"""

from __future__ import annotations

from gateway.model import Scan
from rules.edges import Rise
from rules.leaf import Leaf, Node
from rules.truth import AGREE, CLIP, DOUBT, FALSE, NOW, SURE, TRUE, UNKNOWN


class Latch:
    """True from `set` until `reset` is surely true and `set` is not."""

    __slots__ = ("kept", "reset", "set")

    def __init__(self, set_: Node, reset: Node) -> None:
        self.set = set_
        self.reset = reset
        self.kept = [FALSE, FALSE]
        """By track: FALSE while it is not set, else how certainly it was."""

    def truth(self, track: int, at: float) -> int:
        sets = [self.set.truth(one, at) for one in (NOW, SURE)]
        resets = [self.reset.truth(one, at) for one in (NOW, SURE)]
        if sets[NOW] > UNKNOWN:
            self.kept = [max(kept, one if one > UNKNOWN else FALSE) for kept, one in zip(self.kept, sets, strict=True)]
        elif resets[SURE] == TRUE:
            self.kept = [FALSE, FALSE]
        if not self.kept[NOW]:
            return sets[track]
        doubt = [max(DOUBT[sets[one]], DOUBT[resets[one]]) for one in (NOW, SURE)]
        now = CLIP[doubt[NOW]][self.kept[NOW]]
        return now if track == NOW else AGREE[now][CLIP[doubt[SURE]][self.kept[SURE] or UNKNOWN]]

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        """What set it; once it is over, which of the two said so last."""
        told = self.set.witness(track, at, scan)
        if self.truth(track, at) >= UNKNOWN:
            return told
        return max(told, self.reset.witness(track, at, scan), key=lambda leaf: leaf.moved[track])

    def remembered(self) -> list[int] | None:
        return list(self.kept) if self.kept[NOW] else None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        self.kept = _truths(saved, 2) if saved is not None else [FALSE, FALSE]


class Captured:
    """What `of` was when `moment` last became true."""

    __slots__ = ("kept", "moment", "of", "rises")

    def __init__(self, of: Node, moment: Node) -> None:
        self.of = of
        self.moment = moment
        self.remember(None, 0.0, 0.0)

    def truth(self, track: int, at: float) -> int:
        for one in (NOW, SURE):
            moment = self.moment.truth(one, at)
            of = self.of.truth(one, at)
            rose = self.rises[one].see(moment)
            if rose:
                self.kept[one] = of if rose == TRUE else CLIP[1][of]
            elif moment == UNKNOWN:  # it may have been again, unseen
                self.kept[one] = CLIP[1][self.kept[one]]
        return self.kept[NOW] if track == NOW else AGREE[self.kept[NOW]][self.kept[SURE]]

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self.moment.witness(track, at, scan)

    def remembered(self) -> list[int] | None:
        """What was captured on both tracks, and what the moment's condition was last: it may become true over a restart."""
        if self.kept[NOW] == self.rises[NOW].known == UNKNOWN:
            return None
        return [*(CLIP[1][kept] for kept in self.kept), CLIP[1][self.rises[NOW].known]]

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        state = [UNKNOWN] * 3 if saved is None else _truths(saved, 3)
        self.kept = [CLIP[1][one] for one in state[:2]]
        self.rises = (Rise(), Rise())
        for rise in self.rises:
            rise.known, rise.gap = state[2], True


def _truths(saved: object, count: int) -> list[int]:
    if (
        not isinstance(saved, list)
        or len(saved) != count
        or any(type(one) is not int or not FALSE <= one <= TRUE for one in saved)
    ):
        raise ValueError(f"not {count} truths: {saved!r}")
    return list(saved)
