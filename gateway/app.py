"""The composition root: a site file becomes objects (`gateway.parts`) and one task group. Nothing holds the app.

Start: configuration (else the last known good), journal, the engine's state as it was, buses, uplinks, control socket.
Change: `gateway.changing`, asked for at the control socket or by SIGHUP.
End: SIGTERM or SIGINT; the field stops, the open burst is committed and handed over, the uplinks say good-bye, the lanes
close, each bounded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gateway import apart, health, keys, last_good, version
from gateway.blueprint import Site
from gateway.changing import Changing
from gateway.control import ask
from gateway.crew import Crew
from gateway.dating import floor
from gateway.desk import Desk
from gateway.errors import ConfigError
from gateway.model import Lane
from gateway.parts import Parts, Seams, system
from gateway.restart import GaveUp
from gateway.store.journal import Journal
from gateway.store.words import Opened
from gateway.store.worker import Worker
from gateway.trial import Terms

log = logging.getLogger("gengfu")
EX_CONFIG = 78
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
HAND_OVER_S = 2.5
"""At the end: longest wait for the last receipts. A district gives its telemetry position every two seconds."""


def run(path: Path, begun: apart.Reading) -> int:
    """``gengfu run``: until SIGTERM or SIGINT. Returns the exit status. `begun`: its reading, which needs no waiting for the imports."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        starts = last_good.of_this_boot(path)
        seams = system()
        site, last_known_good = last_good.load(path, starts, seams.clock.monotonic(), begun)
    except ConfigError as error:
        for mistake in error.mistakes:
            log.error("%s", mistake)
        return EX_CONFIG
    except apart.Unread as error:
        log.error("%s", error)
        return EX_TEMPFAIL if error.passing else EX_SOFTWARE
    finally:
        begun.drop()
    if _is_watched(site):
        log.error(
            "a gateway runs here already, at %s: stop that one, or change its site with gengfu apply",
            site.gateway.control_socket,
        )
        log.error("本站已有网关在运行：请先停止，或用 gengfu apply 更改其站点文件")
        return EX_TEMPFAIL
    if undone := version.undone():
        log.error("version %s did not run; the one from before does 版本 %s 无法运行，已退回原版本", undone, undone)

    def proved() -> None:
        starts.proved()
        version.prove()

    status = 0
    try:
        starts.begin(seams.clock.monotonic())
        asyncio.run(
            watch(
                site,
                seams,
                last_known_good=last_known_good,
                update_undone=bool(undone),
                proved=proved,
                stopped=starts.proved,
                path=path,
                reload=not _at_terminal(),
            )
        )
    except* GaveUp as group:
        log.critical("%s", "; ".join(str(error) for error in group.exceptions))
        status = EX_SOFTWARE
    return status


async def watch(
    site: Site,
    seams: Seams,
    *,
    last_known_good: bool = False,
    update_undone: bool = False,
    proved: Callable[[], None] = lambda: None,
    stopped: Callable[[], None] = lambda: None,
    path: Path | None = None,
    terms: Terms = Terms(),  # noqa: B008 - frozen
    reload: bool = True,
) -> None:
    """Run a site until SIGTERM, SIGINT or cancellation. Raises `GaveUp` (in a group) when a part falls too often.

    `proved` is told once it has run for a minute, `stopped` when it is stopped in order: neither is what makes gateways crash.
    `path`: the site file that a change is read from; where the site came from when None. `terms`: of a trial.
    `reload`: what SIGHUP means; else the terminal is gone, which ends it."""
    workers = {lane: seams.disk(f"journal-{lane.value}") for lane in Lane}
    alarms, telemetry = (_journal(lane, site, seams, worker) for lane, worker in workers.items())
    opened = await asyncio.gather(alarms.open(), telemetry.open())
    _tell(site, opened)
    seams.clock.hold(floor(alarms.state()))
    parts = Parts(site, seams, alarms, telemetry, opened[0])
    parts.restore(opened[0])
    watcher = parts.health(opened, workers, last_known_good=last_known_good, update_undone=update_undone)
    stop, again = asyncio.Event(), asyncio.Event()
    for how, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, again if reload else stop)):
        asyncio.get_running_loop().add_signal_handler(how, event.set)
    try:
        async with asyncio.TaskGroup() as group:
            crew = Crew(group, parts.guard, seams.clock)
            desk = Desk(parts, crew)
            changing = Changing(path or site.source, parts, crew, workers[Lane.TELEMETRY], proved, desk.renew, terms)
            desk.open(changing)
            for name, run in parts.runs(parts.pollers.keys() | parts.listeners.keys(), parts.uplinks).items():
                crew.start(name, run)
            crew.start("health", watcher.run)
            crew.start("clock", parts.dating.run)
            crew.start("proof", changing.prove)
            crew.start("hang-up", partial(_hear, again, changing))
            await stop.wait()
            health.notify("STOPPING=1")
            stopped()
            await parts.fitting.outputs.leave()
            # In the order of the data: nothing new from the field, what is in memory to the disk, and then to the district.
            crew.end(lambda name: not name.startswith("uplink "))
            parts.dating.keep()
            parts.pipeline.close()
            await parts.handed_over(HAND_OVER_S)
            crew.end()
    finally:
        parts.pipeline.close()
        await asyncio.gather(alarms.close(), telemetry.close())
        for bus in parts.buses.values():
            bus.close()


def _is_watched(site: Site) -> bool:
    """Does another one answer for this site? It has the journal, the lines and the name at the broker. One that hangs does not
    answer, and must not keep this one from watching."""
    try:
        return bool(ask(Path(site.gateway.control_socket), {"do": "site"}, timeout_s=1.0))
    except (OSError, ValueError):
        return False


def _at_terminal() -> bool:
    """Somebody started it by hand."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _hear(again: asyncio.Event, changing: Changing) -> None:
    """SIGHUP, one after the other."""
    while True:
        await again.wait()
        again.clear()
        await changing.hang_up()


def _tell(site: Site, opened: Sequence[Opened]) -> None:
    """What is wrong at the start and stops nothing."""
    for lane, found in zip(Lane, opened, strict=True):
        if found.set_aside:
            log.error("journal %s was damaged and set aside as %s", lane, found.set_aside)
        if not found.durable:
            log.error("journal %s cannot be written: %s", lane, found.why)
    for mistake in keys.mistakes(site):
        log.error("%s", mistake)


def _journal(lane: Lane, site: Site, seams: Seams, worker: Worker) -> Journal:
    folder = Path(site.journal.directory)
    quota = site.journal.alarm_quota_bytes if lane is Lane.ALARM else site.journal.telemetry_quota_bytes
    return Journal(lane, folder / f"{lane.value}.db", site.gateway.id, seams.clock, worker, quota, seams.random_hex)
