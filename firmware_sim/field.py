"""The simulated world of now: each point's value and each device's fault. Written by the story and commands, read by lines.

Guarantees: a value enters only if its device can say it (ValueError otherwise); every change is logged, with the moment
from which answers show it, and before any of them does. Reading needs no lock: a device's values are one dictionary that
is replaced, never changed, so an answer never shows half of a change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firmware_sim.fault import HEALTHY, Fault, What, parse
from firmware_sim.log import Log
from firmware_sim.registers import Value

Check = Callable[[str, Value], None]
"""Raises ValueError when the device cannot say this value of this point."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the field knows of a device."""

    values: Mapping[str, Value]
    check: Check
    faults: frozenset[What]


def checked(members: Mapping[str, Member], point: str, value: object) -> Value:
    """The value in the form in which it is kept; ValueError when `point` is none or cannot take it."""
    device, _, name = point.partition("/")
    if device not in members or name not in members[device].values:
        raise ValueError(f"{point}: there is no such point")
    if not (value is None or isinstance(value, (bool, int, float))):
        raise ValueError(f"{point}: {value!r} is no number, true, false or null")
    kept: Value = int(value) if isinstance(value, bool) else value
    members[device].check(name, kept)
    return kept


def checked_fault(members: Mapping[str, Member], said: Mapping[str, object]) -> tuple[str, Fault]:
    """Who gets which fault, from ``{device: .., what: ..}``; ValueError when that cannot be."""
    device = said.get("device")
    if not isinstance(device, str) or device not in members:
        raise ValueError(f"device: there is no device {device!r}")
    return device, parse(said, members[device].faults)


@dataclass
class Field:
    """All devices of a scene."""

    log: Log
    members: Mapping[str, Member]
    watchers: list[Callable[[str], None]] = field(default_factory=list)
    """Called with the device after a change of its values, on the thread that changed them."""

    def __post_init__(self) -> None:
        self._values = {device: dict(member.values) for device, member in self.members.items()}
        self._faults = dict.fromkeys(self.members, HEALTHY)

    def values(self, device: str) -> Mapping[str, Value]:
        return self._values[device]

    def fault(self, device: str) -> Fault:
        return self._faults[device]

    def set(self, points: Mapping[str, object]) -> None:
        """Set all of these points at one moment, or, if one cannot be, none (ValueError)."""
        news_of = {point: checked(self.members, point, value) for point, value in points.items()}
        changed: dict[str, dict[str, Value]] = {}
        for point, value in news_of.items():
            device, _, name = point.partition("/")
            if self._values[device][name] != value:
                changed.setdefault(device, {})[name] = value
        at = time.monotonic()
        for device, news in changed.items():
            for name, value in news.items():
                self.log.write("change", at, device=device, point=name, value=value)
            self._values[device] = self._values[device] | news
            for watcher in self.watchers:
                watcher(device)

    def set_fault(self, said: Mapping[str, object]) -> None:
        """Make a device ill, or well again."""
        device, fault = checked_fault(self.members, said)
        self.log.write("fault", None, **{**said, "device": device, "what": str(fault.what)})
        self._faults[device] = fault
