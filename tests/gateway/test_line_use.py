"""What a line's time is spent on, in virtual time: nothing but characters, the devices' own time, and the silences."""

from dataclasses import replace
from random import Random

import pytest

from drivers import DRIVERS
from drivers.contract import Exchange
from drivers.modbus_pdu import NOISE_BYTES
from drivers.modbus_reads import read_only, rtu_frame
from firmware_sim.slave import Answer
from gateway.errors import BusError
from gateway.field.line import Patience
from gateway.model import BusKind, Quality
from gateway.poller import tapped
from tests.drivers.loading import device
from tests.faults.virtual_line import World

SCENE = "lines: [{id: line, devices: [{id: one, template: generic_smoke_loop, address: 1, values: {density: 1.11}}]}]"
REQUEST_BYTES, REPLY_BYTES = 8, 9
RESPONSE_S = 0.005


def opened():
    return DRIVERS["modbus"].open(device("generic_smoke_loop", 1, "one"), BusKind.SERIAL)


@pytest.mark.parametrize(("baud", "least"), [(1200, 0.99), (9600, 0.99), (115200, 0.99)])
async def test_polls_back_to_back_use_the_line_whole_and_none_is_too_early(tmp_path, baud, least):
    """As a share of what T3.5, the bytes and the device's response time leave; late timers are the machine's."""
    world, poll = World(tmp_path, SCENE, baud=baud), opened()
    await world.perform(poll(0))
    since, count = world.clock.now, 200
    for _ in range(count):
        assert (await world.perform(poll(0))).values[0] == pytest.approx(1.11)
    silence_s = 0.00175 if baud > 19200 else 3.5 * 11 / baud
    simulated_s = 0.00175 if baud > 19200 else 3.5 * 10 / baud  # the device's own reckoning of T3.5
    ideal_s = (REQUEST_BYTES + REPLY_BYTES) * 10 / baud + silence_s + max(RESPONSE_S, simulated_s)
    assert least <= count * ideal_s / (world.clock.now - since) <= 1.0001
    assert world.log.complaints == []


@pytest.mark.parametrize("fifo", [1, 8, 14])
@pytest.mark.parametrize("baud", [1200, 9600, 19200, 115200])
async def test_a_reply_in_blocks_is_taken_at_its_last_byte(tmp_path, baud, fifo):
    """The adapter hands over what it has each `fifo` bytes: nothing is slept through, whatever was there at which look."""
    line = f"id: line, baud: {baud}, fifo: {fifo}, devices: [{{id: lift, template: vanke_lift_box, address: 1}}]"
    world = World(tmp_path, f"lines: [{{{line}}}]", baud=baud, reply_timeout_s=0.3)
    poll, index = DRIVERS["modbus"].open(device("vanke_lift_box", 1, "lift"), BusKind.SERIAL), 2
    bytes_there = []
    await world.perform(poll(index))
    since, count = world.clock.now, 50
    for _ in range(count):
        scan = await world.perform(tapped(poll(index), lambda direction, data: bytes_there.append(len(data))))
        assert not any(scan.qualities)
    exchanges = len(bytes_there) // 2
    silence_s = 0.00175 if baud > 19200 else 3.5 * 11 / baud
    simulated_s = 0.00175 if baud > 19200 else 3.5 * 10 / baud
    ideal_s = sum(bytes_there) * 10 / baud + exchanges * (silence_s + max(RESPONSE_S, simulated_s))
    assert max(bytes_there) == 21  # three blocks of 8
    assert ideal_s / (world.clock.now - since) >= 0.999
    assert world.log.complaints == []


async def tried(world, poll, longest_s, group=0):
    try:
        return await world.clock.run(world.bus.perform(poll(group), longest_s, group))
    except BusError as error:
        return error.quality


async def test_a_device_that_has_become_slow_is_heard_at_its_next_short_try(tmp_path):
    """Its late answer is heard in the drain after the first one: the second waits for the whole time-out."""
    world, poll = World(tmp_path, SCENE, baud=9600, reply_timeout_s=0.5), opened()
    assert (await tried(world, poll, None)).values[0] == pytest.approx(1.11)
    world.field.set_fault({"device": "one", "what": "late", "after_s": 0.3})
    assert await tried(world, poll, 0.1) is Quality.NOT_RESPONDING
    assert (await tried(world, poll, 0.1)).values[0] == pytest.approx(1.11)


