"""Bus, drivers and two independent other ends: the simulator's line with its real times, and pymodbus over TCP."""

import asyncio
import contextlib
from pathlib import Path
from random import Random

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

import drivers
from drivers import DRIVERS
from drivers.modbus import At
from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.model import BusKind, BusSpec, Device, Group, Kind, Point, Quality
from tests.drivers.loading import device

SCENE = """
lines:
  - id: line-1
    baud: 9600
    devices:
      - {id: one, template: generic_smoke_loop, address: 1, values: {density: 1.11}}
      - {id: two, template: generic_smoke_loop, address: 2, values: {density: 2.22}}
      - {id: tilt, template: bwsensing_bwm826, address: 0, values: {x: 2.013, y: -0.512}}
"""


class World:
    """The scene on a pseudo terminal, and our bus on its other end."""

    def __init__(self, folder):
        path = folder / "scene.yaml"
        path.write_text(SCENE)
        scene = read(path, Path(drivers.__file__).parent / "templates")
        self._log_path = folder / "simulator.jsonl"
        self._log = Log(self._log_path)
        self.field = Field(self._log, scene.members)
        spec = scene.lines[0]
        self._port = PtyPort(Line(spec.id, spec.timing, spec.slaves, self.field, self._log, Random(1)))
        self.bus = Bus(BusSpec("line-1", BusKind.SERIAL, port=self._port.path, reply_timeout_s=0.1), SystemClock())
        self._polls = {
            name: DRIVERS[made.driver].open(made, BusKind.SERIAL)
            for name, made in {
                "one": device("generic_smoke_loop", 1, "one"),
                "two": device("generic_smoke_loop", 2, "two"),
                "tilt": device("bwsensing_bwm826", 0, "tilt"),
            }.items()
        }

    async def read(self, name):
        return await self.bus.perform(self._polls[name](0))

    def complaints(self, why):
        return [
            entry for entry in sim_log.read(self._log_path) if entry["event"] == "bad_request" and entry["why"] == why
        ]

    def close(self):
        self.bus.close()
        self._port.close()
        self._log.close()


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


async def test_two_protocols_share_a_line_and_no_request_is_too_early(world):
    """Modbus and BWM826 in turns at 9600 baud: each its own values, and the line's own judgement of our silences."""
    for _ in range(8):
        assert (await world.read("one")).values[0] == pytest.approx(1.11)
        assert (await world.read("tilt")).values == pytest.approx((2.013, -0.512))
        assert (await world.read("two")).values[0] == pytest.approx(2.22)
    for why in ("too_early", "gap", "unreadable", "collision"):
        assert not world.complaints(why)
    assert world.bus.counters.replies == world.bus.counters.requests


@pytest.mark.parametrize(
    "fault",
    [
        {"what": "silent"},
        {"what": "late", "after_s": 0.15},
        {"what": "short"},
        {"what": "garbled"},
        {"what": "foreign"},
        {"what": "exception"},
        {"what": "double"},
        {"what": "echo"},
    ],
    ids=lambda fault: fault["what"],
)
async def test_a_fault_never_makes_a_wrong_value_and_ends_with_itself(world, fault):
    """While device one is ill, neither it nor its neighbour ever shows another's value; after, both are well in two polls."""
    world.field.set_fault({"device": "one", **fault})
    for _ in range(3):
        for name, value in (("one", 1.11), ("two", 2.22)):
            with contextlib.suppress(BusError):
                assert (await world.read(name)).values[0] in (None, pytest.approx(value))
    world.field.set_fault({"device": "one", "what": "none"})
    await polled_within_two(world, "one", 1.11)
    await polled_within_two(world, "two", 2.22)


async def polled_within_two(world, name, value):
    try:
        scan = await world.read(name)
    except BusError:
        scan = await world.read(name)
    assert scan.values[0] == pytest.approx(value)


async def test_pymodbus_is_read_over_tcp_through_two_ranges():
    """Registers far apart: two exchanges, one scan; then a register that it does not have."""
    block = SimData(0, values=[7, 8, 9], datatype=DataType.REGISTERS)
    far = SimData(500, values=[500, 501], datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(1, [block, far]), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    bus = Bus(BusSpec("box", BusKind.TCP, host="127.0.0.1", tcp_port=port), SystemClock())

    def reader(*registers):
        points = tuple(Point(f"d/r{n}", f"r{n}", Kind.INT, source=At(table="holding", register=n)) for n in registers)
        options = DRIVERS["modbus"].options()
        return DRIVERS["modbus"].open(
            Device("d", "box", "modbus", 1, (Group("g", points, 1.0),), options=options), BusKind.TCP
        )

    poll = reader(0, 2, 501)
    for _ in range(50):
        assert (await bus.perform(poll(0))).values == (7, 9, 501)
    scan = await bus.perform(reader(1, 900)(0))
    assert scan.values == (8, None)
    assert Quality(scan.qualities[1]) is Quality.NO_SUCH_REGISTER
    assert bus.counters.openings == 1
    bus.close()
    await server.shutdown()
    await asyncio.sleep(0)
