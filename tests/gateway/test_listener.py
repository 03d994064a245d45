"""The listener on real sockets: callers that talk, stammer, flood, keep silent or bring out a bug. Silence in virtual time."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest

from drivers.contract import Heard, Send, Stranger, Tell, Wait
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field import listener as module
from gateway.field import voices
from gateway.field.listener import Listener
from gateway.model import BusKind, BusSpec, Deadline, Device, Group, Kind, Point, Quality, Scan
from gateway.restart import Guard
from tests.waiting import until


def device(name, period_s=1.0):
    return Device(name, "calls", "test", name, (Group("all", (Point(f"{name}/p", "p", Kind.INT),), period_s),))


def misbehave(word):
    """What a line of one word does to its conversation."""
    if word == "bug":
        raise ZeroDivisionError
    if word == "untrusted":
        raise BusError(Quality.BAD_FRAME, "played")
    while word == "loop":
        yield Send(b"")
    if word == "flood":
        for _ in range(9000):
            yield Send(bytes(4096))


def listen(devices):
    """Lines ``name value``; each is acknowledged. ``late`` waits for 50 ms, ``bye`` ends; for others see `misbehave`."""
    rest = b""
    deadline = None
    while True:
        event = yield Wait(deadline)
        deadline = None
        if isinstance(event, Deadline):
            yield Send(b"late\n")
            continue
        if isinstance(event, Tell):
            yield Send(f"{event.what} {event.amount:g}\n".encode())
            continue
        *lines, rest = (rest + event.data).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            yield from misbehave(word)
            if word == "bye":
                return
            if word == "late":
                deadline = event.at + 0.05
            elif word in devices:
                yield Heard(Scan(word, 0, event.at, (int(value),), b"\0"))
                yield Send(b"ok\n")
            else:
                yield Stranger(word)
        rest = rest[-1000:]


class Play:
    """A listener at work on a free port."""

    def __init__(self, *devices, clock=None, **more):
        self.scans = []
        self.guard = Guard()
        spec = BusSpec("calls", BusKind.LISTEN, host="127.0.0.1", tcp_port=0, **more)
        self.listener = Listener(spec, devices, listen, clock or SystemClock(), self.scans.append, self.guard)
        self.task = asyncio.ensure_future(self.listener.run())
        self.callers = []

    async def call(self, *lines):
        await until(lambda: self.listener.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        self.callers.append(writer)
        for line in lines:
            writer.write(line)
        return SimpleNamespace(reader=reader, writer=writer)

    async def end(self):
        self.task.cancel()
        await asyncio.wait((self.task,))
        for writer in self.callers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def play():
    plays = []

    def start(*args, **more):
        plays.append(Play(*args, **more))
        return plays[-1]

    yield start
    for started in plays:
        await started.end()


async def gone(caller):
    """The other side closed the connection."""
    with contextlib.suppress(ConnectionError):
        while await asyncio.wait_for(caller.reader.read(65536), 5.0):
            pass


async def test_a_caller_is_heard_and_answered(play):
    """Its scan goes to `take`, the driver's answer back to it, in pieces or whole."""
    played = play(device("a"))
    caller = await played.call(b"a 7\na ")
    assert await caller.reader.readline() == b"ok\n"
    caller.writer.write(b"8\n")
    assert await caller.reader.readline() == b"ok\n"
    assert [scan.values for scan in played.scans] == [(7,), (8,)]
    assert played.listener.status()["devices"]["a"]["scans"] == 2


async def test_a_driver_gets_the_deadline_it_asked_for(play):
    """`Wait(until)` ends by itself if nothing comes."""
    played = play(device("a"))
    caller = await played.call(b"late\n")
    assert await caller.reader.readline() == b"late\n"
    caller.writer.write(b"a 1\n")
    assert await caller.reader.readline() == b"ok\n"


async def test_strangers_are_counted_within_bounds_and_never_a_sample(play):
    """A thousand made-up names do not fill the memory."""
    played = play(device("a"))
    caller = await played.call(b"".join(b"x%d\n" % number for number in range(1000)), b"x1\nx1\na 1\n")
    assert await caller.reader.readline() == b"ok\n"
    assert len(played.listener.strangers) <= voices.MOST_STRANGERS
    assert played.listener.counts["stranger_frames"] == 1002
    assert len(played.scans) == 1


@pytest.mark.parametrize("word", [b"bug\n", b"loop\n"])
async def test_a_bug_closes_its_connection_only_and_is_told(play, word):
    """Others go on; the guard has it."""
    played = play(device("a"))
    other = await played.call()
    await gone(await played.call(word))
    assert played.guard.caught == 1
    other.writer.write(b"a 1\n")
    assert await other.reader.readline() == b"ok\n"


