"""What a lane says of itself: at its start, and at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Opened:
    """What the lane found at its start."""

    journal: str
    run: str
    first: int
    """First sequence of this run."""
    durable: bool
    """False: the file cannot be written; the lane works from memory and keeps trying."""
    why: str
    set_aside: Path | None
    """Where a damaged file was moved to."""
    previous_boot: str
    """Boot id of the run before; empty when there is none."""
    checked: bool
    """quick_check came to its end within its time."""
    damaged_items: int
    """Pieces of state or positions that did not match their CRC and were left out."""


@dataclass(frozen=True, slots=True)
class Counters:
    committed: int
    """Records that reached the disk in this run."""
    transactions: int
    announced: int
    """Commits told before they were durable."""
    failures: int
    dropped: Mapping[str, int]
    """By reason: settled, quota, repeats, memory, corrupt, lost."""
    waiting: int
    """Commits that are not on the disk yet."""
    waiting_bytes: int
    durable: int
    last: int
    used_bytes: int
    quota_bytes: int
    nearly_full: bool
    """Unsettled records fill 80 % of the quota."""
    failing_since: float | None
    why: str
    set_aside: Path | None
