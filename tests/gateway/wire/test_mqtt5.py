"""MQTT 5 packets: what we write an independent library reads, what a broker writes is read however it is cut, nothing else."""

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.wire import mqtt5
from gateway.wire.payloads import Message
from tests import fake_broker

RECORD = Message(
    "gengfu/v1/demo-01/alarm", "application/json", (("id", "demo-01/alarm/1.1/1"), ("text", "火警")), b"{}"
)
WILL = Message("gengfu/v1/demo-01/status", "application/json", (), b'{"online": false}')
STREAM = (
    b"\x20\x0b\x00\x00\x08\x21\x00\x14\x27\x00\x00\x20\x00"
    + fake_broker.packet(9, 0, b"\x00\x01\x00\x01")
    + fake_broker.puback(7, 0x10)
    + fake_broker.packet(4, 0, b"\x00\x08")
    + fake_broker.message("t", b"x" * 300, mid=9, retain=True)
    + fake_broker.message("火", b"", qos=0)
    + b"\xd0\x00"
    + b"\xe0\x01\x8e"
)
PACKETS = [
    mqtt5.Connected(0, 20, 8192, None),
    mqtt5.Subscribed(1),
    mqtt5.Taken(7, 0x10),
    mqtt5.Taken(8, 0),
    mqtt5.Published("t", b"x" * 300, True, 9),
    mqtt5.Published("火", b"", False, 0),
    mqtt5.Pong(),
    mqtt5.Disconnected(0x8E),
]


def fed(data, step=None, limit=64 * 1024):
    inbound, step = mqtt5.Inbound(limit), step or len(data)
    return [packet for at in range(0, len(data), step) for packet in inbound.feed(data[at : at + step])]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64, 299, None])
def test_packets_come_out_whole_however_they_were_cut(step):
    """In order, each once."""
    assert fed(STREAM, step) == PACKETS


def test_a_record_is_what_another_library_reads():
    """paho's own reading of the properties, and the scripted broker's of the rest."""
    packet = mqtt5.publish(0xABCD, RECORD, retain=True)
    assert packet[0] == 0x33
    publish = fake_broker.parse(1, packet[0], packet[2:])
    assert (publish.mid, publish.topic, publish.body) == (0xABCD, RECORD.topic, RECORD.body)
    described, _ = Properties(PacketTypes.PUBLISH).unpack(packet[2 + 2 + len(RECORD.topic) + 2 :])
    assert described.ContentType == RECORD.content_type
    assert tuple(described.UserProperty) == RECORD.properties


@pytest.mark.parametrize("size", [0, 1, 20, 100, 127, 128, 129, 16_000, 16_383, 16_384, 70_000, 2_097_152])
def test_a_packet_says_its_length_and_never_more_than_its_message(size):
    """Through every width of a variable byte integer; `Message.size` is what limits are held against."""
    message = RECORD._replace(body=b"x" * size)
    packet = mqtt5.publish(1, message)
    [read] = fed(packet, limit=2**28)
    assert read.body == message.body
    assert len(packet) <= message.size() <= len(packet) + 32


def test_connect_says_what_the_connection_promises():
    """Clean start, will at QoS 1 and retained, limits of what may come in, the keepalive."""
    packet = mqtt5.connect("demo-01-district", 9, WILL, 65_536, 20)
    assert packet[0] == 0x10
    assert packet[2:12] == b"\x00\x04MQTT\x05\x2e\x00\x09"
    told, size = Properties(PacketTypes.CONNECT).unpack(packet[12:])
    assert (told.MaximumPacketSize, told.ReceiveMaximum) == (65_536, 20)
    rest = packet[12 + size :]
    assert rest.startswith(b"\x00\x10demo-01-district")
    described, size = Properties(PacketTypes.WILLMESSAGE).unpack(rest[18:])
    assert described.ContentType == "application/json"
    assert rest[18 + size :] == b"\x00\x18" + WILL.topic.encode() + b"\x00\x11" + WILL.body


