"""All alarms of a site. `step` is told what happened and when, and says what follows from it.

Guarantees
* Synchronous and pure: no clock, no I/O. The answer depends only on what was stepped in, not on how often it was asked in
  between: deadlines that lie before an event are worked off first, in their order and at their own times.
* A scan touches only the alarms that look at its (device, group); who is due next is `rules.agenda`'s.
* Never raises on a scan: an unknown group is ignored, a scan of the wrong shape counts as all BAD, a value of the wrong
  kind is unknown, a time that runs backwards stands still.
* An alarm whose evaluation has a bug is taken out alone: `guard` tells of it, the others go on, it keeps its state and is
  tried again at the next scan of its points, or after `rules.alarm.RETRY_S`.
* `Step.changed` is what must be committed with the transitions; all deltas laid over each other equal `save`. Deltas without a
  transition (memory of hysteresis, of a running delay, of "k of n") may be committed late: losing one loses no alarm.

After a start: ``Engine(...)``, ``restore`` if there is something, then ``step(None, now)`` for the first deadline. Its
`changed` holds the restored states on this boot's clock, and None for those that could not be used.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from gateway.model import Command, FloodEdge, Quality, Scan, State, Text, Transition
from rules.agenda import Agenda
from rules.alarm import Alarm
from rules.clocks import Clocks
from rules.condition import Key, Points
from rules.evidence import TREND
from rules.guard import Guard, unguarded
from rules.leaf import Leaf
from rules.lifecycle import ACTIVE, ASIDE
from rules.load import Load
from rules.spec import AlarmSpec
from rules.standing import Standing, standing
from rules.texts import unknown_alarm
from rules.virtual import Virtual, VirtualSpec

FLOOD = "#flood"
"""Of `Step.changed` and `save`: the flood's state; no alarm has such an id."""


class Step(NamedTuple):
    """What followed."""

    transitions: tuple[Transition, ...]
    deadline: float | None
    """Step again (with None) at this monotonic time at the latest."""
    changed: dict[str, bytes | None]
    """By alarm id: what must survive a restart; None when nothing must any more."""
    refused: Text | None = None
    """Why a command was not followed."""
    scans: tuple[Scan, ...] = ()
    """Of computed points (`rules.virtual`), already judged."""
    floods: tuple[FloodEdge, ...] = ()
    """Floods of alarms that began or ended (`rules.flood`)."""


class _Watch(NamedTuple):
    """What a scan of one group concerns."""

    points: int
    alarms: tuple[tuple[Alarm, Callable[[], bool]], ...]
    """Each with what tells it of the scan at hand; made once, for a quiet scan does little else."""
    recent: deque[Scan]
    """Its last scans, for evidence."""


