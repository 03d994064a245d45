"""Two devices for one address: what proves it, what does not, and what becomes of the values."""

import asyncio

import pytest

from drivers.contract import Exchange
from drivers.modbus_pdu import open_link, read_request
from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.field.twice import SLOW_S, WITHIN_S, Twice
from gateway.model import BusKind
from tests.gateway.lines import Slave, ask, register_of, reply
from tests.waiting import until

ASKED = open_link(BusKind.SERIAL, 3).prepare(read_request("holding", 0, 1))()
ANSWER = bytes.fromhex("03030200078046")
OTHER = open_link(BusKind.SERIAL, 4).prepare(read_request("holding", 0, 1))()


@pytest.fixture
def twice():
    twice = Twice()
    twice.answered(ASKED, 100.0)
    return twice


def test_the_example_is_sound():
    assert ASKED.sound(ANSWER)


def test_a_second_whole_answer_is_proof(twice):
    assert twice.heard(ANSWER, 100.01) == 3


def test_it_is_told_once_a_request(twice):
    twice.heard(ANSWER, 100.01)
    assert twice.heard(ANSWER, 100.02) is None


def test_it_may_come_in_pieces_and_after_a_glitch(twice):
    assert twice.heard(b"\xff" + ANSWER[:2], 100.01) is None
    assert twice.heard(ANSWER[2:], 100.02) == 3


def test_a_refusal_is_an_answer_too(twice):
    assert twice.heard(bytes.fromhex("0383026131"), 100.01) == 3


@pytest.mark.parametrize(
    "noise", [b"", b"\0", b"\xff\xff\xff", ANSWER[:-1], ANSWER[:-1] + b"\0", b"\x04" + ANSWER[1:], b"\x55" * 700]
)
def test_noise_is_none(twice, noise):
    assert twice.heard(noise, 100.01) is None


def test_what_comes_long_after_is_none(twice):
    assert twice.heard(ANSWER, 100.01 + WITHIN_S) is None


def test_after_endless_noise_nothing_is_concluded(twice):
    twice.heard(b"\x55" * 700, 100.01)
    assert twice.heard(ANSWER, 100.02) is None


def test_a_slow_device_is_no_double(twice):
    """Its late answer was taken for the next request's, and now that one's comes."""
    twice.overdue(ASKED, 99.9)
    assert twice.heard(ANSWER, 100.01) is None
    twice.answered(ASKED, 99.9 + SLOW_S)
    assert twice.heard(ANSWER, 99.91 + SLOW_S) == 3


def test_another_devices_silence_does_not_hide_it(twice):
    twice.overdue(OTHER, 99.9)
    assert twice.heard(ANSWER, 100.01) == 3


def test_before_the_first_answer_nothing_is_concluded():
    assert Twice().heard(ANSWER, 100.0) is None


async def _asked(bus, slave, pause_s):
    told = []
    bus.twice = told.append
    slave.script = lambda asked: [(0.002, reply(register_of(asked))), (pause_s, reply(9))]
    assert (await bus.perform(ask(7))).values == (7,)
    await until(lambda: told)
    return told


@pytest.mark.parametrize("pause_s", [0, 0.01])
async def test_the_bus_tells_of_a_second_answer(pause_s):
    """Directly behind the first, or after a pause; the first is taken."""
    slave = Slave()
    bus = Bus(slave.spec(), SystemClock())
    assert await _asked(bus, slave, pause_s) == [1]
    assert bus.status()["second_answers"] == 1
    bus.close()
    slave.close()


async def test_the_bus_tells_of_one_that_falls_into_the_next_request():
    """The next device is asked already: its poll fails, and the culprit is named."""
    slave = Slave()
    bus = Bus(slave.spec(), SystemClock())
    told = []
    bus.twice = told.append
    slave.script = lambda asked: [(0.002, reply(5)), (0.004, reply(6))] if asked[0] == 1 else []
    await bus.perform(ask(5))
    await asyncio.gather(bus.perform(ask(1, address=2)), return_exceptions=True)
    await until(lambda: told)
    assert told == [1]
    bus.close()
    slave.close()


async def test_single_answers_are_no_double():
    slave = Slave()
    bus = Bus(slave.spec(), SystemClock())
    for register in range(20):
        await bus.perform(ask(register))
    assert bus.status()["second_answers"] == 0
    bus.close()
    slave.close()


def test_a_driver_that_does_not_say_who_is_asked_is_not_judged():
    twice, anybody = Twice(), Exchange(ASKED.request, ASKED.framing)
    twice.overdue(anybody, 99.9)
    twice.answered(anybody, 100.0)
    assert twice.heard(ANSWER, 100.01) is None
