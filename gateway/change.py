"""From one site to another: what differs, what has to be started again for it, and what no running gateway can change. Pure.

Guarantees
* A bus is started again only when its own description changed, or one of a device on it; names and places that people read
  do not count. So does an uplink.
* `same` names the groups whose values mean what they meant: of a device all or none.
* What cannot be changed without a restart is refused with the reason, in both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

from gateway.blueprint import Site
from gateway.model import Device, Place, Text
from rules.condition import Key
from rules.spec import AlarmSpec

T = TypeVar("T")
NOWHERE, NAMELESS = Place(), Text("", "")


class Edits(NamedTuple):
    """Ids, in the order of their site."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        return {name: list(ids) for name, ids in self._asdict().items() if ids}


@dataclass(frozen=True, slots=True)
class Change:
    buses: Edits
    """Those that are used. New and changed ones are started, changed and gone ones stopped before."""
    devices: Edits
    alarms: Edits
    uplinks: Edits
    metrics: bool
    """Its own port is opened again."""
    other: tuple[str, ...]
    """Sections that changed besides."""
    same: frozenset[Key]
    refused: tuple[Text, ...]

    @property
    def nothing(self) -> bool:
        return not (self.metrics or self.other or any(any(one) for one in self._edits().values()))

    def to_json(self) -> dict[str, Any]:
        """For people and records; sections without a change are left out."""
        told: dict[str, Any] = {name: edits.to_json() for name, edits in self._edits().items() if any(edits)}
        other = [*(["metrics"] if self.metrics else []), *self.other]
        return told | ({"other": other} if other else {})

    def _edits(self) -> dict[str, Edits]:
        return {"buses": self.buses, "devices": self.devices, "alarms": self.alarms, "uplinks": self.uplinks}


def compare(old: Site, new: Site, old_alarms: Mapping[str, AlarmSpec], new_alarms: Mapping[str, AlarmSpec]) -> Change:
    """The alarms: with those that the gateway makes itself."""
    before, after = _devices(old), _devices(new)
    same = {name for name, device in after.items() if name in before and _alike(before[name], device)}
    groups = frozenset((name, index) for name in same for index in range(len(after[name].groups)))
    real = edits({one.id: one for one in old.devices}, {one.id: one for one in new.devices})
    return Change(
        edits(_buses(old, same), _buses(new, same)),
        real,
        edits(old_alarms, new_alarms),
        edits(_uplinks(old), _uplinks(new)),
        old.metrics != new.metrics,
        tuple(name for name, what in _OTHER.items() if what(old) != what(new)),
        groups,
        tuple(text for text, what in _FIXED if what(old) != what(new)),
    )


def edits(old: Mapping[str, T], new: Mapping[str, T]) -> Edits:
    return Edits(
        tuple(name for name in new if name not in old),
        tuple(name for name in new if name in old and old[name] != new[name]),
        tuple(name for name in old if name not in new),
    )


def _devices(site: Site) -> dict[str, Device]:
    return {device.id: device for device in (*site.builtin, *site.devices)}


def _alike(old: Device, new: Device) -> bool:
    return old == new or _bare(old) == _bare(new)


def _bare(device: Device) -> Device:
    """Without what only people read."""
    groups = tuple(
        replace(group, points=tuple(replace(point, text=NAMELESS) for point in group.points)) for group in device.groups
    )
    return replace(device, groups=groups, place=NOWHERE, text=NAMELESS)


def _buses(site: Site, same: Collection[str]) -> dict[str, object]:
    """Each bus that has devices, with what is asked on it: a device that is the same is as good as its name."""
    on: dict[str, list[object]] = {}
    for device in site.devices:
        on.setdefault(device.bus, []).append(device.id if device.id in same else device)
    return {spec.id: (spec, on[spec.id]) for spec in site.buses if spec.id in on}


def _uplinks(site: Site) -> dict[str, object]:
    simulated = any(device.simulated for device in site.devices)  # told at each birth
    return {spec.id: (spec, simulated) for spec in site.uplinks}


def _reader(*path: str) -> Callable[[Site], object]:
    def read(site: Site) -> object:
        value: object = site
        for name in path:
            value = getattr(value, name)
        return value

    return read


_APART = frozenset(
    {"buses", "devices", "alarms", "uplinks", "metrics", "gateway", "journal", "source", "lines", "library", "unproved"}
) | {"builtin"}
"""Fields of a site that are compared above, or follow from others."""
_OTHER: dict[str, Callable[[Site], object]] = {
    "gateway.place": _reader("gateway", "place"),
    "journal.telemetry_commit_s": _reader("journal", "telemetry_commit_s"),
    **{one.name: _reader(one.name) for one in fields(Site) if one.name not in _APART},
}
_FIXED: tuple[tuple[Text, Callable[[Site], object]], ...] = tuple(
    (
        Text(f"{name} 只能在重启时更改：systemctl restart gengfu", f"{name} needs a restart: systemctl restart gengfu"),
        _reader(*path),
    )
    for name, path in (
        ("gateway.id", ("gateway", "id")),
        ("gateway.control_socket", ("gateway", "control_socket")),
        ("journal.directory", ("journal", "directory")),
        ("journal.alarm_quota_mib", ("journal", "alarm_quota_bytes")),
        ("journal.telemetry_quota_mib", ("journal", "telemetry_quota_bytes")),
    )
)
