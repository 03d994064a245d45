"""Relays, GPIO outputs and GPIO keys, in a time that the test moves, on a line and a kernel that it plays."""

import asyncio
import contextlib

import pytest

from gateway.annunciator import Line
from gateway.ends import PAUSES_S, STUCK_S, Led, Push, Relay
from gateway.errors import BusError
from gateway.field import gpio
from gateway.model import Quality
from tests.clocks import HandClock
from tests.gateway.test_gpio import Kernel


class Played:
    """A line: what was asked, and how it ended."""

    def __init__(self):
        self.asked = []

    def switch(self, on):
        return on

    def hurry(self, on):
        future = asyncio.get_running_loop().create_future()
        self.asked.append((on, future))
        return future

    async def ends(self, how=True):
        future = self.asked[-1][1]
        if how is None:
            future.cancel()
        elif isinstance(how, Exception):
            future.set_exception(how)
        else:
            future.set_result(how)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def words(self):
        return [on for on, _ in self.asked]


@pytest.fixture
async def relay():
    line, clock = Played(), HandClock()
    made = Relay(line.switch, line.hurry, clock)
    made.line, made.clock = line, clock
    return made


DEAD = BusError(Quality.NOT_RESPONDING, "no reply")


async def test_a_relay_is_switched_once_and_off_at_the_start(relay):
    relay.set(False)
    relay.set(False)
    assert relay.line.words() == [False]
    assert not relay.settled()
    await relay.line.ends()
    relay.set(False)
    relay.set(True)
    await relay.line.ends()
    assert relay.line.words() == [False, True]
    assert relay.settled()
    assert relay.status() == {"on": True, "failing": False, "error": "", "writes": 2, "failures": 0}


async def test_what_was_wanted_meanwhile_follows_at_once(relay):
    relay.set(True)
    relay.set(False)
    relay.set(True)
    relay.set(False)
    await relay.line.ends()
    assert relay.line.words() == [True, False]


async def test_what_should_be_so_is_set_again(relay):
    """The module lost its power and came back with open relays."""
    relay.set(True)
    await relay.line.ends()
    relay.renew()
    assert relay.line.words() == [True, True]


@pytest.mark.parametrize("how", [DEAD, False, None])
async def test_a_failure_is_tried_again_with_growing_pauses(relay, how):
    """Two in a row are a fault; one that succeeds ends it."""
    relay.set(True)
    for count, pause_s in enumerate((*PAUSES_S, PAUSES_S[-1]), 1):
        await relay.line.ends(how)
        assert relay.status()["failing"] is (count >= 2)
        relay.set(True)
        relay.clock.advance(pause_s * 0.9)
        assert len(relay.line.asked) == count
        relay.clock.advance(pause_s * 0.2)
        assert len(relay.line.asked) == count + 1
    assert relay.status()["error"]
    await relay.line.ends()
    assert relay.status() == {"on": True, "failing": False, "error": "", "writes": 8, "failures": 7}


async def test_something_new_is_tried_at_once_on_a_relay_that_failed(relay):
    """A fire does not wait for the pause of a lamp that failed before; a lamp that flashes waits."""
    relay.set(False)
    for _ in PAUSES_S:
        await relay.line.ends(DEAD)
        relay.clock.advance(10.5)
    await relay.line.ends(DEAD)
    tries = len(relay.line.asked)
    relay.set(True)
    assert len(relay.line.asked) == tries
    relay.set(True, new=True)
    assert len(relay.line.asked) == tries + 1


async def test_a_line_that_never_answers_is_a_fault(relay):
    relay.set(True)
    relay.clock.advance(STUCK_S + 0.1)
    assert relay.status()["failing"] is True


async def test_a_released_relay_is_switched_off_once(relay):
    relay.set(True)
    await relay.line.ends()
    relay.release()
    await relay.line.ends(DEAD)
    relay.clock.advance(100)
    assert relay.line.words() == [True, False]


