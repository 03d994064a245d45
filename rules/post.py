"""The built-in device ``site``: what the people on watch have set, as points that conditions can refer to. Pure.

    site/level                   the guard level (等级化防控)
    site/<partition>             disarmed, exit_delay, armed, entry_delay
    site/<partition>.mode        off, away, stay
    site/<partition>.intrusion   a watched zone was open while armed; until a person disarms

Guarantees
* Commands (ARM, DISARM, LEVEL) and scans of zones go in with their time, a scan of the device and what must survive a
  restart come out (`changed`, to be committed with the command's record). All deltas laid over each other equal `save`.
* Never raises for what a scan or a command holds. An unknown partition, mode, zone or level is refused with a reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Device,
    Group,
    Kind,
    Point,
    PointClass,
    Quality,
    Scan,
    Severity,
    Text,
)
from rules.condition import Key
from rules.partition import Mode, Partition, PartitionSpec, Stage
from rules.spec import AlarmSpec, Equals
from rules.truth import QUALITIES

DEVICE = "site"
LEVEL = "level"
MODE = ".mode"
INTRUSION = ".intrusion"
PERIOD_S = 1.0
ACTIONS = frozenset({Action.ARM, Action.DISARM, Action.LEVEL})
LEVELS = ((1, "normal"), (2, "raised"), (3, "high"), (4, "highest"))
"""Where a site names none of its own."""


@dataclass(frozen=True, slots=True)
class PostSpec:
    partitions: tuple[PartitionSpec, ...] = ()
    levels: tuple[tuple[int, str], ...] = LEVELS
    level: int = 1
    """At the very first start; a command changes it for good."""


def device(spec: PostSpec) -> Device:
    """The built-in device with one group."""
    points = [_point(LEVEL, Kind.ENUM, Text("防控等级", "guard level"), spec.levels)]
    for one in spec.partitions:
        points += [
            _point(one.id, Kind.ENUM, one.text, _labels(Stage)),
            _point(one.id + MODE, Kind.ENUM, Text(f"{one.text.zh} 方式", f"{one.text.en}, mode"), _labels(Mode)),
            _point(one.id + INTRUSION, Kind.BOOL, Text(f"{one.text.zh} 入侵", f"{one.text.en}, intrusion"), ()),
        ]
    group = Group("self", tuple(points), PERIOD_S, safety=True)
    return Device(DEVICE, "", "", 0, (group,), text=Text("本站", "site"))


def alarms(spec: PostSpec) -> tuple[AlarmSpec, ...]:
    """``site/<partition>``: an armed partition tells of an intrusion, whatever rules the site has beside."""
    return tuple(
        AlarmSpec(
            id=f"{DEVICE}/{one.id}",
            cls=AlarmClass.INTRUSION,
            severity=Severity.HIGH,
            when=Equals(f"{DEVICE}/{one.id}{INTRUSION}", 1),
            text=Text(f"{one.text.zh} 入侵", f"Intrusion, {one.text.en}"),
            place=one.place,
        )
        for one in spec.partitions
    )


def _point(name: str, kind: Kind, text: Text, labels: tuple[tuple[int, str], ...]) -> Point:
    return Point(f"{DEVICE}/{name}", name, kind, cls=PointClass.STATUS, text=text, labels=labels)


def _labels(of: type[Stage] | type[Mode]) -> tuple[tuple[int, str], ...]:
    return tuple((one.value, one.name.lower()) for one in of)


class Post:
    """The guard level and all partitions."""

    def __init__(self, spec: PostSpec, groups: Mapping[Key, tuple[str, ...]]) -> None:
        """`groups`: (device, group) -> point ids in scan order."""
        self.level = spec.level
        self.partitions = {one.id: Partition(one) for one in spec.partitions}
        self.levels = spec.levels
        self._labels = dict(spec.levels)
        self._level_was_set = False
        self._zones = _zones(self.partitions.values(), groups)
        self._saved: dict[str, bytes] = {}
        self.changed: dict[str, bytes | None] = {}
        """What must be committed: by partition id or `LEVEL`; the caller empties it."""

    @property
    def watched(self) -> frozenset[Key]:
        """Groups with a zone in them."""
        return frozenset(self._zones)

    @property
    def due(self) -> float:
        return min((one.due for one in self.partitions.values()), default=math.inf)

    def take(self, scan: Scan, now: float) -> bool:
        """A group with zones was read. Whether anything changed."""
        at = min(scan.at, now)
        before = self._states()
        self._wake(at)
        for column, name, partition in self._zones.get((scan.device, scan.group), ()):
            if column < min(len(scan.values), len(scan.qualities)):
                partition.take(name, scan.values[column], QUALITIES[scan.qualities[column]].level, at)
        self._wake(now)
        return self._states() != before and self._note()

    def wake(self, now: float) -> bool:
        """`due` may be there. Whether anything changed."""
        self._wake(now)
        return self._note()

    def obey(self, command: Command, now: float) -> Text | None:
        """Do what a person asks, or say why not."""
        self._wake(now)
        if not command.who:
            return Text("须写明何人操作", "who asks must be said")
        refused = _OBEY[command.action](self, command, now)
        self._note()
        return refused

    def scan(self, at: float) -> Scan:
        values = [self.level]
        for one in self.partitions.values():
            values += [int(one.stage), int(one.mode), int(one.intrusion)]
        return Scan(DEVICE, 0, at, tuple(values), bytes([Quality.GOOD] * len(values)))

    def save(self) -> dict[str, bytes]:
        """All that must survive a restart."""
        states = {name: one.encode() for name, one in self.partitions.items()}
        states[LEVEL] = json.dumps(self.level).encode() if self._level_was_set else None
        return {name: state for name, state in states.items() if state is not None}

    def restore(self, saved: Mapping[str, bytes], shift_s: float, now: float) -> list[str]:
        """Be as `save` said, times moved by `shift_s`. Returns what could not be used. Before anything else."""
        gone = []
        for name, state in saved.items():
            known = self._restore_level(state) if name == LEVEL else self._restore_one(name, state, shift_s, now)
            if not known:
                gone.append(name)
                self.changed[name] = None
        self._saved = {name: state for name, state in saved.items() if name not in gone}
        self._note()
        return gone

    def succeed(self, other: Post, kept: Mapping[str, bytes], now: float) -> dict[str, bytes]:
        """Go on where that of another site of this gateway stands; instead of `restore`. `kept`: states that `other` does not
        have. Returns the saved states of what left the site."""
        saved = other.save()
        gone = self.restore({**kept, **saved}, 0.0, now)
        self.changed |= {name: state for name, state in self._saved.items() if name in kept}
        return {name: saved[name] for name in gone if name in saved}

    def level_text(self) -> str:
        return self._labels.get(self.level, str(self.level))

    def _states(self) -> list[tuple[object, ...]]:
        return [one.state for one in self.partitions.values()]

    def _wake(self, at: float) -> None:
        for one in self.partitions.values():
            one.wake(at)

    def _note(self) -> bool:
        states = self.save()
        news = {name: state for name, state in states.items() if state != self._saved.get(name)}
        ended: dict[str, bytes | None] = dict.fromkeys(name for name in self._saved if name not in states)
        self._saved = states
        self.changed |= {**news, **ended}
        return bool(news or ended)

    def _restore_level(self, state: bytes) -> bool:
        try:
            level = json.loads(state)
        except (ValueError, RecursionError):
            return False
        if type(level) is not int or level not in self._labels:
            return False
        self.level, self._level_was_set = level, True
        return True

    def _restore_one(self, name: str, state: bytes, shift_s: float, now: float) -> bool:
        partition = self.partitions.get(name)
        return partition is not None and partition.restore(state, shift_s, now)

    def _named(self, command: Command) -> Partition | Text:
        found = self.partitions.get(command.alarm)
        if found is not None:
            return found
        near = next(iter(get_close_matches(command.alarm, list(self.partitions), n=1)), "")
        zh, en = (f"；是不是“{near}”？", f"; did you mean '{near}'?") if near else ("", "")
        return Text(f"没有分区“{command.alarm}”{zh}", f"there is no partition '{command.alarm}'{en}")

    def _arm(self, command: Command, now: float) -> Text | None:
        """`value`: the mode, then the zones to go without, with spaces between."""
        partition = self._named(command)
        if isinstance(partition, Text):
            return partition
        mode, *bypass = command.value.split() or ["away"]
        if mode not in ("away", "stay"):
            return Text(f"布防方式须为 away 或 stay，不是“{mode}”", f"a mode is away or stay, not '{mode}'")
        return partition.arm(Mode[mode.upper()], bypass, now)

    def _disarm(self, command: Command, now: float) -> Text | None:
        partition = self._named(command)
        return partition if isinstance(partition, Text) else partition.disarm()

    def _set_level(self, command: Command, now: float) -> Text | None:
        """`value`: number or label."""
        numbers = {label: number for number, label in self._labels.items()}
        numbers |= {str(number): number for number in self._labels}
        if command.value not in numbers:
            known = ", ".join(f"{number} {label}" for number, label in self._labels.items())
            return Text(
                f"没有等级“{command.value}”；可用：{known}", f"there is no level '{command.value}'; known: {known}"
            )
        if not command.why:
            return Text("改变防控等级须说明原因", "a change of the guard level needs a reason (why)")
        self.level, self._level_was_set = numbers[command.value], True
        return None


def _zones(
    partitions: Iterable[Partition], groups: Mapping[Key, tuple[str, ...]]
) -> dict[Key, list[tuple[int, str, Partition]]]:
    """By group: column, point and partition of each zone in it."""
    wanted: dict[str, list[Partition]] = {}
    for partition in partitions:
        for zone in partition.spec.zones:
            wanted.setdefault(zone.point, []).append(partition)
    found: dict[Key, list[tuple[int, str, Partition]]] = {}
    for key, names in groups.items():
        for column, name in enumerate(names):
            for partition in wanted.get(name, ()):
                found.setdefault(key, []).append((column, name, partition))
    return found


_OBEY: dict[Action, Callable[[Post, Command, float], Text | None]] = {
    Action.ARM: Post._arm,
    Action.DISARM: Post._disarm,
    Action.LEVEL: Post._set_level,
}
