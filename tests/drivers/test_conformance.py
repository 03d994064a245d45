"""Every template that asks, under everything a line can do to its replies: only `BusError` may escape.

The good replies are the templates' golden exchanges, over RTU and over TCP where the driver has it. The terminals that
call have the same tests in `test_meokon` and `test_framing`.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import DRIVERS
from drivers.modbus_pdu import crc16
from gateway.errors import BusError
from gateway.model import BusKind, Quality
from tests.drivers import loading

RTU, TCP = BusKind.SERIAL, BusKind.TCP


def converted(request, reply, kind):
    """A Modbus exchange in the other framing; the transaction id is put in when it is played."""
    if request[2:4] == b"\0\0" and len(request) == 12:
        if kind is TCP:
            return request, reply
        return tuple(part[6:] + crc16(part[6:]).to_bytes(2, "little") for part in (request, reply))
    if kind is RTU:
        return request, reply
    return tuple(b"\0\0\0\0" + (len(part) - 2).to_bytes(2, "big") + part[:-2] for part in (request, reply))


def cases():
    for name in loading.NAMES:
        content = loading.template(name)
        driver = DRIVERS[content["driver"]]
        for kind in sorted(driver.buses & {RTU, TCP}):
            for golden in content["golden"]:
                steps = [
                    tuple(bytes.fromhex(step[key]) for key in ("request", "reply")) for step in golden["exchanges"]
                ]
                if content["driver"] in ("modbus", "notifier"):
                    steps = [converted(*step, kind) for step in steps]
                label = f"{name}-{golden['group']}-{kind}"
                yield pytest.param(name, golden, kind, steps, id=label)


CASES = list(cases())
MODBUS = [case for case in CASES if loading.template(case.values[0])["driver"] == "modbus"]
ON_RTU = [case for case in CASES if case.values[2] is RTU]


def play(name, golden, kind, steps, damage, place=-1):
    """One poll whose reply number `place` (the last by default) goes through `damage(request, reply)`."""
    device = loading.device(name, golden["address"])
    index = [group.name for group in device.groups].index(golden["group"])
    last = place % len(steps)
    left = iter(enumerate(steps))

    def answer(exchange):
        number, (request, reply) = next(left)
        own = 2 if kind is TCP else 0
        assert exchange.request[own:] == request[own:]
        reply = exchange.request[:own] + reply[own:]
        return damage(exchange.request, reply) if number == last else reply

    return loading.run(DRIVERS[device.driver].open(device, kind)(index), answer)[0]


def refused(*case):
    with pytest.raises(BusError) as raised:
        play(*case)
    return raised.value.quality


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), CASES)
def test_the_undamaged_reply_is_taken(name, golden, kind, steps):
    """Else the tests below would prove nothing."""
    assert play(name, golden, kind, steps, lambda request, reply: reply).qualities == bytes(len(golden["values"]))


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), CASES)
def test_a_reply_cut_at_any_length_is_no_reply(name, golden, kind, steps):
    """The framing waits for the rest; the time-out speaks."""
    for place in range(len(steps)):
        for size in range(len(steps[place][1])):
            damage = lambda request, reply, size=size: reply[:size]  # noqa: E731  # one line a damage
            assert refused(name, golden, kind, steps, damage, place) is Quality.NOT_RESPONDING


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), ON_RTU)
def test_every_single_bit_flip_on_a_serial_line_is_refused(name, golden, kind, steps):
    """CRC or sum, at the latest; a flipped length is a bad frame or a time-out, never a value."""
    for place in range(len(steps)):
        for bit in range(8 * len(steps[place][1])):
            quality = refused(name, golden, kind, steps, lambda request, reply, bit=bit: flipped(reply, bit), place)
            assert quality in (Quality.BAD_FRAME, Quality.NOT_RESPONDING)


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), [case for case in CASES if case.values[2] is TCP])
def test_a_bit_flip_over_tcp_changes_values_or_is_refused(name, golden, kind, steps):
    """MBAP has no checksum: data may differ, but every byte of the structure is guarded."""
    for place in range(len(steps)):
        structure = 8 * 9  # header, unit, function, byte count
        for bit in range(8 * len(steps[place][1])):
            damage = lambda request, reply, bit=bit: flipped(reply, bit)  # noqa: E731  # one line a damage
            if bit < structure and (bit // 8, bit % 8) != (7, 7):
                assert refused(name, golden, kind, steps, damage, place) in (Quality.BAD_FRAME, Quality.NOT_RESPONDING)
            else:
                survived(name, golden, kind, steps, damage, place)


def flipped(data, bit):
    data = bytearray(data)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def survived(*case):
    try:
        found = play(*case)
    except BusError:
        return
    assert len(found.values) == len(found.qualities)
    for value, quality in zip(found.values, found.qualities, strict=True):
        assert (value is None) == (quality >= 32)


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), CASES)
def test_a_reply_from_a_foreign_address_is_refused(name, golden, kind, steps):
    """With a checksum that is right."""

    def foreign(request, reply):
        if kind is TCP:
            return reply[:6] + bytes([reply[6] ^ 3]) + reply[7:]
        if name == "bwsensing_bwm826":
            body = reply[:3] + bytes([reply[3] ^ 3]) + reply[4:-1]
            return body + bytes([sum(body[1:]) & 0xFF])
        body = bytes([reply[0] ^ 3]) + reply[1:-2]
        return body + crc16(body).to_bytes(2, "little")

    assert refused(name, golden, kind, steps, foreign) is Quality.BAD_FRAME


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), CASES)
def test_an_echo_of_the_request_is_never_a_value(name, golden, kind, steps):
    """Alone, and before the reply on a line whose echo was not declared."""
    assert refused(name, golden, kind, steps, lambda request, reply: request).level == 2
    assert refused(name, golden, kind, steps, lambda request, reply: request + reply).level == 2


@pytest.mark.parametrize(("name", "golden", "kind", "steps"), MODBUS)
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 0x0A, 0x0B, 0, 255])
def test_exceptions_are_bad_qualities_or_a_bus_error(name, golden, kind, steps, code):
    """No value of a refused range, and nothing but BusError."""

    def exception(request, reply):
        start = 7 if kind is TCP else 1
        body = reply[: start - 1] + bytes([reply[start - 1], reply[start] | 0x80, code])
        if kind is TCP:
            return reply[:4] + b"\0\3" + body[6:]
        return body + crc16(body).to_bytes(2, "little")

    device = loading.device(name, golden["address"])
    index = [group.name for group in device.groups].index(golden["group"])

    def always(exchange):
        own = 2 if kind is TCP else 0
        return exception(exchange.request, exchange.request[:own] + steps[0][1][own:])

    poll = DRIVERS[device.driver].open(device, kind)(index)
    if code in (0x0A, 0x0B):
        with pytest.raises(BusError) as raised:
            loading.run(poll, always)
        assert raised.value.quality is Quality.NOT_RESPONDING
        return
    found = loading.run(poll, always)[0]
    assert set(found.values) == {None}
    assert set(found.qualities) <= {Quality.REFUSED, Quality.NO_SUCH_REGISTER}


@settings(max_examples=300)
@given(st.sampled_from(CASES), st.binary(max_size=300))
def test_random_bytes_are_never_a_value(case, junk):
    """Over TCP with the right transaction they could be; only BusError may escape all the same."""
    survived(*case.values, lambda request, reply: junk)
    survived(*case.values, lambda request, reply: reply[: len(junk) % 9] + junk)


@settings(max_examples=300)
@given(st.sampled_from(CASES), st.data())
def test_replies_with_pieces_replaced_repeated_or_lost(case, data):
    """Cut out, doubled, and overwritten stretches: a BusError, or over TCP other values."""
    name, golden, kind, steps = case.values

    def damage(request, reply):
        start = data.draw(st.integers(0, len(reply)))
        end = data.draw(st.integers(start, len(reply)))
        change = data.draw(st.sampled_from(["lose", "double", "overwrite"]))
        if change == "lose":
            return reply[:start] + reply[end:]
        if change == "double":
            return reply[:end] + reply[start:]
        return reply[:start] + data.draw(st.binary(min_size=end - start, max_size=end - start)) + reply[end:]

    survived(name, golden, kind, steps, damage)
