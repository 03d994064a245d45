"""A site that is changed while somebody records: what is told stays what it says it is."""

import asyncio

import pytest

from tests.gateway.changing_house import House, changed
from tests.gateway.tools.world import Talker


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


async def test_a_recording_ends_when_its_device_gets_other_points(house):
    """A value must never be told under another point's name: the eastern tap goes on, the western one ends, and says why."""
    async with house, Talker(house.socket) as west, Talker(house.socket) as east:
        for tool, device in ((west, "w1"), (east, "e1")):
            await tool.ask(do="tool", tool="record", who="Li")
            begun = await tool.ask(do="tap", device=device)
            assert begun["points"][device][0] == ["density", "alarm", "fault"]
        old = "id: w1, bus: west, template: generic_smoke_loop, address: 1, periods_s: {safety: 0.25}"
        new = "id: w1, bus: west, template: bwsensing_bwm826, address: 0"
        fire = "{above: {point: w1/density, limit: 5}}"
        house.path.write_text(changed(house.text, (old, new), (fire, "{above: {point: w1/x, limit: 5}}")))
        assert (await house.apply())["ok"]
        told = {"ok": True}
        async with asyncio.timeout(15):
            while told["ok"]:
                told = await west.ask(do="taps", wait_s=0.1)
                assert all(len(event["values"]) != 2 for event in told.get("events", ()) if "values" in event)
        assert "points differ" in told["en"]
        for _ in range(3):
            assert (await east.ask(do="taps", wait_s=0.5))["ok"]
