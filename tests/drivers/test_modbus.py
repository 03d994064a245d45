"""A Modbus device over many polls: what it refuses, what is learnt, what survives a failure, and what `check` finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from drivers import DRIVERS
from drivers.contract import Reply
from drivers.modbus import RETRY_POLLS, SPLITS, open_switch
from drivers.modbus_at import At
from gateway.errors import BusError
from gateway.model import BusKind, Point, Quality
from tests.drivers import loading

MODBUS = DRIVERS["modbus"]
GOOD, REFUSED, MISSING = Quality.GOOD, Quality.REFUSED, Quality.NO_SUCH_REGISTER


class Server:
    """A Modbus RTU device in memory, by arithmetic: register n holds n + 1000. Keeps a log of (first, quantity)."""

    def __init__(self, missing=(), longest=125, unit=1):
        self.missing, self.longest, self.unit = set(missing), longest, unit
        self.refuse_all = None
        self.fail_at = {}
        self.log = []

    def __call__(self, exchange):
        function = exchange.request[1]
        first, quantity = (int.from_bytes(exchange.request[place : place + 2], "big") for place in (2, 4))
        self.log.append((first, quantity))
        if first in self.fail_at:
            return self.fail_at[first](self, function)
        wanted = range(first, first + quantity)
        if self.refuse_all:
            return self.exception(function, self.refuse_all)
        if self.missing & set(wanted) or quantity > self.longest:
            return self.exception(function, 2)
        data = b"".join((register + 1000).to_bytes(2, "big") for register in wanted)
        return self.frame(bytes([function, len(data)]) + data)

    def frame(self, pdu):
        body = bytes([self.unit]) + pdu
        return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")

    def exception(self, function, code):
        return self.frame(bytes([function | 0x80, code]))


def words(*registers):
    return [(f"r{register}", "int", At(register), {}) for register in registers]


def opened(*registers, **options):
    return MODBUS.open(loading.modbus(words(*registers), **options), BusKind.SERIAL)


def scan(poll, server):
    server.log.clear()
    return loading.run(poll(0), server)[0]


def qualities(found):
    return [Quality(quality) for quality in found.qualities]


def test_points_of_a_group_come_in_one_request():
    """Contiguous registers; values in point order, whatever the order of registers."""
    server, poll = Server(), opened(12, 10, 11)
    found = scan(poll, server)
    assert server.log == [(10, 3)]
    assert found.values == (1012, 1010, 1011)
    assert found.qualities == bytes(3)
    assert found.at == 101.0


def test_a_device_with_a_short_limit_is_asked_in_its_pieces():
    """`max_registers` of the template."""
    server = Server()
    scan(opened(*range(10), max_registers=4), server)
    assert server.log == [(0, 4), (4, 4), (8, 2)]


def test_a_refused_gap_is_split_for_good_within_the_same_poll():
    """The points lose nothing, and the next poll does not try the gap again."""
    server, poll = Server(missing={3}), opened(1, 2, 4, 5, max_gap=4)
    for log in ([(1, 5), (1, 2), (4, 2)], [(1, 2), (4, 2)], [(1, 2), (4, 2)]):
        found = scan(poll, server)
        assert found.values == (1001, 1002, 1004, 1005)
        assert found.qualities == bytes(4)
        assert server.log == log


def test_a_refused_point_is_found_while_the_others_stay_readable():
    """Register 6 of 0 to 7 is not there: NO_SUCH_REGISTER for it alone, and no more requests for it each poll."""
    server, poll = Server(missing={6}), opened(*range(8))
    found = scan(poll, server)
    assert [value for value in found.values if value is not None] == [1000, 1001, 1002, 1003, 1004, 1005, 1007]
    assert qualities(found) == [GOOD] * 6 + [MISSING, GOOD]
    found = scan(poll, server)
    assert qualities(found) == [GOOD] * 6 + [MISSING, GOOD]
    assert server.log == [(0, 4), (4, 2), (7, 1)]


def test_splitting_costs_a_few_requests_a_poll_and_ends():
    """Forty registers of which every second is missing: the bus is never held up, and all is known in the end."""
    server, poll = Server(missing=range(0, 40, 2)), opened(*range(40))
    for _ in range(40):
        asked_before = len(server.log)
        found = scan(poll, server)
        assert REFUSED in qualities(found) or qualities(found) == [MISSING, GOOD] * 20
    assert qualities(found) == [MISSING, GOOD] * 20
    assert len(server.log) <= 21
    assert asked_before <= 21


def test_a_poll_never_makes_more_requests_than_planned_and_the_splits():
    """Each split adds one request in place of the refused one; a retry adds one."""
    server, poll = Server(missing=range(0, 40, 2)), opened(*range(40))
    known = 1
    for _ in range(3 * RETRY_POLLS):
        scan(poll, server)
        assert len(server.log) <= known + 2 * SPLITS + 1
        known = max(known, len(server.log))


def test_a_device_that_was_only_starting_is_asked_as_planned_again():
    """It refused everything for a while; nothing of that is held against it."""
    server, poll = Server(missing=range(40)), opened(*range(40))
    for _ in range(100):
        found = scan(poll, server)
    assert qualities(found) == [MISSING] * 40
    assert len(server.log) == 1
    server.missing = set()
    for _ in range(3):
        found = scan(poll, server)
    assert found.qualities == bytes(40)
    assert server.log == [(0, 40)]


def test_a_point_that_comes_back_is_found_again():
    """After at most `RETRY_POLLS` polls; then the plan is the first one."""
    server, poll = Server(missing={3}), opened(*range(6))
    scan(poll, server)
    server.missing = set()
    polls = 0
    while scan(poll, server).qualities != bytes(6):
        polls += 1
        assert polls <= RETRY_POLLS
    scan(poll, server)
    assert server.log == [(0, 6)]


def test_a_device_that_calls_long_reads_a_wrong_address_is_halved():
    """Some answer exception 2 (or 3) to more registers than they can give."""
    server, poll = Server(longest=5), opened(*range(16))
    for _ in range(3):
        found = scan(poll, server)
    assert found.qualities == bytes(16)
    assert server.log == [(0, 4), (4, 4), (8, 4), (12, 4)]


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6, 8, 99])
def test_other_exceptions_are_refused_once_and_asked_again(code):
    """Acknowledge and busy are no faults of the device: no BusError, no back-off, nothing remembered."""
    server, poll = Server(), opened(7)
    server.refuse_all = code
    assert qualities(scan(poll, server)) == [REFUSED]
    assert len(server.log) == 1
    server.refuse_all = None
    assert qualities(scan(poll, server)) == [GOOD]


@pytest.mark.parametrize("code", [0x0A, 0x0B])
def test_a_gateway_on_the_way_that_finds_no_device_is_silence(code):
    """The server answers, the device behind it does not."""
    server, poll = Server(), opened(7)
    server.refuse_all = code
    with pytest.raises(BusError) as raised:
        scan(poll, server)
    assert raised.value.quality is Quality.NOT_RESPONDING
    assert raised.value.scan is None


def lost(server, function):
    raise BusError(Quality.NOT_RESPONDING, "no reply")


def garbled(server, function):
    return server.frame(bytes([function, 2, 0, 0]))[:-1] + b"\x99"


@pytest.mark.parametrize(("fault", "quality"), [(lost, "NOT_RESPONDING"), (garbled, "BAD_FRAME")])
def test_what_was_read_before_a_failure_goes_with_the_error(fault, quality):
    """A fire bit must not be lost because a counter behind it cannot be read."""
    server, poll = Server(), opened(0, 100, 200)
    server.fail_at[100] = fault
    with pytest.raises(BusError) as raised:
        scan(poll, server)
    assert raised.value.quality is Quality[quality]
    assert raised.value.scan.values == (1000, None, None)
    assert qualities(raised.value.scan) == [GOOD, Quality[quality], Quality[quality]]
    assert raised.value.scan.at == 101.0
    assert server.log == [(0, 1), (100, 1)]


def test_a_failure_of_the_first_request_carries_nothing():
    """All of the group is BAD then."""
    server, poll = Server(), opened(0, 100)
    server.fail_at[0] = lost
    with pytest.raises(BusError) as raised:
        scan(poll, server)
    assert raised.value.scan is None


def test_a_refused_register_keeps_its_own_reason_when_a_later_request_fails():
    """NO_SUCH_REGISTER stays; what was not asked has the failure's quality."""
    server, poll = Server(missing={50}), opened(0, 50, 100)
    scan(poll, server)
    server.fail_at[100] = lost
    with pytest.raises(BusError) as raised:
        scan(poll, server)
    assert qualities(raised.value.scan) == [GOOD, MISSING, Quality.NOT_RESPONDING]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 80), min_size=1, max_size=30, unique=True),
    st.sets(st.integers(0, 80), max_size=15),
    st.integers(0, 20),
    st.integers(3, 40),
)
def test_in_the_end_exactly_the_missing_points_are_missing(registers, missing, max_gap, longest):
    """Whatever is missing and however long a read may be, every point that is there is read."""
    server, poll = Server(missing, longest), opened(*registers, max_gap=max_gap)
    for _ in range(40):
        found = scan(poll, server)
    for register, value, quality in zip(registers, found.values, qualities(found), strict=True):
        there = register not in missing
        assert (value, quality) == ((register + 1000, GOOD) if there else (None, MISSING))


