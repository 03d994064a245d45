"""A flood: more new alarms than anybody can look at (EEMUA 191, ISA-18.2; standards.md 6.2).

Guarantees
* It begins with the alarm that makes more than `BEGINS` in `WINDOW_S`, and ends when there were fewer than `ENDS` in it.
* It groups what a person is told of alarms of low and medium severity, and nothing else: each is recorded and sent as
  ever, marked `grouped`. Fire, personal and entrapment alarms and everything of high severity are never grouped, nor is
  the answer to a person's command.
* It survives a restart: the times of the last alarms and the flood itself; a gap that no clock bridges counts as nothing.
"""

from __future__ import annotations

import json
from collections import deque

from gateway.model import Command, FloodEdge, Severity, Transition
from rules.lifecycle import ASIDE
from rules.spec import LIFE, AlarmSpec
from rules.timing import NEVER
from rules.window import saved_time

BEGINS = 10
ENDS = 5
WINDOW_S = 600.0


class Flood:
    """Is there one? `raised` is told of each new alarm; `wake` at `due`. What began or ended waits in `edges`."""

    __slots__ = ("alarms", "edges", "first", "grouped", "since", "times")

    def __init__(self) -> None:
        self.times: deque[tuple[float, str]] = deque(maxlen=BEGINS + 1)
        """When the last alarms were raised, and which; an id from before a restart is empty."""
        self.since: float | None = None
        self.alarms = 0
        self.grouped = 0
        self.first = ""
        self.edges: list[FloodEdge] = []

    @property
    def due(self) -> float:
        """When it will be over, if nothing more is raised."""
        return NEVER if self.since is None else self.times[-ENDS][0] + WINDOW_S

    def wake(self, at: float) -> None:
        due = self.due
        if at >= due and self.since is not None:
            self.edges.append(FloodEdge(False, due, self.since, self.alarms, self.grouped, self.first))
            self.since = None

    def raised(self, alarm: str, at: float) -> None:
        """A new alarm."""
        self.wake(at)
        self.times.append((at, alarm))
        if self.since is not None:
            self.alarms += 1
        elif len(self.times) > BEGINS and at - self.times[0][0] < WINDOW_S:
            self.since, self.alarms, self.grouped, self.first = at, len(self.times), 0, self.times[0][1]
            self.edges.append(FloodEdge(True, at, at, self.alarms, 0, self.first))

    def groups(self, transition: Transition, spec: AlarmSpec) -> bool:
        """Is a person told of it only with the others? Counts it if so."""
        low = spec.severity <= Severity.MEDIUM and spec.cls not in LIFE
        hidden = isinstance(transition.cause, Command) or transition.after in ASIDE
        if self.since is None or not low or hidden:
            return False
        self.grouped += 1
        return True

    def encode(self) -> bytes | None:
        if not self.times:
            return None
        saved: dict[str, object] = {"times": [round(at, 3) for at, _ in self.times]}
        if self.since is not None:
            saved |= {"since": self.since, "alarms": self.alarms, "grouped": self.grouped, "first": self.first}
        return json.dumps(saved, separators=(",", ":")).encode()

    def restore(self, saved: bytes, shift_s: float, now: float) -> bool:
        """Take back what `encode` gave; false, and as new, when it is nothing of the kind."""
        try:
            data = json.loads(saved)
            times = [saved_time(at, shift_s, now) for at in data["times"]]
            since = saved_time(data["since"], shift_s, now) if "since" in data else None
            told = int(data.get("alarms", 0)), int(data.get("grouped", 0)), str(data.get("first", ""))[:200]
            if times != sorted(times) or (since is not None and len(times) < ENDS):
                raise ValueError("no order")
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError):
            return False
        self.times.extend((at, "") for at in times)
        self.since = since
        self.alarms, self.grouped, self.first = told
        return True
