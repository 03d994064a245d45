"""The UDP port on real sockets, with a made-up driver of words; and with the local centre's driver and a fire
transmission device that shares no code with it."""

import asyncio
import socket

import pytest

from drivers import DRIVERS
from drivers.contract import Heard, Send, Stranger, Tell, Wait
from firmware_sim.uitd import FIRE, Part, Uitd
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field import datagrams as module
from gateway.field import voices
from gateway.field.datagrams import Datagrams
from gateway.field.voices import at_once
from gateway.model import BusKind, BusSpec, Deadline, Device, Group, Kind, Point, Quality, Scan
from gateway.restart import Guard
from tests.drivers.loading import device as from_template
from tests.waiting import until


def device(name):
    return Device(name, "calls", "test", name, (Group("all", (Point(f"{name}/p", "p", Kind.INT),), 1.0),))


def listen(devices):
    """``name value`` is heard and acknowledged; ``bug``, ``untrusted`` and ``bye`` do what they say, ``late`` waits 50 ms."""
    deadline = None
    while True:
        event = yield Wait(deadline)
        deadline = None
        if isinstance(event, Deadline):
            yield Send(b"late")
            continue
        if isinstance(event, Tell):
            yield Send(f"{event.what} {event.amount:g}".encode())
            continue
        word, _, value = event.data.decode().partition(" ")
        if word == "bug":
            raise ZeroDivisionError
        if word == "untrusted":
            raise BusError(Quality.BAD_FRAME, "played")
        if word == "bye":
            return
        if word == "late":
            deadline = event.at + 0.05
        elif word in devices:
            yield Heard(Scan(word, 0, event.at, (int(value),), b"\0"))
            yield Send(b"ok")
        else:
            yield Stranger(word)


class Caller:
    """A socket of its own."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(("127.0.0.1", port))

    def send(self, data):
        self.socket.send(data)

    async def hear(self):
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 2048), 5.0)


@pytest.fixture
async def play():
    """``await play(*devices)``: a port at work, and callers to it; all closed at the end."""
    tasks, callers = [], []

    async def start(*devices, listen=listen, written=at_once, **more):
        spec = BusSpec("calls", BusKind.LISTEN, host="127.0.0.1", transport="udp", **more)
        scans, guard = [], Guard()
        port = Datagrams(spec, devices, listen, SystemClock(), scans.append, guard, written)
        port.scans, port.guard = scans, guard
        tasks.append(asyncio.create_task(port.run()))
        await until(lambda: port.port)

        def call():
            callers.append(Caller(port.port))
            return callers[-1]

        port.call = call
        return port

    yield start
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for caller in callers:
        caller.socket.close()


async def test_nothing_is_answered_before_it_is_on_the_disk(play):
    waiting = []
    port = await play(device("a"), written=waiting.append)
    one = port.call()
    one.send(b"a 1")
    await until(lambda: waiting)
    assert [scan.values for scan in port.scans] == [(1,)]
    with pytest.raises(BlockingIOError):
        one.socket.recv(2048)
    waiting.pop()()
    assert await one.hear() == b"ok"


async def test_a_datagram_is_heard_and_answered_where_it_came_from(play):
    """Two callers, each with its own answer."""
    port = await play(device("a"), device("b"))
    one, other = port.call(), port.call()
    one.send(b"a 1")
    other.send(b"b 2")
    assert await one.hear() == b"ok"
    assert await other.hear() == b"ok"
    assert sorted(scan.values for scan in port.scans) == [(1,), (2,)]
    assert port.status()["peers"] == 2


async def test_a_driver_gets_the_deadline_it_asked_for(play):
    """With nothing more from the caller."""
    port = await play(device("a"))
    caller = port.call()
    caller.send(b"late")
    assert await caller.hear() == b"late"


@pytest.mark.parametrize(("word", "faults"), [(b"bug", 1), (b"untrusted", 0), (b"bye", 0)])
async def test_one_callers_end_is_nobody_elses(play, word, faults):
    """Bug, distrust or good-bye; the same caller begins anew."""
    port = await play(device("a"), device("b"))
    bad, good = port.call(), port.call()
    good.send(b"b 1")
    assert await good.hear() == b"ok"
    bad.send(word)
    await until(lambda: port.counts["calls"] == 2 and port.status()["peers"] == 1)
    assert port.guard.caught == faults
    bad.send(b"a 1")
    assert await bad.hear() == b"ok"
    good.send(b"b 2")
    assert await good.hear() == b"ok"


async def test_a_command_reaches_the_driver_of_the_devices_caller(play):
    """And is refused for a device that nobody speaks for."""
    port = await play(device("a"), device("b"))
    caller = port.call()
    caller.send(b"a 1")
    assert await caller.hear() == b"ok"
    assert port.tell("a", "press", 3.0) is None
    assert await caller.hear() == b"press 3"
    assert "not connected" in port.tell("b", "press", 3.0).en


async def test_strangers_are_put_out_and_never_a_devices_caller(play, monkeypatch):
    """A full table: who was never heard goes."""
    monkeypatch.setattr(module, "MOST_PEERS", 4)
    port = await play(device("a"), device("b"))
    known = port.call()
    known.send(b"a 1")
    assert await known.hear() == b"ok"
    for number in range(20):
        port.call().send(b"x%d" % number)
    late = port.call()
    late.send(b"b 1")
    assert await late.hear() == b"ok"
    known.send(b"a 2")
    assert await known.hear() == b"ok"
    assert port.status()["peers"] <= 4
    assert port.counts["put_out"] >= 17


async def test_who_sends_too_much_is_dropped(play, monkeypatch):
    """The rest of the site does not wait for it."""
    monkeypatch.setattr(voices, "MOST_BYTES_A_SECOND", 2560)
    port = await play(device("a"), device("b"))
    flood, calm = port.call(), port.call()
    for number in range(200):
        flood.send(b"a %d" % number)
    calm.send(b"b 1")
    assert await calm.hear() == b"ok"
    assert len([scan for scan in port.scans if scan.device == "a"]) < 20
    assert port.counts["dropped"] > 150


async def test_only_allowed_addresses_are_heard(play):
    """Nobody here is of 192.0.2.0/24."""
    port = await play(device("a"), allow=("192.0.2.0/24",))
    port.call().send(b"a 1")
    await until(lambda: port.counts["not_allowed"] == 1)
    assert port.status()["peers"] == 0
    assert not port.scans


async def test_a_port_that_is_taken_is_line_down(play):
    """In each period, until it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        spec = BusSpec("calls", BusKind.LISTEN, host="127.0.0.1", tcp_port=taken.getsockname()[1], transport="udp")
        scans = []
        port = Datagrams(spec, (device("a"),), listen, SystemClock(), scans.append, Guard())
        task = asyncio.create_task(port.run())
        await until(lambda: scans)
        assert Quality(scans[0].qualities[0]) is Quality.LINE_DOWN
        assert "in use" in port.status()["why"]
    await until(lambda: port.port)
    task.cancel()
    await asyncio.wait((task,))


