"""A whole gateway in this process, a simulated transmission device that calls it, and a person at the control socket."""

import asyncio
import json
import random
import secrets
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_sim.uitd import FIRE, Part, Uitd
from gateway.app import watch
from gateway.clock import SystemClock
from gateway.commands import app as commands
from gateway.config import load
from gateway.control import ask
from gateway.errors import ConfigError
from gateway.field.bus import Bus
from gateway.parts import Seams
from gateway.store.worker import ThreadWorker
from tests.waiting import until

SMOKE = Part(40, bytes.fromhex("0a000200"), "12层烟感")
TANK = (11, 1, bytes.fromhex("07000000"), 5)
SITE = """
gateway: {id: g-1, control_socket: control.sock}
journal: {directory: journal}
buses:
  - {id: fire, kind: listen, host: 127.0.0.1, tcp_port: 0, transport: TRANSPORT, longest_silence_s: 120}
devices:
  - {id: uitd-1, bus: fire, template: gb26875_device, address: 889}
  - {id: uitd-2, bus: fire, template: gb26875_device, address: 890}
alarms:
  - id: fire-1
    class: fire
    severity: critical
    latching: true
    when: {equals: {point: uitd-1/system_fire, value: true}}
    text: {zh: 火警, en: fire}
  - id: nobody-on-duty
    class: fault
    severity: high
    when: {equals: {point: uitd-1/duty_check, value: unanswered}}
    text: {zh: 查岗无人应答, en: nobody answered the duty check}
"""


class House:
    """The gateway at work; `call` connects a simulated device."""

    def __init__(self, folder, transport, text=SITE):
        self.folder = folder
        (folder / "site.yaml").write_text(text.replace("TRANSPORT", transport), encoding="utf-8")
        clock = SystemClock()
        clock.trusted = lambda: True
        seams = Seams(clock, ThreadWorker, Bus, None, random.random, secrets.token_hex)
        self.site = load(folder / "site.yaml")
        self.tasks = [asyncio.create_task(watch(self.site, seams))]
        self.transport = transport
        self.transports = []

    async def ask(self, **request):
        return await asyncio.to_thread(ask, self.folder / "control.sock", request)

    async def port(self):
        """The port that the system gave."""
        await until(lambda: (self.folder / "control.sock").exists() or self.tasks[0].done())
        assert not self.tasks[0].done(), self.tasks[0].exception()
        status = await self.told(lambda answer: answer["parts"]["bus fire"]["up"], do="status")
        return status["parts"]["bus fire"]["port"]

    async def call(self, uitd):
        loop, port = asyncio.get_running_loop(), await self.port()
        if self.transport == "tcp":
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            self.transports.append(writer.transport)
            write, read = writer.write, lambda: reader.read(4096)
        else:
            transport, protocol = await loop.create_datagram_endpoint(Inbox, remote_addr=("127.0.0.1", port))
            self.transports.append(transport)
            write, read = lambda data: data and transport.sendto(data), protocol.queue.get

        async def hear():
            while data := await read():
                write(uitd.receive(data, loop.time()))

        async def speak():
            while True:
                write(uitd.step(loop.time()))
                await asyncio.sleep(0.01)

        self.tasks += [asyncio.create_task(hear()), asyncio.create_task(speak())]

    async def told(self, holds, **request):
        """The first answer that is as wanted, within 10 s."""
        async with asyncio.timeout(10):
            while True:
                if holds(answer := await self.ask(**request)):
                    return answer
                await asyncio.sleep(0.01)

    async def becomes(self, name, value):
        def there(answer):
            return any(row["id"] == name and row["value"] == value for row in answer["points"])

        await self.told(there, do="read", device=name.partition("/")[0])

    async def gengfu(self, *words):
        """The command line: exit status, standard output."""
        done = await asyncio.to_thread(
            CliRunner().invoke, commands, [*words, "--socket", str(self.folder / "control.sock")]
        )
        return done.exit_code, done.output

    async def close(self):
        for transport in self.transports:
            transport.abort()
        for task in reversed(self.tasks):
            task.cancel()
        await asyncio.wait(self.tasks)


class Inbox(asyncio.DatagramProtocol):
    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.queue.put_nowait(data)


@pytest.fixture(params=["tcp", "udp"])
async def house(request, tmp_path):
    made = House(tmp_path, request.param)
    yield made
    await made.close()


async def test_a_duty_check_from_a_person_to_the_operator_and_back(house):
    """Over either transport: sent, confirmed, answered by operator 7; the record names the person who asked."""
    uitd = Uitd(889, 88888, (SMOKE,), heartbeat_s=0.2, operator=7, duty_after_s=0.1)
    await house.call(uitd)
    await house.becomes("uitd-1/duty_check", "none")
    status, said = await house.gengfu("duty-check", "uitd-1", "--minutes", "3", "--who", "Li", "--wait", "--json")
    told = json.loads(said)
    assert (status, told["duty_check"], told["duty_operator"]) == (0, "answered", 7)
    assert uitd.duty_checks == [3]
    assert len(uitd.clocks) == 1
    records = b"".join(file.read_bytes() for file in (house.folder / "journal").iterdir())
    assert b'"duty_check"' in records
    assert b"Li (" in records


