"""What a schedule needs to know of the clocks: an event for the engine."""

from __future__ import annotations

from typing import NamedTuple


class Clocks(NamedTuple):
    """Both clocks at one moment. Stepped in at the start, and whenever trust or the offset between them changes."""

    at: float
    """Monotonic seconds."""
    wall: float
    """Seconds since 1970 UTC at `at`."""
    trusted: bool
    utc_offset_s: float
    """Of the local time that people at the site use."""