async def test_what_cannot_be_trusted_closes_its_connection(play):
    """A BusError is no bug: counted, nothing in the guard; a driver may also just end."""
    played = play(device("a"))
    await gone(await played.call(b"untrusted\n"))
    await gone(await played.call(b"bye\n"))
    assert played.listener.counts["broken_off"] == 1
    assert played.guard.caught == 0
    await until(lambda: played.listener.status()["connections"] == 0)


async def test_a_caller_that_does_not_read_is_closed(play):
    """What waits to be sent is bounded."""
    played = play(device("a"))
    await played.call(b"flood\n")
    await until(lambda: played.listener.counts["does_not_read"] == 1)


async def test_a_caller_that_floods_does_not_keep_others_waiting(play):
    """Megabytes of noise on one connection; another one's frame is answered at once."""
    played = play(device("a"))
    noisy = await played.call()
    noisy.writer.write(bytes(8_000_000))
    quiet = await played.call()
    for number in range(5):
        start = asyncio.get_running_loop().time()
        quiet.writer.write(b"a %d\n" % number)
        assert await quiet.reader.readline() == b"ok\n"
        assert asyncio.get_running_loop().time() - start < 0.5


async def test_a_full_table_puts_out_strangers_and_never_a_known_caller(play, monkeypatch):
    """A flood of connections cannot lock out a terminal."""
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 4)
    played = play(device("a"), device("b"))
    known = await played.call(b"a 1\n")
    assert await known.reader.readline() == b"ok\n"
    for _ in range(20):
        await played.call()
    late = await played.call(b"b 2\n")
    assert await late.reader.readline() == b"ok\n"
    known.writer.write(b"a 3\n")
    assert await known.reader.readline() == b"ok\n"
    assert played.listener.counts["put_out"] >= 17
    assert played.listener.status()["connections"] <= 4


async def test_forged_callers_cannot_keep_a_device_out(play, monkeypatch):
    """All claim to be the device and stay: only one of them is its caller, so there is room for it, and no other device's
    caller is put out for any of them."""
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 6)
    played = play(device("a"), device("b"))
    other = await played.call(b"b 1\n")
    assert await other.reader.readline() == b"ok\n"
    for _ in range(30):
        forged = await played.call(b"a 0\n")
        assert await forged.reader.readline() == b"ok\n"
    true = await played.call(b"a 5\n")
    assert await true.reader.readline() == b"ok\n"
    for _ in range(30):
        await played.call()
    true.writer.write(b"a 6\n")
    assert await true.reader.readline() == b"ok\n"
    other.writer.write(b"b 2\n")
    assert await other.reader.readline() == b"ok\n"
    assert played.listener.status()["connections"] <= 6


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_driver_is_told_the_time_only_while_it_can_be_trusted(play, trusted):
    """Else it would set the clocks of others by a wrong one."""
    clock, told = SystemClock(), []
    clock.trusted = lambda: trusted

    def note(devices):
        while True:
            event = yield Wait()
            told.append(event.wall)

    played = play(device("a"), clock=clock)
    played.listener._listen = note
    await played.call(b"x")
    await until(lambda: told)
    assert (told[0] is not None and abs(told[0] - clock.wall()) < 60) is trusted


async def test_only_allowed_addresses_may_call(play):
    """Others are closed at once, and counted."""
    played = play(device("a"), allow=("192.0.2.0/24", "2001:db8::/32"))
    await gone(await played.call(b"a 1\n"))
    assert played.listener.counts["not_allowed"] == 1
    assert not played.scans


async def test_a_command_wakes_the_driver_of_the_devices_caller(play):
    """At once, while it waits for its caller; one for a device that nobody speaks for is refused."""
    played = play(device("a"), device("b"))
    caller = await played.call(b"a 1\n")
    assert await caller.reader.readline() == b"ok\n"
    assert played.listener.tell("a", "press", 3.0) is None
    assert await caller.reader.readline() == b"press 3\n"
    caller.writer.write(b"a 2\n")
    assert await caller.reader.readline() == b"ok\n"
    assert "not connected" in played.listener.tell("b", "press", 3.0).en
    caller.writer.write(b"bye\n")
    await gone(caller)
    await until(lambda: played.listener.tell("a", "press", 3.0))


async def test_a_caller_without_a_word_is_closed(play, monkeypatch):
    """Strangers soon, known ones much later."""
    monkeypatch.setattr(module, "STRANGER_IDLE_S", 0.1)
    played = play(device("a"))
    known = await played.call(b"a 1\n")
    assert await known.reader.readline() == b"ok\n"
    await gone(await played.call(b"half a wor"))
    assert played.listener.counts["idle"] == 1
    known.writer.write(b"a 2\n")
    assert await known.reader.readline() == b"ok\n"


