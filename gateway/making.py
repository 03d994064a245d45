"""From a site's buses and uplinks to what drives them: buses, pollers, listeners, uplinks. It makes objects and opens nothing.

Who is told what is decided here: a poll's scans go to the pipeline, a call is confirmed once it is written, what a
district has received goes to the trail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from drivers import DRIVERS
from gateway import __version__ as VERSION
from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.field.bus import Bus
from gateway.field.datagrams import Datagrams
from gateway.field.listener import Listener
from gateway.ledger import Ledger
from gateway.link import mqtt
from gateway.link.uplink import Uplink
from gateway.model import BusKind, BusSpec, Device, UplinkSpec
from gateway.pipeline import Pipeline
from gateway.poller import Poller
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.wire import pack


class Fresh(NamedTuple):
    """Objects that nobody has started yet, by id."""

    buses: dict[str, Bus]
    pollers: dict[str, Poller]
    listeners: dict[str, Listener | Datagrams]
    uplinks: dict[str, Uplink]


class Making:
    """What all of them are made with."""

    def __init__(
        self,
        bus: Callable[[BusSpec, Clock], Bus],
        connect: mqtt.Connect,
        random: Callable[[], float],
        clock: Clock,
        guard: Guard,
        pipeline: Pipeline,
        ledger: Ledger,
        lanes: tuple[Journal, Journal],
        run: str,
        twice: Callable[[str, int | str], None],
    ) -> None:
        """`bus`, `connect`, `random`: seams. `lanes`: alarms and telemetry. `run`: id of this run. `twice` is told of a bus and
        an address for which two devices answer."""
        self._bus, self._connect, self._random = bus, connect, random
        self._clock, self._guard = clock, guard
        self._pipeline, self._ledger, self._lanes = pipeline, ledger, lanes
        self._run, self._twice = run, twice

    def make(self, site: Site, buses: Collection[str], uplinks: Collection[str]) -> Fresh:
        """Those of these names that the site uses."""
        used = [spec for spec in site.buses if spec.id in buses and on(site, spec.id)]
        made = {spec.id: self._bus(spec, self._clock) for spec in used if spec.kind is not BusKind.LISTEN}
        for name, bus in made.items():
            bus.twice = partial(self._twice, name)
        return Fresh(
            made,
            {name: self._poller(bus, on(site, name)) for name, bus in made.items()},
            {spec.id: self._listener(spec, on(site, spec.id)) for spec in used if spec.kind is BusKind.LISTEN},
            {spec.id: self._uplink(spec, site) for spec in site.uplinks if spec.id in uplinks},
        )

    def _poller(self, bus: Bus, devices: list[Device]) -> Poller:
        polls = {}
        for device in devices:
            opened = DRIVERS[device.driver].open
            assert opened is not None  # config lets only drivers that ask onto such a bus
            polls[device.id] = opened(device, bus.spec.speaks)
        return Poller(bus, devices, polls, self._clock, self._pipeline.take, self._guard)

    def _listener(self, spec: BusSpec, devices: list[Device]) -> Listener | Datagrams:
        listen = DRIVERS[devices[0].driver].listen
        assert listen is not None  # config lets only one driver, one that is spoken to, onto such a bus
        if open_port := DRIVERS[devices[0].driver].open_port:
            listen = open_port()
        port = Datagrams if spec.transport == "udp" else Listener
        return port(spec, devices, listen, self._clock, self._pipeline.take, self._guard, self._ledger.once_written)

    def _uplink(self, spec: UplinkSpec, site: Site) -> Uplink:
        alarms, telemetry = self._lanes
        return Uplink(
            spec,
            site.gateway.id,
            self._clock,
            alarms,
            telemetry,
            pack.Layouts(telemetry.state),
            self._random,
            self._connect,
            self._pipeline.reached,
            version=VERSION,
            run=self._run,
            simulated=any(device.simulated for device in site.devices),
        )


def on(site: Site, bus: str) -> list[Device]:
    """The devices of a bus."""
    return [device for device in site.devices if device.bus == bus]
