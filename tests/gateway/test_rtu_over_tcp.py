"""Several devices behind one port: a serial server that passes the line through (RTU over TCP), and unit ids of Modbus TCP."""

import asyncio
import contextlib
import os
from pathlib import Path
from random import Random

import pytest

import drivers
from drivers import DRIVERS
from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from firmware_sim.server import Server
from gateway import config
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.model import BusKind, BusSpec, Quality
from tests.drivers.loading import device
from tests.gateway.test_bus_with_drivers import SCENE


class Bridge:
    """What a serial server does: bytes from the socket to the line and back, for one caller."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._writers = []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        asyncio.get_running_loop().add_reader(self._fd, self._from_line)
        return self._server.sockets[0].getsockname()[1]

    def _from_line(self):
        data = os.read(self._fd, 4096)
        for writer in self._writers[-1:]:
            writer.write(data)

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                os.write(self._fd, data)
        writer.transport.abort()

    def close(self):
        asyncio.get_running_loop().remove_reader(self._fd)
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        os.close(self._fd)


class World:
    def __init__(self, folder):
        path = folder / "scene.yaml"
        path.write_text(SCENE)
        scene = read(path, Path(drivers.__file__).parent / "templates")
        self._log_path = folder / "simulator.jsonl"
        self._log = Log(self._log_path)
        self.field = Field(self._log, scene.members)
        spec = scene.lines[0]
        self.slaves = spec.slaves
        self._port = PtyPort(Line(spec.id, spec.timing, spec.slaves, self.field, self._log, Random(1)))
        self._bridge = Bridge(self._port.path)
        self.bus = None

    async def start(self):
        spec = BusSpec(
            "far", BusKind.TCP, host="127.0.0.1", tcp_port=await self._bridge.start(), reply_timeout_s=0.1, rtu=True
        )
        self.bus = Bus(spec, SystemClock())
        self._polls = {
            name: DRIVERS[made.driver].open(made, spec.speaks)
            for name, made in {
                "one": device("generic_smoke_loop", 1, "one"),
                "two": device("generic_smoke_loop", 2, "two"),
                "tilt": device("bwsensing_bwm826", 0, "tilt"),
            }.items()
        }

    async def read(self, name):
        return await self.bus.perform(self._polls[name](0))

    def complaints(self):
        return [entry["why"] for entry in sim_log.read(self._log_path) if entry["event"] == "bad_request"]

    def close(self):
        self.bus.close()
        self._bridge.close()
        self._port.close()
        self._log.close()


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    await world.start()
    yield world
    world.close()


async def test_two_protocols_behind_a_serial_server(world):
    """Modbus RTU and another serial protocol over one connection; the line's own judgement of our silences."""
    for _ in range(4):
        assert (await world.read("one")).values[0] == pytest.approx(1.11)
        assert (await world.read("tilt")).values == pytest.approx((2.013, -0.512))
        assert (await world.read("two")).values[0] == pytest.approx(2.22)
    assert world.complaints() == []
    assert world.bus.counters.openings == 1


@pytest.mark.parametrize(
    "fault",
    [{"what": "silent"}, {"what": "late", "after_s": 0.15}, {"what": "garbled"}, {"what": "short"}],
    ids=lambda fault: fault["what"],
)
async def test_an_ill_device_behind_it_costs_no_connection_and_no_value(world, fault):
    """Drained like a line, not closed: a serial server may take seconds to let the next caller in, and would hand it the
    late answer all the same."""
    world.field.set_fault({"device": "one", **fault})
    for _ in range(3):
        with pytest.raises(BusError) as caught:
            await world.read("one")
        assert caught.value.quality in (Quality.NOT_RESPONDING, Quality.BAD_FRAME)
        assert (await world.read("two")).values[0] == pytest.approx(2.22)
    world.field.set_fault({"device": "one", "what": "none"})
    assert (await world.read("one")).values[0] == pytest.approx(1.11)
    assert world.bus.counters.openings == 1


async def test_a_serial_server_that_went_mute_is_called_anew(world, monkeypatch):
    """Not one byte of anybody for a while: the connection may be half-open."""
    await world.read("one")
    monkeypatch.setattr("gateway.field.line._MUTE_S", 0.05)
    for name in ("one", "two", "tilt"):
        world.field.set_fault({"device": name, "what": "silent"})
    for _ in range(3):
        with pytest.raises(BusError):
            await world.read("one")
    for name in ("one", "two", "tilt"):
        world.field.set_fault({"device": name, "what": "none"})
    assert (await world.read("two")).values[0] == pytest.approx(2.22)
    assert world.bus.counters.openings == 2


async def test_unit_ids_behind_one_port(tmp_path):
    """Modbus TCP: two units over one connection, each its own values; one that is not there is told by the server."""
    world = World(tmp_path)
    await world.start()
    units = [slave for slave in world.slaves if slave.device != "tilt"]
    server = Server("box", units, world.field, world._log, Random(1), 0.001)
    bus = Bus(BusSpec("box", BusKind.TCP, host="127.0.0.1", tcp_port=await server.start()), SystemClock())
    polls = {
        unit: DRIVERS["modbus"].open(device("generic_smoke_loop", unit, f"d{unit}"), BusKind.TCP) for unit in (1, 2, 9)
    }
    for _ in range(3):
        assert (await bus.perform(polls[1](0))).values[0] == pytest.approx(1.11)
        assert (await bus.perform(polls[2](0))).values[0] == pytest.approx(2.22)
        with pytest.raises(BusError) as caught:
            await bus.perform(polls[9](0))
        assert caught.value.quality is Quality.NOT_RESPONDING
    assert bus.counters.openings == 1
    bus.close()
    await server.close()
    world.close()


SITE = """
gateway: {{id: g, control_socket: /run/c.sock}}
buses:
  - {{id: far, kind: tcp, host: 10.0.0.5, tcp_port: 4001, {more}}}
devices:
  - {{id: a, bus: far, template: generic_smoke_loop, address: 1}}
  - {{id: b, bus: far, template: {other}, address: {address}}}
"""


def loaded(folder, more, other="generic_smoke_loop", address=2):
    path = folder / "site.yaml"
    path.write_text(SITE.format(more=more, other=other, address=address))
    return config.load(path)


def test_a_site_file_says_that_a_port_is_a_serial_server(tmp_path):
    """`framing: rtu`; drivers of serial lines fit, and it is described by the line behind it."""
    site = loaded(tmp_path, "framing: rtu, baud: 19200, parity: E", "bwsensing_bwm826", 0)
    bus = site.buses[0]
    assert (bus.kind, bus.speaks, bus.baud, bus.parity) == (BusKind.TCP, BusKind.SERIAL, 19200, "E")
    plain = loaded(tmp_path, "framing: tcp").buses[0]
    assert plain.speaks is BusKind.TCP
