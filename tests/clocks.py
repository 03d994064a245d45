"""A clock that the test moves: monotonic and wall time by hand, timers fired in order, nobody waits."""

import heapq
import itertools


class _Timer:
    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class HandClock:
    """`advance` moves both clocks and fires what comes due, each at its own time."""

    def __init__(self, at=1000.0, wall=1_800_000_000.0, boot="b" * 32, trusted=True):
        self.boot = boot
        self.at = at
        self.offset = wall - at
        self.is_trusted = trusted
        self._timers = []
        self._order = itertools.count()

    def monotonic(self):
        return self.at

    def wall(self):
        return self.at + self.offset

    def trusted(self):
        return self.is_trusted

    def hold(self, floor):
        """This one has no floor."""

    def behind(self):
        return False

    def call_at(self, at, callback):
        timer = _Timer()
        heapq.heappush(self._timers, (at, next(self._order), timer, callback))
        return timer

    def waiting(self):
        """How many timers would wake somebody."""
        return sum(not timer.cancelled for _, _, timer, _ in self._timers)

    def advance(self, seconds):
        end = self.at + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, timer, callback = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.at = max(self.at, at)
                callback()
        self.at = end
