"""From one value to a truth: level with hysteresis, equality, bit, rate of change.

A judge is called with a usable value, its level (GOOD or UNCERTAIN) and its time. It never raises: a value of another
kind than the rule expects (text for a number, NaN) is UNKNOWN. BAD values never get here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.model import Level, Value
from rules.truth import FALSE, FALSE_UNCERTAIN, GRADE, LARGEST, TRUE, TRUE_UNCERTAIN, UNKNOWN, number

Judge = Callable[[Value, int, float], int]
"""``judge(value, level, at) -> truth``"""

SLOTS = 32
KEPT_FROM_S = 600.0
"""A shorter window is full again soon after a restart."""
KEPT_EVERY_S = 60.0
"""A flash wears with each write."""


class Band:
    """Is the value outside ``low..high``? `above` and `below` are bands with one end at infinity.

    Inside the last `hysteresis` before an end the previous answer stands. The memory is a truth and not a bit: an answer
    that rests on an uncertain value stays uncertain until a good one leaves the hysteresis. BAD leaves it as it is.
    """

    __slots__ = ("high", "hysteresis", "low", "memory")

    def __init__(self, low: float, high: float, hysteresis: float) -> None:
        self.low = low
        self.high = high
        self.hysteresis = hysteresis
        self.memory = FALSE

    def judge(self, value: Value, level: int, at: float) -> int:
        x = number(value)
        if x is None:
            return UNKNOWN
        if x > self.high or x < self.low:
            truth = GRADE[1][level]
        elif not self.hysteresis:
            return GRADE[0][level]
        elif self.low + self.hysteresis < x < self.high - self.hysteresis:
            truth = GRADE[0][level]
        elif level == Level.GOOD:
            return self.memory
        else:
            truth = TRUE_UNCERTAIN if self.memory > UNKNOWN else FALSE_UNCERTAIN
        if self.hysteresis:
            self.memory = truth
        return truth

    def remembered(self) -> int | None:
        """What must survive a restart; None when it equals a new band's memory."""
        return self.memory or None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        """Take back what `remembered` gave; ValueError when it is nothing that it gives."""
        if saved is not None and (type(saved) is not int or saved not in (FALSE_UNCERTAIN, TRUE_UNCERTAIN, TRUE)):
            raise ValueError(f"no truth of a level: {saved!r}")
        self.memory = FALSE if saved is None else saved


def equals(wanted: float | int | str) -> Judge:
    """Exact equality. Text and numbers say nothing about each other: UNKNOWN."""
    if isinstance(wanted, str):
        return lambda value, level, at: GRADE[value == wanted][level] if isinstance(value, str) else UNKNOWN
    return lambda value, level, at: UNKNOWN if (x := number(value)) is None else GRADE[x == wanted][level]


def bit(index: int) -> Judge:
    """One bit of an integer, 0 = least significant. A float counts when it is whole."""

    def judge(value: Value, level: int, at: float) -> int:
        x = number(value)
        if x is None or x != int(x):
            return UNKNOWN
        return GRADE[int(x) >> index & 1][level]

    return judge


class Moments(NamedTuple):
    """What a straight line through samples needs, about their own mean: exact to add, free of cancellation."""

    n: int
    at: float
    value: float
    at_at: float
    at_value: float
    worst: int

    def plus(self, other: Moments) -> Moments:
        n = self.n + other.n
        at, value = other.at - self.at, other.value - self.value
        share = other.n / n
        weight = self.n * share
        return Moments(
            n,
            self.at + at * share,
            self.value + value * share,
            self.at_at + other.at_at + at * at * weight,
            self.at_value + other.at_value + at * value * weight,
            max(self.worst, other.worst),
        )


class Slot(NamedTuple):
    """The samples of one `SLOTS`-th of a window."""

    number: int
    first: float
    sum: Moments


DAILY_FROM_S = 6 * 3600.0
"""Windows from which on the rhythm of a day matters."""


