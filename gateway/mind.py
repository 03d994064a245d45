"""What is thought of a site: all that a scan or a command goes through before it is a record, made without touching anything.

`mind` may take a while (a large site: a second on a small box); it may run on any thread, and what it gives has met nothing
yet. `gateway.pipeline` takes it over in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.blueprint import Site
from gateway.judged import judged
from gateway.model import Device, Group
from gateway.plausible import Plausible
from gateway.report import Reporter
from gateway.wire import pack
from rules import post
from rules import spec as rules_spec
from rules.condition import Key
from rules.engine import Engine
from rules.guard import Guard

_SHORT = ("int16", "uint16")


class Left(NamedTuple):
    """Saved states of what a changed site does not have any more: for the case that it comes back."""

    alarms: dict[str, bytes]
    post: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Mind:
    site: Site
    devices: tuple[Device, ...]
    """With the built-in ones."""
    specs: Mapping[str, rules_spec.AlarmSpec]
    groups: Mapping[Key, Group]
    layouts: Mapping[Key, pack.Layout]
    simulated: frozenset[str]
    """Alarms that look at simulated devices."""
    engine: Engine
    reporter: Reporter
    plausible: Plausible
    post: post.Post


def mind(site: Site, now: float, guard: Guard) -> Mind:
    """A new one, that knows nothing; `now`: monotonic."""
    rules = judged(site)
    layouts = {
        (device.id, index): pack.Layout(device.id, index, group.points, _digits(device, index))
        for device in rules.devices
        for index, group in enumerate(device.groups)
    }
    names = {key: tuple(point.id for point in group.points) for key, group in rules.groups.items()}
    return Mind(
        site,
        rules.devices,
        rules.specs,
        rules.groups,
        layouts,
        _simulated(rules.specs, site),
        rules.engine(now, guard),
        Reporter(rules.groups, by_exception=site.report.by_exception),
        Plausible(rules.groups),
        post.Post(site.post, names),
    )


def _digits(device: Device, group: int) -> dict[str, int]:
    """Significant digits of the points behind a 16-bit register: more than six would be noise of the scaling."""
    return {point.name: 6 for point in device.groups[group].points if getattr(point.source, "type", "") in _SHORT}


def _simulated(specs: Mapping[str, rules_spec.AlarmSpec], site: Site) -> frozenset[str]:
    """Alarms that look at a simulated device, or at a point that is computed from one."""
    devices = {device.id for device in site.devices if device.simulated}

    def simulated(points: Iterable[str]) -> bool:
        return any(point.partition("/")[0] in devices or point in computed for point in points)

    computed: set[str] = set()
    computed = {one.id for one in site.computed if simulated(one.points)}
    return frozenset(name for name, spec in specs.items() if simulated(rules_spec.points(spec.when)))
