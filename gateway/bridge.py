"""How saved monotonic times cross a restart (law 2): the bridge from the clock of an earlier run to this one's. Pure but for
the clock that it is handed."""

from __future__ import annotations

import json
from math import isfinite
from typing import NamedTuple

from gateway.clock import Clock

CLOCKS = "clocks"
"""Key of `clocks` in the alarm lane's state, as of the last commit."""


def clocks(clock: Clock) -> bytes:
    """Both clocks at one moment: what carries running times across a restart."""
    now = {"boot": clock.boot, "at": clock.monotonic(), "wall": clock.wall(), "trusted": clock.trusted()}
    return json.dumps(now).encode()


class Bridge(NamedTuple):
    """From the clock of an earlier boot to this one's."""

    shift_s: float
    """To be added to saved monotonic times, so that they mean the same on this boot's clock."""
    sure: bool
    """Else the gap between counts as nothing: what had elapsed stays elapsed, "at least" (law 2)."""


def bridge(saved: bytes | None, clock: Clock) -> Bridge:
    """Within one boot nothing is to be added. Across a reboot what had elapsed when it was last written stays elapsed,
    plus the time between as far as both wall clocks can be trusted."""
    try:
        then = json.loads(saved or b"{}")
        boot, at, wall, trusted = then["boot"], float(then["at"]), float(then["wall"]), bool(then["trusted"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Bridge(0.0, sure=False)
    if not (isfinite(at) and isfinite(wall)):
        return Bridge(0.0, sure=False)
    if boot == clock.boot:
        return Bridge(0.0, sure=True)
    sure = trusted and clock.trusted() and clock.wall() >= wall
    between = clock.wall() - wall if sure else 0.0
    return Bridge(clock.monotonic() - at - between, sure)
