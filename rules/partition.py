"""A partition of the site: doors, motion and tamper contacts that people arm and disarm together. Pure.

    disarmed -- ARM --> exit_delay -- exit_delay_s --> armed -- an entry zone opens --> entry_delay -- entry_delay_s --> armed, intrusion
       ^                    |                            |                                  |
       '------------------- DISARM, from anywhere -------+----------------------------------'

Guarantees
* It arms only when each of its zones is known to be closed; one that is open, in doubt, BAD or too old is named in the
  refusal. Zones on the way out (`entry`) may be open while there is an exit delay, and must be known. A person may name
  zones to go without (bypass); it lasts until the partition is disarmed, and a partition without any zone does not arm.
* While it is armed a zone that is open is an intrusion, an entry zone after the entry delay; so is one that is still open
  when the exit delay ends. The intrusion stays until a person disarms. Unknown never counts as closed, nor as open.
* A restart changes nothing of it: delays go on by `shift_s`, zones are unknown until they are heard.

It knows nothing of who may arm: that is asked before. That an armed zone went silent is its device's own alarm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

from gateway.model import Level, Place, Text, Value
from rules.window import saved_time

NAMED = 5
"""At most so many zones are named in one refusal."""


class Stage(IntEnum):
    DISARMED = 0
    EXIT_DELAY = 1
    ARMED = 2
    ENTRY_DELAY = 3


class Mode(IntEnum):
    OFF = 0
    AWAY = 1
    """Nobody is in: every zone is watched."""
    STAY = 2
    """People are in: zones marked `interior` are not."""


class Contact(IntEnum):
    """What is known of a zone."""

    CLOSED = 0
    OPEN = 1
    DOUBTFUL = 2
    """It says closed, with a quality that proves nothing."""
    UNKNOWN = 3


WORDS: dict[Contact, Text] = {
    Contact.CLOSED: Text("已关闭", "closed"),
    Contact.OPEN: Text("未关闭", "open"),
    Contact.DOUBTFUL: Text("数值可疑", "in doubt"),
    Contact.UNKNOWN: Text("无有效数据", "without valid data"),
}


@dataclass(frozen=True, slots=True)
class Zone:
    """One contact that a partition watches."""

    point: str
    text: Text
    """Of the contact, with its device."""
    opened: float | int | str = 1
    """Its value when it is open (or sees somebody, or is tampered with)."""
    entry: bool = False
    """On the way in and out: delayed."""
    interior: bool = False
    """Not watched in `Mode.STAY`."""
    stale_s: float = 30.0
    """What was heard longer ago is not known any more."""


@dataclass(frozen=True, slots=True)
class PartitionSpec:
    id: str
    text: Text
    zones: tuple[Zone, ...]
    exit_delay_s: float = 0.0
    entry_delay_s: float = 0.0
    place: Place = Place()


class Partition:
    """Where one partition stands. Times are monotonic seconds."""

    def __init__(self, spec: PartitionSpec) -> None:
        self.spec = spec
        self._zones = {zone.point: zone for zone in spec.zones}
        self._heard: dict[str, tuple[Contact, float]] = {}
        self._rest()

    def _rest(self) -> None:
        self.stage = Stage.DISARMED
        self.mode = Mode.OFF
        self.since = 0.0
        """When it entered its stage."""
        self.bypass: frozenset[str] = frozenset()
        self.intrusion = False

    @property
    def state(self) -> tuple[object, ...]:
        """All that `encode` says, cheaply: equal as long as it is."""
        return self.stage, self.mode, self.since, self.bypass, self.intrusion

    @property
    def due(self) -> float:
        """When time alone will change something."""
        delays = {Stage.EXIT_DELAY: self.spec.exit_delay_s, Stage.ENTRY_DELAY: self.spec.entry_delay_s}
        return self.since + delays.get(self.stage, math.inf)

    def contact(self, point: str, at: float) -> Contact:
        """What is known of a zone now."""
        contact, heard_at = self._heard.get(point, (Contact.UNKNOWN, at))
        return Contact.UNKNOWN if at - heard_at > self._zones[point].stale_s else contact

    # What happens ----------------------------------------------------------------------------------------------------

    def take(self, point: str, value: Value, level: Level, at: float) -> None:
        """A zone was read."""
        if level is Level.BAD or value is None:
            contact = Contact.UNKNOWN
        elif value == self._zones[point].opened:
            contact = Contact.OPEN
        else:
            contact = Contact.CLOSED if level is Level.GOOD else Contact.DOUBTFUL
        self._heard[point] = (contact, at)
        if contact is Contact.OPEN and self.stage in (Stage.ARMED, Stage.ENTRY_DELAY) and self._watches(point):
            self._tripped(self._zones[point], at)

    def wake(self, at: float) -> None:
        """`due` may be there; each delay ends at its own time."""
        while self.due <= at:
            ended = self.due
            if self.stage is Stage.ENTRY_DELAY:
                self._enter(Stage.ARMED, ended)
                self.intrusion = True
            else:
                self._watch(ended)

    def arm(self, mode: Mode, bypass: Collection[str], at: float) -> Text | None:
        """Begin to arm, or say why not."""
        refused = self._refusal(mode, bypass, at)
        if refused is None:
            self.mode, self.bypass = mode, frozenset(bypass)
            self._enter(Stage.EXIT_DELAY, at)
            self.wake(at)
        return refused

    def disarm(self) -> Text | None:
        if self.stage is Stage.DISARMED:
            return Text(f"{self.spec.text.zh}未布防", f"{self.spec.text.en} is not armed")
        self._rest()
        return None

    # Inside ----------------------------------------------------------------------------------------------------------

    def _enter(self, stage: Stage, at: float) -> None:
        self.stage, self.since = stage, at

    def _watches(self, point: str) -> bool:
        return point not in self.bypass and not (self.mode is Mode.STAY and self._zones[point].interior)

    def _watch(self, at: float) -> None:
        """The exit delay is over: what is still open has been left open."""
        self._enter(Stage.ARMED, at)
        for zone in self.spec.zones:
            if self._watches(zone.point) and self.contact(zone.point, at) is Contact.OPEN:
                self._tripped(zone, at)

    def _tripped(self, zone: Zone, at: float) -> None:
        if not zone.entry or not self.spec.entry_delay_s:
            self.intrusion = True
        elif self.stage is Stage.ARMED and not self.intrusion:
            self._enter(Stage.ENTRY_DELAY, at)

    def _refusal(self, mode: Mode, bypass: Collection[str], at: float) -> Text | None:
        text = self.spec.text
        if self.stage is not Stage.DISARMED:
            return Text(f"{text.zh}已布防", f"{text.en} is armed already")
        for point in bypass:
            if point not in self._zones:
                near = next(iter(get_close_matches(point, list(self._zones), n=1)), "")
                zh, en = (f"；是不是“{near}”？", f"; did you mean '{near}'?") if near else ("", "")
                return Text(f"{text.zh}没有防区“{point}”{zh}", f"{text.en} has no zone '{point}'{en}")
        left = [
            zone for zone in self.spec.zones if zone.point not in bypass and not (mode is Mode.STAY and zone.interior)
        ]
        if not left:
            return Text(f"{text.zh}没有可布防的防区", f"{text.en}: no zone would be watched")
        known = [(zone, self.contact(zone.point, at)) for zone in left]
        wrong = [(zone, contact) for zone, contact in known if not self._may_arm(zone, contact)]
        return _cannot_arm(text, wrong) if wrong else None

    def _may_arm(self, zone: Zone, contact: Contact) -> bool:
        on_the_way_out = zone.entry and self.spec.exit_delay_s > 0
        return contact is Contact.CLOSED or (contact is Contact.OPEN and on_the_way_out)

    # Across a restart ------------------------------------------------------------------------------------------------

    def encode(self) -> bytes | None:
        """What must survive; None when nothing must."""
        if self.stage is Stage.DISARMED:
            return None
        saved = {
            "stage": self.stage.name.lower(),
            "mode": self.mode.name.lower(),
            "since": self.since,
            "bypass": sorted(self.bypass),
            "intrusion": self.intrusion,
        }
        return json.dumps(saved, separators=(",", ":")).encode()

    def restore(self, saved: bytes, shift_s: float, now: float) -> bool:
        """Take back what `encode` gave, its time moved by `shift_s`; false, and disarmed, when it cannot be read.
        A bypass of what is no zone any more is forgotten."""
        try:
            data = json.loads(saved)
            self.stage, self.mode = Stage[data["stage"].upper()], Mode[data["mode"].upper()]
            self.since = saved_time(data["since"], shift_s, now)
            self.bypass = frozenset(self._zones).intersection(data["bypass"])
            self.intrusion = data["intrusion"] is True
            if (self.stage is Stage.DISARMED) is not (self.mode is Mode.OFF):
                raise ValueError("a stage without its mode")
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            self._rest()
            return False
        return True


def _cannot_arm(text: Text, wrong: Iterable[tuple[Zone, Contact]]) -> Text:
    named = list(wrong)
    zh = "；".join(f"{zone.text.zh} {WORDS[contact].zh}" for zone, contact in named[:NAMED])
    en = "; ".join(f"{zone.text.en} ({zone.point}) is {WORDS[contact].en}" for zone, contact in named[:NAMED])
    more = len(named) - NAMED
    zh, en = (f"{zh}；另有 {more} 个", f"{en}; and {more} more") if more > 0 else (zh, en)
    return Text(f"{text.zh}不能布防：{zh}", f"{text.en} cannot arm: {en}")