SMOKE = Part(40, bytes.fromhex("0a000200"), "12层烟感")


class Field:
    """A simulated transmission device on UDP; each of its datagrams arrives twice."""

    def __init__(self, caller, uitd):
        self.caller, self.uitd = caller, uitd
        self.tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._speak())]

    def send(self, data):
        if data:
            self.caller.send(data)
            self.caller.send(data)

    async def _hear(self):
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self.caller.socket, 2048)
            self.send(self.uitd.receive(data, loop.time()))

    async def _speak(self):
        while True:
            self.send(self.uitd.step(asyncio.get_running_loop().time()))
            await asyncio.sleep(0.01)


async def test_a_fire_that_arrives_twice_is_one_fire(play):
    """A transmission device on UDP whose every datagram is doubled: asked, answered, its fire heard and confirmed; the
    values go to fire once and stay."""
    panel = from_template("gb26875_device", 889, "fire-1")
    port = await play(panel, listen=DRIVERS["gb26875"].open_port(), longest_silence_s=30.0)
    field = Field(port.call(), Uitd(889, 88888, (SMOKE,), heartbeat_s=0.2))
    group = next(index for index, one in enumerate(panel.groups) if one.name == "system_fire")

    def fires():
        return [scan.values[0] for scan in port.scans if scan.group == group]

    try:
        await until(lambda: fires() and fires()[-1] == 0)
        field.uitd.change_system(FIRE)
        await until(lambda: field.uitd.delivered)
        await until(lambda: len(fires()) >= 3)
        changes = [after for before, after in zip(fires(), fires()[1:], strict=False) if after != before]
        assert changes == [1]
        assert port.guard.caught == 0
        assert not field.uitd.failed
    finally:
        for task in field.tasks:
            task.cancel()
        await asyncio.wait(field.tasks)


async def test_a_new_address_for_each_datagram_is_no_way_round_the_share(play, monkeypatch):
    """Strangers have one share between them, from however many ports; a device that was heard goes on beside them."""
    monkeypatch.setattr(voices, "MOST_BYTES_A_SECOND", 2560)
    port = await play(device("a"))
    known = port.call()
    known.send(b"a 1")
    assert await known.hear() == b"ok"
    for number in range(100):
        port.call().send(b"x%d" % number)
    await until(lambda: sum(port.strangers.values()) + port.counts["dropped"] == 100)
    assert port.counts["dropped"] > 70
    known.send(b"a 2")
    assert await known.hear() == b"ok"


async def test_a_datagram_longer_than_any_frame_is_dropped(play):
    """It would be searched for frames from end to end before anybody else had his turn."""
    port = await play(device("a"))
    caller = port.call()
    caller.send(b"a 1" + bytes(60_000))
    caller.send(b"a 2")
    assert await caller.hear() == b"ok"
    assert port.counts["dropped"] == 1
    assert [scan.values for scan in port.scans] == [(2,)]


async def test_a_device_is_heard_beside_a_host_that_floods_from_ever_new_ports(play, monkeypatch):
    """Its first word, when the strangers' share has been used up for long."""
    monkeypatch.setattr(voices, "MOST_BYTES_A_SECOND", 256)
    port = await play(device("a"))
    for number in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.bind(("127.0.0.2", 0))
            flood.sendto(b"x%d" % number, ("127.0.0.1", port.port))
    await until(lambda: sum(port.strangers.values()) + port.counts["dropped"] == 100)
    assert port.counts["dropped"] > 90
    known = port.call()
    known.send(b"a 1")
    assert await known.hear() == b"ok"
