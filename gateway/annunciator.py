"""What the guard room's lamps and sounders show. Pure: a function of what was told and of `now`; no clock, no I/O.

Guarantees
* A sounder is on from the moment at which an alarm of its classes starts to call (enters UNACKNOWLEDGED), for as long as one
  that called is neither acknowledged, hidden (shelved, suppressed, out of service) nor silenced, and at most for its longest on-time
  after the last call. An alarm that is over but was not acknowledged still calls: nobody may have been there.
* Whatever was silenced, a new call sounds again: another alarm, or the same one that comes back or calls again.
* Of the alarms that a flood groups (`rules.flood`) the first sounds for all, once a flood. Fire, personal and entrapment alarms
  are never grouped.
* A lamp is off while no alarm of its classes stands; it flashes while one of them has not the district's receipt, and is
  steady once all have (GB 26875.1 practice). An alarm has it when the district gave a receipt for any record since the alarm was
  last raised: what a person did afterwards makes no lamp flash again. Alarms that are hidden light no lamp.
* After a start every unacknowledged alarm calls anew: what was silenced before is not remembered, and that is the safe side.

It does not know relays or GPIO, and it moves nothing: the kinds are sounder and lamp; an output that opens a door or sends a
lift does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import NamedTuple

from gateway.model import AlarmClass, Command, FloodEdge, Mark, State, Text, Transition
from rules.lifecycle import ASIDE
from rules.spec import AlarmSpec

FLASH_S = 1.0
"""A lamp flashes so long on, so long off."""
LONGEST_ON_S = 600.0
UNACKNOWLEDGED = frozenset({State.UNACKNOWLEDGED, State.RETURNED, State.LATCHED_UNACKNOWLEDGED})
NOTHING_SOUNDS = Text("没有正在鸣响的声音输出", "nothing sounds")


class Kind(StrEnum):
    SOUNDER = "sounder"
    LAMP = "lamp"


class Look(StrEnum):
    """What an output shows."""

    OFF = "off"
    ON = "on"
    FLASH = "flash"


class Line(NamedTuple):
    """One line of a GPIO chip."""

    chip: str
    """Path of its character device."""
    line: int
    active_low: bool = False


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """A sounder or a lamp of the site file."""

    id: str
    kind: Kind
    classes: frozenset[AlarmClass]
    end: str | Line
    """A point of a device that is declared as an output, or a GPIO line."""
    longest_on_s: float = inf
    """Of a sounder."""
    off_at_stop: bool = True
    """Switched off when the gateway is stopped in order; else left as it is."""


class Shown(NamedTuple):
    look: Look
    since: float


@dataclass(slots=True)
class _Alarm:
    """What is known of one alarm that is not normal."""

    cls: AlarmClass
    state: State
    records: set[str] | None
    """Since it was last raised; None: from before the start, any record of it counts."""
    received: bool = False


@dataclass(slots=True)
class _Sounder:
    calling: dict[str, None] = field(default_factory=dict)
    """Alarms that make it sound, in their order."""
    until: float = inf
    grouped: bool = False
    """One of the flood that is on has sounded for all of it."""


class Annunciator:
    """Told of transitions, receipts and silence; `shown` is the answer for now, `due` when time alone will change it."""

    def __init__(self, outputs: Sequence[OutputSpec]) -> None:
        self._outputs = outputs
        self._sounders = {one.id: _Sounder() for one in outputs if one.kind is Kind.SOUNDER}
        self._alarms: dict[str, _Alarm] = {}
        self._shown: dict[str, Shown] = {}

    def begin(self, alarm: str, spec: AlarmSpec, state: State, *, received: bool, now: float) -> None:
        """An alarm as it stands at the start."""
        if state == State.NORMAL:
            return
        self._alarms[alarm] = _Alarm(spec.cls, state, None, received)
        if state in UNACKNOWLEDGED:
            self._call(alarm, spec.cls, now)

    def moved(self, transition: Transition, cls: AlarmClass) -> None:
        """An alarm changed its state."""
        alarm, after = transition.alarm, transition.after
        if after == State.NORMAL:
            self._alarms.pop(alarm, None)
        elif (one := self._alarms.get(alarm)) is None:
            self._alarms[alarm] = _Alarm(cls, after, set())
        else:
            if after == State.UNACKNOWLEDGED != transition.before:
                one.records, one.received = set(), False
            one.state = after
        if after == State.UNACKNOWLEDGED != transition.before:
            self._call(alarm, cls, transition.at, grouped=Mark.GROUPED in transition.marks)
        elif after not in UNACKNOWLEDGED:
            for sounder in self._sounders.values():
                sounder.calling.pop(alarm, None)

    def flooded(self, edge: FloodEdge) -> None:
        """A flood began or ended: the next grouped alarm sounds for all of its flood."""
        for sounder in self._sounders.values():
            sounder.grouped = False

    def recorded(self, alarm: str, record: str) -> None:
        """A transition of the alarm is this record."""
        one = self._alarms.get(alarm)
        if one is not None and one.records is not None and not one.received:
            one.records.add(record)

    def received(self, alarm: str, record: str) -> bool:
        """The district has the record; true when that changes something."""
        one = self._alarms.get(alarm)
        if one is None or one.received or (one.records is not None and record not in one.records):
            return False
        one.received, one.records = True, set()
        return True

    def silence(self, output: str = "", classes: Iterable[AlarmClass] = ()) -> bool:
        """Until something new calls: one sounder or all, of these classes or all. False when nothing was sounding."""
        chosen, quiet = frozenset(classes), False
        for name, sounder in self._sounders.items():
            if output in ("", name):
                for alarm in [one for one in sounder.calling if not chosen or self._alarms[one].cls in chosen]:
                    del sounder.calling[alarm]
                    quiet = True
        return quiet

    def over(self, now: float) -> list[str]:
        """Sounders whose longest on-time is over."""
        return [name for name, one in self._sounders.items() if one.calling and now >= one.until]

    def unacknowledged(self, classes: frozenset[AlarmClass]) -> list[str]:
        """Alarms of these classes that wait for a person."""
        return [name for name, one in self._alarms.items() if one.cls in classes and one.state in UNACKNOWLEDGED]

    def sounds(self, classes: frozenset[AlarmClass]) -> bool:
        return any(self._alarms[name].cls in classes for one in self._sounders.values() for name in one.calling)

    def calling(self, output: str) -> list[str]:
        """The alarms that make a sounder sound; for a lamp, those that light it."""
        if output in self._sounders:
            return list(self._sounders[output].calling)
        classes = next(one.classes for one in self._outputs if one.id == output)
        return [name for name, one in self._alarms.items() if one.cls in classes and one.state not in ASIDE]

    def shown(self, now: float) -> dict[str, Shown]:
        """What each output shows, and since when: a lamp begins to flash with light."""
        for one in self._outputs:
            look = self._look(one)
            if one.id not in self._shown or self._shown[one.id].look is not look:
                self._shown[one.id] = Shown(look, now)
        return self._shown

    @property
    def due(self) -> float:
        """When the next longest on-time is over."""
        return min((one.until for one in self._sounders.values() if one.calling), default=inf)

    def _look(self, output: OutputSpec) -> Look:
        if output.kind is Kind.SOUNDER:
            return Look.ON if self._sounders[output.id].calling else Look.OFF
        standing = [one for one in self._alarms.values() if one.cls in output.classes and one.state not in ASIDE]
        if not standing:
            return Look.OFF
        return Look.ON if all(one.received for one in standing) else Look.FLASH

    def _call(self, alarm: str, cls: AlarmClass, at: float, *, grouped: bool = False) -> None:
        for output in self._outputs:
            if output.kind is Kind.SOUNDER and cls in output.classes:
                sounder = self._sounders[output.id]
                if not (grouped and sounder.grouped):
                    sounder.calling[alarm] = None
                    sounder.until = at + output.longest_on_s
                sounder.grouped = sounder.grouped or grouped


def lit(shown: Shown, now: float) -> bool:
    """Whether an output is on at this moment."""
    if shown.look is not Look.FLASH:
        return shown.look is Look.ON
    return int((now - shown.since) / FLASH_S) % 2 == 0


def toggles_at(shown: Shown, now: float) -> float:
    """When a flashing output changes next; never, if it does not flash."""
    if shown.look is not Look.FLASH:
        return inf
    return shown.since + (int((now - shown.since) / FLASH_S) + 1) * FLASH_S


def classes_of(command: Command) -> frozenset[AlarmClass] | None:
    """The classes that a command to silence names, none for all; None when one of them is none."""
    words = command.value.split()
    known = {one.value for one in AlarmClass}
    return frozenset(map(AlarmClass, words)) if known.issuperset(words) else None
