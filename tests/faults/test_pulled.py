"""R22: an adapter is pulled and plugged in again; its line says so and comes back by itself, the other line loses no poll."""

import asyncio
from itertools import pairwise

from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.model import Device, Group, Kind, Point, Quality
from gateway.poller import Poller
from gateway.restart import Guard
from tests.gateway.lines import Slave, ask
from tests.waiting import until

PERIOD_S = 0.1
MOST_S = 5.0


class Line:
    """One adapter under its by-id name, with a poller on it."""

    def __init__(self, folder, name):
        self.name = name
        self.slave = Slave()
        self.link = folder / f"usb-FTDI-{name}"
        self.link.symlink_to(self.slave.path)
        self.bus = Bus(self.slave.spec(port=str(self.link)), SystemClock())
        device = Device(name, name, "test", 1, (Group("g", (Point(f"{name}/p", "p", Kind.INT),), PERIOD_S),))
        self.scans, self.guard = [], Guard()
        polls = {name: lambda group: ask(7, device=name)}
        self.task = asyncio.ensure_future(
            Poller(self.bus, [device], polls, SystemClock(), self.scans.append, self.guard).run()
        )

    def pull(self):
        """The adapter and its name go."""
        self.slave.pull()
        self.link.unlink()

    def plug(self):
        """It comes back as another device node under the same name."""
        self.slave.plug()
        self.link.symlink_to(self.slave.path)

    def last(self):
        return Quality(self.scans[-1].qualities[0]) if self.scans else None

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.bus.close()
        self.slave.close()


async def test_a_pulled_adapter_is_a_fault_at_once_and_works_again_by_itself(tmp_path):
    """LINE_DOWN in at most 5 s, good values at most 5 s after it is back, three times; the other line misses nothing."""
    pulled, other = Line(tmp_path, "pulled"), Line(tmp_path, "other")
    loop = asyncio.get_running_loop()
    await until(lambda: pulled.last() is other.last() is Quality.GOOD)
    since = loop.time()
    for _ in range(3):
        begin = loop.time()
        pulled.pull()
        await until(lambda: pulled.last() is Quality.LINE_DOWN)
        assert loop.time() - begin <= MOST_S
        begin = loop.time()
        pulled.plug()
        await until(lambda: pulled.last() is Quality.GOOD, MOST_S)
        assert loop.time() - begin <= MOST_S
    untouched = [scan for scan in other.scans if scan.at >= since]
    assert {scan.qualities for scan in untouched} == {bytes(1)}
    distances = [later.at - earlier.at for earlier, later in pairwise(untouched)]
    assert len(distances) >= 0.8 * (untouched[-1].at - untouched[0].at) / PERIOD_S
    assert max(distances) < 5 * PERIOD_S
    assert pulled.bus.counters.losses == 3
    assert not pulled.guard.caught
    await pulled.close()
    await other.close()
