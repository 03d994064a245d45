"""Which alarm is due next: a heap of deadlines that is only put right where somebody looks at it. Pure.

Guarantees
* `next` is the earliest `due` of all alarms; `pop` gives an alarm that is due then, those of one time in the site's order.
* An alarm whose deadline moved later (silence does so at each scan) costs nothing until its place comes to the front; one
  whose deadline came nearer must be told (`add`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace

from rules.alarm import Alarm


class Agenda:
    """Of the alarms of one engine, by their order."""

    __slots__ = ("_alarms", "queue")

    def __init__(self, alarms: Sequence[Alarm]) -> None:
        self._alarms = alarms
        self.queue: list[tuple[float, int]] = []
        """The heap: deadline and order. No entry is later than its alarm is due, so that a look at the first spares calls."""
        for alarm in alarms:
            alarm.queued = math.inf
            self.add(alarm)

    def add(self, alarm: Alarm) -> None:
        """It may be due earlier than it was."""
        due = alarm.due
        if due < alarm.queued:
            alarm.queued = due
            heappush(self.queue, (due, alarm.order))

    def next(self) -> float:
        """The earliest deadline. An entry whose alarm was queued earlier is left over; one whose alarm has become due
        later moves to its place."""
        queue = self.queue
        while queue:
            time, order = queue[0]
            alarm = self._alarms[order]
            due = alarm.due
            if time == due == alarm.queued:
                return due
            if time != alarm.queued or due == math.inf:
                heappop(queue)
                if time == alarm.queued:
                    alarm.queued = math.inf
            else:
                alarm.queued = due
                heapreplace(queue, (due, order))
        return math.inf

    def pop(self, until: float) -> tuple[float, Alarm] | None:
        """The first alarm that is due up to and with `until`, and when it was; it is off the agenda until it is added."""
        due = self.next()
        if due > until or due == math.inf:
            return None
        alarm = self._alarms[heappop(self.queue)[1]]
        alarm.queued = math.inf
        return due, alarm
