"""What a tool hears of the running gateway: of what it asked for, within bounds."""

from types import SimpleNamespace

import pytest

from gateway import config
from gateway.control import Caller, Refused
from gateway.listening import AT_ONCE, KEPT, Listening
from gateway.model import Scan
from tests.clocks import HandClock
from tests.gateway.tools.world import SITE, Gateway, Talker
from tests.waiting import until


@pytest.fixture
async def world(tmp_path, simulated):
    line = simulated()
    async with Gateway(tmp_path, line.path) as gateway, Talker(gateway.socket) as tool:
        await until(lambda: line.answers("one"))
        yield line, tool, gateway


async def test_a_tap_hears_bytes_and_scans_of_its_device(world):
    _, tool, _ = world
    await tool.ask(do="tool", tool="record", who="x")
    assert not (await tool.ask(do="taps"))["ok"]
    assert (await tool.ask(do="tap", bus="line-1"))["ok"]
    events = []
    while not {"tx", "rx", "values"} <= {key for event in events for key in event}:
        events += (await tool.ask(do="taps", wait_s=2))["events"]
    assert {event["device"] for event in events if "device" in event} <= {"one", "tilt"}


async def test_what_is_kept_for_a_tool_that_does_not_ask_is_bounded_and_counted(tmp_path):
    """The newest stay; nothing is left of it when its connection ends."""
    (tmp_path / "site.yaml").write_text(SITE.format(port="/dev/null"))
    site = config.load(tmp_path / "site.yaml")
    pipeline, caller = SimpleNamespace(taps=[]), Caller("", lambda: False)
    listening = Listening(site, {}, pipeline, HandClock())
    listening.begin({"device": "one"}, caller)
    (tap,) = pipeline.taps
    for number in range(KEPT + 5):
        tap(Scan("one", 0, float(number), (1.0,), b"\0"))
        tap(Scan("tilt", 0, float(number), (1.0,), b"\0"))
    told = await listening.heard({}, caller)
    assert told["dropped"] == 5
    assert [event["at"] for event in told["events"]] == [float(number) for number in range(5, 5 + AT_ONCE)]
    with pytest.raises(Refused, match="listens already"):
        listening.begin({"device": "one"}, caller)
    for leave in caller.leaving:
        leave()
    assert pipeline.taps == []
    with pytest.raises(Refused, match="begin with tap"):
        await listening.heard({}, caller)