def test_groups_and_devices_learn_for_themselves():
    """What one opened device learnt is not another's."""
    server, one, other = Server(missing={2}), opened(1, 2), opened(1, 2)
    scan(one, server)
    scan(other, server)
    assert server.log[0] == (1, 2)


def test_devices_of_one_tcp_connection_start_with_different_transactions():
    """A late reply to one device is not taken for another's."""
    exchanges = []
    for name in ("lift-1", "lift-2"):
        device = loading.device("vanke_lift_box", 1, id=name)
        exchanges.append(next(MODBUS.open(device, BusKind.TCP)(0)))
    assert exchanges[0].request[:2] != exchanges[1].request[:2]


def test_options_reach_the_exchange():
    """Time-out and settle time of the template."""
    exchange = next(opened(1, timeout_s=0.2, settle_s=0.05)(0))
    assert (exchange.timeout_s, exchange.settle_s, exchange.mine) == (0.2, 0.05, None)


MISTAKES = [
    ("float", At(65535, type="float32"), {}, "at.register"),
    ("int", At(-1), {}, "at.register"),
    ("bool", At(65536, table="coil"), {}, "at.register"),
    ("bool", At(0, bit=16), {}, "at.bit"),
    ("bool", At(0, bit=-1), {}, "at.bit"),
    ("bool", At(0, type="uint32", bit=32), {}, "at.bit"),
    ("bool", At(0, type="int16", bit=1), {}, "at.bit"),
    ("float", At(0, type="float32", bit=1), {}, "at.bit"),
    ("bool", At(0, table="discrete", bit=1), {}, "at.bit"),
    ("int", At(0, bit=1, bits=(0, 1)), {}, "at.bit"),
    ("int", At(0, bits=(4, 2)), {}, "at.bits"),
    ("int", At(0, bits=(4, 16)), {}, "at.bit"),
    ("bool", At(0, type="bit"), {}, "at.type"),
    ("int", At(0, table="coil", type="uint16"), {}, "at.type"),
    ("bool", At(0, type="float32"), {}, "kind"),
    ("text", At(0), {}, "kind"),
    ("float", At(0), {"labels": ((0, "idle"),)}, "labels"),
    ("enum", At(0), {}, "labels"),
    ("int", At(0, word_order="DCBA"), {}, "at.word_order"),
    ("float", At(0, scale=0.0), {}, "at.scale"),
    ("float", At(0, scale=float("inf")), {}, "at.scale"),
    ("float", At(0, offset=float("nan")), {}, "at.offset"),
    ("int", At(0, scale=0.1), {}, "at.scale"),
    ("bool", At(0, bit=0, scale=2.0), {}, "at.scale"),
    ("bool", At(0, table="coil", not_available=1), {}, "at.not_available"),
    ("float", At(0, not_available=float("nan")), {}, "at.not_available"),
    ("float", At(0, not_available=0.5), {}, "at.not_available"),
    ("int", At(0, type="float64"), {}, "kind"),
    ("bool", At(0, type="bcd16"), {}, "kind"),
    ("text", At(0), {}, "kind"),
    ("text", At(0, table="coil", type="string", registers=2), {}, "at.type"),
    ("int", At(0, type="string", registers=2), {}, "kind"),
    ("text", At(0, type="string"), {}, "at.registers"),
    ("text", At(0, type="string", registers=126), {}, "at.registers"),
    ("int", At(0, registers=2), {}, "at.registers"),
    ("text", At(65530, type="string", registers=8), {}, "at.register"),
    ("int", At(0, encoding="gb18030"), {}, "at.encoding"),
    ("text", At(0, type="string", registers=2, scale=2.0), {}, "at.scale"),
    ("text", At(0, type="string", registers=2, not_available=0), {}, "at.not_available"),
    ("int", At(0, type="int64", word_order="CDAB"), {}, "at.word_order"),
    ("int", At(0, type="int32", word_order="HGFEDCBA"), {}, "at.word_order"),
    ("int", At(0, type="bcd32", bit=1), {}, "at.bit"),
    ("int", At(0, type="uint64", bits=(60, 64)), {}, "at.bit"),
]


