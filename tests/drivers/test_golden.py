"""Every template, against the frames it names: the requests go out so, and the replies come out as these values."""

import json
from pathlib import Path

import pytest

from drivers import DRIVERS
from drivers.contract import Heard, Received, Send, Wait
from drivers.modbus_pdu import crc16
from gateway.model import BusKind, Quality
from tests.drivers import loading

GOLDEN = [
    pytest.param(name, golden, id=f"{name}-{index}")
    for name in loading.NAMES
    for index, golden in enumerate(loading.template(name)["golden"])
]
ASKED = [case for case in GOLDEN if "request" in case.values[1]["exchanges"][0]]
HEARD = [case for case in GOLDEN if "received" in case.values[1]["exchanges"][0]]
STORY = {
    "generic_smoke_loop": "density alarm fault temperature",
    "waveshare_io8_door": "door_open lock_engaged exit_button fire_release",
    "vanke_lift_box": "safety_chain_open stopped_out_of_zone door_open_running overspeed alarm_button maintenance moving "
    "door_closed level people floor speed run_hours starts energy",
    "bwsensing_bwm826": "x y",
    "witmotion_wt901c485": "roll pitch yaw temperature",
    "meokon_hydrant": "pressure low high battery_low sensor_fault hardware_fault impact tilt water_taken battery rssi",
}


def expected(device, group, values):
    """The values in point order; the golden exchange must name every point of its group."""
    assert set(values) == {point.name for point in device.groups[group].points}
    return [values[point.name] for point in device.groups[group].points]


def group_index(device, name):
    return [group.name for group in device.groups].index(name)


@pytest.mark.parametrize(("name", "golden"), ASKED)
def test_requests_and_values_are_those_of_the_golden_exchange(name, golden):
    """Byte for byte; over TCP the transaction id alone is the driver's own."""
    device = loading.device(name, golden["address"])
    kind = BusKind(golden.get("bus", "serial"))
    index = group_index(device, golden["group"])
    left = [(bytes.fromhex(step["request"]), bytes.fromhex(step["reply"])) for step in golden["exchanges"]]

    def answer(exchange):
        request, reply = left.pop(0)
        own = 2 if kind is BusKind.TCP else 0
        assert exchange.request[own:] == request[own:]
        return exchange.request[:own] + reply[own:]

    scan, _ = loading.run(DRIVERS[device.driver].open(device, kind)(index), answer)
    assert not left
    assert list(scan.values) == pytest.approx(expected(device, index, golden["values"]), rel=1e-12)
    assert scan.qualities == bytes(len(scan.values))
    assert (scan.device, scan.group, scan.at) == ("d", index, 100.0 + len(golden["exchanges"]))


@pytest.mark.parametrize(("name", "golden"), HEARD)
def test_what_a_terminal_tells_and_what_it_is_answered(name, golden):
    """A device that calls: the frame gives the values; null in the template is a point that this terminal lacks."""
    device = loading.device(name, golden["address"])
    index = group_index(device, golden["group"])
    values = expected(device, index, golden["values"])
    for step in golden["exchanges"]:
        listening = DRIVERS[device.driver].listen({device.address: device})
        next(listening)
        said = [listening.send(Received(bytes.fromhex(step["received"]), 5.0))]
        while not isinstance(said[-1], Wait):
            said.append(next(listening))
        first_sent = next(at for at, item in enumerate(said) if isinstance(item, Send))
        (heard,) = [item for item in said[:first_sent] if isinstance(item, Heard) and item.scan.group == index]
        assert (heard.scan.device, heard.scan.at) == ("d", 5.0)
        assert list(heard.scan.values) == values
        lacking = [Quality.GOOD if value is not None else Quality.NO_SUCH_REGISTER for value in values]
        assert list(heard.scan.qualities) == lacking
        assert said[first_sent] == Send(bytes.fromhex(step["sent"]))


@pytest.mark.parametrize("name", loading.NAMES)
def test_a_template_covers_each_of_its_groups_with_a_golden_exchange(name):
    """A group without one would be a map that nobody has followed."""
    content = loading.template(name)
    assert {golden["group"] for golden in content["golden"]} == set(content["groups"])


@pytest.mark.parametrize("name", loading.NAMES)
def test_a_template_says_where_it_comes_from_and_is_proved_only_by_a_source(name):
    """`proved` needs a golden exchange from a manual or a recording, and both languages are everywhere."""
    content = loading.template(name)
    assert content["source"]
    assert content["certainty"] in "ABC"
    sources = {golden["source"] for golden in content["golden"]}
    assert content["proved"] == (sources != {"unproved"} and "reply computed" not in " ".join(sources))
    for text in [content["model"]["text"], *(point["text"] for point in content["points"])]:
        assert text["zh"] != text["en"]
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text["zh"])
        assert text["en"].isascii()


@pytest.mark.parametrize("name", loading.NAMES)
def test_the_driver_finds_no_mistake_in_a_template(name):
    """`check` on the device that the template describes."""
    address = loading.template(name)["golden"][0]["address"]
    device = loading.device(name, address)
    assert DRIVERS[device.driver].check(device) == []


@pytest.mark.parametrize(("name", "points"), STORY.items())
def test_the_point_names_that_sites_and_rules_rely_on_are_there(name, points):
    """Renaming a point breaks every site that has it."""
    assert set(points.split()) <= {point["name"] for point in loading.template(name)["points"]}


VECTORS = {
    # the published frames of device_vectors.json that no template's golden exchange repeats
    "5003003D00039986": "little",
    "50030034000C0980": "little",
    "0203004000170423": "little",
    "01050000FF008C3A": "little",
    "FF02000000086C12": "little",
    "FF02010151A0": "little",
    "A55A00003B53484D4B313930363030313334C8003C000A0102006401F4021A5D1966B60219021A0216021802180213021E021C021D021D7E03": "big",
}


@pytest.mark.parametrize(("frame", "order"), VECTORS.items())
def test_crc_of_published_frames(frame, order):
    """Modbus sends it low byte first, MEOKON high byte first."""
    data = bytes.fromhex(frame)
    assert crc16(data[:-2]).to_bytes(2, order) == data[-2:]


def test_no_template_holds_a_path_or_a_tab():
    """Templates travel to sites as they are."""
    for path in Path(loading.DIRECTORY).glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "\t" not in text
        assert "/work" not in text
        json.dumps(loading.template(path.stem))


@pytest.mark.parametrize(("name", "golden"), ASKED)
def test_what_a_driver_says_it_asks_is_what_it_asks(name, golden):
    """`check` reckons a round from it: each exchange of the group, request and reply, to the byte."""
    device = loading.device(name, golden["address"])
    told = DRIVERS[device.driver].exchanges(device, BusKind(golden.get("bus", "serial")))
    frames = [(bytes.fromhex(step["request"]), bytes.fromhex(step["reply"])) for step in golden["exchanges"]]
    assert told[group_index(device, golden["group"])] == [(len(request), len(reply)) for request, reply in frames]
