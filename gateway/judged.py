"""What of a site is judged, and by which engine: the one place where a site becomes rules that run.

The daemon (`gateway.app`), the tests of rules (`gengfu test-rules`) and the replay of recordings (`gengfu replay`) all
take their engine from here, so that what was tested is what runs: the site's alarms with the automatic
``<device>/silent`` ones and those of the gateway itself.

It opens nothing, reads no clock and keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway import health
from gateway.config import Site
from gateway.model import BusKind, Device, Group
from rules import post, virtual
from rules.condition import Key
from rules.engine import Engine, Guard, unguarded
from rules.scenario import Track
from rules.spec import AlarmSpec


@dataclass(frozen=True, slots=True)
class Judged:
    """The devices of a site with the built-in ones, its alarms by id, and its groups by (device, index)."""

    site: Site
    devices: tuple[Device, ...]
    specs: dict[str, AlarmSpec]
    groups: dict[Key, Group]

    def engine(self, now: float, guard: Guard = unguarded) -> Engine:
        """A new engine over them; to be restored, if there is something, before its first step."""
        names = {key: tuple(point.id for point in group.points) for key, group in self.groups.items()}
        return Engine(tuple(self.specs.values()), names, now, guard, self.site.computed)

    def tracks(self) -> tuple[Track, ...]:
        """How each group is read where nothing is in the way: at its period; a terminal that calls, at each change and
        often enough not to count as silent."""
        buses = {bus.id: bus for bus in self.site.buses}
        read = {device.id: device for device in self.devices}
        tracks = []
        for (name, index), group in self.groups.items():
            if name == virtual.DEVICE:  # not read: the engine computes it
                continue
            bus = buses.get(read[name].bus)
            calls = bus is not None and bus.kind is BusKind.LISTEN
            period_s = bus.longest_silence_s / 3 if bus is not None and calls else group.period_s
            tracks.append(Track((name, index), tuple(point.id for point in group.points), period_s, calls))
        return tuple(tracks)


def judged(site: Site) -> Judged:
    devices = (*site.builtin, *site.devices)
    specs = {spec.id: spec for spec in (*health.alarms(), *post.alarms(site.post), *site.alarms)}
    groups = {(device.id, index): group for device in devices for index, group in enumerate(device.groups)}
    return Judged(site, devices, specs, groups)
