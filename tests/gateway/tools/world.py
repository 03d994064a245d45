"""A simulated line on a pseudo terminal, and a gateway that watches it: what the technician's tools are tried on."""

import asyncio
import json
from pathlib import Path
from random import Random

import drivers
from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from gateway import config
from gateway.app import watch
from gateway.parts import system

TEMPLATES = Path(drivers.__file__).parent / "templates"

SCENE = """
lines:
  - id: line-1
    baud: 9600
    devices:
      - {id: one, template: generic_smoke_loop, address: 1, values: {density: 1.11, temperature: 21.5}}
      - {id: two, template: generic_smoke_loop, address: 2, values: {density: 2.22, temperature: 22.5}}
      - {id: tilt, template: bwsensing_bwm826, address: 0, values: {x: 2.013, y: -0.512}}
"""

SITE = """
gateway: {{id: test-01, control_socket: run/control.sock}}
journal: {{directory: journal}}
buses:
  - {{id: line-1, kind: serial, port: {port}, baud: 9600, reply_timeout_s: 0.1}}
devices:
  - {{id: one, bus: line-1, template: generic_smoke_loop, address: 1, periods_s: {{safety: 1}}}}
  - {{id: tilt, bus: line-1, template: bwsensing_bwm826, address: 0, periods_s: {{safety: 1}}}}
alarms:
  - id: fire
    class: fire
    severity: critical
    latching: true
    text: {{zh: 火警, en: Fire}}
    when: {{above: {{point: one/density, limit: 5}}}}
"""


class Simulated:
    """The scene's first line, on a pty; `twice` puts a second device on an address that is taken."""

    def __init__(self, folder, scene=SCENE, twice=()):
        path = folder / "scene.yaml"
        path.write_text(scene)
        made = read(path, TEMPLATES)
        self._log_path = folder / "simulator.jsonl"
        self._log = Log(self._log_path)
        self.field = Field(self._log, made.members)
        spec = made.lines[0]
        slaves = [*spec.slaves, *(slave for slave in spec.slaves if slave.device in twice)]
        self._port = PtyPort(Line(spec.id, spec.timing, slaves, self.field, self._log, Random(1)))
        self.path = self._port.path

    def answers(self, device):
        """When the device answered, by the simulator's log."""
        entries = sim_log.read(self._log_path)
        return [entry["mono"] for entry in entries if entry["event"] == "answer" and entry["device"] == device]

    def complaints(self):
        return [entry["why"] for entry in sim_log.read(self._log_path) if entry["event"] == "bad_request"]

    def close(self):
        self._port.close()
        self._log.close()


class Gateway:
    """The whole daemon, in this process, on a site file of the folder."""

    def __init__(self, folder, port, site=SITE):
        self.site = folder / "site.yaml"
        self.site.write_text(site.format(port=port))
        self.socket = folder / "run" / "control.sock"
        self._task = None

    async def __aenter__(self):
        self._task = asyncio.create_task(watch(config.load(self.site), system()))
        while not self.socket.exists():
            assert not self._task.done(), self._task.exception()
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait((self._task,))


class Talker:
    """A tool's connection."""

    def __init__(self, socket):
        self._socket = socket

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_unix_connection(str(self._socket))
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def ask(self, **request):
        self.writer.write(json.dumps(request).encode() + b"\n")
        return json.loads(await self.reader.readline())
