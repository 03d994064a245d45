"""The running gateway lends its line: reads only, in idle slots, recorded, and nothing stays when the tool is gone."""

import json
from itertools import pairwise

import pytest

from drivers.contract import Exchange
from drivers.modbus_reads import rtu_frame
from gateway.lending import worst_s
from gateway.model import BusKind, BusSpec
from tests.gateway.tools.world import Gateway, Talker
from tests.waiting import until

READ = rtu_frame(2, b"\x03\x00\x00\x00\x01")


@pytest.fixture
async def world(tmp_path, simulated):
    line = simulated()
    async with Gateway(tmp_path, line.path) as gateway, Talker(gateway.socket) as tool:
        await until(lambda: line.answers("one"))
        yield line, tool, gateway


async def test_a_tool_says_who_uses_it_before_it_may_ask(world):
    """And the person is a record of the alarm lane."""
    _, tool, _ = world
    told = await tool.ask(do="exchange", bus="line-1", request=READ.hex())
    assert not told["ok"]
    assert not (await tool.ask(do="tool", tool="scan"))["ok"]
    before = (await tool.ask(do="status"))["parts"]["journal alarm"]["last"]
    told = await tool.ask(do="tool", tool="scan", who="李工")
    assert told["ok"]
    assert told["who"].startswith("李工 (")
    assert [bus["id"] for bus in told["buses"]] == ["line-1"]
    assert (await tool.ask(do="status"))["parts"]["journal alarm"]["last"] > before


async def test_a_device_that_is_not_of_the_site_is_read(world):
    """Address 2 answers on the line, and no site file names it."""
    _, tool, _ = world
    await tool.ask(do="tool", tool="scan", who="x")
    told = await tool.ask(do="exchange", bus="line-1", request=READ.hex(), timeout_s=0.05)
    assert (told["ok"], told["quality"]) == (True, "good")
    assert bytes.fromhex(told["reply"])[:3] == b"\x02\x03\x02"


WRITES = [
    "05 0000 ff00",
    "06 0000 0001",
    "0f 0000 0001 01 01",
    "10 0000 0001 02 0001",
    "16 0000 00ff 00ff",
    "17 0000 0001 0000 0001 02 0001",
    "08 0001 0000",
    "2b 0d 01 00",
    "03 0000 0000",
    "03 0000 007e",
    "41",
]
"""Every function that writes, diagnostics, private functions, and reads that are none."""


async def test_what_is_not_a_read_is_refused_and_never_sent(world):
    """To an address, to all (unit 0), and what is no request at all."""
    line, tool, _ = world
    await tool.ask(do="tool", tool="scan", who="x")
    for pdu in map(bytes.fromhex, WRITES):
        assert not (await tool.ask(do="exchange", bus="line-1", request=rtu_frame(1, pdu).hex()))["ok"]
    assert not (await tool.ask(do="exchange", bus="line-1", request=rtu_frame(0, READ[1:-2]).hex()))["ok"]
    for nothing in (None, "", "zz", 5, ["01"], "00" * 400, {"a": 1}, READ[:-1].hex()):
        assert not (await tool.ask(do="exchange", bus="line-1", request=nothing))["ok"]
    assert (await tool.ask(do="status"))["parts"]["bus line-1"]["lent"]["exchanges"] == 0
    assert line.complaints() == []


async def test_safety_points_keep_their_period_while_a_tool_asks_silent_addresses(world):
    """Six time-outs in idle slots: no safety poll came late."""
    line, tool, _ = world
    await tool.ask(do="tool", tool="scan", who="x")
    for unit in range(100, 106):
        told = await tool.ask(do="exchange", bus="line-1", request=rtu_frame(unit, READ[1:-2]).hex(), timeout_s=0.05)
        assert told["quality"] == "not_responding"
    times = [later - earlier for earlier, later in pairwise(line.answers("one"))]
    seconds = [one for one in times if one > 0.5]
    assert seconds
    assert max(seconds) < 1.5  # a poll that came late by one exchange would be the only way to miss the grid
    status = await tool.ask(do="status")
    assert status["parts"]["bus line-1"]["lent"]["exchanges"] >= 6
    assert status["parts"]["bus line-1"]["lent"]["late_s"] < 0.05
    assert line.complaints() == []


async def test_peek_shows_the_bytes_and_the_values_of_a_device(world):
    _, tool, _ = world
    await tool.ask(do="tool", tool="peek", who="x")
    told = await tool.ask(do="peek", device="tilt", group=0)
    assert told["quality"] == "good"
    assert [point["value"] for point in told["points"]] == [2.013, -0.512]
    assert [way for way, _ in told["wire"]] == ["tx", "rx"]
    assert not (await tool.ask(do="peek", device="nobody", group=0))["ok"]
    assert not (await tool.ask(do="peek", device="tilt", group=9))["ok"]


async def test_a_killed_tool_leaves_nothing_behind(world):
    """Its taps are taken off, and what it asked last is not performed twice."""
    line, tool, gateway = world
    async with Talker(gateway.socket) as other:
        await other.ask(do="tool", tool="record", who="x")
        await other.ask(do="tap")
        other.writer.write(json.dumps({"do": "exchange", "bus": "line-1", "request": READ.hex()}).encode() + b"\n")
    await until(lambda: len(line.answers("one")) >= 4)
    assert len(line.answers("two")) <= 1
    assert (await tool.ask(do="status"))["parts"]["bus line-1"]["lent"]["exchanges"] <= 1


async def test_hostile_words_are_refused_and_are_no_bugs(world):
    """Lists, numbers that are none, deep objects: an answer each time, and no fault of the gateway."""
    _, tool, _ = world
    await tool.ask(do="tool", tool="record", who="x")
    odd = ([], {}, [[1]], float("nan"), -1, 10**30, True, "x" * 500, None)
    for word in odd:
        for do, key in (("exchange", "bus"), ("peek", "device"), ("peek", "group"), ("tool", "tool"), ("tool", "who")):
            assert "ok" in await tool.ask(
                **{"do": do, "device": "tilt", "tool": "scan", "who": "x"} | {"do": do, key: word}
            )
        await tool.ask(do="exchange", bus="line-1", request=READ.hex(), timeout_s=word)
    assert not (await tool.ask(do="tap", bus=["line-1"]))["ok"]
    assert (await tool.ask(do="tap"))["ok"]
    for word in odd:
        assert (await tool.ask(do="taps", wait_s=word))["ok"]
    assert (await tool.ask(do="status"))["faults"] == {}


def test_the_drain_of_a_line_behind_a_serial_server_counts_too():
    """What an exchange can cost there is what it can cost on a serial port: else a tool would delay a safety point."""
    exchange = Exchange(READ, len)
    port = BusSpec("a", BusKind.SERIAL, port="p", reply_timeout_s=0.5)
    server = BusSpec("a", BusKind.TCP, host="h", rtu=True, reply_timeout_s=0.5)
    assert worst_s(server, exchange, 7) == worst_s(port, exchange, 7) > 1.0


@pytest.mark.parametrize("given", [10**400, -1, 1e999, "1", None, True])
async def test_no_time_out_of_a_tool_makes_the_gateway_fall(world, given):
    """It is at most that of the line."""
    _, tool, _ = world
    await tool.ask(do="tool", tool="scan", who="x")
    told = await tool.ask(do="exchange", bus="line-1", request=READ.hex(), timeout_s=given)
    assert (told["ok"], told["quality"]) == (True, "good")
