"""Listener, the local centre's driver and an independent fire transmission device, over a real socket."""

import asyncio

import pytest

from drivers import DRIVERS
from firmware_sim.uitd import FIRE, Part, Uitd
from gateway.clock import SystemClock
from gateway.field.listener import Listener
from gateway.model import BusKind, BusSpec, Quality
from gateway.restart import Guard
from tests.drivers.loading import device
from tests.waiting import until

SMOKE = Part(40, bytes.fromhex("0a000200"), "12层烟感")


class World:
    """The listener on a free port with one device of the standard template, and that device."""

    def __init__(self):
        self.scans, self.guard = [], Guard()
        self.panel = device("gb26875_device", 889, "fire-1")
        bus = BusSpec("fire", BusKind.LISTEN, host="127.0.0.1", longest_silence_s=1.5)
        self.listener = Listener(
            bus, (self.panel,), DRIVERS["gb26875"].listen, SystemClock(), self.scans.append, self.guard, self.written
        )
        self.disk_is_slow, self.waiting = False, []
        self.uitd = Uitd(889, 88888, (SMOKE,), heartbeat_s=0.2)
        self.tasks = [asyncio.create_task(self.listener.run())]

    def written(self, call):
        """The journal's promise: now, or when a test says that the disk has it."""
        if self.disk_is_slow:
            self.waiting.append(call)
        else:
            call()

    async def connect(self):
        await until(lambda: self.listener.port)
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        self.tasks += [asyncio.create_task(self._hear(reader)), asyncio.create_task(self._speak())]

    async def _hear(self, reader):
        while data := await reader.read(4096):
            self.writer.write(self.uitd.receive(data, asyncio.get_running_loop().time()))

    async def _speak(self):
        while True:
            self.writer.write(self.uitd.step(asyncio.get_running_loop().time()))
            await asyncio.sleep(0.01)

    def last(self, point):
        """Latest value and quality of a point; None before there is one."""
        for index, group in enumerate(self.panel.groups):
            names = [one.name for one in group.points]
            if point in names:
                scans = [scan for scan in self.scans if scan.group == index]
                column = names.index(point)
                return scans and (scans[-1].values[column], Quality(scans[-1].qualities[column]))
        return None

    async def hang_up(self):
        for task in self.tasks[1:]:
            task.cancel()
        await asyncio.wait(self.tasks[1:])
        del self.tasks[1:]
        self.writer.close()
        await self.writer.wait_closed()

    async def close(self):
        if len(self.tasks) > 1:
            await self.hang_up()
        self.tasks[0].cancel()
        await asyncio.wait(self.tasks)


@pytest.fixture
async def world():
    made = World()
    await made.connect()
    yield made
    await made.close()


async def test_a_device_that_calls_is_asked_and_its_fire_is_heard(world):
    """Known after the first question; a fire of its system at once, confirmed to it."""
    await until(lambda: world.last("system_fire") == (0, Quality.GOOD))
    await until(lambda: world.last("device_fault") == (0, Quality.GOOD))
    world.uitd.change_system(FIRE)
    await until(lambda: world.last("system_fire") == (1, Quality.GOOD))
    await until(lambda: world.uitd.delivered)
    assert world.guard.caught == 0
    assert not world.uitd.failed


async def test_a_fire_is_confirmed_once_it_is_on_the_disk_and_not_before(world):
    """A device that was told takes the fire as delivered: a power cut in between would lose it for ever."""
    await until(lambda: world.last("system_fire") == (0, Quality.GOOD))
    world.disk_is_slow = True
    before = len(world.uitd.delivered)
    world.uitd.change_system(FIRE)
    await until(lambda: world.last("system_fire") == (1, Quality.GOOD))
    await until(lambda: world.waiting)
    assert len(world.uitd.delivered) == before
    world.disk_is_slow = False
    for call in world.waiting:
        call()
    await until(lambda: len(world.uitd.delivered) > before)


async def test_a_detector_without_a_point_is_confirmed_and_shown(world):
    """Its address stands where strangers are listed, so that it can be given a point."""
    world.uitd.change(SMOKE, FIRE)
    await until(lambda: world.uitd.delivered)
    assert world.listener.strangers.keys() == {"889: component 1 1 131082 0"}


async def test_a_device_that_hangs_up_is_silent_and_comes_back(world):
    """NOT_RESPONDING without a value, never its last one; after the next call all is known anew."""
    await until(lambda: world.last("system_fire") == (0, Quality.GOOD))
    await world.hang_up()
    await until(lambda: world.last("system_fire") == (None, Quality.NOT_RESPONDING))
    await world.connect()
    await until(lambda: world.last("system_fire") == (0, Quality.GOOD))
    assert world.guard.caught == 0