class Trend:
    """Does the value change faster than `limit` units a second? The sign of `limit` is the direction.

    Least squares over all samples of the window, not its end points: two noisy readings of a creeping slope would else
    decide alone. The window moves in 32 steps (it is between 1 and 33/32 of `window_s` long), so a day at ten
    readings a second costs the memory of 33 sums; of a window of `KEPT_FROM_S` or more they go over a restart. Unknown
    until half the window lies between its first and its last sample, and nine tenths of one that a day's warming and
    cooling would fill (`DAILY_FROM_S`): its rising half alone is no creep. One uncertain sample makes the answer uncertain.
    """

    __slots__ = ("closed", "edition", "filled_s", "limit", "noted", "noted_at", "slots", "window_s")

    def __init__(self, limit: float, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self.filled_s = window_s * (0.5 if window_s < DAILY_FROM_S else 0.9)
        """So much of the window must lie between its first and its last sample."""
        self.edition = 0
        """Another number when there is something new to remember."""
        self.noted: list[list[float]] = []
        self.noted_at = -math.inf
        self.slots: deque[Slot] = deque()
        self.closed: Moments | None = None

    def judge(self, value: Value, level: int, at: float) -> int:
        found = self.slope(value, level, at)
        if found is None:
            return UNKNOWN
        slope, worst = found
        return GRADE[slope > self.limit if self.limit >= 0 else slope < self.limit][worst]

    def slope(self, value: Value, level: int, at: float) -> tuple[float, int] | None:
        """Units a second, with this value, and the worst level in the window; None while the window is too short."""
        x = number(value)
        if x is None:
            return None
        total = self._add(Moments(1, at, float(x), 0.0, 0.0, level), math.floor(at * SLOTS / self.window_s))
        if at - self.slots[0].first < self.filled_s or total.at_at <= 0:
            return None
        slope = total.at_value / total.at_at
        return (slope, total.worst) if math.isfinite(slope) else None

    def _add(self, sample: Moments, slot: int) -> Moments:
        slots = self.slots
        if slots and slots[-1].number == slot:
            last = slots[-1]
            slots[-1] = Slot(slot, last.first, last.sum.plus(sample))
        else:
            slots.append(Slot(slot, sample.at, sample))
            while slots[0].number < slot - SLOTS:
                slots.popleft()
            self._close()
            self._note(sample.at)
        return slots[-1].sum if self.closed is None else self.closed.plus(slots[-1].sum)

    def _close(self) -> None:
        """Add up all slots but the last, which still grows."""
        self.closed = None
        for full in list(self.slots)[:-1]:
            self.closed = full.sum if self.closed is None else self.closed.plus(full.sum)

    def _note(self, at: float) -> None:
        """A slot is full. What is kept for a restart is renewed at most once a slot, and once a minute."""
        if self.window_s >= KEPT_FROM_S and at >= self.noted_at + KEPT_EVERY_S:
            self.noted_at = at
            self.noted = [[slot.sum.n, *map(_short, slot.sum[1:5]), slot.sum.worst] for slot in list(self.slots)[:-1]]
            self.edition += 1

    def remembered(self) -> list[list[float]] | None:
        """The sums of the full slots: about 2 kB."""
        return self.noted or None

    def remember(self, saved: object, shift_s: float, now: float) -> None:
        """Take back what `remembered` gave. A slot counts from the mean time of its samples on: half a slot is lost.
        Over a reboot nobody knows for certain how long ago it was: those samples are uncertain."""
        sums = [] if saved is None else saved
        if not isinstance(sums, list) or len(sums) > SLOTS + 1:
            raise ValueError(f"not the sums of at most {SLOTS + 1} slots: {saved!r}")
        moments = sorted((_moments(one, shift_s) for one in sums), key=lambda one: one.at)
        self.slots = deque(
            Slot(math.floor(one.at * SLOTS / self.window_s), one.at, one) for one in moments if one.at <= now
        )
        self.noted, self.noted_at = [list(one) for one in moments], -math.inf
        self._close()


def _moments(saved: object, shift_s: float) -> Moments:
    if (
        not isinstance(saved, list)
        or len(saved) != 6
        or not all(isinstance(one, (int, float)) and -LARGEST < one < LARGEST for one in saved)
    ):
        raise ValueError(f"not the sums of a slot: {saved!r}")
    n, at, value, at_at, at_value, worst = saved
    if n < 1 or at_at < 0 or worst not in (Level.GOOD, Level.UNCERTAIN):
        raise ValueError(f"not the sums of a slot: {saved!r}")
    return Moments(int(n), at + shift_s, value, at_at, at_value, max(int(worst), Level.UNCERTAIN if shift_s else 0))


def _short(number: float) -> float:
    return float(f"{number:.10g}")
