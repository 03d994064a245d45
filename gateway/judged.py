"""What of a site is judged, and by which engine: the one place where a site becomes rules that run.

The daemon (`gateway.app`), the tests of rules (`gengfu test-rules`) and the replay of recordings (`gengfu replay`) all
take their engine from here, so that what was tested is what runs: the site's alarms with the automatic
``<device>/silent`` ones and those of the gateway itself.

It opens nothing, reads no clock and keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway import health
from gateway.blueprint import Site
from gateway.model import BusKind, Command, Device, Group, Scan, Text, Transition
from gateway.plausible import Plausible
from rules import post, virtual
from rules.clocks import Clocks
from rules.condition import Key
from rules.engine import Engine
from rules.guard import Guard, unguarded
from rules.scenario import Track
from rules.spec import AlarmSpec
from rules.standing import Standing


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
            if name in (virtual.DEVICE, post.DEVICE):  # not read: computed, and set by people
                continue
            bus = buses.get(read[name].bus)
            calls = bus is not None and bus.kind is BusKind.LISTEN
            period_s = bus.longest_silence_s / 3 if bus is not None and calls else group.period_s
            tracks.append(Track((name, index), tuple(point.id for point in group.points), period_s, calls))
        return tuple(tracks)

    def watch(self, now: float, saved: Saved | None = None) -> Watch:
        """The site as it is judged without its gateway; `saved`: by an earlier one."""
        return Watch(self, now, saved)


class Saved(NamedTuple):
    """What a `Watch` leaves for the next one."""

    alarms: dict[str, bytes]
    post: dict[str, bytes]


class Watch:
    """A site that is judged without its gateway: what `gateway.pipeline` does with scans and commands, in its order, and
    nothing of what it does with the outcome. Is `rules.scenario.Judge`."""

    def __init__(self, rules: Judged, now: float, saved: Saved | None) -> None:
        names = {key: tuple(point.id for point in group.points) for key, group in rules.groups.items()}
        self._engine = rules.engine(now)
        self._plausible = Plausible(rules.groups)
        self._post = post.Post(rules.site.post, names)
        self._tell_at = now
        """When the device `site` tells of itself next."""
        if saved is not None:
            self._engine.restore(saved.alarms, 0.0)
            self._post.restore(saved.post, 0.0, now)
        self._engine.step(None, now)

    def take(self, scan: Scan) -> tuple[Transition, ...]:
        """At the scan's own time."""
        made = self.wake(scan.at)
        scan = self._plausible.judge(scan)
        if (scan.device, scan.group) in self._post.watched and self._post.take(scan, scan.at):
            made += self._tell(scan.at)
        return made + self._engine.step(scan, scan.at).transitions

    def obey(self, command: Command, at: float) -> tuple[tuple[Transition, ...], Text | None]:
        made = self.wake(at)
        if command.action in post.ACTIONS:
            refused = self._post.obey(command, at)
            return made + self._tell(at), refused
        step = self._engine.step(command, at)
        return made + step.transitions, step.refused

    def wake(self, at: float) -> tuple[Transition, ...]:
        """Nothing but time."""
        made: tuple[Transition, ...] = ()
        while (due := min(self._post.due, self._tell_at)) <= at:
            self._post.wake(due)
            made += self._tell(due)
        return made + self._engine.step(None, at).transitions

    def date(self, clocks: Clocks) -> tuple[Transition, ...]:
        return self.wake(clocks.at) + self._engine.step(clocks, clocks.at).transitions

    def alarms(self) -> dict[str, Standing]:
        return self._engine.alarms()

    def save(self) -> Saved:
        return Saved(self._engine.save(), self._post.save())

    def _tell(self, at: float) -> tuple[Transition, ...]:
        self._tell_at = at + post.PERIOD_S
        self._post.changed.clear()
        return self._engine.step(self._post.scan(at), at).transitions


def judged(site: Site) -> Judged:
    devices = (*site.builtin, *site.devices)
    specs = {spec.id: spec for spec in (*health.alarms(), *post.alarms(site.post), *site.alarms)}
    groups = {(device.id, index): group for device in devices for index, group in enumerate(device.groups)}
    return Judged(site, devices, specs, groups)
