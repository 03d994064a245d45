"""MEOKON terminals as transcripts of one connection: what comes, what the driver says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from drivers import DRIVERS
from drivers.contract import Heard, Received, Send, Stranger, Wait
from drivers.meokon import GIVE_UP_S, LONGEST_BYTES
from gateway.model import Deadline, Kind, Quality
from tests.drivers import loading

MEOKON = DRIVERS["meokon"]
ID = "SHMK19060013"
GOLDEN = bytes.fromhex(loading.template("meokon_hydrant")["golden"][0]["exchanges"][0]["received"])


def report(type=24, bits=0, pressure=300, tilt=(), buffered=0, id=ID, command=0, battery=90, rssi=-60, time=0x5D1966B6):
    """A frame by the description, not by the driver. `tilt=(x,)` makes the form with tilt."""
    values = pressure.to_bytes(2, "big", signed=True) + b"".join(x.to_bytes(2, "big") for x in tilt)
    body = id.encode().ljust(12, b"\0") + bytes([battery, rssi & 0xFF]) + bytes.fromhex("003c")
    body += buffered.to_bytes(2, "big") + bytes([type, bits]) + values * 2 + values
    body += time.to_bytes(4, "big") + values * buffered
    head = b"\xa5\x5a" + bytes([command]) + (len(body) + 9).to_bytes(2, "big") + body
    return head + FramerRTU.compute_CRC(head).to_bytes(2, "little") + b"\x55\xaa"


class Connection:
    """Drives the generator as the listener does; keeps all that it said."""

    def __init__(self, *devices):
        devices = devices or (loading.device("meokon_hydrant", ID),)
        self.listening = MEOKON.listen({device.address: device for device in devices})
        self.wait = next(self.listening)

    def tell(self, event):
        said = []
        item = self.listening.send(event)
        while not isinstance(item, Wait):
            said.append(item)
            item = next(self.listening)
        self.wait = item
        return said

    def receive(self, data, at=1.0):
        return self.tell(Received(data, at))

    def values(self, data):
        (heard,) = [item for item in self.receive(data) if isinstance(item, Heard)]
        names = [point.name for point in loading.device("meokon_hydrant", ID).groups[0].points]
        return dict(zip(names, zip(heard.scan.values, map(Quality, heard.scan.qualities), strict=True), strict=True))


def test_the_scan_comes_before_the_answer():
    """What is acknowledged has been handed on."""
    heard, sent = Connection().receive(report())
    assert isinstance(heard, Heard)
    assert isinstance(sent, Send)


def test_the_answer_names_the_terminal_and_gives_back_its_time():
    """27 bytes, command FF; its CRC is that of an independent implementation."""
    answer = Connection().receive(report(time=0x01020304))[1].data
    assert answer[:19] == b"\xa5\x5a\xff\x00\x1b" + ID.encode() + b"\x01\x02"
    assert answer[17:23] == bytes.fromhex("010203040000")
    assert answer[23:25] == FramerRTU.compute_CRC(answer[:23]).to_bytes(2, "little")
    assert answer[25:] == b"\x55\xaa"


def test_no_answer_where_the_option_says_so():
    """`acknowledge: off`."""
    connection = Connection(loading.device("meokon_hydrant", ID, acknowledge="off"))
    assert [type(item) for item in connection.receive(report())] == [Heard]


@pytest.mark.parametrize("bit", range(8))
def test_each_alarm_bit_is_one_point(bit):
    """Bits 0 to 7 in the order of the protocol; the sensor bit takes the pressure away."""
    names = ["low", "high", "battery_low", "sensor_fault", "hardware_fault", "impact", "tilt", "water_taken"]
    values = Connection().values(report(bits=1 << bit))
    assert {name: values[name] for name in names} == {
        name: (int(place == bit), Quality.GOOD) for place, name in enumerate(names)
    }
    assert values["pressure"] == ((None, Quality.SENSOR_FAULT) if bit == 3 else (0.3, Quality.GOOD))


@pytest.mark.parametrize("buffered", [0, 1, 7, 600])
@pytest.mark.parametrize("tilt", [(), (12,)])
def test_a_hydrant_terminal_with_and_without_tilt(tilt, buffered):
    """The length tells the two forms apart; the pressure is the current one."""
    connection = Connection()
    heard, sent = connection.receive(report(tilt=tilt, buffered=buffered))
    assert heard.scan.values[0] == 0.3
    assert sent.data[17:21] == bytes.fromhex("5d1966b6")


@pytest.mark.parametrize(("type", "pressure"), [(0, 0.0538), (1, 0.538), (2, 0.538)])
def test_units_by_type(type, pressure):
    """538 counts of 0.1 kPa, 0.001 MPa, 0.01 bar; always MPa here."""
    values = Connection().values(report(type=type, pressure=538))
    assert values["pressure"] == (pressure, Quality.GOOD)
    assert values["water_taken"] == (None, Quality.NO_SUCH_REGISTER)


def test_a_type_that_is_not_known_tells_its_alarm_bits_and_gets_no_answer():
    """Where its time stands is unknown; its bits are where they always are."""
    connection = Connection()
    said = connection.receive(report(type=99, bits=1))
    assert [type(item) for item in said] == [Heard]
    assert said[0].scan.values[:2] == (None, 1)
    assert said[0].scan.qualities[0] == Quality.NOT_A_NUMBER


@pytest.mark.parametrize(("option", "byte", "battery"), [("percent", 52, 52), ("v33", 0x34, 100), ("v33", 0x8A, 50)])
def test_both_readings_of_the_battery_byte(option, byte, battery):
    """Percent, or the five low bits in steps of 5 %."""
    connection = Connection(loading.device("meokon_hydrant", ID, battery=option))
    assert connection.values(report(battery=byte))["battery"] == (battery, Quality.GOOD)


def test_pressures_below_zero_and_beyond_the_range_are_uncertain():
    """int16; the template's range is 0 to 2.5 MPa."""
    assert Connection().values(report(pressure=-10))["pressure"] == (-0.01, Quality.OUT_OF_RANGE)
    assert Connection().values(report(pressure=2600))["pressure"] == (2.6, Quality.OUT_OF_RANGE)