async def test_a_slow_group_is_heard_though_another_of_its_device_answers_meanwhile(tmp_path):
    """The polls of the one that answers are not shortened, and go to the same address: they are not the silent one's tries."""
    world, poll = World(tmp_path, SCENE, baud=9600, reply_timeout_s=0.5), opened()
    world.field.set_fault({"device": "one", "what": "late", "after_s": 0.3})
    heard = []
    for _ in range(2):
        heard.append(await tried(world, poll, 0.1))
        assert not any((await tried(world, poll, None, group=1)).qualities)
    assert heard[0] is Quality.NOT_RESPONDING
    assert heard[1].values[0] == pytest.approx(1.11)


async def test_bytes_that_never_become_an_answer_earn_one_try_in_four(tmp_path):
    """Something is heard in each drain, and the whole time-out was in vain: the line does not pay for it each time."""
    world, poll = World(tmp_path, SCENE, baud=9600, reply_timeout_s=0.5), opened()
    await tried(world, poll, None)
    world.field.set_fault({"device": "one", "what": "late", "after_s": 0.7})
    whole = []
    for _ in range(10):
        await world.clock.rest(world.clock.now + 2.0)
        since = world.clock.now
        assert await tried(world, poll, 0.3) is Quality.NOT_RESPONDING
        whole.append(world.clock.now - since > 0.5)
    assert whole == [False, True, False, False, False, True, False, False, False, True]


async def test_a_silent_device_is_tried_shortly_as_often_as_asked(tmp_path):
    """Nothing was heard in the drains: no try costs the line a whole time-out."""
    world, poll = World(tmp_path, SCENE, baud=9600, reply_timeout_s=0.5), opened()
    await tried(world, poll, None)
    world.field.set_fault({"device": "one", "what": "silent"})
    for _ in range(20):
        since = world.clock.now
        assert await tried(world, poll, 0.1) is Quality.NOT_RESPONDING
        assert world.clock.now - since < 0.5 + 0.2  # the drain before it, and itself


def exchange(address, timeout_s=None):
    return Exchange(b"?", len, timeout_s=timeout_s, address=address)


@pytest.mark.parametrize(
    ("heard_s", "asked"),
    [
        (0.0, exchange(7)),  # a connection, which is not drained
        (0.5, exchange(7, timeout_s=2.0)),  # its answer may come later than the drain ends
    ],
)
def test_where_a_late_answer_goes_unheard_each_fourth_try_has_the_whole_time_out(heard_s, asked):
    """So a slow device comes back there, too; a poll that is not shortened begins the count anew."""
    patience, whole_s = Patience(0.5, heard_s), asked.timeout_s or 0.5
    assert [patience.timeout_s(asked, 0.1, "one") for _ in range(8)] == [0.1, 0.1, 0.1, whole_s] * 2
    assert [patience.timeout_s(asked, longest_s, "one") for longest_s in (0.1, 0.1, None, 0.1, 0.1, 0.1, 0.1)] == [
        *(0.1, 0.1, whole_s),
        *(0.1, 0.1, 0.1, whole_s),
    ]


def test_each_of_four_silent_devices_has_its_whole_time_outs_on_a_connection_too():
    """They are asked in turn, for ever in the same order: whose fourth try it is must not depend on the others'."""
    patience = Patience(0.5, 0.0)
    tries = [(name, patience.timeout_s(exchange(None), 0.1, name)) for _ in range(8) for name in "abcd"]
    assert [name for name, timeout_s in tries if timeout_s == 0.5] == [*"abcd"] * 2


def asks(register):
    """One register of address 1, as a tool or a group of the device asks for it; what came as hex."""
    pdu = bytes((3, *register.to_bytes(2, "big"), 0, 1))
    reply = yield replace(read_only(rtu_frame(1, pdu), rtu=True).exchange, address=1)
    return reply.data.hex()


