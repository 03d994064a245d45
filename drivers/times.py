"""How long a device may hold up its line: the limits of the options that all drivers that ask have."""

from __future__ import annotations

LONGEST_TIMEOUT_S = 10.0
LONGEST_SETTLE_S = 2.0


def check_times(timeout_s: float | None, settle_s: float) -> list[tuple[str, str]]:
    """For `Driver.check`: a time-out of an hour would stop its line for an hour, and the watchdog the gateway."""
    mistakes = []
    if timeout_s is not None and not 0.02 <= timeout_s <= LONGEST_TIMEOUT_S:
        mistakes.append(("options.timeout_s", "must be 0.02 to 10 / 必须在 0.02 到 10 之间"))
    if not 0 <= settle_s <= LONGEST_SETTLE_S:
        mistakes.append(("options.settle_s", "must be 0 to 2 / 必须在 0 到 2 之间"))
    return mistakes
