"""The bus on real pseudo terminals: whose answer is it, how long is silence, what happens when the adapter is pulled."""

import asyncio
import contextlib
import os

import pytest

from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.model import Quality
from tests.gateway.lines import Slave, ask, register_of, reply
from tests.waiting import until


@pytest.fixture
async def slave():
    slave = Slave()
    yield slave
    slave.close()


@pytest.fixture
async def bus(slave):
    bus = Bus(slave.spec(), SystemClock())
    yield bus
    bus.close()


async def quality_of(bus, poll):
    with pytest.raises(BusError) as caught:
        await bus.perform(poll)
    return caught.value.quality


async def test_a_poll_of_several_exchanges_gives_one_scan(slave, bus):
    """Each reply goes to the exchange that asked for it; the scan carries the time of the last byte."""
    before = asyncio.get_running_loop().time()
    scan = await bus.perform(ask(1, 2, 3))
    assert scan.values == (1, 2, 3)
    assert before < scan.at <= asyncio.get_running_loop().time()
    assert bus.counters.requests == bus.counters.replies == 3


async def test_a_reply_in_pieces_is_put_together(slave, bus):
    """A frame that arrives byte by byte is one reply."""
    slave.script = lambda asked: [(0.002, bytes([byte])) for byte in reply(register_of(asked))]
    assert (await bus.perform(ask(7))).values == (7,)


async def test_a_reply_longer_on_the_wire_than_the_time_out_is_waited_for():
    """The time-out counts to the reply's start: the time of its bytes at the line's rate is added once the length is known."""
    slave = Slave()
    data = reply(5)
    slave.script = lambda asked: [(0.09, data[:3]), (0.06, data[3:])]  # 7 bytes take 64 ms at 1200 baud
    bus = Bus(slave.spec(baud=1200, reply_timeout_s=0.05), SystemClock())
    assert (await bus.perform(ask(5))).values == (5,)
    bus.close()
    slave.close()


async def test_a_silent_device_is_not_responding_within_its_time_out(slave, bus):
    """No byte: NOT_RESPONDING, after the time-out and not much later."""
    await bus.perform(ask(1))
    slave.script = lambda asked: []
    start = asyncio.get_running_loop().time()
    assert await quality_of(bus, ask(1)) is Quality.NOT_RESPONDING
    assert 0.1 <= asyncio.get_running_loop().time() - start < 0.5


async def test_a_late_reply_is_never_taken_for_the_next_answer(slave, bus):
    """Ten times of ten: an answer that comes after its time-out is drained, the next request gets its own."""
    for turn in range(10):
        late = 100 + turn
        slave.script = lambda asked: [(0.13, reply(register_of(asked)))]
        assert await quality_of(bus, ask(late, timeout_s=0.02)) is Quality.NOT_RESPONDING
        slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
        assert (await bus.perform(ask(turn))).values == (turn,)
    assert bus.counters.stray_bytes >= 70


async def test_a_short_reply_is_a_bad_frame_and_the_next_poll_is_well(slave, bus):
    """A reply that breaks off is told apart from silence."""
    slave.script = lambda asked: [(0.002, reply(register_of(asked))[:-1])]
    assert await quality_of(bus, ask(1)) is Quality.BAD_FRAME
    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    assert (await bus.perform(ask(2))).values == (2,)


async def test_a_garbled_reply_is_a_bad_frame_and_the_next_poll_is_well(slave, bus):
    """A checksum that the driver refuses drains the line before the next request."""
    slave.script = lambda asked: [(0.002, reply(register_of(asked))[:-1] + b"\xff")]
    assert await quality_of(bus, ask(1)) is Quality.BAD_FRAME
    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    assert (await bus.perform(ask(2))).values == (2,)
    assert slave.gaps()[-1] >= 0.3


async def test_a_foreign_reply_is_a_bad_frame_at_once(slave, bus):
    """Another address answers: refused at its first byte, and what follows of it is drained."""
    await bus.perform(ask(1))
    slave.script = lambda asked: [(0.002, reply(register_of(asked), address=9))]
    start = asyncio.get_running_loop().time()
    assert await quality_of(bus, ask(1)) is Quality.BAD_FRAME
    assert asyncio.get_running_loop().time() - start < 0.09
    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    assert (await bus.perform(ask(2))).values == (2,)


@pytest.mark.parametrize(("baud", "pause_s"), [(115200, 0.0), (115200, 0.001), (9600, 0.006)])
async def test_a_reply_sent_twice_is_not_the_next_answer(baud, pause_s):
    """The second copy never answers the next request: not within T3.5, and not while that request is still leaving. One that a
    busy machine lets come later than that is another thing (`tests/faults/test_serial_faults.py`, in virtual time)."""
    slave = Slave(lambda asked: [(0.012, reply(register_of(asked))), (pause_s, reply(register_of(asked)))])
    bus = Bus(slave.spec(baud=baud), SystemClock())
    answered = 0
    for register in range(100):
        slave.late_s = 0.0
        try:
            values = (await bus.perform(ask(register))).values
        except BusError:
            continue
        if slave.late_s < 0.0005:
            assert values == (register,)
            answered += 1
        if answered == 3:
            break
    assert answered
    assert bus.counters.stray_bytes + bus.counters.early_bytes >= 14
    bus.close()
    slave.close()


