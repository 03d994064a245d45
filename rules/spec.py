"""What a rule is: frozen descriptions, as the site file states them. No evaluation here (see `condition`, `timing`).

A condition is true, false or unknown. Unknown neither raises nor clears; an UNCERTAIN sample may raise and never clears.
"""

from __future__ import annotations

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


Condition = Above | Below | Outside | Equals | Bit | Rate | Stale | All | Any | Not | KOfN


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


def points(when: Condition) -> frozenset[str]:
    """All points (``device/name``, ``device/*``) that a condition looks at."""
    if isinstance(when, (All, Any, KOfN)):
        return frozenset[str]().union(*(points(part) for part in when.of))
    return points(when.of) if isinstance(when, Not) else frozenset((when.point,))
