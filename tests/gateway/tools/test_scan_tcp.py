"""A scan of a Modbus TCP server: units behind one connection."""

import asyncio
import json
from random import Random

from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.scene import read
from firmware_sim.server import Server
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