async def test_bytes_from_before_the_request_are_thrown_away_and_counted(slave, bus):
    """What nobody asked for is not an answer, even if it looks like one."""
    await bus.perform(ask(1))
    slave.say(reply(666))
    assert (await bus.perform(ask(2))).values == (2,)
    assert bus.counters.stray_bytes == 7


async def test_bytes_that_arrive_while_the_request_is_leaving_are_no_answer():
    """At 1200 baud a request of 8 bytes takes 73 ms: what comes after 2 ms is older than it."""
    slave = Slave(lambda asked: [(0.002, reply(666)), (0.2, reply(register_of(asked)))])
    bus = Bus(slave.spec(baud=1200, reply_timeout_s=2.0), SystemClock())
    assert (await bus.perform(ask(2))).values == (2,)
    assert bus.counters.early_bytes == 7
    bus.close()
    slave.close()


async def test_a_glitch_between_polls_costs_no_drain(slave, bus):
    """One stray byte, as transceivers make when they turn, delays the next request by T3.5 only."""
    await bus.perform(ask(1))
    drains = bus.counters.drains
    slave.say(b"\x00")
    await until(lambda: bus.counters.stray_bytes == 1)
    assert (await bus.perform(ask(2))).values == (2,)
    assert bus.counters.drains == drains


async def test_own_echo_is_dropped_on_a_line_with_echo():
    """`echo: true`: the request comes back first, then the reply."""
    slave = Slave(lambda asked: [(0.0, asked), (0.002, reply(register_of(asked)))])
    bus = Bus(slave.spec(echo=True), SystemClock())
    assert (await bus.perform(ask(1, 2))).values == (1, 2)
    slave.script = lambda asked: [(0.0, asked[:4]), (0.002, asked[4:] + reply(register_of(asked)))]
    assert (await bus.perform(ask(3))).values == (3,)
    bus.close()
    slave.close()


@pytest.mark.parametrize(
    ("script", "quality"),
    [
        (lambda asked: [(0.002, reply(register_of(asked)))], Quality.BAD_FRAME),  # the reply alone
        (lambda asked: [(0.0, b"\x55" + asked[1:])], Quality.BAD_FRAME),  # somebody else spoke at the same time
        (lambda asked: [(0.0, asked)], Quality.NOT_RESPONDING),
    ],
)
async def test_an_echo_that_is_missing_or_different_is_no_answer(script, quality):
    """A line declared with echo must return exactly our request; echo alone is silence."""
    slave = Slave(script)
    bus = Bus(slave.spec(echo=True), SystemClock())
    assert await quality_of(bus, ask(1)) is quality
    bus.close()
    slave.close()


@pytest.mark.parametrize(("baud", "silence_s"), [(9600, 3.5 * 11 / 9600), (115200, 0.00175)])
async def test_no_request_before_the_line_was_silent(baud, silence_s):
    """The next request never comes before T3.5 after the last byte of the reply."""
    slave = Slave(lambda asked: [(0.018, reply(register_of(asked)))])
    bus = Bus(slave.spec(baud=baud, reply_timeout_s=2.0), SystemClock())
    await bus.perform(ask(*range(20)))
    assert min(slave.gaps()) >= 0.018 + silence_s
    bus.close()
    slave.close()


async def test_a_device_that_needs_a_pause_gets_it(slave, bus):
    """`settle_s` is kept before the next request."""
    await bus.perform(ask(1, 2, settle_s=0.05))
    assert slave.gaps()[0] >= 0.05


async def test_a_babbling_line_is_down_until_it_is_silent(slave, bus):
    """A line that never gets silent is LINE_DOWN for everyone, and well again once it is silent."""
    await bus.perform(ask(1))
    loop = asyncio.get_running_loop()
    babbling = True

    def babble():
        if babbling:
            with contextlib.suppress(BlockingIOError):
                os.write(slave.ours, os.urandom(512))
            loop.call_later(0.01, babble)

    babble()
    await until(lambda: bus.counters.drains == 2)
    start = loop.time()
    assert await quality_of(bus, ask(1)) is Quality.LINE_DOWN
    assert loop.time() - start < 5
    assert await quality_of(bus, ask(1)) is Quality.LINE_DOWN
    assert bus.counters.babbles == 1
    assert not bus.status()["up"]
    babbling = False
    await until(lambda: bus.status()["up"])
    assert (await bus.perform(ask(2))).values == (2,)


