"""How long to wait before trying again: exponential back-off with full jitter. Pure.

Guarantees
* The wait is uniform between 0 and min(cap, first * 2^failures): a thousand gateways that lost one broker at one
  moment do not come back at one moment.
* It never exceeds `cap_s`, whatever the number of failures.

It keeps no state: the caller counts its failures in a row and brings the random number.
"""

from __future__ import annotations

_DOUBLINGS = 32  # beyond this the cap rules anyway; keeps 2**n from growing without end


def delay_s(failures: int, random: float, *, first_s: float = 1.0, cap_s: float = 60.0) -> float:
    """Seconds to wait after `failures` failures in a row (at least 1); `random` is uniform in [0, 1)."""
    return random * min(cap_s, first_s * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS))
