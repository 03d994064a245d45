"""A fire panel of a scene, read by the gateway's bus and driver over a real Modbus TCP connection; and never commanded."""

import asyncio
import json

import pytest
import yaml

from drivers import DRIVERS
from drivers.notifier import Loop
from firmware_sim.__main__ import TEMPLATES, Simulation
from firmware_sim.scene import SceneError, read
from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.model import BusKind, BusSpec, Device, Quality
from tests.waiting import until

LOOPS = {1: {"detectors": [1, 130], "modules": [1, 3]}}


def scene(folder, **more):
    panel = {"id": "panel", "template": "notifier_panel", "address": 3, "loops": LOOPS} | more
    (folder / "scene.yaml").write_text(
        yaml.safe_dump({"servers": [{"id": "tcp", "devices": [panel]}]}), encoding="utf-8"
    )
    return read(folder / "scene.yaml", TEMPLATES)


async def test_what_happens_at_the_panel_is_read_and_nothing_is_written(tmp_path):
    """Fire in the second request of a long loop, an absent point, a module; the panel got reads alone."""
    made = scene(tmp_path, values={"l1_d005_absent": 1})
    panel = made.servers[0].units[0]
    simulation = Simulation(made, tmp_path)
    running = asyncio.create_task(simulation.run())
    driver = DRIVERS["notifier"]
    options = driver.options(
        loops={loop: Loop(tuple(spans["detectors"]), tuple(spans["modules"])) for loop, spans in LOOPS.items()}
    )
    device = Device("p", "b", "notifier", 3, driver.grow("p", options, {}), options=options)
    await until(lambda: (tmp_path / "ports.json").exists())
    port = json.loads((tmp_path / "ports.json").read_text())["tcp"]
    bus = Bus(BusSpec("b", BusKind.TCP, host="127.0.0.1", tcp_port=port), SystemClock())
    poll = driver.open(device, BusKind.TCP)
    try:

        async def values(group):
            scan = await bus.perform(poll(group))
            names = [point.name for point in device.groups[group].points]
            return {name: (v, Quality(q)) for name, v, q in zip(names, scan.values, scan.qualities, strict=True)}

        before = await values(0)
        assert before["l1_d130_fire"] == (0, Quality.GOOD)
        assert before["l1_d005_fire"] == (None, Quality.NO_SUCH_REGISTER)
        simulation.command(
            b'{"set": {"panel/l1_d130_active": 1, "panel/l1_m002_active": 1, "panel/l1_d001_disabled": 1}}'
        )
        after = await values(0)
        assert after["l1_d130_fire"] == after["l1_d130_event"] == after["l1_d001_disabled"] == (1, Quality.GOOD)
        assert (await values(1))["l1_m002_active"] == (1, Quality.GOOD)
        assert (panel.reads, panel.commands) == (5, [])
    finally:
        bus.close()
        simulation.stop()
        await running


@pytest.mark.parametrize(
    ("loops", "told"), [({11: {"detectors": [1, 2]}}, "1 to 10"), ({1: {"modules": [3, 2]}}, "first and last")]
)
def test_a_panel_that_cannot_be_is_refused(tmp_path, loops, told):
    """With the path of its entry."""
    with pytest.raises(SceneError, match=told):
        scene(tmp_path, loops=loops)
