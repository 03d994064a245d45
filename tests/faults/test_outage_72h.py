"""R10: the link is away for three days: nothing is lost, nothing changes places, and the memory does not grow.

    python -m tests.faults.test_outage_72h 72      hours of outage: the full figure (a quarter of an hour, 1.5 GB of disk)

The real engine, pipeline, journals on a real disk and uplink in virtual time; a broker with the reference receiver's store
behind it (`tests.simulation.broker`). A thousand points at 10 s, each another value each time, so that telemetry is committed
each second; a detector goes off and back each ten minutes. No bus: what scans cost is the same with and without a link.
"""

import asyncio
import heapq
import itertools
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from gateway import ledger
from gateway.link.uplink import Uplink
from gateway.model import AlarmClass, Group, Kind, Lane, Point, Scan, Severity, Text, UplinkSpec
from gateway.pipeline import Pipeline
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.wire import pack
from rules.engine import Engine
from rules.spec import Above, AlarmSpec
from tests.gateway.virtual import LoopClock
from tests.simulation.broker import Broker
from tests.simulation.loop import VirtualLoop

HOUR_S = 3600.0
DEVICES, POINTS, PERIOD_S = 100, 10, 10
ALARM_ROUNDS = 60
"""The detector changes its mind each so many rounds."""
QUOTA_BYTES = {Lane.ALARM: 64 * 2**20, Lane.TELEMETRY: 512 * 2**20}
"""As a site has them that says nothing."""
GROWTH_GOAL_BYTES, TOLERANCE = 3 * 500_000, 5
"""Half a megabyte a day (R27)."""
ALARM = AlarmSpec("high", AlarmClass.FIRE, Severity.CRITICAL, Above("d-0/p-0", 5), Text("高", "high"))


def note(text):
    sys.stderr.write(f"{text}\n")


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Sky:
    """What the simulation's broker asks of its world, on the loop's time; what is due at one moment keeps its order."""

    def __init__(self, clock):
        self._clock, self.wall = clock, clock.wall
        self._agenda, self._order = [], itertools.count()

    def chance(self, name):
        return Random(name)

    def after(self, seconds, what):
        at = self._clock.monotonic() + seconds
        heapq.heappush(self._agenda, (at, next(self._order), what))
        self._clock.call_at(at, self._due)

    def _due(self):
        while self._agenda and self._agenda[0][0] <= self._clock.monotonic():
            heapq.heappop(self._agenda)[2]()

    def tell(self, *words):
        """Nobody keeps a trace."""


class Ledger:
    """What the district heard: of each device its scans by number, of each lane its records."""

    def __init__(self):
        self.next = dict.fromkeys(map("d-{}".format, range(1, DEVICES + 1)), 0)
        self.heard = {lane.value: set() for lane in Lane}
        self.again = 0
        self.wrong = []

    def hear(self, record):
        heard = self.heard[record.lane]
        if record.sequence in heard:
            self.again += 1
            return
        heard.add(record.sequence)
        if record.type != "gengfu.telemetry.pack":
            return
        device = ""
        for entry in json.loads(record.body):
            if "bn" in entry:
                device = entry["bn"].split("/")[1]
            if entry["n"] == "p-0" and device in self.next:
                if entry["v"] != self.next[device]:
                    self.wrong.append(f"{device}: {entry['v']} where {self.next[device]} is due, in {record.id}")
                self.next[device] = int(entry["v"]) + 1