async def test_a_pulled_adapter_is_line_down_at_once_and_works_again_by_its_name(tmp_path, slave):
    """Hang-up in the middle of a poll; the name leads to another terminal afterwards."""
    name = tmp_path / "by-path"
    name.symlink_to(slave.path)
    bus = Bus(slave.spec(port=str(name)), SystemClock())
    await bus.perform(ask(1))
    slave.script = lambda asked: []
    asyncio.get_running_loop().call_later(0.02, slave.pull)
    start = asyncio.get_running_loop().time()
    assert await quality_of(bus, ask(1, timeout_s=3.0)) is Quality.LINE_DOWN
    assert asyncio.get_running_loop().time() - start < 1.0
    assert await quality_of(bus, ask(1)) is Quality.LINE_DOWN
    slave.plug()
    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    name.unlink()
    name.symlink_to(slave.path)

    async def works():
        try:
            return await bus.perform(ask(3))
        except BusError:
            return None

    deadline = asyncio.get_running_loop().time() + 5
    while (scan := await works()) is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert scan.values == (3,)
    assert bus.counters.openings == 2
    bus.close()


async def test_a_hang_up_while_nobody_asks_is_seen(slave, bus):
    """An idle line that is pulled is down before anyone asks."""
    await bus.perform(ask(1))
    await until(lambda: bus.status()["state"] == "quiet")
    slave.pull()
    await until(lambda: not bus.status()["up"])
    assert bus.counters.losses == 1


async def test_a_port_that_does_not_exist_is_line_down_and_named(tmp_path):
    """The reason that a person reads names the port."""
    slave = Slave()
    bus = Bus(slave.spec(port=str(tmp_path / "nothing")), SystemClock())
    with pytest.raises(BusError, match="nothing") as caught:
        await bus.perform(ask(1))
    assert caught.value.quality is Quality.LINE_DOWN
    bus.close()
    slave.close()


async def test_a_port_in_use_is_refused(slave, bus):
    """Two buses (or two gateways) never share a line."""
    await bus.perform(ask(1))
    other = Bus(slave.spec(), SystemClock())
    assert await quality_of(other, ask(1)) is Quality.LINE_DOWN
    other.close()


async def test_a_cancelled_poll_leaves_no_answer_for_the_next(slave, bus):
    """Its reply still comes, and is drained."""
    await bus.perform(ask(1))
    slave.script = lambda asked: [(0.05, reply(register_of(asked)))]
    poll = asyncio.ensure_future(bus.perform(ask(9)))
    await until(lambda: len(slave.requests) == 2)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    assert (await bus.perform(ask(2))).values == (2,)


async def test_a_bug_in_a_driver_reaches_the_one_who_awaits(slave, bus):
    """Neither the loop nor the bus swallows it, wherever the driver raises; the next poll is well."""

    def broken_after_a_reply():
        yield from ask(1)
        raise ZeroDivisionError

    def broken_framing():
        exchange = next(ask(1))
        yield type(exchange)(exchange.request, lambda data: 1 // 0)

    def endless():
        while True:
            yield from ask(1)

    def broken_at_once():
        raise KeyError("x")
        yield

    slave.script = lambda asked: [(0.002, reply(register_of(asked)))]
    for poll, bug in (
        (broken_after_a_reply(), ZeroDivisionError),
        (broken_framing(), ZeroDivisionError),
        (broken_at_once(), KeyError),
    ):
        with pytest.raises(bug):
            await bus.perform(poll)
        assert (await bus.perform(ask(2))).values == (2,)
    with pytest.raises(RuntimeError, match="without end"):
        await bus.perform(endless())


async def test_a_driver_that_goes_on_after_a_time_out_is_served(slave, bus):
    """BusError is thrown into the poll; a driver may ask something else, after the drain."""

    def patient():
        try:
            yield from ask(1, timeout_s=0.02)
        except BusError:
            return (yield from ask(2))

    slave.script = lambda asked: [(0.002, reply(2))] if register_of(asked) == 2 else [(0.05, reply(1))]
    assert (await bus.perform(patient())).values == (2,)


async def test_a_driver_that_will_not_give_up_on_a_dead_line_is_ended(slave, bus):
    """LINE_DOWN is thrown once; whoever asks on gets it as the poll's result."""

    def stubborn():
        while True:
            try:
                yield from ask(1, timeout_s=3.0)
            except BusError:
                continue

    await bus.perform(ask(1))
    slave.script = lambda asked: []
    asyncio.get_running_loop().call_later(0.02, slave.pull)
    assert await quality_of(bus, stubborn()) is Quality.LINE_DOWN


async def test_the_first_request_waits_until_an_old_answer_would_be_over(slave, bus):
    """A gateway that was killed in the middle of a request may find its answer on the line: it drains before it asks."""
    opened = asyncio.get_running_loop().time()
    asyncio.get_running_loop().call_later(0.1, slave.say, reply(666))
    assert (await bus.perform(ask(1))).values == (1,)
    assert slave.times[0] - opened >= 0.4


async def test_a_shorter_time_out_can_be_asked_for(slave, bus):
    """Probes of dead devices wait less."""
    await bus.perform(ask(1))
    slave.script = lambda asked: []
    with pytest.raises(BusError, match=r"0\.03"):
        await bus.perform(ask(1), longest_s=0.03)
