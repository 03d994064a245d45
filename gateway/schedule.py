"""Which group of which device a bus polls now. Pure: decisions are a function of what happened and of `now`.

Guarantees
* Polls lie on a period grid that all buses share (aligned polls pack better). A slot that was missed is not made up for.
* Order: live safety groups, live others, doubtful ones (their last poll failed); within a rank the longest due first, then
  the one polled longest ago. A lower rank gets a turn when nothing above it is due, or when everything above it has had
  one while it waited: nobody starves on a line that is too slow for its periods.
* So a live group that is due waits for at most one poll (one time-out and drain) of doubtful ones, and in a line without
  a pause doubtful ones cost at most one such poll a cycle.
* A group is down after >= 2 failed polls over >= 3 s; then it is polled with growing pauses, at most 10 s (a device's down
  groups share their next try), and is up at the first answer, which also tries the device's other groups at once. A try
  lies on the grid: it comes when the live ones of that slot have been asked, so that its time-out falls into the line's
  idle time and not onto the next slot.
* A group of which a part is answered is doubtful, since the rest costs a time-out, and never down: its fire bit may be
  in the part that is.
* At the start everything is polled once, safety first. After one that did not answer the next is tried when those that
  did have had their turn: a gateway that starts on a half dead line hears the living ones meanwhile.
* Silence is a sample: a group that is not polled for want of an answer is named in `Turn.silent` in each of its periods.

It does not know buses, drivers or what a scan is.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor, inf
from typing import NamedTuple

DOWN_AFTER_S = 3.0
DOWN_AFTER_POLLS = 2
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
_TOLERANCE_S = 1e-6
"""A slot counts as reached this much before it: neither timers nor multiples of a period are exact."""
_SAFETY, _OTHER, _NEW, _DOUBTFUL = range(4)
_RANKS = (_SAFETY, _OTHER, _NEW, _DOUBTFUL)


class Target(NamedTuple):
    """One group of one device."""

    device: str
    group: int
    period_s: float
    safety: bool


class Turn(NamedTuple):
    """What to do now. The outcome of `poll` must be told (`answered`, `failed`, `missed`) before the next decision."""

    poll: Target | None
    down: bool
    """`poll` is a try whether a device that is down has come back."""
    silent: tuple[Target, ...]
    """Groups that give no sample in this period: their points are BAD."""
    wake_at: float
    """When to ask again if there is nothing to poll."""


@dataclass(slots=True)
class _Entry:
    """What is known of one target."""

    index: int
    target: Target
    due: float
    rank: int
    sample_at: float = 0.0
    """Slot of the next sample, whether there is a poll or not."""
    started: float = 0.0
    failures: int = 0
    failing_since: float = 0.0
    down: bool = False
    pause_s: float = FIRST_PAUSE_S
    siblings: list[_Entry] = field(default_factory=list)


def after(at: float, period_s: float) -> float:
    """The first slot of the grid after `at`."""
    return (floor((at + 2 * _TOLERANCE_S) / period_s) + 1) * period_s


class Schedule:
    """The state of one bus. Everything is polled once at the start, then on the grid."""

    def __init__(self, targets: Sequence[Target], now: float) -> None:
        self._entries = {
            (target.device, target.group): _Entry(index, target, now, _NEW, now)
            for index, target in enumerate(sorted(targets, key=lambda target: not target.safety))
        }
        for entry in self._entries.values():
            entry.siblings = [
                other
                for other in self._entries.values()
                if other.target.device == entry.target.device and other is not entry
            ]
        self._doubtful: dict[int, _Entry] = {}
        self._wary = False
        """The last new one that was tried did not answer."""
        self._sizes = [0] * len(_RANKS)
        self._queues: list[list[tuple[float, float, int, _Entry]]] = [[] for _ in _RANKS]
        self._passed = [0] * len(_RANKS)
        """Polls of higher ranks since this rank's last turn, while it waited."""
        for entry in self._entries.values():
            self._sizes[entry.rank] += 1
            self._push(entry)

    def decide(self, now: float) -> Turn:
        reached = now + _TOLERANCE_S
        rank = self._rank(reached)
        if rank is None:
            poll, down = None, False
        else:
            entry = heapq.heappop(self._queues[rank])[-1]
            entry.started = now
            entry.sample_at = after(now, entry.target.period_s)
            poll, down = entry.target, entry.down
            self._count(rank, reached)
        return Turn(poll, down, self._silent(reached, poll) if self._doubtful else (), now if poll else self._wake_at())

    def answered(self, target: Target, now: float) -> None:
        """The device answered, be it with a refusal."""
        entry = self._entries[target.device, target.group]
        if entry.rank >= _NEW:
            self._wary = self._wary and entry.rank != _NEW
            entry.failures, entry.down, entry.pause_s = 0, False, FIRST_PAUSE_S
            self._move(entry, _SAFETY if target.safety else _OTHER)
            for other in entry.siblings:
                if other.failures:
                    self._postpone(other, now)
        entry.due = after(entry.started, target.period_s)
        self._push(entry)

    def failed(self, target: Target, now: float) -> None:
        """No answer, or one that cannot be trusted: it cost a time-out or a drain."""
        entry = self._entries[target.device, target.group]
        if not entry.failures:
            entry.failing_since = entry.started
            self._move(entry, _DOUBTFUL)
        entry.failures += 1
        entry.down = entry.down or (entry.failures >= DOWN_AFTER_POLLS and now - entry.failing_since >= DOWN_AFTER_S)
        entry.due = after(entry.started, target.period_s)
        if entry.down:
            entry.due = max(entry.due, after(now + entry.pause_s - target.period_s, target.period_s))
            entry.pause_s = min(LONGEST_PAUSE_S, 2 * entry.pause_s)
            for other in entry.siblings:
                if other.down:
                    self._postpone(other, max(other.due, entry.due))
        self._push(entry)

    def partly(self, target: Target, now: float) -> None:
        """Some of it was answered, and then no more."""
        entry = self._entries[target.device, target.group]
        if not entry.failures:
            self._move(entry, _DOUBTFUL)
        entry.failures, entry.failing_since, entry.down, entry.pause_s = 1, entry.started, False, FIRST_PAUSE_S
        entry.due = after(entry.started, target.period_s)
        self._push(entry)

    def missed(self, target: Target) -> None:
        """The line could not be used: that says nothing about the device."""
        entry = self._entries[target.device, target.group]
        entry.due = after(entry.started, target.period_s)
        self._push(entry)

    def is_down(self, target: Target) -> bool:
        return self._entries[target.device, target.group].down

    def safety_at(self) -> float:
        """When the next safety group is due, dead ones included; infinity: there is none."""
        return min((entry.due for entry in self._entries.values() if entry.target.safety), default=inf)

    def failing_since(self, target: Target) -> float | None:
        """Start of the first poll without an answer since the last one with."""
        entry = self._entries[target.device, target.group]
        return entry.failing_since if entry.failures else None

    def _rank(self, now: float) -> int | None:
        """The rank whose turn it is."""
        new = self._queues[_NEW]
        if new and not self._wary and new[0][0] <= now:
            return _NEW
        first, above = None, 0
        for rank, queue in enumerate(self._queues):
            if queue and queue[0][0] <= now:
                if above and self._passed[rank] >= above:
                    return rank
                if first is None:
                    first = rank
            above += self._sizes[rank]
        return first

    def _count(self, turn: int, now: float) -> None:
        """Remember for each rank how much of the higher ones it has let pass."""
        self._passed[turn] = 0
        for rank in _RANKS[turn + 1 :]:
            queue = self._queues[rank]
            waits = bool(queue) and queue[0][0] <= now and turn != _NEW  # a new one may cost as much as a doubtful one
            self._passed[rank] = self._passed[rank] + 1 if waits else 0

    def _silent(self, now: float, poll: Target | None) -> tuple[Target, ...]:
        """Doubtful groups whose period passes without a poll."""
        silent = []
        for entry in self._doubtful.values():
            if entry.target is not poll and self._missing_at(entry) <= now:
                entry.sample_at = after(now, entry.target.period_s)
                silent.append(entry.target)
        return tuple(silent)

    def _missing_at(self, entry: _Entry) -> float:
        """When the next sample is missing: one that is not down will be polled in this period, later than the live ones."""
        return entry.sample_at + (0.0 if entry.down else entry.target.period_s)

    def _wake_at(self) -> float:
        polls = min((queue[0][0] for queue in self._queues if queue), default=inf)
        return min(polls, min(map(self._missing_at, self._doubtful.values()), default=inf))

    def _push(self, entry: _Entry) -> None:
        heapq.heappush(self._queues[entry.rank], (entry.due, entry.started, entry.index, entry))

    def _move(self, entry: _Entry, rank: int) -> None:
        """Give the entry, which is being polled and so in no queue, another rank."""
        self._wary = self._wary or (entry.rank, rank) == (_NEW, _DOUBTFUL)
        self._sizes[entry.rank] -= 1
        self._sizes[rank] += 1
        entry.rank = rank
        if rank == _DOUBTFUL:
            self._doubtful[entry.index] = entry
        else:
            self._doubtful.pop(entry.index, None)

    def _postpone(self, entry: _Entry, due: float) -> None:
        """Change when a waiting entry is due."""
        entry.due = due
        queue = self._queues[entry.rank]
        queue[:] = [row for row in queue if row[-1] is not entry]
        heapq.heapify(queue)
        self._push(entry)