class House:
    """A gateway without buses."""

    def __init__(self, folder):
        self.clock = clock = LoopClock()
        names = itertools.count(1)
        self.lanes = {
            lane: Journal(
                lane, folder / f"{lane.value}.db", "demo-01", clock, InlineWorker(), QUOTA_BYTES[lane],
                lambda n: f"{next(names):0{2 * n}x}",
            )
            for lane in Lane
        }  # fmt: skip
        self.broker = Broker(Sky(clock), folder / "district.db")
        self.ledger = Ledger()
        self.broker.heard = self.ledger.hear
        self.round = 0

    async def open(self):
        for lane in self.lanes.values():
            await lane.open()
        groups = {(f"d-{number}", 0): _group(number) for number in range(DEVICES + 1)}
        layouts = {key: pack.Layout(*key, group.points) for key, group in groups.items()}
        points = {key: tuple(point.id for point in group.points) for key, group in groups.items()}
        alarms, telemetry = self.lanes.values()
        self.pipeline = Pipeline(
            Engine((ALARM,), points, self.clock.monotonic()), {"high": ALARM}, Reporter(groups), layouts,
            ledger.Ledger(alarms, self.clock), telemetry, self.clock, Guard(),
        )  # fmt: skip
        spec = UplinkSpec("district", "broker.invalid", 8883, "", "", "")
        uplink = Uplink(
            spec, "demo-01", self.clock, alarms, telemetry, pack.Layouts(telemetry.state), Random(1).random,
            self.broker.connect, self.pipeline.reached,
        )  # fmt: skip
        self.pipeline.start()
        self._uplink = asyncio.ensure_future(uplink.run())

    async def live(self, seconds):
        """Poll: a tenth of the devices each second, as a poller spreads them."""
        began = self.clock.monotonic()
        for second in range(int(seconds)):
            await self.clock.sleep_until(began + second)
            for number in range(self.round % PERIOD_S, DEVICES, PERIOD_S):
                value = self.round // PERIOD_S
                self._scan(number + 1, tuple(float(value + column) for column in range(POINTS)))
            if self.round % PERIOD_S == 0:
                self._scan(0, (float(self.round // PERIOD_S // ALARM_ROUNDS % 2 * 10),))
            self.round += 1
        await self.clock.sleep_until(began + seconds)

    def _scan(self, number, values):
        self.pipeline.take(Scan(f"d-{number}", 0, self.clock.monotonic(), values, bytes(len(values))))

    def backlog(self):
        return sum(lane.backlog("district") for lane in self.lanes.values())

    async def close(self):
        self._uplink.cancel()
        await asyncio.gather(self._uplink, return_exceptions=True)
        self.pipeline.close()
        for lane in self.lanes.values():
            await lane.close()
        self.broker.close()


def _group(number):
    names = [f"p-{column}" for column in range(POINTS if number else 1)]
    return Group("g", tuple(Point(f"d-{number}/{name}", name, Kind.FLOAT) for name in names), float(PERIOD_S))


async def outage(folder, hours, looks):
    """Away for so long; RSS at the hours of `looks`, and what the district heard in the end."""
    house = House(folder)
    await house.open()
    await house.live(60)
    house.broker.set("unreachable")
    began, cpu, resident, at = time.monotonic(), time.process_time(), [], 0.0
    for look in looks:
        await house.live((look - at) * HOUR_S)
        at = look
        resident.append(resident_bytes())
        note(
            f"after {look:g} h: {resident[-1] / 2**20:.1f} MiB resident, backlog {house.backlog()}, telemetry "
            f"{house.lanes[Lane.TELEMETRY].counters().used_bytes / 2**20:.1f} of {QUOTA_BYTES[Lane.TELEMETRY] >> 20} MiB"
        )
    away, alarms = house.backlog(), house.lanes[Lane.ALARM].backlog("district")
    house.broker.set()
    back = house.clock.monotonic()
    while house.backlog() > 2:  # a second's telemetry may be on its way
        await house.live(5)
    took_s = house.clock.monotonic() - back
    await house.live(5)
    house.pipeline.readings.flush()
    await asyncio.sleep(10)
    note(
        f"{hours:g} h away: {away} records ({alarms} of the alarm lane) and what came meanwhile at the district {took_s:.0f} s "
        f"after it was back, {house.ledger.again} of them twice, {len(house.ledger.wrong)} lost or out of place; "
        f"{resident_bytes() / 2**20:.1f} MiB then; {time.process_time() - cpu:.0f} CPU-seconds, {time.monotonic() - began:.0f} s"
    )
    dropped = [lane.counters().dropped for lane in house.lanes.values()]
    last = {lane.value: journal.counters().last for lane, journal in house.lanes.items()}
    left = house.backlog()
    await house.close()
    assert not house.ledger.wrong, house.ledger.wrong[:5]
    assert left == 0
    assert all(set(one) <= {"settled"} for one in dropped), dropped
    for lane, heard in house.ledger.heard.items():
        assert heard == set(range(1, last[lane] + 1)), f"{lane}: {last[lane] - len(heard)} records are missing"
    scans = {
        device: (house.round - 1 - (int(device[2:]) - 1) % PERIOD_S) // PERIOD_S + 1 for device in house.ledger.next
    }
    assert house.ledger.next == scans, "not every scan arrived"
    assert resident[-1] - resident[0] <= GROWTH_GOAL_BYTES * TOLERANCE, resident


def run(folder, hours, looks):
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(1000.0)) as runner:
        runner.run(outage(folder, hours, looks))
        assert not runner.get_loop().errors


def test_an_outage_loses_nothing_and_costs_no_memory(tmp_path):
    """Twenty minutes of the three days: every scan of each device at the district, in order, and every alarm."""
    run(tmp_path, 1 / 3, [0.1, 1 / 3])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    away = float(sys.argv[1])
    with tempfile.TemporaryDirectory() as where:
        run(Path(where), away, [1.0, *(day for day in (24.0, 48.0) if day < away), away])
