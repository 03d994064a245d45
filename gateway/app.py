"""The composition root: a site file becomes objects (`gateway.parts`) and one task group. Nothing holds the app.

Start: configuration (else the last known good), journal, the engine's state as it was, buses, uplinks, control socket.
End: SIGTERM or SIGINT; the field stops, the open burst is committed and handed over, the uplinks say good-bye, the lanes
close, each bounded.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from gateway import config, health, last_good, post_view
from gateway.bridge import bridge as bridge
from gateway.callers import Callers
from gateway.clock import Clock
from gateway.control import Control
from gateway.dating import floor
from gateway.errors import ConfigError
from gateway.metrics import Metrics
from gateway.model import Lane
from gateway.parts import STALLED_S as STALLED_S
from gateway.parts import Parts as Parts
from gateway.parts import Seams as Seams
from gateway.parts import stalled_s as stalled_s
from gateway.parts import system as system
from gateway.restart import GaveUp
from gateway.store.journal import Journal, Opened
from gateway.store.worker import Worker

log = logging.getLogger("gengfu")
EX_CONFIG = 78
EX_SOFTWARE = 70
HAND_OVER_S = 2.5
"""At the end: longest wait for the last receipts. A district gives its telemetry position every two seconds."""


def run(path: Path) -> int:
    """``gengfu run``: until SIGTERM or SIGINT. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        starts = last_good.of_this_boot(path)
        seams = system()
        site, last_known_good = last_good.load(path, starts, seams.clock.monotonic())
    except ConfigError as error:
        for mistake in error.mistakes:
            log.error("%s", mistake)
        return EX_CONFIG
    status = 0
    try:
        starts.begin(seams.clock.monotonic())
        asyncio.run(watch(site, seams, last_known_good=last_known_good, proved=starts.proved))
    except* GaveUp as group:
        log.critical("%s", "; ".join(str(error) for error in group.exceptions))
        status = EX_SOFTWARE
    return status


async def watch(
    site: config.Site, seams: Seams, *, last_known_good: bool = False, proved: Callable[[], None] = lambda: None
) -> None:
    """Run a site until SIGTERM, SIGINT or cancellation. Raises `GaveUp` (in a group) when a part falls too often.

    `proved` is told once the site has run for a minute, or was stopped in order: it is not what makes gateways crash."""
    workers = {lane: seams.disk(f"journal-{lane.value}") for lane in Lane}
    alarms, telemetry = (_journal(lane, site, seams, worker) for lane, worker in workers.items())
    opened = await asyncio.gather(alarms.open(), telemetry.open())
    _tell(site, opened)
    seams.clock.hold(floor(alarms.state()))
    parts = Parts(site, seams, alarms, telemetry, opened[0])
    parts.restore(opened[0])
    children = _children(parts, parts.health(opened, workers, last_known_good=last_known_good))
    children["proof"] = _proof(site, seams.clock, workers[Lane.TELEMETRY], proved, last_known_good=last_known_good)
    stop = asyncio.Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(how, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(run, name=name) for name, run in children.items()}
            await stop.wait()
            health.notify("STOPPING=1")
            proved()
            # In the order of the data: nothing new from the field, what is in memory to the disk, and then to the district.
            for name, task in tasks.items():
                if not name.startswith("uplink "):
                    task.cancel()
            parts.dating.keep()
            parts.pipeline.close()
            await parts.handed_over(HAND_OVER_S)
            for task in tasks.values():
                task.cancel()
    finally:
        parts.pipeline.close()
        await asyncio.gather(alarms.close(), telemetry.close())
        for bus in parts.buses.values():
            bus.close()


async def _proof(
    site: config.Site, clock: Clock, disk: Worker, proved: Callable[[], None], *, last_known_good: bool
) -> None:
    """The site becomes the last known good one after a minute; at once where there is none yet. On a journal's thread:
    a slow disk is not waited for here."""

    def first() -> None:
        last_good.stage(site.source)
        if not last_good.is_kept(site.source):
            last_good.keep(site.source)
            last_good.stage(site.source)

    def after() -> None:
        proved()
        if not last_known_good:
            last_good.keep(site.source)

    if not last_known_good:
        disk.submit(first)
    await clock.sleep_until(clock.monotonic() + last_good.PROVED_S)
    disk.submit(after)
    await asyncio.Event().wait()


def _tell(site: config.Site, opened: Sequence[Opened]) -> None:
    """What is wrong at the start and stops nothing."""
    for lane, found in zip(Lane, opened, strict=True):
        if found.set_aside:
            log.error("journal %s was damaged and set aside as %s", lane, found.set_aside)
        if not found.durable:
            log.error("journal %s cannot be written: %s", lane, found.why)
    for mistake in config.uplink_mistakes(site):
        log.error("%s", mistake)


def _children(parts: Parts, watcher: health.Health) -> dict[str, Coroutine[Any, Any, None]]:
    """Name -> what runs for ever, each kept alive by the guard."""
    callers = Callers(parts.site.devices, parts.listeners, parts.pipeline, parts.clock)
    views = parts.views()
    control = Control(
        Path(parts.site.gateway.control_socket),
        views.table() | callers.views() | post_view.table(parts.post, parts.clock),
        parts.pipeline.command,
        parts.clock,
        parts.guard,
        parts.pipeline.written,
        parts.lending().table() | callers.talks(),
    )
    vital = {
        **{f"bus {name}": poller.run for name, poller in parts.pollers.items()},
        **{f"bus {name}": listener.run for name, listener in parts.listeners.items()},
        "health": watcher.run,
    }
    others: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        **{f"uplink {name}": uplink.run for name, uplink in parts.uplinks.items()},
        "control": control.run,
        "clock": parts.dating.run,
    }
    if parts.site.metrics:
        others["metrics"] = Metrics(parts.site.metrics, views.status, parts.guard).run
    return {
        **{name: parts.guard.keep(name, run, parts.clock) for name, run in vital.items()},
        **{name: parts.guard.keep(name, run, parts.clock, limit=None) for name, run in others.items()},
    }


def _journal(lane: Lane, site: config.Site, seams: Seams, worker: Worker) -> Journal:
    folder = Path(site.journal.directory)
    quota = site.journal.alarm_quota_bytes if lane is Lane.ALARM else site.journal.telemetry_quota_bytes
    return Journal(lane, folder / f"{lane.value}.db", site.gateway.id, seams.clock, worker, quota, seams.random_hex)
