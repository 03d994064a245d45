"""Everything that runs, made from a site: the objects and who is told by whom. `gateway.app` starts and ends it.

The five seams (law 11) come in here and nowhere else. It starts no task and opens nothing of the field.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from drivers import DRIVERS
from gateway import __version__ as VERSION
from gateway import config, guardroom, health
from gateway.bridge import bridge
from gateway.certificates import Ending
from gateway.clock import Clock, SystemClock
from gateway.dating import Dating
from gateway.field.bus import Bus
from gateway.field.datagrams import Datagrams
from gateway.field.listener import Listener
from gateway.judged import judged
from gateway.lending import Lending
from gateway.link import mqtt
from gateway.link.uplink import Uplink
from gateway.model import BusKind, BusSpec, Device, Lane, UplinkSpec
from gateway.pipeline import CLOCKS, STATE, Pipeline
from gateway.plausible import Plausible
from gateway.poller import Poller
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal, Opened
from gateway.store.worker import ThreadWorker, Worker
from gateway.views import Views
from gateway.wire import pack, payloads
from rules import post
from rules import spec as rules_spec

log = logging.getLogger("gengfu")
STALLED_S = 6.0
"""With `WatchdogSec` of the unit, a second's pause and a cold start: polling again within 15 s of a hang (R25)."""
DISK_STALLED_S = 30.0
"""A card can keep a commit waiting for many seconds; alarms do not wait for it (law 5)."""
RECEIPT_S = 30.0


@dataclass(frozen=True)
class Seams:
    """The five things that a simulation replaces (law 11): clock, disk, bus, broker connection, randomness."""

    clock: Clock
    disk: Callable[[str], Worker]
    bus: Callable[[BusSpec, Clock], Bus]
    connect: mqtt.Connect
    random: Callable[[], float]
    random_hex: Callable[[int], str]


def system() -> Seams:
    return Seams(SystemClock(), ThreadWorker, Bus, mqtt.connect, random.random, secrets.token_hex)