@pytest.mark.parametrize("after_s", [0.15, 0.25, 0.35, 0.45, 0.55])
async def test_no_late_answer_is_taken_for_that_to_another_request_of_the_same_device(tmp_path, after_s):
    """They look alike on a line. What is not waited for any more is waited out before the device is asked something else: as
    after a whole time-out, 0.3 s here, and its drain."""
    scene = SCENE.replace("density: 1.11", "density: 1.11, temperature: 22.2")
    world = World(tmp_path, scene, baud=19200, reply_timeout_s=0.3)
    right = [await world.clock.run(world.bus.perform(asks(register), None, register)) for register in (0, 1)]
    assert right[0] != right[1]
    world.field.set_fault({"device": "one", "what": "late", "after_s": after_s})
    for register in (0, 1, 0, 1, 1, 0):
        try:
            told = await world.clock.run(world.bus.perform(asks(register), 0.1, register))
        except BusError as error:
            assert error.quality in (Quality.NOT_RESPONDING, Quality.BAD_FRAME)  # noqa: PT017 - either
        else:
            assert told == right[register]


def test_another_device_does_not_wait_for_a_late_answer():
    """Its answer has another address."""
    patience = Patience(0.5, 0.5)
    first, second = (Exchange(request, len, address=1) for request in (b"1", b"2"))
    assert patience.timeout_s(first, 0.1, "one") == 0.1
    patience.left(first, 100.0)
    assert patience.free_at(second) == 101.0
    assert patience.free_at(Exchange(b"?", len)) == 101.0, "nobody knows whose"
    assert patience.free_at(first) == 100.6, "the drain after it"
    assert patience.free_at(exchange(2)) == 0.0


PAIR = """
lines: [{id: line, devices: [
  {id: one, template: generic_smoke_loop, address: 1, values: {density: 1.11}},
  {id: two, template: generic_smoke_loop, address: 2, values: {density: 2.22}},
]}]
"""


def pair(folder):
    world = World(folder, PAIR, baud=9600, reply_timeout_s=0.5)
    return world, *(
        DRIVERS["modbus"].open(device("generic_smoke_loop", at, id), BusKind.SERIAL)
        for at, id in ((1, "one"), (2, "two"))
    )


async def test_another_device_does_not_wait_for_the_drain_after_a_short_try(tmp_path):
    """A dead device costs the others its short try, and no more; itself it is drained for, whatever it is asked next."""
    world, one, two = pair(tmp_path)
    assert (await world.perform(two(0))).values[0] == pytest.approx(2.22)
    world.field.set_fault({"device": "one", "what": "silent"})
    for _ in range(5):
        since = world.clock.now
        assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
        assert (await world.perform(two(0))).values[0] == pytest.approx(2.22)
        assert world.clock.now - since < 0.1 + 0.06
        assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
        assert world.clock.now - since >= 0.1 + 0.5 + 0.1  # the first one's drain is waited for by the second
        await world.clock.rest(world.clock.now + 1.0)
    assert world.log.complaints == []


async def test_the_drain_after_a_whole_time_out_is_everybodys(tmp_path):
    """Only tries of a device that is known to be silent are cheap: rule 7 of reliability.md holds for the others."""
    world, one, two = pair(tmp_path)
    await world.perform(two(0))
    world.field.set_fault({"device": "one", "what": "silent"})
    since = world.clock.now
    assert await tried(world, one, None) is Quality.NOT_RESPONDING
    assert (await world.perform(two(0))).values[0] == pytest.approx(2.22)
    assert world.clock.now - since >= 1.0


async def test_who_has_no_more_than_a_sum_waits_for_the_drain(tmp_path):
    """A late answer that falls into its reply could pass for it: one in 256."""
    world, one, two = pair(tmp_path)
    await world.perform(two(0))
    world.field.set_fault({"device": "one", "what": "silent"})
    since = world.clock.now
    assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
    weak = replace(read_only(rtu_frame(2, bytes((3, 0, 0, 0, 1))), rtu=True).exchange, address=2, noise_bytes=0)

    def ask_weakly():
        return (yield weak)

    await world.clock.run(world.bus.perform(ask_weakly()))
    assert world.clock.now - since >= 0.1 + 0.5


@pytest.mark.parametrize("after_s", [0.15, 0.2, 0.3, 0.4])
async def test_a_late_answer_among_the_others_costs_one_of_them_a_poll_and_is_heard(tmp_path, after_s):
    """It is nobody's value; the line is drained, and the slow device has its whole time-out at the next try."""
    world, one, two = pair(tmp_path)
    await world.perform(two(0))
    world.field.set_fault({"device": "one", "what": "late", "after_s": after_s})
    assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
    told = [await world.perform(two(0)) for _ in range(20)]
    bad = [one for one in told if isinstance(one, BusError)]
    assert len(bad) <= 1
    assert all(scan.values[0] == pytest.approx(2.22) for scan in told if scan not in bad)
    assert (await tried(world, one, 0.1)).values[0] == pytest.approx(1.11)


