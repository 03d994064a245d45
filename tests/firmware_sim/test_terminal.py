"""The terminal calls a real listening socket; the test plays the gateway that answers, or does not."""

import asyncio
from random import Random

import pytest

from firmware_sim import terminal as module
from firmware_sim.meokon import REPORT, crc
from firmware_sim.terminal import Terminal
from tests.serving import shut
from tests.waiting import until


class Gateway:
    """Takes reports; answers each one with `answer(frame)`."""

    def __init__(self):
        self.received = bytearray()
        self.reports = []
        self.calls = 0
        self.answering = True
        self.writers = []

    async def serve(self, reader, writer):
        self.calls += 1
        self.writers.append(writer)
        pending = b""
        while data := await reader.read(4096):
            self.received += data
            pending += data
            while len(pending) >= 5 and len(pending) >= (length := int.from_bytes(pending[3:5])):
                report, pending = pending[:length], pending[length:]
                self.reports.append(report)
                if self.answering:
                    body = b"\xa5\x5a\xff\x00\x1b" + report[5:17] + bytes(6)
                    writer.write(body + crc(body) + b"\x55\xaa")
        writer.close()


def fields(report):
    """The numbers of a report, and its buffered values."""
    _, _, _, id, battery, rssi, _, count, kind, alarms, _, _, current, _ = REPORT.unpack_from(report)
    tail = report[REPORT.size : REPORT.size + 2 * count]
    buffered = [int.from_bytes(tail[2 * index : 2 * index + 2]) for index in range(count)]
    return {
        "id": id,
        "battery": battery,
        "rssi": rssi,
        "type": kind,
        "alarms": alarms,
        "current": current,
        "buffered": buffered,
    }


@pytest.fixture
async def gateway():
    """A listening gateway; `gateway.port`."""
    gateway = Gateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    yield gateway
    await shut(server)
    for writer in gateway.writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in gateway.writers), return_exceptions=True)


@pytest.fixture
async def start(world):
    """`start(interval_s)` is the scene's terminal, running; it has nobody to call yet."""
    running = []

    def build(interval_s):
        spec = world.scene.terminals[0]
        terminal = Terminal(spec.id, spec.gauge, interval_s, world.field, world.log, Random(1))
        running.append((terminal, asyncio.create_task(terminal.run())))
        return terminal

    yield build
    for terminal, task in running:
        task.cancel()
        await asyncio.wait([task])
        await terminal.close()


@pytest.fixture
async def terminal(start):
    """Measures every 50 ms."""
    return start(0.05)


async def test_it_calls_and_reports(terminal, gateway, world):
    """Its id, its values, nothing buffered, over one connection; the log has what it carried."""
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: len(gateway.reports) >= 4)
    assert fields(gateway.reports[-1]) == {
        "id": b"SHMK19060013", "battery": 52, "rssi": -56, "type": 24, "alarms": 0, "current": 300, "buffered": [],
    }  # fmt: skip
    assert gateway.calls == 1
    points = world.entries("answer")[0]["points"]
    assert (points["pressure"], points["battery"], points["rssi"], points["low"]) == (0.3, 52, -56, 0)


async def test_what_was_measured_before_it_could_call_comes_with_the_first_report(terminal, gateway, world):
    """Nothing is lost while nobody listens, oldest first."""
    world.field.set({"hydrant-1/pressure": 0.25})
    await until(lambda: len(terminal._buffered) >= 2)
    world.field.set({"hydrant-1/pressure": 0.26})
    await until(lambda: 260 in terminal._buffered)
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: gateway.reports)
    first = fields(gateway.reports[0])
    assert first["current"] == 260
    assert first["buffered"][0] in (300, 250)
    assert first["buffered"][-1] == 260
    await until(lambda: len(gateway.reports) >= 2)
    assert fields(gateway.reports[1])["buffered"] == []