class Parts:
    """Everything that runs, made from a site; `watch` starts it."""

    def __init__(self, site: config.Site, seams: Seams, alarms: Journal, telemetry: Journal, opened: Opened) -> None:
        clock = seams.clock
        self.site, self.clock, self.guard, self.run_id = site, clock, Guard(), opened.run
        rules = judged(site)
        self.devices, self.specs, groups = rules.devices, rules.specs, rules.groups
        self.layouts = {
            (device.id, index): pack.Layout(device.id, index, group.points, _digits(device, index))
            for device in self.devices
            for index, group in enumerate(device.groups)
        }
        self.engine = rules.engine(clock.monotonic(), self.guard.call)
        self.alarms, self.telemetry = alarms, telemetry
        self.plausible = Plausible(groups)
        self.post = post.Post(
            site.post, {key: tuple(point.id for point in group.points) for key, group in groups.items()}
        )
        self.pipeline = Pipeline(
            self.engine,
            self.specs,
            Reporter(groups, by_exception=site.report.by_exception),
            self.layouts,
            alarms,
            telemetry,
            clock,
            self.guard,
            simulated=_simulated(self.specs, site),
            utc_offset_s=site.utc_offset_s,
            commit_s=site.journal.telemetry_commit_s,
            plausible=self.plausible,
            post=self.post,
        )
        used = [spec for spec in site.buses if self._on(spec.id)]
        self.buses = {spec.id: seams.bus(spec, clock) for spec in used if spec.kind is not BusKind.LISTEN}
        for name, bus in self.buses.items():
            bus.twice = partial(self._twice, name)
        self.pollers = {spec.id: self._poller(spec) for spec in used if spec.kind is not BusKind.LISTEN}
        self.listeners = {spec.id: self._listener(spec) for spec in used if spec.kind is BusKind.LISTEN}
        self.uplinks = {spec.id: self._uplink(spec, seams) for spec in site.uplinks}
        self.dating = Dating(clock, self.pipeline.record, self.pipeline.keep)
        for lane in (alarms, telemetry):
            lane.keep_uplinks(self.uplinks)  # one that left the site would hold every record for ever

    def _on(self, bus: str) -> list[Device]:
        return [device for device in self.site.devices if device.bus == bus]

    def _twice(self, bus: str, address: int | str) -> None:
        for device in self._on(bus):
            if device.address == address and self.plausible.double(device.id, self.clock.monotonic()):
                log.error("%s: two devices answer for address %s of bus %s", device.id, address, bus)

    def _poller(self, spec: BusSpec) -> Poller:
        devices = self._on(spec.id)
        polls = {}
        for device in devices:
            opened = DRIVERS[device.driver].open
            assert opened is not None  # config lets only drivers that ask onto such a bus
            polls[device.id] = opened(device, spec.speaks)
        return Poller(self.buses[spec.id], devices, polls, self.clock, self.pipeline.take, self.guard)

    def _listener(self, spec: BusSpec) -> Listener | Datagrams:
        devices = self._on(spec.id)
        listen = DRIVERS[devices[0].driver].listen
        assert listen is not None  # config lets only one driver, one that is spoken to, onto such a bus
        if open_port := DRIVERS[devices[0].driver].open_port:
            listen = open_port()
        port = Datagrams if spec.transport == "udp" else Listener
        return port(spec, devices, listen, self.clock, self.pipeline.take, self.guard)

    def _uplink(self, spec: UplinkSpec, seams: Seams) -> Uplink:
        return Uplink(
            spec,
            self.site.gateway.id,
            self.clock,
            self.alarms,
            self.telemetry,
            pack.Layouts(self.telemetry.state),
            seams.random,
            seams.connect,
            self.pipeline.reached,
            version=VERSION,
            run=self.run_id,
            simulated=any(device.simulated for device in self.site.devices),
        )

    def restore(self, opened: Opened) -> None:
        """Be as the last run was: alarms stand as they stood, delays run on."""
        state = self.alarms.state()
        saved = {key.removeprefix(STATE): body for key, body in state.items() if key.startswith(STATE)}
        gap = bridge(state.get(CLOCKS), self.clock)
        gone = self.engine.restore(saved, gap.shift_s, bridged=gap.sure)
        for name in gone:
            log.warning("the saved state of alarm %s cannot be used: unreadable, or no such alarm in this site", name)
        watch = {
            key.removeprefix(guardroom.STATE): body for key, body in state.items() if key.startswith(guardroom.STATE)
        }
        for name in self.post.restore(watch, gap.shift_s, self.clock.monotonic()):
            log.error(
                "what was set for %s/%s cannot be used: unreadable, or no such partition or level", post.DEVICE, name
            )
            gone.append(f"{post.DEVICE}/{name}")
        # First the engine's states on this boot's clock, then a record: they go into one commit (law 4).
        self.pipeline.start()
        standing = [name for name, alarm in self.engine.alarms().items() if alarm.since is not None]
        set_aside = opened.set_aside.name if opened.set_aside else None
        previous_boot = opened.previous_boot or None
        self.pipeline.record(payloads.RUN, payloads.run(VERSION, previous_boot, standing, gone, set_aside))

    def health(
        self, opened: tuple[Opened, ...], workers: Mapping[Lane, Worker], *, last_known_good: bool
    ) -> health.Health:
        uplinks = tuple(self.uplinks.values())
        lags = [
            health.Lag(self.clock, partial(self.alarms.position, name), lambda: self.alarms.counters().last, RECEIPT_S)
            for name in self.uplinks
        ]
        concerns: dict[str, Callable[[], bool]] = {
            "storage_alarms_failing": lambda: self.alarms.counters().failing_since is not None,
            "storage_telemetry_failing": lambda: self.telemetry.counters().failing_since is not None,
            "storage_set_aside": lambda: any(lane.counters().set_aside for lane in (self.alarms, self.telemetry)),
            "alarm_lane_filling": lambda: self.alarms.counters().nearly_full,
            "uplink_down": lambda: any(not uplink.status()["connected"] for uplink in uplinks),
            "uplink_refused": lambda: any(uplink.status()["refused"] for uplink in uplinks),
            "certificate_ending": Ending(self.site.uplinks, self.clock, workers[Lane.TELEMETRY].submit).soon,
            "receipts_overdue": lambda: sum(lag.overdue() for lag in lags) > 0,
            "parts_failing": lambda: bool(self.guard.faults),
            "last_known_good": lambda: last_known_good,
            "clock_not_set": lambda: not self.clock.trusted(),
            "life_isolated": lambda: any(one.spec.cls in rules_spec.LIFE for one in self.engine.aside().values()),
            "points_doubtful": self.plausible.doubtful,
        }
        beats = {lane: health.Beat(self.clock, worker.submit) for lane, worker in workers.items()}
        progress: dict[str, tuple[Callable[[], float], float]] = {
            **{
                f"bus {name}": (partial(self._polled, name), stalled_s(self.buses[name].spec, self._on(name)))
                for name in self.pollers
            },
            **{f"bus {name}": (partial(getattr, one, "progress"), STALLED_S) for name, one in self.listeners.items()},
            **{f"journal {lane.value}": (beat.moved, DISK_STALLED_S) for lane, beat in beats.items()},
            "rules": (lambda: self.pipeline.moved, STALLED_S),
        }
        return health.Health(self.clock, concerns, progress, self.pipeline.take)

    def _polled(self, bus: str) -> float:
        return max(self.pollers[bus].progress, self.buses[bus].asked_at)

    def views(self) -> Views:
        parts: dict[str, Callable[[], object]] = {
            **{f"bus {name}": poller.status for name, poller in self.pollers.items()},
            **{f"bus {name}": listener.status for name, listener in self.listeners.items()},
            **{f"journal {lane.lane.value}": _counters(lane) for lane in (self.alarms, self.telemetry)},
            **{f"uplink {name}": partial(self._uplink_status, name) for name in self.uplinks},
            "points": self.plausible.status,
        }
        return Views(self.site, self.devices, self.engine, self.pipeline, self.clock, self.guard, parts)

    def lending(self) -> Lending:
        specs = {name: bus.spec for name, bus in self.buses.items()}
        return Lending(self.site, specs, self.pollers, self.pipeline, self.clock)

    def _uplink_status(self, name: str) -> dict[str, object]:
        unsettled = sum(lane.counters().last - lane.position(name) for lane in (self.alarms, self.telemetry))
        return {"unsettled": unsettled, **self.uplinks[name].status()}

    async def handed_over(self, limit_s: float) -> None:
        """Until every uplink that is connected has a receipt for everything, `limit_s` at most."""
        until = self.clock.monotonic() + limit_s
        while self.clock.monotonic() < until and any(
            uplink["connected"] and uplink["unsettled"] for uplink in map(self._uplink_status, self.uplinks)
        ):
            await self.clock.sleep_until(self.clock.monotonic() + 0.05)


