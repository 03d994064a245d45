"""The simulator's log: one JSON object a line, written before anybody can act on what it tells.

Guarantees: each entry is one `write` on an append-only file, so that threads never mix lines and a kill takes at most
the line being written. Every entry carries ``t`` (wall, UTC seconds) and ``mono`` (monotonic seconds, the clock that all
processes of one machine share), both of the same moment.

Events: ``start`` | ``change`` (device, point, value) | ``fault`` (device, what) | ``answer`` (device, points: what an
intact answer carried) | ``spoilt_answer`` (the same with ``fault``: it was sent, but not as it should be) |
``bad_request`` (line, why: too_early, gap, collision, unreadable) | ``unanswered`` (a terminal heard nothing back) |
``duty_check`` (device, minutes: a transmission device was asked) |
``refused`` (a command that cannot be followed) | ``lost`` (line, why: its serial adapter is gone) | ``go`` | ``stop``.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Log:
    """Where the simulator writes down what it did; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, event: str, at: float | None = None, **fields: object) -> None:
        """Write one entry. `at` (monotonic) is given when the thing happened at another moment than now."""
        wall, now = time.time(), time.monotonic()
        mono = now if at is None else at
        entry = {"t": round(wall + mono - now, 6), "mono": round(mono, 6), "event": event, **fields}
        os.write(self._file, json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> list[dict[str, object]]:
    """Every whole entry of a log, oldest first; a last line that is still being written is left out."""
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
