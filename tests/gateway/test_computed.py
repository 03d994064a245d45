"""What the pipeline adds for rules: the clocks for schedules, and computed points on the way of all points."""

import asyncio

import pytest

from gateway.ledger import Ledger
from gateway.model import AlarmClass, Group, Kind, Lane, Point, Scan, Severity, State, Text
from gateway.pipeline import Pipeline
from gateway.readings import BURST_S
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.wire import pack, payloads
from rules.engine import Engine
from rules.spec import Above, AlarmSpec, Schedule
from rules.virtual import VirtualSpec
from tests.clocks import HandClock

FRIDAY_8_CHINA = 1_795_132_800.0
"""2026-11-20 00:00 UTC: 08:00 in China."""
ALWAYS_8_TO_9 = AlarmSpec(
    "open", AlarmClass.FAULT, Severity.LOW, Schedule((0, 1, 2, 3, 4, 5, 6), 28800, 32400), Text("开", "open")
)
APART = AlarmSpec("apart", AlarmClass.FAULT, Severity.LOW, Above("virtual/gap", 3), Text("差", "apart"))
GROUPS = {
    ("a", 0): Group("g", (Point("a/x", "x", Kind.FLOAT),), 1.0),
    ("b", 0): Group("g", (Point("b/x", "x", Kind.FLOAT),), 1.0),
    ("virtual", 0): Group("gap", (Point("virtual/gap", "gap", Kind.FLOAT),), 1.0),
}
GAP = VirtualSpec("virtual/gap", "difference", ("a/x", "b/x"), 3.0)


class House:
    def __init__(self, clock, lanes):
        names = {key: tuple(point.id for point in group.points) for key, group in GROUPS.items()}
        layouts = {key: pack.Layout(*key, group.points) for key, group in GROUPS.items()}
        specs = {"open": ALWAYS_8_TO_9, "apart": APART}
        self.clock, self.telemetry = clock, lanes[1]
        self.engine = Engine(tuple(specs.values()), names, clock.monotonic(), virtual=(GAP,))
        self.pipeline = Pipeline(
            self.engine,
            specs,
            Reporter(GROUPS),
            layouts,
            Ledger(lanes[0], clock),
            lanes[1],
            clock,
            Guard(),
            utc_offset_s=28800.0,
        )

    def state(self, alarm):
        return self.engine.alarms()[alarm].state

    def scan(self, device, value):
        self.pipeline.take(Scan(device, 0, self.clock.monotonic(), (value,), bytes(1)))


async def turn():
    """Let the loop hand over what the journal has to say."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def house(tmp_path):
    clock = HandClock(wall=FRIDAY_8_CHINA - 60, trusted=False)
    lanes = [
        Journal(lane, tmp_path / f"{lane}.db", "g", clock, InlineWorker(), 1 << 26, lambda n: "ab" * n)
        for lane in (Lane.ALARM, Lane.TELEMETRY)
    ]
    for lane in lanes:
        await lane.open()
    yield House(clock, lanes)
    for lane in lanes:
        await lane.close()


async def test_schedules_wait_for_a_trusted_clock_and_go_by_the_sites_own_time(house):
    """08:00 comes by the engine's own deadline; a clock that is set back by an hour ends what it had begun."""
    house.pipeline.start()
    house.clock.advance(120)
    assert house.state("open") is State.NORMAL
    house.clock.offset -= 120.0
    house.clock.is_trusted = True
    house.scan("a", 1.0)
    house.clock.advance(59)
    assert house.state("open") is State.NORMAL
    house.clock.advance(2)
    assert house.state("open") is State.UNACKNOWLEDGED
    house.clock.offset += 0.5
    house.scan("a", 1.0)
    house.clock.advance(1)
    house.clock.offset -= 3600.0
    house.scan("a", 1.0)
    assert house.state("open") is State.RETURNED


async def test_a_computed_point_is_reported_shown_and_judged_like_any_other(house):
    """With the time of its newest input, in the same burst."""
    house.pipeline.start()
    house.scan("a", 9.0)
    house.clock.advance(0.01)
    house.scan("b", 2.0)
    latest = house.pipeline.latest["virtual", 0]
    assert (latest.values, latest.at) == ((7.0,), house.clock.monotonic())
    assert house.state("apart") is State.UNACKNOWLEDGED
    await turn()
    house.clock.advance(1 + BURST_S)
    await turn()
    (record,) = [one for one in await house.telemetry.after(0, 100, 1 << 20) if one.kind == payloads.PACK]
    entries = list(pack.decode(record.body, pack.Layouts(house.telemetry.state)))
    assert [(one.layout.device, one.values) for one in entries] == [("a", (9.0,)), ("b", (2.0,)), ("virtual", (7.0,))]