def stalled_s(spec: BusSpec, devices: Sequence[Device]) -> float:
    """The longest pause of a bus that is alive: its slowest device's own time-out, then a line that is drained until it is
    taken for a babbler (`gateway.field.line`). A watchdog that is quicker would start a slow line again and again."""
    timeouts = [getattr(device.options, "timeout_s", None) or spec.reply_timeout_s for device in devices]
    return max(STALLED_S, max(timeouts, default=0.0) + 5 * spec.reply_timeout_s + 3.0)


def _counters(lane: Journal) -> Callable[[], object]:
    def status() -> dict[str, object]:
        counters = asdict(lane.counters())
        counters["set_aside"] = str(counters["set_aside"] or "")
        return counters

    return status


def _digits(device: Device, group: int) -> dict[str, int]:
    """Significant digits of the points behind a 16-bit register: more than six would be noise of the scaling."""
    return {point.name: 6 for point in device.groups[group].points if getattr(point.source, "type", "") in _SHORT}


_SHORT = ("int16", "uint16")


def _simulated(specs: Mapping[str, rules_spec.AlarmSpec], site: config.Site) -> frozenset[str]:
    """Alarms that look at a simulated device, or at a point that is computed from one."""
    devices = {device.id for device in site.devices if device.simulated}

    def simulated(points: Iterable[str]) -> bool:
        return any(point.partition("/")[0] in devices or point in computed for point in points)

    computed: set[str] = set()
    computed = {one.id for one in site.computed if simulated(one.points)}
    return frozenset(name for name, spec in specs.items() if simulated(rules_spec.points(spec.when)))
