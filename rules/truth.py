"""Truth in five steps, so that doubt passes soundly through `not`, `all`, `any` and `k of n` (Kleene's logic, graded).

    FALSE < FALSE_UNCERTAIN < UNKNOWN < TRUE_UNCERTAIN < TRUE

``all`` is the least, ``any`` the greatest, ``not`` is ``4 - x``. At the top of a rule TRUE and TRUE_UNCERTAIN may
raise, only FALSE may clear; the two between neither raise nor clear (law 1: silence is a sample, doubt never clears).

Every condition is followed on two tracks. NOW is what the latest frames say; it raises. SURE is what the latest *two*
frames of each point agree on; it clears. So towards alarm the first valid frame counts and towards normal two do
(reliability.md, rule 7), for each point on its own, however many devices a rule looks at and at whatever pace they are
read. SURE never claims more than NOW: where it is FALSE or TRUE, NOW is the same.
"""

from __future__ import annotations

from gateway.model import Level, Quality, Value

FALSE, FALSE_UNCERTAIN, UNKNOWN, TRUE_UNCERTAIN, TRUE = range(5)

NOW, SURE = 0, 1

GRADE = ((FALSE, FALSE_UNCERTAIN), (TRUE, TRUE_UNCERTAIN))
"""``GRADE[holds][level]``: the truth of a comparison of a GOOD or an UNCERTAIN value."""


def _agree(first: int, second: int) -> int:
    if first == second:
        return first
    if max(first, second) < UNKNOWN:
        return FALSE_UNCERTAIN
    return TRUE_UNCERTAIN if min(first, second) > UNKNOWN else UNKNOWN


AGREE = tuple(tuple(_agree(first, second) for second in range(5)) for first in range(5))
"""``AGREE[first][second]``: what two consecutive frames say together."""

DOUBT = (0, 1, 2, 1, 0)
"""``DOUBT[truth]``: 0 certain, 1 uncertain, 2 unknown."""

CLIP = (
    (FALSE, FALSE_UNCERTAIN, UNKNOWN, TRUE_UNCERTAIN, TRUE),
    (FALSE_UNCERTAIN, FALSE_UNCERTAIN, UNKNOWN, TRUE_UNCERTAIN, TRUE_UNCERTAIN),
    (UNKNOWN, UNKNOWN, UNKNOWN, TRUE_UNCERTAIN, TRUE_UNCERTAIN),
)
"""``CLIP[doubt][truth]``: what is left of a truth that is remembered while what it rests on is in doubt: it may still
raise, it no longer clears."""

_KNOWN = {int(quality): quality for quality in Quality}

QUALITIES = tuple(_KNOWN.get(byte, Quality.DRIVER_FAULT) for byte in range(256))
"""The quality of each byte; a byte that means nothing is a driver's bug, hence BAD."""

LEVELS = bytes(quality.level for quality in QUALITIES)
"""The level of each quality byte."""

LARGEST = 1e300
"""A number beyond this is no measurement; it also keeps arithmetic on values free of overflow."""


def number(value: Value) -> float | int | None:
    """The value if it is a number that can be compared; None for text, None, NaN and infinities."""
    return value if isinstance(value, (int, float)) and -LARGEST < value < LARGEST else None


def level(quality: int, value: Value) -> int:
    """The level of one value in a scan; a value that is missing is BAD whatever its quality says."""
    return Level.BAD if value is None else LEVELS[quality]