def test_an_unknown_terminal_is_a_stranger_and_gets_no_answer():
    """It keeps its values until somebody configures it."""
    assert Connection().receive(report(id="SHMK00000000")) == [Stranger("SHMK00000000")]


def test_an_id_that_is_no_text_does_no_harm():
    """Bytes that cannot be printed become question marks."""
    data = bytearray(report())
    data[5:8] = b"\xff\n\x00"
    data[-4:-2] = FramerRTU.compute_CRC(bytes(data[:-4])).to_bytes(2, "little")
    assert Connection().receive(bytes(data)) == [Stranger("???" + ID[3:])]


def test_other_commands_of_a_known_terminal_are_let_pass():
    """An answer to settings that the gateway never sends."""
    assert Connection().receive(report(command=4)) == []


def test_several_terminals_on_one_connection():
    """A concentrator: each frame finds its device, in order."""
    one, other = (loading.device("meokon_hydrant", ID, id="h1"), loading.device("meokon_hydrant", "B", id="h2"))
    said = Connection(one, other).receive(report() + report(id="B", pressure=100))
    assert [item.scan.device for item in said if isinstance(item, Heard)] == ["h1", "h2"]


@given(st.lists(st.integers(0, 130), max_size=8))
def test_a_frame_in_pieces_is_heard_once_it_is_whole(cuts):
    """Split and coalesced at any place, with rubbish between."""
    stream = GOLDEN + b"\xa5\x00rubbish\x55\xaa" + GOLDEN
    connection, places = Connection(), sorted({min(cut, len(stream)) for cut in cuts})
    said = []
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        said += connection.receive(stream[start:end])
    assert len([item for item in said if isinstance(item, Heard)]) == 2
    assert connection.wait == Wait(None)


def test_a_length_that_contradicts_type_and_count_is_seen_at_once():
    """Else an alarm behind it would wait for bytes that never come."""
    lying = bytearray(GOLDEN)
    lying[3] = 0x0F
    assert [type(item) for item in Connection().receive(bytes(lying) + GOLDEN)] == [Heard, Send]


def test_half_a_frame_is_given_up_after_its_time():
    """A false start of an unknown type, then a whole frame: found at the deadline, not never."""
    false = bytearray(report(type=99, buffered=300))[:30]
    connection = Connection()
    assert connection.receive(bytes(false) + GOLDEN, at=10.0) == []
    assert connection.wait == Wait(10.0 + GIVE_UP_S)
    said = connection.tell(Deadline(10.0 + GIVE_UP_S))
    assert [type(item) for item in said] == [Heard, Send]
    assert said[0].scan.at == 10.0 + GIVE_UP_S
    assert connection.wait == Wait(None)


def test_bytes_that_keep_trickling_do_not_put_the_deadline_off():
    """A slow sender, or frames behind a false start: the time runs from the start of what is incomplete."""
    connection = Connection()
    connection.receive(bytes(report(type=99, buffered=300))[:30], at=10.0)
    assert connection.receive(GOLDEN, at=13.0) == []
    assert connection.wait == Wait(15.0)
    assert [type(item) for item in connection.receive(b"\0", at=15.5)] == [Heard, Send]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_random_bytes_give_nothing_and_end_nothing(chunks):
    """The connection goes on; a whole frame is still heard afterwards, at the latest at the deadlines."""
    connection = Connection()
    said = []
    for chunk in chunks:
        said += connection.receive(chunk)
    said += connection.receive(GOLDEN)
    at = 1.0
    while connection.wait.until is not None:
        at = connection.wait.until
        said += connection.tell(Deadline(at))
    assert [type(item) for item in said] == [Heard, Send]
    assert at <= 1.0 + GIVE_UP_S * LONGEST_BYTES


@pytest.mark.parametrize("place", range(len(GOLDEN) * 8))
def test_every_single_bit_flip_is_refused(place):
    """The CRC holds the whole frame but the last two bytes, which are fixed."""
    damaged = bytearray(GOLDEN)
    damaged[place // 8] ^= 1 << place % 8
    assert Connection().receive(bytes(damaged)) == []


@pytest.mark.parametrize("address", ["", "much-too-long-an-id", "with blank", "消火栓", 12])
def test_check_refuses_an_address_that_is_no_id(address):
    """Up to 12 visible ASCII characters."""
    device = loading.device("meokon_hydrant", address)
    assert [path for path, _ in MEOKON.check(device)] == ["address"]


def test_check_refuses_a_kind_that_does_not_fit_the_field():
    """A pressure is a float, a bit a bool, the battery an int."""
    device = loading.device("meokon_hydrant", ID)
    points = tuple(replace(point, kind=Kind.TEXT) for point in device.groups[0].points)
    found = MEOKON.check(replace(device, groups=(replace(device.groups[0], points=points),)))
    assert [path for path, _ in found] == [f"points.{point.name}.kind" for point in points]


def test_the_end_of_a_wait_without_news_changes_nothing():
    """The listener may wake the generator with nothing."""
    connection = Connection()
    connection.receive(GOLDEN[:20], at=10.0)
    assert connection.tell(None) == []
    assert connection.wait == Wait(10.0 + GIVE_UP_S)
    assert [type(item) for item in connection.receive(GOLDEN[20:], at=11.0)] == [Heard, Send]