def test_the_brokers_wishes_are_read_among_all_others():
    """Every property that a CONNACK may have; numbers that are not asked for are stepped over."""
    told = Properties(PacketTypes.CONNACK)
    told.ReceiveMaximum, told.MaximumPacketSize, told.ServerKeepAlive, told.SessionExpiryInterval = 5, 4096, 30, 7
    told.AssignedClientIdentifier, told.ReasonString, told.MaximumQoS, told.TopicAliasMaximum = "you", "why", 1, 9
    told.RetainAvailable = told.WildcardSubscriptionAvailable = 1
    told.SubscriptionIdentifierAvailable = told.SharedSubscriptionAvailable = 1
    told.ResponseInformation, told.ServerReference, told.AuthenticationMethod, told.AuthenticationData = *"abc", b"d"
    told.UserProperty = [("a", "b"), ("c", "火")]
    body = b"\x00\x00" + told.pack()
    assert fed(fake_broker.packet(2, 0, body)) == [mqtt5.Connected(0, 5, 4096, 30)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00", b"\x40\x00", b"\x40\x01\x00", b"\x30\x02\xff\xff", b"\x32\x03\x00\x01x", b"\x90\x01\x00", b"\x20\x00",
        b"\xf0\x00", b"\x10\x00", b"\xd0\x01x", b"\x42\x02\x00\x01", b"\x34\x00", b"\x36\x00", b"\x3d\x00", b"\x50\x02\x00\x01",
        b"\x30\x06\x00\x01t\x05\x26\x00", b"\x32\x06\x00\x01t\x00\x00\x00", b"\x20\x05\x00\x00\x02\x7f\x00",
        b"\x20\x06\x00\x00\x03\x21\x00\x00", b"\x20\x04\x00\x00\x01\x21", b"\x20\x05\x00\x00\x02\x26\x00",
        b"\x40\xff\xff\xff\xff\x01", b"\x90\x03\x00\x01\x00", b"\x90\x07\x00\x01\xff\xff\xff\xff\xff", b"HTTP/1.1 400 Bad\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_packet_is_refused(data):
    """By its own error, whole or byte by byte."""
    for step in (None, 1):
        with pytest.raises(mqtt5.ProtocolError):
            fed(data, step)


def test_a_packet_beyond_the_limit_is_refused_by_its_header():
    """Before a byte of its body is there; one at the limit is not."""
    with pytest.raises(mqtt5.ProtocolError, match="more than 65536 bytes"):
        fed(b"\x30\xff\xff\xff\x7f")
    with pytest.raises(mqtt5.ProtocolError, match="more than 65536 bytes"):
        fed(b"\x30\x81\x80\x04")
    assert fed(b"\x30\x80\x80\x04") == []


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 65_535])
def test_an_inbound_length_is_read_at_every_width(number):
    """The opposite of what the scripted broker writes."""
    packet = fake_broker.message("t", b"x" * number, qos=0)
    [read] = fed(packet, limit=2**20)
    assert len(read.body) == number


def test_numbers_of_two_bytes_are_read_whole():
    """Packet ids and lengths beyond 255, and the shortest form of a PUBACK with a code."""
    topic = "t" * 300
    assert fed(b"\x40\x03\x12\x34\x87" + fake_broker.message(topic, b"x", mid=0x1234)) == [
        mqtt5.Taken(0x1234, 0x87),
        mqtt5.Published(topic, b"x", False, 0x1234),
    ]
    told = Properties(PacketTypes.CONNACK)
    told.ReasonString, told.ReceiveMaximum = "why " * 100, 5
    connected = fake_broker.packet(2, 0, b"\x00\x00" + told.pack())
    assert fed(connected) == [mqtt5.Connected(0, 5, mqtt5.MAXIMUM_PACKET_BYTES, None)]


def test_retained_and_quality_of_service_are_told_apart():
    """At QoS 0 there is no packet id, retained or not; QoS 2 is refused in either case."""
    assert fed(fake_broker.message("t", b"x", qos=0, retain=True)) == [mqtt5.Published("t", b"x", True, 0)]
    for retain in (False, True):
        with pytest.raises(mqtt5.ProtocolError, match="QoS 2"):
            fed(fake_broker.message("t", b"x", qos=2, retain=retain))
    assert mqtt5.publish(1, RECORD)[0] == 0x32


def test_what_a_broker_leaves_out_has_the_standards_meaning():
    """MQTT 5: 3.2.2.3 no limits, 3.14.2.1 a DISCONNECT without a code is an ordinary one."""
    assert fed(b"\x20\x02\x00\x00\xe0\x00") == [
        mqtt5.Connected(0, 65_535, 268_435_455, None),
        mqtt5.Disconnected(0),
    ]


@pytest.mark.parametrize("name", [b"\x21\x00\x00", b"\x27\x00\x00\x00\x00"], ids=["messages", "bytes"])
def test_a_broker_that_takes_nothing_is_refused(name):
    with pytest.raises(mqtt5.ProtocolError, match="limit of nothing"):
        fed(fake_broker.packet(2, 0, b"\x00\x00" + bytes([len(name)]) + name))


def test_the_reasons_are_those_of_another_library():
    """In its words, but for capitals; all that an uplink can be told: it has no aliases, and subscribes plainly."""
    names = ReasonCode(PacketTypes.CONNACK).names
    packets = {PacketTypes.CONNACK, PacketTypes.SUBACK, PacketTypes.PUBACK, PacketTypes.DISCONNECT}
    told = {
        code
        for code, called in names.items()
        if code >= 0x80 and packets & {one for of in called.values() for one in of}
    }
    assert told - mqtt5.REASONS.keys() == {0x91, 0x94, 0x9E, 0xA1, 0xA2}
    for code, words in mqtt5.REASONS.items():
        assert words.lower() in {name.lower() for name in names[code]}
    assert "No matching subscribers" in names[mqtt5.NO_SUBSCRIBERS]
    assert "Success" in names[mqtt5.SUCCESS]


def test_a_reason_is_told_in_words_or_as_a_number():
    assert mqtt5.reason(0x87) == "Not authorized"
    assert mqtt5.reason(0xC1) == "reason code 0xc1"