@pytest.mark.parametrize(("kind", "at", "more", "path"), MISTAKES)
def test_check_names_the_mistake_in_a_point(kind, at, more, path):
    """The dotted path below the device; in English and Chinese; and the device cannot be opened."""
    device = loading.modbus([("p", kind, at, more), *words(5)])
    found = MODBUS.check(device)
    assert f"points.p.{path}" in [where for where, _ in found]
    for where, what in found:
        assert where.startswith("points.p.")
        assert " / " in what
    with pytest.raises(ValueError, match="p"):
        MODBUS.open(device, BusKind.SERIAL)


@pytest.mark.parametrize(
    ("address", "options", "path"),
    [
        (0, {}, "address"),
        (256, {}, "address"),
        ("one", {}, "address"),
        (1, {"max_gap": -1}, "options.max_gap"),
        (1, {"max_registers": 126}, "options.max_registers"),
        (1, {"max_bits": 2001}, "options.max_bits"),
    ],
)
def test_check_names_the_mistake_in_a_device(address, options, path):
    """Units 1 to 255: 0 is everybody, and nobody answers it."""
    assert [where for where, _ in MODBUS.check(loading.modbus(words(1), address, **options))] == [path]


def test_check_finds_a_value_longer_than_a_request_may_be():
    """A 32-bit point with one register a request."""
    device = loading.modbus([("p", "int", At(0, type="uint32"), {})], max_registers=1)
    assert [where for where, _ in MODBUS.check(device)] == ["points.p.at.type"]