class Engine:
    def __init__(
        self,
        alarms: Sequence[AlarmSpec],
        groups: Mapping[Key, tuple[str, ...]],
        now: float,
        guard: Guard = unguarded,
        virtual: Sequence[VirtualSpec] = (),
    ) -> None:
        """`groups`: (device, group) -> point ids in scan order, those of the device ``virtual`` among them. ValueError
        names each alarm that cannot be evaluated."""
        self._virtual = Virtual(virtual, groups, now)
        self._scan: Scan | None = None
        """The one at hand."""
        self._scans: list[Scan] = []
        self._groups, self._points = groups, (points := Points(groups))
        self._recent: dict[Key, deque[Scan]] = {key: deque(maxlen=TREND + 1) for key in groups}
        self._guard = guard
        self._now = now
        self._alarms: list[Alarm] = []
        mistakes = []
        for order, spec in enumerate(alarms):
            try:
                self._alarms.append(Alarm(spec, order, points, now, self._recent, guard))
            except ValueError as mistake:
                mistakes.append(f"{spec.id}: {mistake}")
        self._by_id = {alarm.spec.id: alarm for alarm in self._alarms}
        if len(self._by_id) < len(self._alarms):
            mistakes.append("two alarms have the same id")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        self._watches = self._index(groups)
        self._aside: set[str] = set()
        self._clocks: Clocks | None = None
        self._load = Load(now)
        self._noted: bytes | None = None
        """What of the flood was handed out last."""
        self._changed: dict[str, bytes | None] = {}
        self._transitions: list[Transition] = []
        self._agenda = Agenda(self._alarms)

    def _index(self, groups: Mapping[Key, tuple[str, ...]]) -> dict[Key, _Watch]:
        leaves: dict[Key, dict[int, list[Leaf]]] = {key: {} for key in groups}
        for alarm in self._alarms:
            for key, leaf in alarm.leaves:
                leaves[key].setdefault(alarm.order, []).append(leaf)
        return {
            key: _Watch(
                len(names),
                tuple(
                    (self._alarms[order], partial(self._feed, self._alarms[order], tuple(watching)))
                    for order, watching in leaves[key].items()
                ),
                self._recent[key],
            )
            for key, names in groups.items()
        }

    def step(self, event: Scan | Command | Clocks | None, now: float) -> Step:
        """`event` happened (None: nothing but time), and it is `now`. A scan counts from its own `at`."""
        if not now > self._now:
            now = self._now
        refused = None
        if event is None:
            pass
        elif isinstance(event, Scan):
            self._take(event, now)
        elif isinstance(event, Clocks):
            self._expire(now)
            self._now = now
            self._set(event, now)
        else:
            self._expire(now)
            refused = self._obey(event, now)
        self._expire(now)
        self._now = now
        floods = self._flooded(now)
        deadline = min(self._agenda.next(), self._load.flood.due)
        due = None if deadline == math.inf else deadline
        step = Step(tuple(self._transitions), due, self._changed, refused, tuple(self._scans), floods)
        self._transitions, self._scans = [], []
        self._changed = {}
        return step

    def restore(self, saved: Mapping[str, bytes], shift_s: float, *, bridged: bool = True) -> list[str]:
        """Be as the saved states say, their times moved by `shift_s`. Returns the ids of those that could not be used:
        unreadable, or of no alarm of this site. Before the first step. Not `bridged`: nobody knows how long it was off,
        so what a person had shelved or taken out of service comes back."""
        unusable = []
        for name, state in saved.items():
            if name == FLOOD and self._load.flood.restore(state, shift_s, self._now):
                self._noted = self._load.flood.encode()
                if self._noted != state:
                    self._changed[FLOOD] = self._noted
                continue
            alarm = self._by_id.get(name)
            if alarm is None:
                unusable.append(name)
                self._changed[name] = None
                continue
            if not alarm.restore(state, shift_s, self._now, bridged=bridged):
                unusable.append(name)
            alarm.saved = state
            self._note(alarm)
            if alarm.state in ASIDE:
                self._aside.add(alarm.spec.id)
            self._agenda.add(alarm)
        return unusable

    def succeed(self, other: Engine, same: frozenset[Key], kept: Mapping[str, bytes]) -> dict[str, bytes]:
        """Go on where `other`, of another site of this gateway, stands; instead of `restore`, and `other` is not stepped
        any more. `same`: groups that mean what they meant, of a device all or none. An alarm that is equal and looks at
        such groups only does not notice: delays, windows and what it has read go on. One that changed keeps its state,
        and of its memory what a restart would leave. `kept`: states of alarms that `other` does not have.

        Returns the saved states of those that left the site. The first step's `changed` holds what became different."""
        saved = other.save()
        equal = [
            (order, was)
            for order, alarm in enumerate(self._alarms)
            if (was := other._by_id.get(alarm.spec.id)) is not None
            and was.spec == alarm.spec
            and all(key in same for key, _ in was.leaves)
        ]
        goes_on = {was.spec.id for _, was in equal}
        states = {**kept, **saved}
        self.restore({name: states[name] for name in self._by_id if name in states and name not in goes_on}, 0.0)
        for name in self._by_id.keys() - goes_on:  # what the journal has of it is what `other` handed out last
            alarm, before = self._by_id[name], other._by_id.get(name)
            alarm.saved = before.saved if before is not None else None
            self._note(alarm)
        self._virtual.succeed(other._virtual, same)
        self._load, self._noted, self._clocks = other._load, other._noted, other._clocks
        for key in self._recent.keys() & same:
            self._recent[key] = other._recent[key]
        for order, was in equal:
            was.move(order, self._points, self._recent)
            self._alarms[order] = self._by_id[was.spec.id] = was
        self._watches = self._index(self._groups)
        self._aside = {name for name, alarm in self._by_id.items() if alarm.state in ASIDE}
        self._agenda = Agenda(self._alarms)
        gone = {name: state for name, state in saved.items() if name not in self._by_id and name != FLOOD}
        self._changed.update(dict.fromkeys(gone))
        return gone

    def save(self) -> dict[str, bytes]:
        """All that must survive a restart."""
        encoded = [(alarm.spec.id, alarm.encode()) for alarm in self._alarms]
        encoded.append((FLOOD, self._load.flood.encode()))
        return {name: state for name, state in encoded if state is not None}

    def load(self, now: float) -> dict[str, Any]:
        """What the alarms ask of people: rates, nuisances, flood (`rules.load`)."""
        return self._load.status(
            now, (alarm.since for alarm in self._alarms if alarm.state in ACTIVE and alarm.since is not None)
        )

    def alarms(self) -> dict[str, Standing]:
        """How all alarms stand, in the site's order."""
        return {alarm.spec.id: standing(alarm) for alarm in self._alarms}

    def aside(self) -> dict[str, Standing]:
        """Those that a person shelved or took out of service, or that are suppressed by design."""
        return {name: standing(self._by_id[name]) for name in sorted(self._aside)}

    def _take(self, scan: Scan, now: float) -> None:
        at = scan.at if self._now < scan.at < now else self._now if scan.at <= self._now else now
        self._expire(at)
        self._now = at
        watch = self._watches.get((scan.device, scan.group))
        if watch is None:
            return
        if len(scan.values) != watch.points or len(scan.qualities) != watch.points:
            bad = bytes([Quality.DRIVER_FAULT]) * watch.points
            scan = Scan(scan.device, scan.group, scan.at, (None,) * watch.points, bad)
        watch.recent.append(scan)
        self._scan = scan
        for alarm, feed in watch.alarms:
            if self._guard(alarm.name, feed) is None:
                self._broke(alarm, at)
        if self._virtual.watches(scan):
            self._guard("virtual", partial(self._compute, scan, now))

    def _compute(self, scan: Scan, now: float) -> bool:
        for made in self._virtual.take(scan):
            self._scans.append(made)
            self._take(made, now)
        return True

    def _feed(self, alarm: Alarm, leaves: tuple[Leaf, ...]) -> bool:
        scan, at, moved = self._scan, self._now, False
        assert scan is not None
        for leaf in leaves:
            if leaf.take(scan, at):
                moved = True
        if moved:
            self._settle(alarm, alarm.judge(at, scan))
        return True

    def _wake(self, alarm: Alarm, at: float) -> bool:
        self._settle(alarm, alarm.wake(at))
        return True

    def _set(self, clocks: Clocks, at: float) -> None:
        self._clocks = clocks
        for name in sorted(self._aside):
            if self._by_id[name].date(clocks):
                self._settle(self._by_id[name], ())
        for alarm in self._alarms:
            if alarm.calendars:
                self._look(alarm, partial(self._tell, alarm, clocks, at), at)

    def _tell(self, alarm: Alarm, clocks: Clocks, at: float) -> bool:
        for calendar in alarm.calendars:
            calendar.set(clocks)
        self._settle(alarm, alarm.judge(at, None))
        return True

    def _look(self, alarm: Alarm, look: Callable[[], bool], at: float) -> None:
        """One alarm's bug is its own."""
        if self._guard(alarm.name, look) is None:
            self._broke(alarm, at)

    def _broke(self, alarm: Alarm, at: float) -> None:
        alarm.broke(at)
        self._agenda.add(alarm)

    def _obey(self, command: Command, at: float) -> Text | None:
        alarm = self._by_id.get(command.alarm)
        if alarm is None:
            return unknown_alarm(command.alarm, self._by_id)
        answer = alarm.obey(command, at, self._clocks)
        if isinstance(answer, Text):
            return answer
        self._settle(alarm, answer)
        return None

    def _expire(self, until: float) -> None:
        """Work off the deadlines up to and with `until`."""
        agenda, queue = self._agenda, self._agenda.queue
        while queue and queue[0][0] <= until and (first := agenda.pop(until)):
            at, alarm = first
            self._now = max(at, self._now)
            self._look(alarm, partial(self._wake, alarm, self._now), self._now)

    def _settle(self, alarm: Alarm, transitions: tuple[Transition, ...]) -> None:
        """An alarm was looked at: note what came of it."""
        for transition in transitions:
            marks = self._guard("marks of alarms", partial(self._load.mark, transition, alarm.spec)) or ()
            if transition.after == State.UNACKNOWLEDGED:
                alarm.marks = marks
            self._transitions.append(replace(transition, marks=marks) if marks else transition)
        self._note(alarm)
        self._agenda.add(alarm)

    def _flooded(self, now: float) -> tuple[FloodEdge, ...]:
        """Floods that began or ended until now; looked at only where something was raised or one is on."""
        load, flood = self._load, self._load.flood
        if flood.since is not None:
            load.wake(now)
        if not flood.edges and not self._transitions:
            return ()
        floods, flood.edges = tuple(flood.edges), []
        state = flood.encode()
        if state != self._noted:
            self._noted = self._changed[FLOOD] = state
        return floods

    def _note(self, alarm: Alarm) -> None:
        state = alarm.encode()
        if state != alarm.saved:
            alarm.saved = self._changed[alarm.spec.id] = state
            (self._aside.add if alarm.state in ASIDE else self._aside.discard)(alarm.spec.id)
