"""From a condition to "active" or "not active": on-delay, off-delay. Small pure pieces; time is an argument.

`now` and `sure` are the condition on its two tracks (see `rules.truth`). A piece is asked again whenever the condition
may have changed, and at its `due`; asking more often changes nothing.
"""

from __future__ import annotations

import math

from rules.truth import FALSE, TRUE_UNCERTAIN

NEVER = math.inf


class OnDelay:
    """Passed once the condition has been true for `delay_s`.

    When is this useful? A door may stand open for half a minute, a lift may pass between two floors: only what lasts is an
    alarm. A known false starts the count anew, with its first frame. An unknown in between neither ends the count
    nor lets it pass: when the condition is true again, and the time is over, it passes at once. A device that
    stumbles can so put off an alarm only while it stumbles.
    """

    __slots__ = ("delay_s", "due", "since")

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.since: float | None = None
        """When the condition became true, if it has not been false since."""
        self.due = NEVER

    def passed(self, now: int, at: float) -> bool:
        self.due = NEVER
        if now == FALSE:
            self.since = None
        if now < TRUE_UNCERTAIN:
            return False
        if self.since is None:
            self.since = at
        end = self.since + self.delay_s
        if at < end:
            self.due = end
        return at >= end


class OffDelay:
    """Passed once the condition has been false for `delay_s` without a break, and two frames of its points say so.

    When is this useful? A detector at the edge of its smoke comes and goes, a lift's door sensor flaps: one alarm that
    lasts is better than twenty. Whatever is not known to be false, an unknown as much as a true, starts the count anew.
    """

    __slots__ = ("delay_s", "due", "since")

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.since: float | None = None
        """When the condition became false, if it has been known to be false ever since."""
        self.due = NEVER

    def passed(self, now: int, sure: int, at: float) -> bool:
        self.due = NEVER
        if now != FALSE:
            self.since = None
            return False
        if self.since is None:
            self.since = at
        end = self.since + self.delay_s
        if sure == FALSE and at < end:
            self.due = end
        return sure == FALSE and at >= end


class Timing:
    """Both delays around one fact: is the alarm's condition, as a person would say, present?"""

    __slots__ = ("active", "due", "off", "on")

    def __init__(self, on_delay_s: float, off_delay_s: float) -> None:
        self.on = OnDelay(on_delay_s)
        self.off = OffDelay(off_delay_s)
        self.active = False
        self.due = NEVER
        """When time alone will change `active`, if the condition stays as it is."""

    def step(self, now: int, sure: int, at: float) -> bool:
        """True when `active` changed."""
        changed = self.off.passed(now, sure, at) if self.active else self.on.passed(now, at)
        if changed:
            self.set(not self.active)
        else:
            self.due = self.off.due if self.active else self.on.due
        return changed

    def set(self, active: bool, since: float | None = None) -> None:
        """Be active or not from now on; `since` is an on-delay that was running before a restart."""
        self.active = active
        self.on.since = since
        self.off.since = None
        self.due = NEVER
