"""The composition root: which file runs, and what the daemon must not load."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.times import LONGEST_TIMEOUT_S
from gateway.control import ask
from gateway.field.bus import Bus
from gateway.field.line import Drain, Timing
from gateway.last_good import load
from gateway.model import BusKind, BusSpec, Device, Lane
from gateway.parts import STALLED_S, Parts, Seams, stalled_s
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from tests.clocks import HandClock
from tests.waiting import until

ROOT = Path(__file__).parents[2]
GOOD = (ROOT / "examples" / "demo" / "site.yaml").read_text(encoding="utf-8")


FOREIGN = (
    "typer", "rich", "cryptography", "pymodbus", "aiomqtt", "iotcore", "hypothesis", "click",
    "firmware_sim", "district", "gateway.demo", "gateway.commands", "sqlite3", "prometheus_client", "pydantic", "yaml", "gateway.config",
)  # fmt: skip


def test_the_daemon_loads_nothing_that_it_does_not_need():
    """64 MiB on a Pi: each of these costs 5 to 40."""
    code = f"import sys, gateway.app; print([name for name in {FOREIGN!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"


class StillClock(HandClock):
    async def sleep_until(self, at):
        await asyncio.Event().wait()


async def test_every_part_that_must_move_is_watched(tmp_path):
    """Loop and rules, each bus, each listener, both journal threads; no uplink: nothing waits for the district."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    clock, workers = StillClock(), {lane: InlineWorker() for lane in Lane}
    lanes = [
        Journal(lane, tmp_path / f"{lane.value}.db", "g", clock, workers[lane], 1 << 26, lambda n: "ab" * n)
        for lane in Lane
    ]
    opened = tuple([await lane.open() for lane in lanes])
    seams = Seams(clock, lambda name: InlineWorker(), Bus, None, lambda: 0.5, lambda n: "ab" * n)
    parts = Parts(load(path)[0], seams, *lanes, opened[0])
    watcher = parts.health(opened, workers, last_known_good=False)
    assert watcher.stalled() == []
    clock.at += 60
    assert set(watcher.stalled()) == {"bus line-1", "bus lift-box", "bus hydrants", "rules"}  # inline lanes answer
    assert {"journal alarm", "journal telemetry"} <= set(watcher._progress)
    for lane in lanes:
        await lane.close()


async def test_an_uplink_that_left_the_site_holds_no_record(tmp_path):
    """Else nothing would ever be settled by all: the alarm lane fills, telemetry is thinned for a district that is no more."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    clock = StillClock()
    lanes = [
        Journal(lane, tmp_path / f"{lane.value}.db", "g", clock, InlineWorker(), 1 << 26, lambda n: "ab" * n)
        for lane in Lane
    ]
    opened = [await lane.open() for lane in lanes]
    for lane in lanes:
        lane.position("the-old-district")
    seams = Seams(clock, lambda name: InlineWorker(), Bus, None, lambda: 0.5, lambda n: "ab" * n)
    parts = Parts(load(path)[0], seams, *lanes, opened[0])
    for lane in lanes:
        assert lane.settlement.names() == tuple(parts.uplinks)
        await lane.close()


@pytest.mark.parametrize("timeout_s", [0.02, 0.5, 1.0, 3.0, 10.0])
def test_a_slow_line_is_not_taken_for_a_dead_one(timeout_s):
    """Longer than a device's own time-out and the drain of a line full of noise, and never under `STALLED_S`."""
    spec = BusSpec("a", BusKind.SERIAL, reply_timeout_s=timeout_s)
    drain, at = Drain(Timing.of(spec).quiet_s), 0.0
    drain.begin(at)
    while not drain.babbling:
        at = drain.look(at, heard=True)
    slow = Device("d", "a", "modbus", 1, (), options=SimpleNamespace(timeout_s=LONGEST_TIMEOUT_S))
    plain = Device("e", "a", "modbus", 2, (), options=SimpleNamespace(timeout_s=None))
    assert stalled_s(spec, [plain, slow]) > LONGEST_TIMEOUT_S + at
    assert stalled_s(spec, [plain]) > timeout_s + at
    assert stalled_s(spec, []) >= STALLED_S


SMALL = """
gateway: {id: g1}
buses: [{id: b, kind: tcp, host: 127.0.0.1, tcp_port: 1}]
devices: [{id: d, bus: b, template: generic_smoke_loop, address: 1}]
"""


async def test_where_a_gateway_watches_a_second_one_does_not_start(tmp_path):
    """By hand beside the service, say: it would take the lines, the journal and the name at the broker. 75: try again later. A
    first one that hangs answers nobody, and is no reason not to watch."""
    path, socket = tmp_path / "site.yaml", tmp_path / "run" / "control.sock"
    path.write_text(SMALL.replace("{id: g1}", f"{{id: g1, control_socket: {socket}}}"))
    command = [sys.executable, "-m", "gateway.cli", "run", path]
    first = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
    second = None
    try:
        await until(socket.exists, 30.0)
        refused = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, told = await refused.communicate()
        assert refused.returncode == 75
        assert str(socket) in told.decode()
        assert "已有网关" in told.decode()
        assert ask(socket, {"do": "site"})["ok"]
        first.send_signal(signal.SIGSTOP)
        second = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
        was = socket.stat().st_ino
        await until(lambda: socket.exists() and socket.stat().st_ino != was, 30.0)
    finally:
        for one in (first, second):
            if one is not None:
                one.kill()
                await one.wait()
