"""Everything that runs, made from a site: the objects and who is told by whom. `gateway.app` starts and ends it.

The five seams (law 11) come in here and nowhere else. It starts no task and opens nothing of the field.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

from gateway import __version__ as VERSION
from gateway import guardroom, health
from gateway.blueprint import Site
from gateway.bridge import CLOCKS, bridge
from gateway.certificates import Ending
from gateway.change import Change
from gateway.clock import Clock, SystemClock
from gateway.crew import Run
from gateway.dating import Dating
from gateway.field.bus import Bus
from gateway.fitting import Fitting
from gateway.health import Beat, Lag
from gateway.ledger import Ledger
from gateway.lending import Lending
from gateway.link import mqtt
from gateway.making import Fresh, Making, on
from gateway.mind import Left, Mind, mind
from gateway.model import BusSpec, Device, Lane
from gateway.pipeline import STATE, Pipeline
from gateway.plausible import Plausible
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.words import Opened
from gateway.store.worker import ThreadWorker, Worker
from gateway.trial import Heard, Seen, Terms
from gateway.views import Views
from gateway.wire import payloads
from rules import post
from rules import spec as rules_spec
from rules.engine import Engine

T = TypeVar("T")
log = logging.getLogger("gengfu")
STALLED_S = 6.0
"""With two more looks (`gateway.health.TRIGGER`), a second's pause and a cold start: polling again within 15 s of a hang (R25)."""
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

    def __init__(self, site: Site, seams: Seams, alarms: Journal, telemetry: Journal, opened: Opened) -> None:
        clock = seams.clock
        self.clock, self.guard = clock, Guard()
        self.alarms, self.telemetry = alarms, telemetry
        self.mind = mind(site, clock.monotonic(), self.guard.call)
        self.ledger = Ledger(alarms, clock, site.journal.telemetry_commit_s)
        self.pipeline = Pipeline(
            self.mind.engine,
            self.mind.specs,
            self.mind.reporter,
            self.mind.layouts,
            self.ledger,
            telemetry,
            clock,
            self.guard,
            simulated=self.mind.simulated,
            utc_offset_s=site.utc_offset_s,
            commit_s=site.journal.telemetry_commit_s,
            plausible=self.plausible,
            post=self.mind.post,
        )
        self.fallback = False
        """It runs another site than the file says."""
        self._making = Making(
            seams.bus,
            seams.connect,
            seams.random,
            clock,
            self.guard,
            self.pipeline,
            self.ledger,
            (alarms, telemetry),
            opened.run,
            self._twice,
        )
        made = self.make(site, [spec.id for spec in site.buses], [spec.id for spec in site.uplinks])
        self.buses, self.pollers, self.listeners, self.uplinks = made
        self.dating = Dating(clock, self.ledger.record, self.ledger.keep)
        self.fitting = Fitting(self.pipeline, clock, self.guard)
        self._views = self._made_views(clock.monotonic())
        self._lending: Lending | None = None
        self.keep_uplinks()

    @property
    def site(self) -> Site:
        return self.mind.site

    @property
    def devices(self) -> tuple[Device, ...]:
        return self.mind.devices

    @property
    def engine(self) -> Engine:
        return self.mind.engine

    @property
    def post(self) -> post.Post:
        return self.mind.post

    @property
    def plausible(self) -> Plausible:
        return self.mind.plausible

    def make(self, site: Site, buses: Collection[str], uplinks: Collection[str]) -> Fresh:
        """Those of these names that the site uses. Opens nothing."""
        return self._making.make(site, buses, uplinks)

    def change(self, to: Mind, change: Change, fresh: Fresh, left: Left, body: bytes) -> Left:
        """The site `to` from this moment on; buses that it does not have, or has otherwise, are stopped. `left`: states of
        what a site before had; `body`: of the record. Returns the states of what leaves."""
        gone = self.pipeline.adopt(to, change.same, left, body)
        self.mind = to
        stopped = (*change.buses.changed, *change.buses.gone)
        _renew(self.buses, fresh.buses, stopped)
        _renew(self.pollers, fresh.pollers, stopped)
        _renew(self.listeners, fresh.listeners, stopped)
        _renew(self.uplinks, fresh.uplinks, change.uplinks.gone)
        self.fit()
        if self._lending is not None:
            self._lending.adopt(to.site, self._specs(), self.pollers)
        self._ending = Ending(to.site.uplinks, self.clock, self._submit)
        for name in (*change.devices.changed, *change.devices.gone):
            self.guard.faults.pop(f"poll {name}", None)  # what is gone is not broken, and nobody would say so
        for name in (*change.alarms.changed, *change.alarms.gone):
            self.guard.faults.pop(f"rule {name}", None)
        self._progress.clear()
        self._progress.update(self._made_progress())
        return gone

    def fit(self) -> None:
        """Lamps, sounders and keys of the site that runs, for the alarms as they stand."""
        self.fitting.fit(self.site, self.mind.specs, self.pollers)
        self._views = self._made_views(self._views.started)

    def runs(self, buses: Collection[str], uplinks: Collection[str]) -> dict[str, Run]:
        """What runs for ever of these: name -> how to start it."""
        asked: dict[str, Run] = {f"bus {name}": one.run for name, one in self.pollers.items() if name in buses}
        called: dict[str, Run] = {f"bus {name}": one.run for name, one in self.listeners.items() if name in buses}
        told: dict[str, Run] = {f"uplink {name}": one.run for name, one in self.uplinks.items() if name in uplinks}
        return asked | called | told

    def keep_uplinks(self) -> None:
        """One that left the site would hold every record for ever."""
        for lane in (self.alarms, self.telemetry):
            lane.keep_uplinks(self.uplinks)

    def _twice(self, bus: str, address: int | str) -> None:
        for device in on(self.site, bus):
            if device.address == address and self.plausible.double(device.id, self.clock.monotonic()):
                log.error("%s: two devices answer for address %s of bus %s", device.id, address, bus)

    def restore(self, opened: Opened) -> None:
        """Be as the last run was: alarms stand as they stood, delays run on."""
        gap = bridge(self.alarms.state().get(CLOCKS), self.clock)
        gone = self.engine.restore(self.ledger.under(STATE), gap.shift_s, bridged=gap.sure)
        for name in gone:
            log.warning("the saved state of alarm %s cannot be used: unreadable, or no such alarm in this site", name)
        watch = self.ledger.under(guardroom.STATE)
        for name in self.post.restore(watch, gap.shift_s, self.clock.monotonic()):
            log.error(
                "what was set for %s/%s cannot be used: unreadable, or no such partition or level", post.DEVICE, name
            )
            gone.append(f"{post.DEVICE}/{name}")
        # First the engine's states on this boot's clock, then a record: they go into one commit (law 4).
        self.pipeline.start()
        self.fit()
        standing = [name for name, alarm in self.engine.alarms().items() if alarm.since is not None]
        set_aside = opened.set_aside.name if opened.set_aside else None
        previous_boot = opened.previous_boot or None
        self.ledger.record(payloads.RUN, payloads.run(VERSION, previous_boot, standing, gone, set_aside))

    def health(
        self,
        opened: tuple[Opened, ...],
        workers: Mapping[Lane, Worker],
        *,
        last_known_good: bool,
        update_undone: bool = False,
    ) -> health.Health:
        self.fallback, self._update_undone = last_known_good, update_undone
        self._lags: dict[str, Lag] = {}
        self._submit = workers[Lane.TELEMETRY].submit
        self._beats = {lane: Beat(self.clock, worker.submit) for lane, worker in workers.items()}
        self._ending = Ending(self.site.uplinks, self.clock, self._submit)
        self._progress = self._made_progress()
        return health.Health(self.clock, self._concerns, self._progress, self.pipeline.take)

    def _concerns(self) -> dict[str, bool]:
        """What is wrong with the gateway itself; looked at once a second."""
        alarms, telemetry = self.alarms.counters(), self.telemetry.counters()
        return {
            "storage_alarms_failing": alarms.failing_since is not None,
            "storage_telemetry_failing": telemetry.failing_since is not None,
            "storage_set_aside": bool(alarms.set_aside or telemetry.set_aside),
            "alarm_lane_filling": alarms.nearly_full,
            "uplink_down": any(not uplink.connected for uplink in self.uplinks.values()),
            "uplink_refused": any(uplink.refused for uplink in self.uplinks.values()),
            "certificate_ending": self._ending.soon(),
            "receipts_overdue": self._overdue(alarms.last),
            "parts_failing": bool(self.guard.faults),
            "last_known_good": self.fallback,
            "update_undone": self._update_undone,
            "clock_not_set": not self.clock.trusted(),
            "output_failing": self.fitting.outputs.failing(),
            "life_isolated": any(one.spec.cls in rules_spec.LIFE for one in self.engine.aside().values()),
            "points_doubtful": self.plausible.doubtful(),
        }

    def _overdue(self, newest: int) -> bool:
        self._lags = {name: self._lags.get(name) or Lag(self.clock, RECEIPT_S) for name in self.uplinks}
        overdue = [lag.overdue(self.alarms.position(name), newest) for name, lag in self._lags.items()]
        return any(overdue)

    def _made_progress(self) -> dict[str, tuple[Callable[[], float], float]]:
        return {
            **{
                f"bus {name}": (partial(self._polled, name), stalled_s(self.buses[name].spec, on(self.site, name)))
                for name in self.pollers
            },
            **{f"bus {name}": (partial(getattr, one, "progress"), STALLED_S) for name, one in self.listeners.items()},
            **{f"journal {lane.value}": (beat.moved, DISK_STALLED_S) for lane, beat in self._beats.items()},
            "rules": (lambda: self.pipeline.moved, STALLED_S),
        }

    def _polled(self, bus: str) -> float:
        return max(self.pollers[bus].progress, self.buses[bus].asked_at)

    def views(self) -> Views:
        return self._views

    def _made_views(self, started: float) -> Views:
        parts: dict[str, Callable[[], object]] = {
            **{f"bus {name}": poller.status for name, poller in self.pollers.items()},
            **{f"bus {name}": listener.status for name, listener in self.listeners.items()},
            **{f"journal {lane.lane.value}": _counters(lane) for lane in (self.alarms, self.telemetry)},
            **{f"uplink {name}": partial(self._uplink_status, name) for name in self.uplinks},
            "points": self.plausible.status,
            **self.fitting.outputs.views(),
        }
        return Views(self.site, self.devices, self.engine, self.pipeline, self.clock, self.guard, parts, started)

    def lending(self) -> Lending:
        """One for as long as the gateway lives: a tool's session outlives a change of the site."""
        if self._lending is None:
            self._lending = Lending(self.site, self._specs(), self.pollers, self.pipeline, self.ledger, self.clock)
        return self._lending

    def _specs(self) -> dict[str, BusSpec]:
        return {name: bus.spec for name, bus in self.buses.items()}

    def seen(self, broken_since: Mapping[str, float], terms: Terms) -> Seen:
        """The gateway as a trial looks at it. `broken_since`: of what is broken."""
        now = self.clock.monotonic()
        asked = {name: Heard(one.answered_at, terms.patience_s(one.shortest_s)) for name, one in self.pollers.items()}
        called = {name: Heard(now if one.port else None, terms.silent_s) for name, one in self.listeners.items()}
        connected = [name for name, uplink in self.uplinks.items() if uplink.status()["connected"]]
        return Seen(now, asked | called, connected, broken_since)

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


def _renew(table: dict[str, T], new: Mapping[str, T], gone: Collection[str]) -> None:
    for name in gone:
        table.pop(name, None)
    table.update(new)
