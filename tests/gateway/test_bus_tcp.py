"""The bus on real sockets: connections that are refused, die, go mute, lag behind or talk nonsense; pymodbus as the peer."""

import asyncio
import os
import struct

import pytest

from drivers.contract import Exchange
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.model import BusKind, BusSpec, Quality, Scan
from tests.clocks import HandClock
from tests.serving import shut
from tests.waiting import until


def framing(data):
    if len(data) >= 4 and data[2:4] != b"\0\0":
        raise BusError(Quality.BAD_FRAME, "no MBAP header")
    if len(data) < 6:
        return 9
    return 6 + int.from_bytes(data[4:6], "big")


class Numbers:
    """Transaction ids, as a driver keeps them."""

    def __init__(self):
        self.last = 0

    def ask(self, *registers, unit=1, timeout_s=None, mine=True):
        values = []
        for register in registers:
            self.last += 1
            head = struct.pack(">H", self.last)
            body = struct.pack(">HHBBHH", 0, 6, unit, 3, register, 1)
            own = (lambda frame, head=head: frame[:2] == head) if mine else None
            answer = yield Exchange(head + body, framing, own, timeout_s)
            if answer.data[7] != 3:
                raise BusError(Quality.REFUSED, "exception")
            values.append(int.from_bytes(answer.data[9:11], "big"))
        return Scan("d", 0, answer.at, tuple(values), bytes(len(values)))


def reply(asked, value=None):
    """The answer to a request; the value is the register's own number."""
    value = asked[8:10] if value is None else value.to_bytes(2, "big")
    return asked[:4] + b"\0\5" + asked[6:8] + b"\2" + value


class Server:
    """A scripted Modbus TCP server; `script(asked)` gives (pause in s, bytes) pairs; None closes the connection."""

    def __init__(self):
        self.script = lambda asked: [(0.0, reply(asked))]
        self.requests = []
        self.writers = []
        self.port = 0

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        await shut(self._server)
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        await self._server.wait_closed()

    def spec(self, **more):
        return BusSpec("tcp", BusKind.TCP, host="127.0.0.1", tcp_port=self.port, **{"reply_timeout_s": 0.2} | more)

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        loop = asyncio.get_running_loop()
        try:
            while asked := await reader.read(12):
                self.requests.append(asked)
                at = loop.time()
                for pause_s, data in self.script(asked):
                    at += pause_s
                    loop.call_at(at, writer.transport.abort if data is None else lambda data=data: writer.write(data))
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def bus(server):
    bus = Bus(server.spec(), SystemClock())
    yield bus
    bus.close()


@pytest.fixture
def numbers():
    return Numbers()


async def quality_of(bus, poll):
    with pytest.raises(BusError) as caught:
        await bus.perform(poll)
    return caught.value.quality


async def test_a_poll_of_several_exchanges_gives_one_scan(bus, numbers):
    """Over one connection, which is opened by the first poll."""
    assert (await bus.perform(numbers.ask(1, 2, 3))).values == (1, 2, 3)
    assert (await bus.perform(numbers.ask(4))).values == (4,)
    assert bus.counters.openings == 1


async def test_a_line_at_rest_has_no_timer(server, numbers):
    """The time-out of an answered request wakes nobody later: on an idle box each wake-up costs."""
    clock = HandClock()
    bus = Bus(server.spec(), clock)
    assert (await bus.perform(numbers.ask(1, 2))).values == (1, 2)
    bus.rest()
    assert clock.waiting() == 0
    bus.close()


async def test_an_answer_to_an_earlier_request_is_dropped(server, bus, numbers):
    """A reply later than its time-out is stale by its transaction id; the connection stays."""
    server.script = lambda asked: [(0.05, reply(asked))]
    assert await quality_of(bus, numbers.ask(1, timeout_s=0.02)) is Quality.NOT_RESPONDING
    server.script = lambda asked: [(0.1, reply(asked))]
    assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.status()["stale_frames"] == 1
    assert bus.counters.openings == 1


async def test_an_answer_that_came_before_the_request_is_dropped(server, bus, numbers):
    """Even if it carries the next transaction id."""
    await bus.perform(numbers.ask(1))
    forged = struct.pack(">HHHBBBH", 2, 0, 5, 1, 3, 2, 666)
    server.writers[0].write(forged)
    await until(lambda: bus.counters.stray_bytes == len(forged))
    assert (await bus.perform(numbers.ask(2))).values == (2,)


async def test_half_of_a_stale_answer_leaves_the_stream_in_step(server, bus, numbers):
    """A late frame that is torn around a time-out is put together and dropped as one."""
    server.script = lambda asked: [(0.0, reply(asked)[:5]), (0.06, reply(asked)[5:])]
    assert await quality_of(bus, numbers.ask(1, timeout_s=0.03)) is Quality.BAD_FRAME
    server.script = lambda asked: [(0.08, reply(asked))]
    assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.counters.openings == 1


async def test_without_transaction_ids_a_time_out_closes_the_connection(server, bus, numbers):
    """There a late answer could not be told apart."""
    server.script = lambda asked: [(0.05, reply(asked))]
    assert await quality_of(bus, numbers.ask(1, timeout_s=0.02, mine=False)) is Quality.NOT_RESPONDING
    server.script = lambda asked: [(0.0, reply(asked))]
    assert (await bus.perform(numbers.ask(2, mine=False))).values == (2,)
    assert bus.counters.openings == 2


