"""What a rule is: frozen descriptions, as the site file states them. No evaluation here (see `condition`, `timing`).

A condition is true, false or unknown. Unknown neither raises nor clears; an UNCERTAIN sample may raise and never clears.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.model import AlarmClass, Place, Severity, Text


@dataclass(frozen=True, slots=True)
class Above:
    """True while the value is over `limit`; false again only below ``limit - hysteresis``. For levels that hover."""

    point: str
    limit: float
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class Below:
    """True while the value is under `limit`; false again only above ``limit + hysteresis``. For pressures, batteries."""

    point: str
    limit: float
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class Outside:
    """True while the value is below `low` or above `high`; false again only `hysteresis` inside. For supply voltages."""

    point: str
    low: float
    high: float
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class Equals:
    """True while the value equals `value` exactly. For states and enumerations; never for measured numbers."""

    point: str
    value: float | int | str


@dataclass(frozen=True, slots=True)
class Bit:
    """True while bit `bit` (0 = least significant) of an integer point is set. For status words read whole."""

    point: str
    bit: int


@dataclass(frozen=True, slots=True)
class Rate:
    """True while the value changes faster than `limit` units a second, over `window_s`; the sign of `limit` is the
    direction (positive: rising). Unknown until half the window is filled. For creep, leaks, rapid heat."""

    point: str
    limit: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Stale:
    """True while no usable value of the point (or, with ``device/*``, of any point of the device) came for `for_s`.
    Never unknown. For silence: this is how a dead sensor becomes an alarm."""

    point: str
    for_s: float


@dataclass(frozen=True, slots=True)
class All:
    """True when all are; false when one is. For coincidence."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """True when one is; false when all are. For several ways into one alarm."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown. For "door open while not released"."""

    of: Condition


@dataclass(frozen=True, slots=True)
class KOfN:
    """True when at least `k` of the conditions were true within the last `within_s`, though perhaps not at once.
    For confirmation: two detectors of one zone within a minute (GB 50116 4.1.6)."""

    k: int
    of: tuple[Condition, ...]
    within_s: float


@dataclass(frozen=True, slots=True)
class Changed:
    """True while the value became another one within the last `within_s`. For events without a state: a card number, a
    counter of test calls. Unknown while the point is BAD and, until a change is seen, for `within_s` after the start."""

    point: str
    within_s: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """True once the value has been exactly the same for `for_s` although the point answers. For what should move: a
    heart-beat counter, a water level. Unknown while BAD: a dead sensor is `stale`, one that repeats itself is this."""

    point: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """True once `of` has been true for `for_s`: an on-delay inside a condition. For "open for 30 s while armed". Unknown
    while `of` is; an unknown in between holds the count and makes the answer uncertain (it may raise, never clear)."""

    of: Condition
    for_s: float


@dataclass(frozen=True, slots=True)
class Times:
    """True while `of` became true at least `n` times within the last `within_s`. For intensity: refused cards, pump
    starts. An unknown may hide one more: until it is `within_s` ago the answer is not false. Unknown to true is none."""

    of: Condition
    n: int
    within_s: float


@dataclass(frozen=True, slots=True)
class Sequence:
    """True for `within_s` after the parts became true in this order within `within_s`. For "level fault, then doors,
    then the call button". Seen at once is uncertain (may raise). An unknown may hide a part: then not false for twice
    `within_s`."""

    of: tuple[Condition, ...]
    within_s: float


@dataclass(frozen=True, slots=True)
class Absence:
    """True when `after` became true and `of` was not surely true within `within_s`, until it is. For a command without
    feedback, an alarm without an answer. Unknown while `of` is, once the time is over; an unknown in between makes it
    uncertain (may raise). What nobody saw of `after` did not happen."""

    after: Condition
    of: Condition
    within_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """True on `days` (0 = Monday; 7 = a holiday) from `from_s` to `to_s` seconds after local midnight; over midnight when
    `to_s` is not later. For "at night", "on working days". A date in `holidays` counts as day 7, one in `workdays` as a
    Monday (days since 0001-01-01, as `datetime.date.toordinal`). Unknown while the clock is not trusted."""

    days: tuple[int, ...]
    from_s: int
    to_s: int
    holidays: tuple[int, ...] = ()
    workdays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Latch:
    """True from `set` until `reset` is surely true and `set` is not. For what only another sign may end: entrapment ends
    at "level and door open". An unknown `reset` ends nothing; an unknown `set` is unknown before it and nothing after."""

    set: Condition
    reset: Condition


@dataclass(frozen=True, slots=True)
class Captured:
    """The truth that `of` had at the last moment at which `at` became true. For "somebody inside when the door closed".
    Unknown before the first such moment; an unknown `at` makes what was captured uncertain until the next one."""

    of: Condition
    at: Condition


@dataclass(frozen=True, slots=True)
class Cel:
    """A free expression in CEL over `points` (name in the expression, point), for what the typed conditions do not reach:
    arithmetic over several points. Unknown unless every point has a usable value; uncertain if one is uncertain."""

    expr: str
    points: tuple[tuple[str, str], ...]
    bools: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """The names of those that are true or false, and of those that are texts; all others are numbers."""


Condition = (
    Above | Below | Outside | Equals | Bit | Rate | Stale | Changed | Frozen | Cel | Schedule
    | All | Any | Not | KOfN | Held | Times | Sequence | Absence | Latch | Captured
)  # fmt: skip


def parts(when: Condition) -> tuple[Condition, ...]:
    """The conditions that a condition is made of, in the order of the file."""
    match when:
        case All() | Any() | KOfN() | Sequence():
            return when.of
        case Not() | Held() | Times():
            return (when.of,)
        case Absence():
            return (when.after, when.of)
        case Latch():
            return (when.set, when.reset)
        case Captured():
            return (when.of, when.at)
        case _:
            return ()


LIFE = frozenset({AlarmClass.FIRE, AlarmClass.PERSONAL, AlarmClass.ENTRAPMENT})
"""A life may hang on it: never shelved, never suppressed by design, never grouped in a flood (standards.md 6.1, 6.2)."""


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """One alarm of the site."""

    id: str
    cls: AlarmClass
    severity: Severity
    when: Condition
    text: Text
    place: Place = Place()
    on_delay_s: float = 0.0
    """The condition must have been true for so long; an unknown in between holds the count and does not raise."""
    off_delay_s: float = 0.0
    """The condition must have been false for so long without a break; an unknown in between starts the count anew."""
    latching: bool = False
    """Stays (latched) after the condition went away, until reset by a person."""
    realarm_s: float | None = None
    """Acknowledged and still active for so long: it calls again. None: it does not."""
    suppressed_by: Condition | None = None
    """Hidden as long as this is known to be true; never for `LIFE`."""
    max_shelve_s: float = 8 * 3600.0
    """A person shelves it for at most so long; nobody shelves `LIFE`."""
    max_out_s: float | None = None
    """A person takes it out of service for at most so long; None: by class (`rules.aside`)."""
    advice: Text | None = None
    """What to do; None: by class (`rules.texts`)."""
    rule: str = ""
    """Id and version of the library's rule that it was made from; empty for a site's own."""


def looked_at(when: Condition) -> Iterator[str]:
    """The points (``device/name``, ``device/*``) that a condition looks at, in the order of the file; none for a calendar."""
    match when:
        case Schedule():
            return
        case Cel():
            yield from (point for _, point in when.points)
        case Above() | Below() | Outside() | Equals() | Bit() | Rate() | Stale() | Changed() | Frozen():
            yield when.point
        case _:
            for part in parts(when):
                yield from looked_at(part)


def points(when: Condition) -> frozenset[str]:
    """All of them, each once."""
    return frozenset(looked_at(when))
