"""What hides an alarm for a time: a person who shelves it or takes it out of service, and suppression by design.

Guarantees
* A person hides an alarm only with a name, a reason and a time within the limits; else the refusal says what is missing.
* A fire, personal or entrapment alarm is never shelved; it is taken out of service for at most `ISOLATION_S`, so that a
  detector under repair can be isolated and cannot be forgotten.
* Suppression rests on what is known: it begins when two frames of its points say so, ends with the first that says
  otherwise, and `DOUBT_S` after nothing was known any more. A dead sensor hides no alarm for longer.

When is suppression useful? A door held open while the fire panel has released it, a low pressure while its pump is being
tested: an alarm that is only a consequence.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from gateway.model import Action, Command, Text
from rules.clocks import Clocks
from rules.condition import Condition, Points, build
from rules.leaf import NEVER, Leaf
from rules.spec import LIFE, AlarmSpec
from rules.spec import Condition as When
from rules.truth import FALSE_UNCERTAIN, NOW, SURE, TRUE

OUT_OF_SERVICE_S = 7 * 86400.0
ISOLATION_S = 86400.0
"""Out of service, of `LIFE`: renewed by a person every day, or it is back."""
GRACE_S = 300.0
"""After a reboot, how long the clock is waited for before what a person hid comes back."""
DOUBT_S = 60.0
LONGEST_TEXT = 200

NO_PERSON = Text("须说明由谁操作", "say who you are")
NO_REASON = Text("须说明原因", "give the reason")
NO_TIME = Text("须说明时长（大于 0）", "say for how long (more than 0)")
NOT_SHELVED = Text(
    "火警、求助、困人报警不得搁置；探测器检修请用停用（有时限）",
    "fire, personal and entrapment alarms are not shelved; for a repair take it out of service, for a limited time",
)


@dataclass(frozen=True, slots=True)
class Aside:
    """Who hides an alarm, why, since when and until when (monotonic)."""

    who: str
    why: str
    at: float
    until: float
    wall: float | None = None
    """`until` in wall time, where the clock was trusted when it was asked for: what a reboot is bridged by."""
    waiting: bool = False
    """After a reboot without a trusted clock: `until` is only how long one is waited for."""

    def saved(self) -> dict[str, object]:
        return asdict(self)

    def unbridged(self, now: float) -> Aside:
        """Nobody knows yet how long it was off: over, unless the clock is set within `GRACE_S` and says otherwise. A further
        reboot gives no further grace."""
        if self.waiting:
            return self
        return replace(self, until=now + GRACE_S if self.wall is not None else -math.inf, waiting=True)

    def dated(self, clocks: Clocks) -> Aside:
        """The clock is set: the end is where it always was. A clock that is corrected later moves nothing."""
        if not (self.waiting and clocks.trusted and self.wall is not None):
            return self
        left_s = min(self.wall - clocks.wall, OUT_OF_SERVICE_S)
        return replace(self, until=clocks.at + max(0.0, left_s), waiting=False)


def asked(command: Command, spec: AlarmSpec, at: float, clocks: Clocks | None = None) -> Aside | Text:
    """What a person's command to hide an alarm comes to, or why it is refused."""
    shelve = command.action == Action.SHELVE
    if shelve and spec.cls in LIFE:
        return NOT_SHELVED
    if not command.who.strip():
        return NO_PERSON
    if not command.why.strip():
        return NO_REASON
    for_s = command.for_s
    if for_s is None or not 0 < for_s < math.inf:
        return NO_TIME
    longest_s = spec.max_shelve_s if shelve else longest_out_s(spec)
    if for_s > longest_s:
        hours = f"{longest_s / 3600:g}"
        return Text(f"时长最多 {hours} 小时", f"for at most {hours} hours")
    wall = clocks.wall + (at + for_s - clocks.at) if clocks is not None and clocks.trusted else None
    return Aside(command.who[:LONGEST_TEXT], command.why[:LONGEST_TEXT], at, at + for_s, wall)


def limited(aside: Aside, spec: AlarmSpec, since: float, *, shelved: bool) -> Aside:
    """Over no later than this alarm allows, counted from `since`: its site file may have changed, or a clock be wrong."""
    longest_s = spec.max_shelve_s if shelved else longest_out_s(spec)
    return replace(aside, until=min(aside.until, since + longest_s))


def longest_out_s(spec: AlarmSpec) -> float:
    """The longest time that an alarm is out of service."""
    longest_s = ISOLATION_S if spec.cls in LIFE else OUT_OF_SERVICE_S
    return longest_s if spec.max_out_s is None else min(spec.max_out_s, longest_s)


def restored(saved: object, shift_s: float, now: float) -> Aside:
    """Take back what `Aside.saved` gave; ValueError, TypeError or KeyError when it is nothing of the kind."""
    if not isinstance(saved, dict):
        raise TypeError(f"nobody hides it: {saved!r}")
    at, until = float(saved["at"]) + shift_s, float(saved["until"]) + shift_s
    if not (math.isfinite(at) and math.isfinite(until) and until - at <= OUT_OF_SERVICE_S + 1):
        raise ValueError(f"no times: {saved!r}")
    late = max(0.0, at - now)  # never in the future
    wall = saved.get("wall")
    if wall is not None and not (isinstance(wall, int | float) and math.isfinite(wall)):
        raise ValueError(f"no time: {wall!r}")
    who, why = str(saved["who"])[:LONGEST_TEXT], str(saved["why"])[:LONGEST_TEXT]
    return Aside(who, why, at - late, until - late, wall, saved.get("waiting") is True)


class Suppression:
    """The condition that hides an alarm by design, and whether it does."""

    __slots__ = ("active", "condition", "doubt_since", "due_at")

    def __init__(self, when: When, points: Points, now: float) -> None:
        self.condition: Condition = build(when, points, now)
        self.active = False
        self.doubt_since: float | None = None
        """Since when it is active and not known to be."""
        self.due_at = NEVER

    @property
    def due(self) -> float:
        return min(self.due_at, self.condition.due)

    def judge(self, at: float) -> bool:
        """Does it hide the alarm now?"""
        root = self.condition.root
        now, sure = root.truth(NOW, at), root.truth(SURE, at)
        self.due_at = NEVER
        if not self.active:
            self.active = sure == TRUE
            self.doubt_since = None
        elif now <= FALSE_UNCERTAIN:
            self.active = False
        elif now == TRUE:
            self.doubt_since = None
        else:
            if self.doubt_since is None:
                self.doubt_since = at
            end = self.doubt_since + DOUBT_S
            self.active = at < end
            self.due_at = end if self.active else NEVER
        return self.active

    def set(self, active: bool, now: float) -> None:
        """As it was before a restart: nothing is known yet."""
        self.active = active
        self.doubt_since = now if active else None
        self.due_at = now + DOUBT_S if active else NEVER

    def witness(self, at: float) -> Leaf:
        return self.condition.root.witness(NOW, at, None)
