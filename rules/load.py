"""How much the alarms ask of the people who answer them: floods, first-out, nuisances, and the rates of EEMUA 191.

Guarantees
* Looks at transitions only, when they happen; nothing here decides whether an alarm is raised.
* Marks each transition: `grouped` (see `rules.flood`); `first_out`, the first alarm of its zone after `WINDOW_S` without
  one (technical faults apart, so that a dead device does not take the place of the smoke); `chattering`, raised
  `CHATTERING` times in `CHATTERING_S`; `fleeting`, over within `FLEETING_S` before anybody could act.
* Bounded: a day of minutes, a day of hours with a count for each alarm of the site, one time a zone.
* Flood survives a restart. Rates, marks and counters begin anew with each start; `counted_s` says how long they go back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from gateway.model import AlarmClass, Mark, State, Transition
from rules.flood import WINDOW_S, Flood
from rules.lifecycle import ASIDE
from rules.spec import AlarmSpec

CHATTERING = 3
CHATTERING_S = 60.0
FLEETING_S = 10.0
STALE_S = 86400.0
DAY_S = 86400.0
_OLD = frozenset({State.ACKNOWLEDGED, *ASIDE})
"""Coming from there to UNACKNOWLEDGED it calls again; it is not new."""
_OVER = frozenset({State.RETURNED, State.LATCHED_UNACKNOWLEDGED})
TOP = 10


class Load:
    __slots__ = (
        "_began",
        "_chatter",
        "_floods",
        "_hours",
        "_minutes",
        "_zones",
        "chattering",
        "fleeting",
        "flood",
        "total",
    )

    def __init__(self, now: float) -> None:
        self.flood = Flood()
        self.total = self.chattering = self.fleeting = 0
        """Since the start: new alarms, and those of them that were marked."""
        self._began = now
        self._chatter: dict[str, deque[float]] = {}
        self._zones: dict[tuple[str, bool], float] = {}
        self._minutes: deque[list[int]] = deque()
        """``[minute, new alarms]``, of a day."""
        self._hours: deque[tuple[int, Counter[str]]] = deque()
        self._floods: deque[tuple[float, float]] = deque()
        """Those that are over, of a day."""

    def mark(self, transition: Transition, spec: AlarmSpec) -> tuple[Mark, ...]:
        """What there is to say of a transition; called once for each, in their order."""
        at = transition.at
        self.wake(at)
        marks = []
        if transition.after == State.UNACKNOWLEDGED and transition.before not in _OLD:
            self._count(transition.alarm, at)
            self.flood.raised(transition.alarm, at)
            if self._first_out(spec, at):
                marks.append(Mark.FIRST_OUT)
            if self._chatters(transition.alarm, at):
                self.chattering += 1
                marks.append(Mark.CHATTERING)
        before, after = transition.before, transition.after
        if before == State.UNACKNOWLEDGED and after in _OVER and at - transition.since < FLEETING_S:
            self.fleeting += 1
            marks.append(Mark.FLEETING)
        if self.flood.groups(transition, spec):
            marks.append(Mark.GROUPED)
        return tuple(marks)

    def wake(self, at: float) -> None:
        """Time went on: a flood may be over."""
        since, due = self.flood.since, self.flood.due
        self.flood.wake(at)
        if since is not None and self.flood.since is None:
            self._floods.append((since, due))
            while self._floods and self._floods[0][1] < at - DAY_S:
                self._floods.popleft()

    def _count(self, alarm: str, at: float) -> None:
        self.total += 1
        minute, hour = int(at // 60), int(at // 3600)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append([minute, 0])
        self._minutes[-1][1] += 1
        while self._minutes[0][0] <= minute - DAY_S // 60:
            self._minutes.popleft()
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, Counter()))
        self._hours[-1][1][alarm] += 1
        while self._hours[0][0] <= hour - 24:
            self._hours.popleft()

    def _first_out(self, spec: AlarmSpec, at: float) -> bool:
        zone = spec.place.zone, spec.cls == AlarmClass.FAULT
        last = self._zones.get(zone)
        self._zones[zone] = at
        return last is None or at - last >= WINDOW_S

    def _chatters(self, alarm: str, at: float) -> bool:
        times = self._chatter.setdefault(alarm, deque(maxlen=CHATTERING))
        times.append(at)
        return len(times) == CHATTERING and at - times[0] <= CHATTERING_S

    def status(self, now: float, active_since: Iterable[float]) -> dict[str, Any]:
        """The figures, as plain JSON values. `active_since`: of each alarm that is active now. Rates count whole minutes."""
        minute = int(now // 60)
        day = [(at, n) for at, n in self._minutes if at > minute - 1440]
        names: Counter[str] = Counter()
        for hour, counted in self._hours:
            if hour > now // 3600 - 24:
                names += counted
        top = names.most_common(TOP)
        counted_s = min(now - self._began, DAY_S)
        flood = self.flood
        return {
            "counted_s": round(counted_s, 1),
            "new_10min": sum(n for at, n in day if at > minute - 10),
            "new_hour": sum(n for at, n in day if at > minute - 60),
            "new_day": sum(n for _, n in day),
            "peak_10min": _peak(day),
            "top_share": round(sum(n for _, n in top) / names.total(), 3) if names else 0.0,
            "top": dict(top),
            "flood_share": round(self._flooded_s(now) / counted_s, 4) if counted_s > 0 else 0.0,
            "flood": flood.since is not None,
            "flood_alarms": flood.alarms if flood.since is not None else 0,
            "flood_grouped": flood.grouped if flood.since is not None else 0,
            "flood_first": flood.first if flood.since is not None else "",
            "stale": sum(now - since > STALE_S for since in active_since),
            "total": self.total,
            "chattering": self.chattering,
            "fleeting": self.fleeting,
        }

    def _flooded_s(self, now: float) -> float:
        begin = max(now - DAY_S, self._began)
        spans = [*self._floods, *([(self.flood.since, now)] if self.flood.since is not None else [])]
        return sum(max(0.0, end - max(since, begin)) for since, end in spans)


def _peak(day: list[tuple[int, int]]) -> int:
    """The most in any ten minutes."""
    peak = total = first = 0
    for at, n in day:
        total += n
        while day[first][0] <= at - 10:
            total -= day[first][1]
            first += 1
        peak = max(peak, total)
    return peak
