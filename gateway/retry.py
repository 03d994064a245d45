"""How long to wait before trying again: exponential back-off with full jitter. Pure.

Guarantees
* The wait is uniform between 0 and min(cap, first * 2^failures): a thousand gateways that lost one broker at one
  moment do not come back at one moment.
* It never exceeds `cap_s`, whatever the number of failures, nor a quarter of the time since it last worked: a short
  outage is over soon after it is over.

It keeps no state: the caller counts its failures in a row and brings the random number.
"""

from __future__ import annotations

_DOUBLINGS = 32  # beyond this the cap rules anyway; keeps 2**n from growing without end


def delay_s(failures: int, random: float, down_s: float, *, first_s: float = 1.0, cap_s: float = 60.0) -> float:
    """Seconds to wait after `failures` failures in a row (at least 1), `down_s` after it last worked; `random` is
    uniform in [0, 1)."""
    ceiling_s = min(cap_s, max(first_s, down_s / 4))
    return random * min(ceiling_s, first_s * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS))
