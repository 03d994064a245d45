"""Listener, the real MEOKON driver and an independent other end: the simulator's terminal, over a real socket."""

import asyncio
from pathlib import Path
from random import Random

import pytest

import drivers
from drivers import DRIVERS
from firmware_sim import log as sim_log
from firmware_sim import terminal
from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.scene import read
from firmware_sim.terminal import Terminal
from gateway.clock import SystemClock
from gateway.field.listener import Listener
from gateway.model import BusKind, BusSpec, Quality
from gateway.restart import Guard
from tests.drivers.loading import device
from tests.waiting import until

SCENE = """
terminals:
  - {id: hydrant-1, template: meokon_hydrant, address: SHMK19060013, interval_s: 1, values: {pressure: 0.3, battery: 52}}
"""


class World:
    """The listener on a free port, and a terminal that measures every 50 ms."""

    def __init__(self, folder, address="SHMK19060013"):
        path = folder / "scene.yaml"
        path.write_text(SCENE)
        scene = read(path, Path(drivers.__file__).parent / "templates")
        self._log_path = folder / "simulator.jsonl"
        self._log = Log(self._log_path)
        self.field = Field(self._log, scene.members)
        (spec,) = scene.terminals
        self.terminal = Terminal(spec.id, spec.gauge, 0.05, self.field, self._log, Random(1))
        self.hydrant = device("meokon_hydrant", address, "hydrant-1")
        self.scans, self.guard = [], Guard()
        bus = BusSpec("calls", BusKind.LISTEN, host="127.0.0.1", longest_silence_s=0.5)
        listen = DRIVERS["meokon"].listen
        self.listener = Listener(bus, (self.hydrant,), listen, SystemClock(), self.scans.append, self.guard)
        self._tasks = [asyncio.create_task(self.terminal.run()), asyncio.create_task(self.listener.run())]

    async def connect(self):
        await until(lambda: self.listener.port)
        self.terminal.call("127.0.0.1", self.listener.port)

    def told(self, scan):
        names = [point.name for point in self.hydrant.groups[0].points]
        return dict(zip(names, zip(scan.values, map(Quality, scan.qualities), strict=True), strict=True))

    def entries(self, event):
        return [entry for entry in sim_log.read(self._log_path) if entry["event"] == event]

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.terminal.close()
        self._log.close()


@pytest.fixture
async def start(tmp_path):
    worlds = []

    def build(*args):
        worlds.append(World(tmp_path, *args))
        return worlds[-1]

    yield build
    for world in worlds:
        await world.close()


async def test_what_the_terminal_carried_is_what_is_heard(start):
    """Value by value as the simulator's own book has it, all good; the terminal takes the answer and stays on the line."""
    world = start()
    await world.connect()
    await until(lambda: len(world.scans) >= 5)
    carried = world.entries("answer")[0]["points"]
    heard = world.told(world.scans[0])
    assert heard == {name: (pytest.approx(value), Quality.GOOD) for name, value in carried.items()}
    assert not world.entries("unanswered")
    assert world.listener.counts["calls"] == 1


async def test_an_alarm_bit_is_heard_at_once_and_a_broken_sensor_gives_no_pressure(start):
    """The bits are passed on although the pressure is none."""
    world = start()
    await world.connect()
    await until(lambda: world.scans)
    world.field.set({"hydrant-1/impact": True, "hydrant-1/sensor_fault": True})
    heard = await until(lambda: (last := world.told(world.scans[-1]))["impact"] == (1, Quality.GOOD) and last)
    assert heard["sensor_fault"] == (1, Quality.GOOD)
    assert heard["pressure"] == (None, Quality.SENSOR_FAULT)


@pytest.mark.parametrize("fault", ["silent", "foreign"])
async def test_a_terminal_that_is_heard_no_more_is_bad_and_comes_back(start, fault, monkeypatch):
    """Dead, or speaking with another's id: its points are BAD after the longest silence, never its last values."""
    monkeypatch.setattr(terminal, "ANSWER_WITHIN_S", 0.05)  # a stranger never gets its answer
    world = start()
    await world.connect()
    await until(lambda: world.scans)
    world.field.set_fault({"device": "hydrant-1", "what": fault})
    silent = await until(lambda: world.scans[-1].qualities[0] == Quality.NOT_RESPONDING and world.scans[-1])
    assert set(silent.values) == {None}
    world.field.set_fault({"device": "hydrant-1", "what": "none"})
    await until(lambda: world.scans[-1].qualities[0] == Quality.GOOD)
    assert world.guard.caught == 0


async def test_a_terminal_that_the_site_does_not_know_is_shown_and_never_a_sample(start):
    """It gets no answer, so it keeps its values."""
    world = start("SHMK19069999")
    await world.connect()
    await until(lambda: world.listener.strangers)
    assert world.listener.strangers.keys() == {"SHMK19060013"}
    assert all(set(scan.values) == {None} for scan in world.scans)
