"""Templates in the format of the contract, small enough to read beside the test, and a world made of them."""

from random import Random
from types import SimpleNamespace

import pytest

from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.scene import read

TEMPLATES = {
    "smoke": """
        driver: modbus
        points:
          - {name: density, at: {table: holding, register: 0, type: uint16, scale: 0.01}}
          - {name: alarm, at: {table: holding, register: 1, bit: 0}}
          - {name: fault, at: {table: holding, register: 1, bit: 1}}
          - {name: temperature, at: {table: holding, register: 2, type: int16, scale: 0.1, not_available: -32768}}
        """,
    "door": """
        driver: modbus
        points:
          - {name: door_open, at: {table: discrete, register: 0}}
          - {name: lock_engaged, at: {table: discrete, register: 1}}
          - {name: exit_button, at: {table: discrete, register: 2}}
        """,
    "tilt": """
        driver: bwm826
        points: [{name: x, at: {axis: x}}, {name: y, at: {axis: y}}]
        """,
    "hydrant": """
        driver: meokon
        points:
          - {name: pressure}
          - {name: low}
          - {name: high}
          - {name: sensor_fault}
          - {name: tilt}
          - {name: battery}
          - {name: rssi}
        """,
}

SCENE = """
lines:
  - id: line-1
    baud: 9600
    devices:
      - {id: smoke-1, template: smoke, address: 1, values: {density: 0.21, temperature: -4.5}}
      - {id: smoke-2, template: smoke, address: 2}
      - {id: door-1, template: door, address: 3, values: {lock_engaged: 1}}
      - {id: tilt-1, template: tilt, address: 0, values: {x: 2.013, y: -0.512}}
servers:
  - id: box
    response_s: 0
    devices:
      - {id: smoke-9, template: smoke, address: 9, values: {density: 1.5, alarm: 1}}
      - {id: door-9, template: door, address: 10, values: {door_open: 1}}
terminals:
  - {id: hydrant-1, template: hydrant, address: SHMK19060013, interval_s: 0.2, values: {pressure: 0.3, battery: 52, rssi: -56}}
"""


@pytest.fixture
def templates(tmp_path):
    """A directory of the templates above."""
    directory = tmp_path / "templates"
    directory.mkdir()
    for name, text in TEMPLATES.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


@pytest.fixture
def scene(tmp_path, templates):
    """`scene(text)` reads a scene."""

    def build(text=SCENE):
        path = tmp_path / "scene.yaml"
        path.write_text(text)
        return read(path, templates)

    return build


@pytest.fixture
def world(tmp_path, scene):
    """The scene's devices with a log; `entries(event)` gives what was logged so far."""
    built = scene()
    path = tmp_path / "simulator.jsonl"
    log = Log(path)
    yield SimpleNamespace(
        scene=built,
        log=log,
        field=Field(log, built.members),
        entries=lambda event: [entry for entry in sim_log.read(path) if entry["event"] == event],
    )
    log.close()


@pytest.fixture
def line(world):
    """The scene's line, without a port: time is an argument."""
    spec = world.scene.lines[0]
    return Line(spec.id, spec.timing, spec.slaves, world.field, world.log, Random(1))
