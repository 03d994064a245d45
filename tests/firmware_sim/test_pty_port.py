"""The line on a real pseudo terminal, in real time. Late is allowed (shared machines), early is not."""

import os
import select
import time
from random import Random

import pytest

from firmware_sim.line import Line, Timing
from firmware_sim.pty_port import PtyPort

CHAR_S = 10 / 9600
READ_1 = bytes.fromhex("010300000002C40B")
ANSWER_1 = bytes.fromhex("01030400150000EBF7")
EXCHANGE_S = (len(READ_1) + len(ANSWER_1)) * CHAR_S + 0.005


@pytest.fixture
def port(world):
    """The scene's line on a terminal, and the gateway's end of it."""
    spec = world.scene.lines[0]
    timing = Timing.of(9600, fifo=1)
    port = PtyPort(Line(spec.id, timing, spec.slaves, world.field, world.log, Random(1)))
    end = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    yield end
    os.close(end)
    port.close()


def receive(end, count, timeout_s=5.0):
    """`count` bytes with the time of each."""
    arrivals, deadline = [], time.monotonic() + timeout_s
    while len(arrivals) < count:
        ready, _, _ = select.select([end], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"only {len(arrivals)} of {count} bytes"
        data, at = os.read(end, 4096), time.monotonic()
        arrivals += [(at, byte) for byte in data]
    return arrivals


def test_an_exchange_takes_the_lines_time(port):
    """8 + 9 characters and 5 ms at 9600 baud: 22.7 ms, never less, and no byte before its own time."""
    begin = time.monotonic()
    os.write(port, READ_1)
    arrivals = receive(port, len(ANSWER_1))
    assert bytes(byte for _, byte in arrivals) == ANSWER_1
    for index, (at, _) in enumerate(arrivals, 1):
        assert at - begin >= (len(READ_1) + index) * CHAR_S + 0.005 - 1e-4
    assert arrivals[-1][0] - begin <= 5 * EXCHANGE_S


def test_exchanges_do_not_drift(port):
    """Ten in a row with the silence that the master owes; the median is at most 1 ms (here: 5) later than the wire's time."""
    took = []
    for _ in range(10):
        begin = time.monotonic()
        os.write(port, READ_1)
        end = receive(port, len(ANSWER_1))[-1][0]
        took.append(end - begin)
        while time.monotonic() < end + 0.005:
            select.select([], [], [], 0.001)
    assert EXCHANGE_S - 1e-4 <= sorted(took)[5] <= EXCHANGE_S + 5 * 0.001


def test_it_survives_that_the_gateway_closes_the_port(port, world):
    """Opened again, the line answers as before."""
    path = os.ttyname(port)
    other = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.close(other)
    again = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(again, READ_1)
    assert bytes(byte for _, byte in receive(again, len(ANSWER_1))) == ANSWER_1
    os.close(again)


def test_a_fault_that_is_set_meanwhile_is_noticed(port, world):
    """Babble begins though nobody asks."""
    world.field.set_fault({"device": "smoke-1", "what": "babble", "burst": 3})
    assert len(receive(port, 6)) >= 6


def test_it_costs_little(port):
    """An idle line takes almost no CPU: it wakes ten times a second."""
    begin, used = time.monotonic(), time.process_time()
    while time.monotonic() < begin + 0.5:
        select.select([port], [], [], 0.5)
    assert time.process_time() - used < 0.05
