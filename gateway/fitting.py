"""From a site's outputs and keys to `gateway.outputs` at work: which coil, which line, which point. It makes objects, no more.

A changed site takes over what is fitted the same: the horn that sounds goes on sounding. What it does not have any more is
switched off.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers import DRIVERS
from gateway.annunciator import Line
from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.ends import End, Led, Relay, Take
from gateway.field import gpio
from gateway.model import Device, Point
from gateway.outputs import Outputs, Where
from gateway.pipeline import Pipeline
from gateway.poller import Poller
from gateway.restart import Guard
from rules.spec import AlarmSpec


class Fitting:
    """The outputs of the site that runs; `fit` makes those of the next one."""

    def __init__(self, pipeline: Pipeline, clock: Clock, guard: Guard, pin: Take = gpio.take) -> None:
        """`pin` takes a GPIO line."""
        self._pipeline, self._clock, self._guard, self._pin = pipeline, clock, guard, pin
        self._made: dict[str, tuple[object, End]] = {}
        """By output: what its end was made of, and the end."""
        self.outputs = Outputs((), {}, {}, clock, guard, pipeline.command)

    def fit(self, site: Site, specs: Mapping[str, AlarmSpec], pollers: Mapping[str, Poller]) -> None:
        """From now on the outputs of `site`, for the alarms as they stand."""
        room, before = site.guard_room, self.outputs
        made = {one.id: self._end(site, one.id, one.end, pollers) for one in room.outputs}
        ends = {name: end for name, (_, end) in made.items()}
        before.stop(tuple(ends.values()))
        if before.hear in self._pipeline.taps:
            self._pipeline.taps.remove(before.hear)
        self._made = made
        with_receipts = any(uplink.receipts for uplink in site.uplinks) or not site.uplinks
        received_at = ("district",) if with_receipts else ("broker", "district")
        self.outputs = Outputs(room.outputs, ends, specs, self._clock, self._guard, self._pipeline.command, received_at)
        for key in room.keys:
            if isinstance(key.end, Line):
                self.outputs.push(key, key.end, self._pin)
            else:
                self.outputs.watch(key, found(site, key.end)[2])
        if any(not isinstance(key.end, Line) for key in room.keys):
            self._pipeline.taps.append(self.outputs.hear)
        self.outputs.begin(self._pipeline.alarms(), self._pipeline.trail.stage)
        self._pipeline.local = self.outputs

    def _end(self, site: Site, output: str, where: str | Line, pollers: Mapping[str, Poller]) -> tuple[object, End]:
        """The one that is there already if it is made of the same."""
        made_of: object = where
        if isinstance(where, str):
            device, point, _ = found(site, where)
            made_of = (point, device.address, device.options, pollers[device.bus])
        there = self._made.get(output)
        if there is not None and there[0] == made_of:
            return there
        if isinstance(where, Line):
            return made_of, Led(where, self._pin, self._clock)
        switch = DRIVERS[device.driver].switch
        assert switch is not None  # config lets only such a point be an output
        speaks = next(bus.speaks for bus in site.buses if bus.id == device.bus)
        return made_of, Relay(switch(device, speaks, point), pollers[device.bus].hurry, self._clock)


def found(site: Site, name: str) -> tuple[Device, Point, Where]:
    """A point of the site by its id, and where it comes in a scan."""
    return next(
        (device, point, (device.id, index, column))
        for device in site.devices
        for index, group in enumerate(device.groups)
        for column, point in enumerate(group.points)
        if point.id == name
    )