async def test_garbage_closes_the_connection_and_the_next_poll_is_well(server, bus, numbers):
    """A header that is none: the stream is out of step, and is opened anew."""
    server.script = lambda asked: [(0.0, b"HTTP/1.1 400 Bad Request\r\n\r\n")]
    assert await quality_of(bus, numbers.ask(1)) is Quality.BAD_FRAME
    server.script = lambda asked: [(0.0, reply(asked))]
    assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.counters.openings == 2


async def test_a_refusal_keeps_the_connection(server, bus, numbers):
    """An exception is a sound reply."""
    server.script = lambda asked: [(0.0, asked[:4] + b"\0\3" + asked[6:7] + b"\x83\x02")]
    assert await quality_of(bus, numbers.ask(1)) is Quality.REFUSED
    server.script = lambda asked: [(0.0, reply(asked))]
    assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.counters.openings == 1


async def test_a_server_that_talks_without_being_asked_is_cut_off(server, bus, numbers):
    """The buffer is bounded; the connection is closed and opened again."""
    await bus.perform(numbers.ask(1))
    server.writers[0].write(bytes(20_000))
    await until(lambda: bus.counters.losses == 1)
    assert (await bus.perform(numbers.ask(2))).values == (2,)


async def test_a_refused_connection_is_line_down_and_pauses_grow(server, bus, numbers):
    """Attempts are far fewer than polls; the server's return is noticed."""
    await server.stop()
    assert await quality_of(bus, numbers.ask(1)) is Quality.LINE_DOWN
    start = asyncio.get_running_loop().time()
    for _ in range(100):
        assert await quality_of(bus, numbers.ask(1)) is Quality.LINE_DOWN
    assert asyncio.get_running_loop().time() - start < 1.0
    await server.start()
    await until_well(bus, numbers)


async def test_a_server_that_dies_and_returns_is_polled_again(server, bus, numbers):
    """In the middle of a poll LINE_DOWN; idle, the next poll just opens it anew."""
    await bus.perform(numbers.ask(1))
    server.script = lambda asked: [(0.01, None)]
    assert await quality_of(bus, numbers.ask(1, timeout_s=3.0)) is Quality.LINE_DOWN
    await server.stop()
    assert await quality_of(bus, numbers.ask(1)) is Quality.LINE_DOWN
    server.script = lambda asked: [(0.0, reply(asked))]
    await server.start()
    await until_well(bus, numbers)


async def test_a_connection_that_went_mute_is_opened_anew(server, bus, numbers, monkeypatch):
    """Half-open: the other side is gone and nobody said so."""
    monkeypatch.setattr("gateway.field.line._MUTE_S", 0.1)
    await bus.perform(numbers.ask(1))
    server.script = lambda asked: []
    for _ in range(3):
        assert await quality_of(bus, numbers.ask(1, timeout_s=0.05)) is Quality.NOT_RESPONDING
    assert bus.status()["state"] == "closed"
    server.script = lambda asked: [(0.0, reply(asked))]
    assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.counters.openings == 2


async def test_one_dead_unit_behind_a_live_server_keeps_the_connection(server, bus, numbers, monkeypatch):
    """As long as another unit answers, the connection is alive."""
    monkeypatch.setattr("gateway.field.line._MUTE_S", 0.05)
    server.script = lambda asked: [(0.0, reply(asked))] if asked[6] == 1 else []
    for _ in range(5):
        assert await quality_of(bus, numbers.ask(1, unit=2, timeout_s=0.03)) is Quality.NOT_RESPONDING
        assert (await bus.perform(numbers.ask(2))).values == (2,)
    assert bus.counters.openings == 1


async def test_an_address_that_never_answers_does_not_hold_up_the_polls(numbers):
    """While the connection is being tried, polls are LINE_DOWN within a fraction of a second."""
    bus = Bus(BusSpec("tcp", BusKind.TCP, host="192.0.2.1", tcp_port=502), SystemClock())  # RFC 5737: nobody is there
    start = asyncio.get_running_loop().time()
    assert await quality_of(bus, numbers.ask(1)) is Quality.LINE_DOWN
    assert asyncio.get_running_loop().time() - start < 1.5
    bus.close()


async def test_two_polls_at_a_time_are_a_bug(server, bus, numbers):
    """A bus has one caller."""
    server.script = lambda asked: [(0.1, reply(asked))]
    first = asyncio.ensure_future(bus.perform(numbers.ask(1)))
    await until(lambda: server.requests)
    with pytest.raises(RuntimeError, match="two polls"):
        await bus.perform(numbers.ask(2))
    assert (await first).values == (1,)


async def until_well(bus, numbers, within_s=5.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        try:
            assert (await bus.perform(numbers.ask(3))).values == (3,)
            return
        except BusError:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)


async def test_a_poll_given_up_as_its_answer_comes_ends_quietly(server, bus, numbers):
    """Both in one turn of the loop, the giving up first: the connection is closed, and nothing ends in the loop."""
    escaped, loop = [], asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    server.script = lambda asked: []
    poll = asyncio.ensure_future(bus.perform(numbers.ask(1)))
    await until(lambda: server.requests)
    sock = server.writers[0].get_extra_info("socket")
    os.write(sock.fileno(), reply(server.requests[0]))
    loop.call_soon(poll.cancel)
    with pytest.raises(asyncio.CancelledError):
        await poll
    assert not bus.status()["up"]
    assert escaped == []
