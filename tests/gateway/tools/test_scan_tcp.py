"""A scan of a Modbus TCP server: units behind one connection."""

import asyncio
import json
from random import Random

from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.scene import read
from firmware_sim.server import Server
from gateway import config
from gateway.model import BusKind
from tests.gateway.test_rtu_over_tcp import Bridge
from tests.gateway.tools.test_scan import gengfu
from tests.gateway.tools.world import TEMPLATES

SCENE = """
servers:
  - id: box
    devices:
      - {id: smoke, template: generic_smoke_loop, address: 3, values: {density: 1.5}}
"""


async def test_the_units_of_a_server_are_found(tmp_path):
    """Unit 3 answers; for the others the server says itself that nobody is there."""
    (tmp_path / "scene.yaml").write_text(SCENE)
    scene = read(tmp_path / "scene.yaml", TEMPLATES)
    log = Log(tmp_path / "log")
    spec = scene.servers[0]
    server = Server(spec.id, spec.units, Field(log, scene.members), log, Random(1), spec.response_s)
    port = await server.start()
    draft = tmp_path / "draft.yaml"
    told = await asyncio.to_thread(gengfu, "scan", "--tcp", f"127.0.0.1:{port}", "--to", 5, "--json", "--draft", draft)
    assert told.returncode == 0, told.stderr
    (line,) = json.loads(told.stdout)["lines"]
    assert [device["address"] for device in line["devices"]] == [3]
    assert line["noisy"] == 0
    assert gengfu("check", draft).returncode == 0
    assert gengfu("scan", "--tcp", "nowhere", "--to", 5).returncode == 1
    await server.close()
    log.close()


async def test_the_line_behind_a_serial_server_is_scanned_and_drafted_as_one(simulated, tmp_path):
    """RTU frames over the connection, the inclinometer that speaks no Modbus included; the draft says so, or the gateway
    would speak Modbus TCP to it."""
    bridge = Bridge(simulated().path)
    port, draft = await bridge.start(), tmp_path / "draft.yaml"
    given = ("--tcp", f"127.0.0.1:{port}", "--rtu", "--to", 3, "--json", "--draft", draft)
    told = await asyncio.to_thread(gengfu, "scan", *given)
    assert told.returncode == 0, told.stderr
    (line,) = json.loads(told.stdout)["lines"]
    assert [(one["driver"], one["address"]) for one in line["devices"]] == [("modbus", 1), ("modbus", 2), ("bwm826", 0)]
    (bus,) = config.load(draft).buses
    assert (bus.kind, bus.speaks, bus.baud) == (BusKind.TCP, BusKind.SERIAL, 9600)
    told = await asyncio.to_thread(gengfu, "scan", draft, "--to", 2, "--json")
    assert [one["address"] for one in json.loads(told.stdout)["lines"][0]["devices"]] == [1, 2, 0]
    bridge.close()