async def test_a_slow_device_is_heard_though_a_dead_one_is_always_tried_after_it(tmp_path):
    """Whose late answer it was nobody knows: each that was not waited for long enough may have sent it."""
    scene = PAIR.replace(
        "\n]}]", "\n  {id: dead, template: generic_smoke_loop, address: 3, values: {density: 3.33}},\n]}]"
    )
    world = World(tmp_path, scene, baud=9600, reply_timeout_s=0.5)
    one, two, dead = (
        DRIVERS["modbus"].open(device("generic_smoke_loop", at, name), BusKind.SERIAL)
        for at, name in ((1, "one"), (2, "two"), (3, "dead"))
    )
    await world.perform(two(0))
    world.field.set_fault({"device": "one", "what": "late", "after_s": 0.4})
    world.field.set_fault({"device": "dead", "what": "silent"})

    async def short(poll, whom):
        try:
            return await world.clock.run(world.bus.perform(poll(0), 0.1, whom))
        except BusError as error:
            return error.quality

    heard = []
    for _ in range(4):
        heard.append(await short(one, "one"))
        await short(dead, "dead")
        for _ in range(10):
            await world.perform(two(0))
        await world.clock.rest(world.clock.now + 1.0)
    assert heard[0] is Quality.NOT_RESPONDING
    assert not isinstance(heard[1], Quality), "the whole time-out"
    assert heard[1].values[0] == pytest.approx(1.11)


@pytest.mark.parametrize("cut", [0, 4])
async def test_an_answer_spoilt_on_the_line_may_hide_a_late_one(tmp_path, cut):
    """Its driver refuses it, or it breaks off: two may have talked at once. The silent one has its whole time-out next."""
    world, one, two = pair(tmp_path)
    await world.perform(two(0))
    world.field.set_fault({"device": "one", "what": "silent"})

    def spoilt():
        exchange = next(two(0))
        yield replace(exchange, framing=lambda data: 9 + cut, sound=None)
        raise BusError(Quality.BAD_FRAME, "the checksum is wrong")

    assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
    with pytest.raises(BusError):
        await world.clock.run(world.bus.perform(spoilt()))
    await world.clock.rest(world.clock.now + 2.0)
    since = world.clock.now
    assert await tried(world, one, 0.1) is Quality.NOT_RESPONDING
    assert world.clock.now - since >= 0.5


async def told_or_error(world, poll, longest_s, whom):
    try:
        return await world.clock.run(world.bus.perform(poll, longest_s, whom))
    except BusError as error:
        return error.quality


@pytest.mark.parametrize("after_s", [0.45, 0.5, 0.55, 0.59])
async def test_the_answer_to_a_try_that_was_given_up_may_not_pass_on_to_the_next_request(tmp_path, after_s):
    """The next try of the same takes it; then its own answer is still to come, and is nobody else's."""
    scene = SCENE.replace("density: 1.11", "density: 1.11, temperature: 22.2")
    world = World(tmp_path, scene, baud=19200, reply_timeout_s=0.3)
    right = [await world.clock.run(world.bus.perform(asks(register), None, register)) for register in (0, 1)]
    world.field.set_fault({"device": "one", "what": "late", "after_s": after_s})
    assert await told_or_error(world, asks(0), 0.1, "all") is Quality.NOT_RESPONDING
    assert await told_or_error(world, asks(0), None, "all") == right[0]
    assert await told_or_error(world, asks(1), None, "all") in (right[1], Quality.NOT_RESPONDING, Quality.BAD_FRAME)


async def test_the_answer_that_another_ones_late_answer_hid_is_nobody_elses_either(tmp_path):
    """Two are slow at once, by a radio bridge that stalls: the late answer of one ends the exchange of the other."""
    scene = PAIR.replace("density: 2.22", "density: 2.22, temperature: 22.2")
    world = World(tmp_path, scene, baud=9600, reply_timeout_s=0.3)

    def of_two(register):
        pdu = bytes((3, *register.to_bytes(2, "big"), 0, 1))
        reply = yield replace(read_only(rtu_frame(2, pdu), rtu=True).exchange, address=2, noise_bytes=NOISE_BYTES)
        return reply.data.hex()

    right = [await world.clock.run(world.bus.perform(of_two(register), None, register)) for register in (0, 1)]
    assert right[0] != right[1]
    world.field.set_fault({"device": "one", "what": "late", "after_s": 0.15})
    world.field.set_fault({"device": "two", "what": "late", "after_s": 0.5})
    assert await told_or_error(world, asks(0), 0.1, "one") is Quality.NOT_RESPONDING
    assert await told_or_error(world, of_two(0), None, 0) is Quality.BAD_FRAME
    assert await told_or_error(world, of_two(1), None, 1) in (right[1], Quality.NOT_RESPONDING)