async def test_the_end_closes_everything(play):
    """A cancelled listener leaves neither port nor connection."""
    played = play(device("a"))
    caller = await played.call(b"a 1\n")
    assert await caller.reader.readline() == b"ok\n"
    played.task.cancel()
    await asyncio.wait((played.task,))
    await gone(caller)
    assert played.listener.port == 0


async def test_a_port_that_is_taken_is_line_down_for_its_devices(play):
    """And is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        spec = BusSpec("calls", BusKind.LISTEN, host="127.0.0.1", tcp_port=taken.getsockname()[1])
        scans = []
        listener = Listener(spec, (device("a", 0.1),), listen, SystemClock(), scans.append, Guard())
        task = asyncio.ensure_future(listener.run())
        await until(lambda: len(scans) >= 2)
        assert {scan.qualities for scan in scans} == {bytes([Quality.LINE_DOWN])}
        assert not listener.status()["up"]
    await until(lambda: listener.port)
    task.cancel()
    await asyncio.wait((task,))


class LoopClock(SystemClock):
    def monotonic(self):
        return asyncio.get_running_loop().time()


@pytest.mark.looptime
@pytest.mark.parametrize(("longest_silence_s", "first_at"), [(10.0, 10.0), (0.0, 6.0)])
async def test_silence_is_a_sample_in_each_period(play, longest_silence_s, first_at):
    """After the longest silence of the bus, or three periods: BAD in every period, NOT_RESPONDING."""
    played = play(device("a", 2.0), clock=LoopClock(), longest_silence_s=longest_silence_s)
    await asyncio.sleep(first_at - 0.1)
    assert not played.scans
    await asyncio.sleep(20.2)
    assert [Quality(scan.qualities[0]) for scan in played.scans] == [Quality.NOT_RESPONDING] * 11
    assert [scan.values for scan in played.scans] == [(None,)] * 11
    played.listener._voices._hear(Scan("a", 0, 0.0, (1,), b"\0"), voices.Caller("t", 0.0))
    count = len(played.scans)
    await asyncio.sleep(first_at - 0.3)
    assert len(played.scans) == count
    assert played.listener.progress > first_at


async def test_a_caller_of_single_bytes_gets_no_more_of_the_loop(play, monkeypatch):
    """Reads are what costs: ten thousand bytes sent one by one are read in pages, after the first second's share."""
    monkeypatch.setattr(voices, "MOST_BYTES_A_SECOND", 2560)
    reads = []

    def counting(devices):
        while True:
            event = yield Wait()
            if event:
                reads.append(len(event.data))

    played = play(device("a"))
    played.listener._listen = counting
    caller = await played.call()
    for _ in range(3000):
        caller.writer.write(b"x")
        await asyncio.sleep(0)
    await until(lambda: sum(reads) == 3000)
    assert len(reads) < 30


async def test_a_crowd_of_strangers_has_one_callers_share_between_them(play, monkeypatch):
    """Sixty that never end are read from as little as one; a device that calls is heard at its first word, and its next
    ones do not wait for them."""
    monkeypatch.setattr(voices, "MOST_BYTES_A_SECOND", 16 * 1024)
    played = play(device("a"))
    crowd = [await played.call(b"x" * 60_000) for _ in range(60)]
    await until(lambda: played.listener.counts["calls"] == 60)
    known = await played.call()
    for number in range(20):
        known.writer.write(b"a %d\n" % number)
        assert await asyncio.wait_for(known.reader.readline(), 5.0) == b"ok\n"
    callers = played.listener._callers.values()
    turns = sorted(one.turn_at for one in callers if not one.devices)
    assert len(turns) == len(crowd)
    assert turns[-1] - turns[0] > 50 * 2048 / (16 * 1024)  # one after the other, whoever they are
    assert len(played.scans) == 20


@pytest.mark.parametrize("turns", range(7))
async def test_a_call_that_is_being_taken_ends_with_the_listener(play, turns):
    """At whatever turn of the loop: nobody is left holding a line on which no one listens (a changed site ends a
    listener, the gateway runs on)."""
    played = play(device("a"))
    await until(lambda: played.listener.port)
    caller = socket.create_connection(("127.0.0.1", played.listener.port))
    caller.setblocking(False)
    caller.send(b"a 7\n")
    for _ in range(turns):
        await asyncio.sleep(0)
    await played.end()
    try:
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(caller, 100), 5.0) in (b"", b"ok\n")
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(caller, 100), 5.0) == b""
        assert not played.listener.status()["connections"]
    finally:
        caller.close()


@pytest.mark.parametrize("turns", range(1, 6))
async def test_who_is_told_twice_to_end_leaves_no_open_port(play, turns):
    """As at a stop beside a part that gives up: the second word finds the first at work."""
    played = play(device("a"))
    await until(lambda: played.listener.port)
    port = played.listener.port
    played.task.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    played.task.cancel()
    await asyncio.wait((played.task,))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
