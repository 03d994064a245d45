"""The wall clock, watched: when it became trusted, when it jumped, and the floor that the next boot may rely on (law 2).

Guarantees
* Once the clock is trusted, once it is so again, and whenever it was set by more than `MAPPED_S` since, one record maps this
  boot's monotonic time to wall time: readers date with it what this boot recorded before. Committed records never change.
* A jump of more than `JUMP_S`, trusted or not, is an event.
* A clock that comes and goes fills no lane: of both at most `MOST` within `SPAN_S`; then what is to be told waits, and is told as
  it stands by then.
* The floor (`gateway.clock`) is kept with each mapping, hourly and at the end, from a trusted clock only.

It sets no clock, and no rule listens to it: rules run on monotonic time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping

from gateway.clock import Clock, housekeeping
from gateway.wire import payloads

MAPPED_S = 0.5
JUMP_S = 300.0
KEEP_S = 3600.0
MOST = 10
SPAN_S = 600.0
FLOOR = "floor"
"""Key in the alarm lane's state."""


def floor(state: Mapping[str, bytes]) -> float:
    """The saved floor; minus infinity where there is none or it cannot be read."""
    try:
        number = float(state[FLOOR])
    except (KeyError, ValueError):
        return -math.inf
    return number if math.isfinite(number) else -math.inf


class Dating:
    """`record(kind, body)` commits an event; `keep(state)` saves with the next commit."""

    def __init__(
        self, clock: Clock, record: Callable[[str, bytes], None], keep: Callable[[Mapping[str, bytes | None]], None]
    ) -> None:
        self._clock, self._record, self._keep = clock, record, keep
        self._mapped: float | None = None
        """Wall minus monotonic time, as the last mapping said; None while the clock is not trusted."""
        self._seen: float | None = None
        self._told: deque[float] = deque(maxlen=MOST)
        self._kept_at = -math.inf

    async def run(self) -> None:
        while True:
            self.look()
            await self._clock.sleep_until(housekeeping(self._clock.monotonic()))

    def look(self) -> None:
        """Once a second."""
        now, wall, trusted = self._clock.monotonic(), self._clock.wall(), self._clock.trusted()
        lead = wall - now
        if not trusted:
            self._mapped = None
        if self._may_tell(now):
            if self._seen is not None and abs(lead - self._seen) > JUMP_S:
                body = payloads.clock_jump(self._clock.boot, now, now + self._seen, wall, trusted=trusted)
                self._tell(payloads.CLOCK_JUMP, body, now)
            self._seen = lead
            if trusted and (self._mapped is None or abs(lead - self._mapped) > MAPPED_S):
                self._mapped = lead
                self._tell(payloads.CLOCK, payloads.clock(self._clock.boot, now, wall), now)
                self.keep()
        if trusted and now - self._kept_at >= KEEP_S:
            self.keep()

    def _may_tell(self, now: float) -> bool:
        return len(self._told) < MOST or now - self._told[0] >= SPAN_S

    def _tell(self, kind: str, body: bytes, now: float) -> None:
        self._told.append(now)
        self._record(kind, body)

    def keep(self) -> None:
        """Now, and at the end."""
        if self._clock.trusted():
            self._kept_at = self._clock.monotonic()
            self._keep({FLOOR: f"{self._clock.wall():.0f}".encode()})
