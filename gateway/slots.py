"""Whether a tool may use a line now. Pure: a decision from what is due, what the exchange can cost at most, and `now`.

Guarantees, for a line on which nothing is due at this moment (the poller asks only then)
* An exchange that ends before the next safety poll is due, its time-out and the drain after it included, may start: it
  delays no safety point.
* A line that has no such gap lends itself all the same, since an installer may have no other way in, but: only to one that
  has waited `WAIT_S` for a gap, only right after a poll (so that it gets the whole gap), one exchange between two polls,
  and so rarely that the lateness of safety polls is at most `LATE_SHARE` of the time. One lateness is at most what a
  device that has just died costs (one time-out and drain), which `gengfu check` prints; the mean period of a safety
  point grows by at most a tenth.

Polls that are not of safety groups can come late by one exchange. It does not know lines, tools or devices.
"""

from __future__ import annotations

from math import inf

LATE_SHARE = 0.1
WAIT_S = 2.0


class Slots:
    """The state of one line: how late its tools have made safety polls."""

    def __init__(self) -> None:
        self._free_at = -inf
        """The drain after the tools' last exchange is over."""
        self._failed_at = -inf
        """A poll went without its answer; how long its drain is, is not known here: at most an exchange's worst."""
        self._late_until = -inf
        """Before this no exchange may make a safety poll late."""
        self.late_s = 0.0
        """Altogether, for people to see."""

    def may_start(self, now: float, safety_at: float, worst_s: float, waited_s: float, *, after_poll: bool) -> bool:
        """`safety_at`: when the next safety poll is due. `worst_s`: the most that the exchange occupies the line."""
        if self.over_at(now, worst_s) <= safety_at:
            return True
        return after_poll and waited_s >= WAIT_S and now >= self._late_until

    def over_at(self, now: float, worst_s: float) -> float:
        """When an exchange that is begun now is over at the latest: it waits for the drain of what was before it."""
        return max(now, self._free_at, self._failed_at + worst_s) + worst_s

    def failed(self, now: float) -> None:
        """A poll of the site was not answered: the line is drained."""
        self._failed_at = now

    def ended(self, now: float, safety_at: float) -> None:
        """The exchange that `may_start` let go is over, its drain included; `safety_at` as it was then."""
        self._free_at = now
        late_s = now - safety_at
        if late_s > 0:
            self.late_s += late_s
            self._late_until = now + late_s / LATE_SHARE