async def test_a_duty_check_that_cannot_be_is_refused_and_says_why(house):
    """No such device, one that did not call, no name, no time: exit 1 and the reason in both languages."""
    await house.port()
    for words, reason in (
        (("nobody", "--who", "Li"), "no device"),
        (("uitd-2", "--who", "Li"), "not connected"),
        (("uitd-2", "--who", " "), "say who"),
    ):
        status, said = await house.gengfu("duty-check", *words)
        assert status == 1
        assert reason in " ".join(said.split())
    answer = await house.ask(do="duty_check", device="uitd-1", minutes=999, who="Li")
    assert not answer["ok"]
    assert "255" in answer["zh"]


async def test_what_speaks_is_listed_and_drafted(house, tmp_path):
    """A known device with parts that have no point, and a stranger; the draft makes a site that loads and has them."""
    uitd = Uitd(889, 88888, (SMOKE,), heartbeat_s=0.2)
    await house.call(uitd)
    await house.call(Uitd(4711, 88888, (SMOKE,), heartbeat_s=0.2))
    uitd.change(SMOKE, FIRE)
    uitd.change_value(TANK, 3520)

    def all_spoke(answer):
        analogues = {row["about"].get("analogue") for row in answer["heard"]}
        return len({row["caller"] for row in answer["heard"]}) == 2 and 5 in analogues

    rows = (await house.told(all_spoke, do="heard"))["heard"]
    smoke = next(row for row in rows if row["about"].get("component_address") == 131082)
    assert (smoke["known"], smoke["says"]["en"], smoke["about"]["description"]) == (True, "fire alarm", "12层烟感")
    assert [row["known"] for row in rows if row["caller"].startswith("4711 ")] == [False]
    file = tmp_path / "draft" / "site.yaml"
    status, said = await house.gengfu("discover", "--draft", str(file))
    assert status == 0
    assert "stranger" in said
    head = SITE.partition("devices:")[0].replace("TRANSPORT", "tcp")
    file.write_text(head + file.read_text(encoding="utf-8"), encoding="utf-8")
    drafted = load(file)
    points = {point.id for device in drafted.devices for group in device.groups for point in group.points}
    assert {"uitd-889/part_1_1_131082_fire", "uitd-889/value_11_1_7_5", "uitd-4711/duty_check"} <= points
    status, said = await house.gengfu("discover", "--draft", str(file))
    assert (status, "not overwritten" in said) == (1, True)


async def test_a_fire_is_committed_in_time_though_other_devices_flood(house):
    """GB 26875.1: within 10 s of receipt, before everything else; here other callers send as much as they may."""
    uitd = Uitd(889, 88888, (SMOKE,), heartbeat_s=0.2)
    await house.call(uitd)
    await house.becomes("uitd-1/system_fire", 0)
    for _ in range(8):
        flood = Uitd(890, 88888, (SMOKE,), heartbeat_s=0.0)
        await house.call(flood)
    began = time.monotonic()
    uitd.change_system(FIRE)

    def committed(answer):
        return any(row["id"] == "fire-1" and "committed" in row["times"] for row in answer["alarms"])

    await house.told(committed, do="alarms")
    assert time.monotonic() - began < 10


async def test_many_devices_on_one_port(tmp_path):
    """Sixty, half of them in the same second: each one's fire is its own."""
    head, _, tail = SITE.replace("TRANSPORT", "tcp").partition("devices:\n")
    rows = [
        f"  - {{id: u{number}, bus: fire, template: gb26875_device, address: {1000 + number}}}\n"
        for number in range(60)
    ]
    alarms = tail[tail.index("alarms:") :].replace("uitd-1", "u1")
    house = House(tmp_path, "tcp", head + "devices:\n" + "".join(rows) + alarms)
    try:
        uitds = [Uitd(1000 + number, 88888, (SMOKE,), heartbeat_s=5.0) for number in range(60)]
        for uitd in uitds:
            await house.call(uitd)
        for uitd in uitds[::2]:
            uitd.change_system(FIRE)

        def all_told(answer):
            fires = {
                row["id"].partition("/")[0]: row["value"] for row in answer["points"] if "system_fire" in row["id"]
            }
            return fires == {f"u{number}": (number + 1) % 2 for number in range(60)}

        await house.told(all_told, do="points")
        assert not any(uitd.failed for uitd in uitds)
    finally:
        await house.close()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("longest_silence_s: 120", "longest_silence_s: 100", "must be over 100"),
        ("longest_silence_s: 120", "longest_silence_s: 120, allow: [10.0.0.0/8, here]", "must be an IP address"),
        ("transport: TRANSPORT", "transport: sctp", "transport"),
    ],
)
def test_mistakes_of_such_a_bus_are_told(tmp_path, before, after, told):
    """A silence shorter than a period and all repetitions would make each lost frame a dead device."""
    file = tmp_path / "site.yaml"
    file.write_text(SITE.replace(before, after).replace("TRANSPORT", "udp"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert any(told in str(mistake) for mistake in refused.value.mistakes)


def test_the_example_of_the_document_is_a_site_that_loads(tmp_path):
    """docs/gb26875.md, the first block; the second is a device of it on a bus of its own."""
    text = (Path(__file__).parents[2] / "docs" / "gb26875.md").read_text(encoding="utf-8")
    first, second = (part.partition("```")[0] for part in text.split("```yaml\n")[1:])
    file = tmp_path / "site.yaml"
    panel = "  - {id: panel-tcp, kind: tcp, host: 192.0.2.1}\ndevices:\n" + second.partition("devices:\n")[2]
    file.write_text(first.replace("devices:\n", panel, 1), encoding="utf-8")
    site = load(file)
    assert [device.id for device in site.devices] == ["panel", "uitd-1"]
    assert site.buses[0].allow == ("10.20.0.0/16",)