async def test_without_an_answer_it_buffers_and_calls_again(terminal, gateway, world, monkeypatch):
    """The report counts as not delivered: hang up, call again, and the value comes with the next."""
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.05)
    gateway.answering = False
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: len(gateway.reports) >= 3)
    assert gateway.calls >= 2
    assert [len(fields(report)["buffered"]) for report in gateway.reports[1:3]] == [
        len(fields(gateway.reports[0])["buffered"]) + 1,
        len(fields(gateway.reports[0])["buffered"]) + 2,
    ]
    assert world.entries("unanswered")
    gateway.answering = True
    count = len(gateway.reports)
    await until(lambda: len(gateway.reports) >= count + 3)
    assert fields(gateway.reports[-1])["buffered"] == []


async def test_the_buffer_is_bounded(terminal):
    """600 values, the oldest go."""
    terminal._buffered.extend(range(1000))
    assert (terminal._buffered[0], len(terminal._buffered)) == (400, 600)


async def test_it_finds_the_gateway_again_after_the_connection_was_refused(terminal, gateway, world, unused_tcp_port):
    """A port where nobody listens, then the right one."""
    terminal.call("127.0.0.1", unused_tcp_port)
    await until(lambda: world.entries("unanswered"))
    assert world.entries("unanswered")[0]["why"] == "ConnectionRefusedError"
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: gateway.reports)


async def test_a_new_alarm_is_reported_at_once(start, world, gateway):
    """Not only when the interval is over: here that would be in an hour."""
    start(3600).call("127.0.0.1", gateway.port)
    await until(lambda: gateway.reports)
    world.field.set({"hydrant-1/pressure": 0.2})
    world.field.set({"hydrant-1/pressure": 0.08})
    await until(lambda: fields(gateway.reports[-1])["alarms"] == 1)
    assert fields(gateway.reports[-1])["current"] == 80


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        ({"what": "short"}, lambda good, got: got == good[: len(good) // 2]),
        ({"what": "garbled"}, lambda good, got: (int.from_bytes(good) ^ int.from_bytes(got)).bit_count() == 1),
        ({"what": "foreign"}, lambda good, got: got[5:17] == b"SHMK19060012" and got[-4:-2] == crc(got[:-4])),
        ({"what": "double"}, lambda good, got: got == good + good),
        ({"what": "slow", "pause_s": 0.001}, lambda good, got: got == good),
        ({"what": "late", "after_s": 0.05}, lambda good, got: got == good),
        ({"what": "babble"}, lambda good, got: got[12:] == good),
    ],
)
async def test_each_fault_is_seen_on_the_wire(start, gateway, world, monkeypatch, fault, spoilt):
    """In the one report of this hour; the clock stands, so that the intact report is known."""
    monkeypatch.setattr(module.time, "time", lambda: 1561945782.0)
    terminal = start(3600)
    await until(lambda: terminal._buffered)
    terminal._buffered.clear()
    world.field.set_fault({"device": "hydrant-1", **fault})
    intact = terminal._gauge.report(world.field.values("hydrant-1"), 3600, 1561945782, ()).encode()
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: gateway.received and spoilt(intact, bytes(gateway.received)))
    await until(lambda: world.entries("answer") or world.entries("spoilt_answer"))
    assert bool(world.entries("answer")) is (fault["what"] in ("double", "slow", "babble"))


async def test_a_silent_terminal_is_dead(start, gateway, world):
    """Woken, it neither calls nor measures; healed, it does."""
    terminal = start(3600)
    await until(lambda: terminal._buffered)
    terminal._buffered.clear()
    world.field.set_fault({"device": "hydrant-1", "what": "silent"})
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: not terminal._wake.is_set())
    assert (gateway.calls, len(terminal._buffered)) == (0, 0)
    world.field.set_fault({"device": "hydrant-1", "what": "none"})
    terminal.call("127.0.0.1", gateway.port)
    await until(lambda: gateway.reports)