class Bench:
    def __init__(self, path):
        self.kernel, self.clock = Kernel(path), HandClock()
        self.pins = []

    def take(self, line, *, output):
        pin = gpio.take(line, output=output, ioctl=self.kernel)
        self.pins.append(pin)
        close = pin.close

        def freed():
            del self.kernel.lines[pin.fd]
            close()

        pin.close = freed
        return pin


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "gpiochip0")
    yield bench
    for pin in bench.pins:
        with contextlib.suppress(KeyError):
            pin.close()


def test_a_gpio_output_is_set_within_the_call(bench):
    led = Led(Line(bench.kernel.chip, 5), bench.take, bench.clock)
    led.set(True)
    assert bench.kernel.level == {5: 1}
    assert led.settled()
    led.set(True)
    assert led.status()["writes"] == 1
    led.renew()
    assert led.status() == {"on": True, "failing": False, "error": "", "writes": 2, "failures": 0}
    led.release()
    assert bench.kernel.level == {5: 0}
    assert bench.kernel.lines == {}


def test_a_gpio_output_that_fails_is_taken_again(bench):
    """Something else changes the pin, or the chip is gone: a fault, and well again by itself."""
    led = Led(Line(bench.kernel.chip, 5), bench.take, bench.clock)
    bench.kernel.stuck.add(5)
    led.set(True)
    led.renew()
    assert led.status()["failures"] == 1
    bench.clock.advance(0.2)
    led.renew()
    assert led.status()["failing"] is True
    assert bench.kernel.chip in led.status()["error"]
    bench.kernel.stuck.clear()
    bench.clock.advance(1.1)
    led.renew()
    assert led.status()["failing"] is False
    assert bench.kernel.level == {5: 1}


@pytest.fixture
async def key(bench):
    presses = []
    push = Push(Line(bench.kernel.chip, 6), bench.take, bench.clock, lambda: presses.append(bench.clock.monotonic()))
    push.presses = presses
    push.open()
    bench.clock.advance(1)
    yield push
    push.release()


async def test_a_gpio_key_counts_after_two_looks(bench, key):
    """And nothing is looked at while nothing happens."""
    bench.kernel.asked.clear()
    bench.clock.advance(60)
    assert bench.kernel.asked == []
    bench.kernel.edge(6, 1)
    key.edge()
    bench.clock.advance(0.06)
    assert key.presses == []
    bench.clock.advance(0.06)
    assert len(key.presses) == 1
    bench.clock.advance(60)
    bench.kernel.edge(6, 0)
    key.edge()
    bench.clock.advance(1)
    bench.kernel.edge(6, 1)
    key.edge()
    bench.clock.advance(1)
    assert len(key.presses) == 2


async def test_a_glitch_on_a_gpio_key_is_no_press(bench, key):
    bench.kernel.edge(6, 1)
    key.edge()
    bench.clock.advance(0.06)
    bench.kernel.level[6] = 0
    key.edge()
    bench.clock.advance(1)
    assert key.presses == []


async def test_a_real_edge_wakes_the_loop(bench, key):
    """The descriptor is watched by the loop itself."""
    bench.kernel.edge(6, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.clock.advance(1)
    assert len(key.presses) == 1


async def test_a_gpio_key_that_is_lost_is_a_fault_and_taken_again(bench, key):
    key._pin.get = lambda: (_ for _ in ()).throw(OSError(19, "No such device"))
    bench.kernel.edge(6, 1)
    key.edge()
    bench.clock.advance(0.2)
    assert "No such device" in key.status()["error"]
    key.open()
    bench.clock.advance(1)
    assert key.status()["error"] == ""
    assert len(key.presses) == 1, "it was at rest, and is pressed now"


async def test_a_chip_that_is_not_there_is_tried_again(bench):
    push = Push(Line(bench.kernel.chip + "9", 6), bench.take, bench.clock, lambda: None)
    for _ in range(3):
        push.open()
        bench.clock.advance(5)
    assert push.status() == {
        "failing": True,
        "error": f"{bench.kernel.chip}9: line 6: No such file or directory",
        "failures": 3,
    }
    push.edge()
    push.release()
