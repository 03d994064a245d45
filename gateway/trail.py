"""How far the records of the last transitions have come, up to the district: for the console, also after a restart.

Guarantees
* The latest `TRAILS` transitions are followed; of each, every stage that it reached, with its wall time, once.
* It is kept in the alarm lane's state `TRAIL_S` after it changed; what cannot be read there is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from gateway.clock import Clock
from gateway.model import Record
from gateway.wire import payloads

TRAIL = "trail/"
"""Prefix of its keys in the alarm lane's state."""
TRAILS = 512
TRAIL_S = 0.1
"""What a kill can take of it."""
STAGES = ("pending", "announced", "committed", "broker", "district")
"""announced: told before the disk confirmed it; broker and district: acknowledged by it, receipted by it."""


@dataclass(slots=True)
class Progress:
    """How far one transition's record has come, and when (wall time) it got there."""

    alarm: str
    sequence: int
    times: dict[str, float]

    @property
    def stage(self) -> str:
        """The furthest of `STAGES` that it reached."""
        return max(self.times, key=STAGES.index, default="pending")


class Trail:
    """Of one alarm lane."""

    def __init__(
        self,
        state: Mapping[str, bytes],
        keep: Callable[[Mapping[str, bytes | None], float], None],
        clock: Clock,
    ) -> None:
        """`state`: what earlier runs kept, without `TRAIL`; `keep(state, within_s)` saves."""
        self._keep = keep
        self._clock = clock
        self._trail: dict[str, Progress] = {}
        self.latest: dict[str, Progress] = {}
        """By alarm: of its latest transition."""
        found = {name: _read(name, body) for name, body in state.items()}
        for name, progress in sorted(found.items(), key=lambda item: item[1].sequence if item[1] else 0):
            if progress is None:
                keep({TRAIL + name: None}, inf)
            else:
                self._add(name, progress)

    def stage(self, alarm: str) -> str:
        """How far the latest transition of an alarm has come."""
        return self.latest[alarm].stage if alarm in self.latest else "pending"

    def follow(self, record: Record, alarm: str) -> None:
        """A transition of `alarm` has this record."""
        self._add(name_of(record), Progress(alarm, record.sequence, {}))

    def reached(self, record: Record, stage: str) -> Progress | None:
        """It came one of `STAGES` further; None when that is known, or the record is followed no more."""
        name = name_of(record)
        if name not in self._trail and record.kind == payloads.TRANSITION:
            # Of an earlier run, killed before it could note how far this one had come.
            self._add(name, Progress(json.loads(record.body)["alarm"], record.sequence, {}))
        progress = self._trail.get(name)
        if progress is None or stage in progress.times:
            return None
        progress.times[stage] = self._clock.wall()
        self._keep({TRAIL + name: json.dumps({"alarm": progress.alarm, **progress.times}).encode()}, TRAIL_S)
        return progress

    def _add(self, name: str, progress: Progress) -> None:
        self._trail[name] = progress
        latest = self.latest.get(progress.alarm)
        if latest is None or latest.sequence < progress.sequence:
            self.latest[progress.alarm] = progress
        if len(self._trail) > TRAILS:
            oldest = next(iter(self._trail))
            del self._trail[oldest]
            self._keep({TRAIL + oldest: None}, inf)


def name_of(record: Record) -> str:
    """A record in its lane, in words."""
    return f"{record.journal}.{record.run}/{record.sequence}"


def _read(name: str, body: bytes) -> Progress | None:
    """What was kept under `name`; None when it is nothing that we know, such as a stage of a later version."""
    try:
        times = json.loads(body)
        alarm, sequence = str(times.pop("alarm")), int(name.rpartition("/")[2])
        known = {stage: float(times[stage]) for stage in STAGES if stage in times}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    return Progress(alarm, sequence, known)