@pytest.mark.parametrize("seed", [3, 4, 5])
async def test_nobodys_late_answer_is_anybodys_value(tmp_path, seed):
    """Four devices become slow, silent and quick again at random, up to what a whole time-out and its drain cover."""
    rng = Random(seed)
    baud, timeout_s = rng.choice([9600, 19200, 115200]), rng.choice([0.3, 0.5])
    lines = (
        f"{{id: d{unit}, template: generic_smoke_loop, address: {unit}, values: {{density: {unit}.11, temperature: 2{unit}.2}}}}"
        for unit in range(1, 5)
    )
    scene = f"lines: [{{id: line, devices: [{', '.join(lines)}]}}]"
    world = World(tmp_path, scene, baud=baud, reply_timeout_s=timeout_s)

    def asks_of(unit, registers):
        told = []
        for register in registers:
            pdu = bytes((3, *register.to_bytes(2, "big"), 0, 1))
            reply = yield replace(
                read_only(rtu_frame(unit, pdu), rtu=True).exchange, address=unit, noise_bytes=NOISE_BYTES
            )
            told.append((unit, register, reply.data))
        return told

    right = {row for unit in range(1, 5) for row in await world.clock.run(world.bus.perform(asks_of(unit, (0, 1))))}
    assert len({data for _, _, data in right}) == 8
    answered = 0
    for _ in range(600):
        if rng.random() < 0.05:
            late = {"what": "late", "after_s": rng.uniform(0.001, rng.choice([0.001, 1.95 * timeout_s]))}
            fault = rng.choice([late, late, late, {"what": "silent"}])
            world.field.set_fault({"device": f"d{rng.randint(1, 4)}"} | fault)
        unit, registers = rng.randint(1, 4), rng.choices((0, 1), k=rng.choice([1, 1, 2]))
        since = world.clock.now
        told = await told_or_error(world, asks_of(unit, registers), rng.choice([0.1, None]), (unit, registers[0]))
        assert world.clock.now - since < 4 * 2 * timeout_s + 0.5
        if not isinstance(told, Quality):
            answered += 1
            assert set(told) <= right
        if rng.random() < 0.2:
            world.bus.rest()
            await world.clock.rest(world.clock.now + rng.uniform(0, 1.5))
    assert answered > 100


class Noisy:
    """A device whose transceiver says `noise` when it turns round."""

    def __init__(self, slave, noise):
        self._slave, self.noise, self.device = slave, noise, slave.device

    def hear(self, frame, values, fault):
        answer = self._slave.hear(frame, values, fault)
        if isinstance(answer, Answer):
            return Answer(answer.device, self.noise + answer.data, answer.points)
        return answer


@pytest.mark.parametrize("noise", [b"\x00", b"\xff", b"\x00\xfe", b"\x01", b"\x03\x01"])
async def test_a_byte_or_two_of_noise_before_a_reply_is_thrown_away(tmp_path, noise):
    """The checksum still decides; nothing is drained, and it is counted. Noise that looks like a beginning is a bad frame."""
    world = World(tmp_path, SCENE, slaves=lambda slaves: [Noisy(slaves[0], noise)])
    poll = opened()
    for turn in range(1, 6):
        scan = await world.perform(poll(0))
        assert scan.values[0] == pytest.approx(1.11)
        assert world.bus.status()["noise_bytes"] == turn * len(noise)
    assert world.bus.counters.drains == 1


async def test_more_noise_than_that_is_a_bad_frame(tmp_path):
    """Somebody else is talking."""
    world = World(tmp_path, SCENE, slaves=lambda slaves: [Noisy(slaves[0], b"\x00\x00\x00")])
    result = await world.perform(opened()(0))
    assert isinstance(result, BusError)
    assert result.quality is Quality.BAD_FRAME
