"""What outlives the gateway: time, what is to happen, chance, and the trace. One seed, one world.

Time here is seconds since the simulation began; a gateway's monotonic time is that of its machine's boot (`World.boot_at`).
"""

import heapq
import itertools
from hashlib import sha256
from random import Random

TRUTH = 1_800_000_000.0
"""Wall time, UTC, at which the simulation begins."""


class World:
    """`at` schedules; whoever carries time calls `run_until`, or `follow`s with a gateway's loop."""

    def __init__(self, seed, *, keep=0):
        """`keep`: how many of the last lines of the trace stay readable."""
        self.seed = seed
        self.life = None
        """The gateway that runs, if one does: it carries the time."""
        self._now = 0.0
        self.lines = 0
        self._agenda = []
        self._order = itertools.count()
        self._digest = sha256()
        self._keep = keep
        self.tail = []

    @property
    def now(self):
        return self._now if self.life is None else self.life.now()

    def pass_to(self, now):
        """While there is no gateway, or at its end."""
        self._now = max(self._now, now)

    def chance(self, name):
        """A stream of its own, so that what one part draws is no concern of another's."""
        return Random(f"{self.seed}/{name}")

    def at(self, when, what):
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), what))
        if self.life is not None:
            self.life.follow(self._agenda[0][0])

    def after(self, seconds, what):
        self.at(self.now + seconds, what)

    def step(self, until):
        """Do what is due by then, one thing; whether there was one."""
        if not self._agenda or self._agenda[0][0] > until:
            return False
        when, _, what = heapq.heappop(self._agenda)
        self.pass_to(when)
        what()
        return True

    def next_at(self):
        return self._agenda[0][0] if self._agenda else float("inf")

    def run_until(self, when):
        """While there is no gateway."""
        while self.life is None and self.step(when):
            pass
        self.pass_to(when)

    def wall(self):
        """The truth."""
        return TRUTH + self.now

    def tell(self, *words):
        """One line of the trace."""
        line = f"{self.now:.6f} {' '.join(map(str, words))}"
        self.lines += 1
        self._digest.update(line.encode() + b"\n")
        if self._keep:
            self.tail.append(line)
            if len(self.tail) > 2 * self._keep:
                del self.tail[: -self._keep]

    def trace(self):
        return self._digest.hexdigest()