def test_all_mistakes_are_told_at_once():
    """Two points, three mistakes and an address."""
    points = [("p", "int", At(-1, scale=0.5), {}), ("q", "text", At(0), {})]
    assert len(MODBUS.check(loading.modbus(points, address=0))) == 4


def test_points_without_a_mistake_pass():
    """One of each form."""
    points = [
        ("a", "bool", At(0, table="coil"), {}),
        ("b", "bool", At(0, table="discrete", type="bit"), {}),
        ("c", "bool", At(0, type="bit", bit=15), {}),
        ("d", "int", At(0, type="uint32", bits=(16, 31)), {}),
        ("e", "float", At(65534, type="float32", word_order="CDAB", not_available=-9999.5), {}),
        ("f", "enum", At(1), {"labels": ((0, "idle"),)}),
        ("g", "float", At(1, type="int16", scale=-0.1, offset=40.0), {}),
    ]
    assert MODBUS.check(loading.modbus(points)) == []
    assert isinstance(loading.modbus(points).groups[0].points[0], Point)


def relay(**more):
    return loading.modbus([("horn", "bool", At(3, "coil"), {"output": True} | more)], address=1)


def switched(on, replies, device=None):
    """What is asked, and what it ends with, where these frames are the answers."""
    device = device or relay()
    poll = open_switch(device, BusKind.SERIAL, device.groups[0].points[0])(on)
    asked = []
    try:
        exchange = next(poll)
        for data in replies:
            asked.append(exchange.request.hex())
            exchange = poll.send(Reply(bytes.fromhex(data), 1.0))
        asked.append(exchange.request.hex())
    except StopIteration as end:
        return asked, end.value
    return asked, None


ON, OFF, ASK = "01050003ff007c3a", "0105000300003dca", "0101000300010dca"
IS_ON, IS_OFF = "010101019048", "010101005188"


def test_an_output_is_written_and_read_back():
    """Function 5, whose reply says nothing on a line that echoes, and function 1."""
    assert switched(True, [ON, IS_ON]) == ([ON, ASK], True)
    assert switched(False, [OFF, IS_OFF]) == ([OFF, ASK], True)


@pytest.mark.parametrize(
    ("replies", "quality"),
    [
        ([ON, IS_OFF], Quality.REFUSED),  # it did not switch
        ([ON, ASK], Quality.BAD_FRAME),  # an echo
        ([OFF], Quality.BAD_FRAME),  # of something else
        (["018502c351"], Quality.NO_SUCH_REGISTER),
        ([ON, "0181044193"], Quality.REFUSED),
    ],
)
def test_an_output_that_is_not_surely_switched_is_an_error(replies, quality):
    with pytest.raises(BusError) as caught:
        switched(True, replies)
    assert caught.value.quality is quality


def test_what_is_not_declared_as_an_output_is_not_written():
    """The allow-list is the template's; the driver does not rely on who asks."""
    with pytest.raises(ValueError, match="is no output"):
        switched(True, [], relay(output=False))
    device = loading.modbus([("x", "bool", At(3, "discrete"), {"output": True})])
    with pytest.raises(ValueError, match="is no output"):
        switched(True, [], device)
