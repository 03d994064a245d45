"""The connection, against a broker that breaks every rule; and TLS that accepts nothing it should not."""

import asyncio
import gc
import os
import socket
import ssl
import struct
import threading
import tracemalloc
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from gateway.errors import LinkError
from gateway.link import mqtt, stream
from gateway.model import UplinkSpec
from gateway.wire.payloads import Message
from tests import certificates
from tests.clocks import HandClock
from tests.fake_broker import (
    SUBSCRIBE,
    FakeBroker,
    close_before,
    coded,
    maximum_packet,
    message,
    packet,
    receive_maximum,
    silent,
    taken,
    twice,
    wrong_id,
)
from tests.waiting import until

RECORD = Message("gengfu/v1/demo-01/alarm", "application/json", (("id", "demo-01/alarm/1.1/1"), ("type", "t")), b"{}")
WILL = Message("gengfu/v1/demo-01/status", "application/json", (), b'{"online": false}')
TOPIC = "gengfu/v1/demo-01/receipt"
TCP_CLOSE = 7
"""The kernel's number for a connection that is gone."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority with a good broker and a good gateway."""
    directory = certificates.Directory(tmp_path_factory.mktemp("tls") / "pki")
    directory.server("broker")
    directory.client("gateway")
    return directory


@pytest.fixture
async def broker(pki):
    async with FakeBroker(pki.server_context("broker")) as running:
        yield running


def spec_of(pki, port, **changes):
    fields = {
        "host": "localhost", "port": port, "ca": pki.file("ca.pem"), "certificate": pki.file("gateway.pem"),
        "key": pki.file("gateway.key"),
    }  # fmt: skip
    return UplinkSpec("district", **{**fields, **changes})


@dataclass
class Client:
    """A session with all that it told."""

    session: mqtt.Session = None
    events: list = field(default_factory=list)

    def wake(self):
        if self.session:
            self.events += self.session.take()

    def of(self, kind):
        self.wake()
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def client(pki, broker):
    made = await connected(pki, broker)
    yield made
    made.session.close()


async def connected(pki, broker, **changes):
    made = Client()
    dial = mqtt.Dial(spec_of(pki, broker.port, **changes), "demo-01", WILL, TOPIC, made.wake, HandClock())
    made.session = await mqtt.connect(dial)
    return made


async def refused(pki, broker, **changes):
    """The error of a connection that must not come about."""
    with pytest.raises(LinkError) as caught:
        (await connected(pki, broker, **changes)).session.close()
    return caught.value


async def test_a_session_is_tls_13_with_birth_and_limits(pki, broker, client):
    """TLS 1.3, clean start, the will, our own inbound limit in CONNECT."""
    assert client.session.tls == "TLSv1.3"
    [connect] = broker.connects
    assert connect[:7] == b"\x00\x04MQTT\x05"
    assert connect[7] & 0x02, "clean start"
    assert WILL.topic.encode() in connect
    assert WILL.body in connect
    assert b"\x27" + mqtt.INBOUND_BYTES.to_bytes(4, "big") in connect


async def test_a_message_arrives_with_its_attributes(broker, client):
    """QoS 1, user properties and content type as given."""
    mid = client.session.publish(RECORD, retain=True)
    await until(lambda: client.of(mqtt.Acknowledged))
    [sent] = broker.published
    assert (sent.topic, sent.qos, sent.retain, sent.body, sent.mid) == (RECORD.topic, 1, True, b"{}", mid)
    assert sent.properties == {"content-type": "application/json", "id": "demo-01/alarm/1.1/1", "type": "t"}
    client.session.publish(RECORD)
    await until(lambda: len(broker.published) == 2)
    assert not broker.published[1].retain


@pytest.mark.parametrize("code", [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
async def test_every_reason_code_is_handed_on(broker, client, code):
    """Success, nobody there, refusals: each as what it is."""
    broker.answer = coded(code)
    mid = client.session.publish(RECORD)
    await until(lambda: client.of(mqtt.Acknowledged))
    assert client.of(mqtt.Acknowledged) == [mqtt.Acknowledged(mid, code)]


async def test_wrong_and_double_acknowledgements_acknowledge_once_or_not(broker, client):
    """A PUBACK for another packet settles nothing; the second of two is none."""
    broker.answer = wrong_id
    client.session.publish(RECORD)
    await until(lambda: broker.published)
    broker.answer = twice
    mid = client.session.publish(RECORD)
    await until(lambda: client.of(mqtt.Acknowledged))
    third = client.session.publish(RECORD)
    await until(lambda: len(client.of(mqtt.Acknowledged)) > 1)
    assert [event.mid for event in client.of(mqtt.Acknowledged)] == [mid, third]


async def test_the_brokers_limits_are_told(pki, broker):
    """Receive Maximum and Maximum Packet Size of the CONNACK."""
    broker.connack_properties = receive_maximum(1) + maximum_packet(5000)
    client = await connected(pki, broker)
    assert (client.session.receive_maximum, client.session.maximum_packet_bytes) == (1, 5000)
    client.session.close()


@pytest.mark.parametrize(
    ("code", "by_person"),
    [
        *((code, True) for code in (0x84, 0x85, 0x87, 0x8C)),
        *((code, False) for code in (0x80, 0x83, 0x88, 0x89, 0x8E, 0x97, 0x9C, 0x9D, 0x9F)),
    ],
)
async def test_a_refused_connect_says_whether_a_person_is_needed(pki, broker, code, by_person):
    """Not authorised, bad client id: mend the configuration. Unavailable, quota: wait."""
    broker.connack = code
    assert (await refused(pki, broker)).refused is by_person


@pytest.mark.parametrize("code", [0x80, 0x87])
async def test_receipts_that_may_not_be_read_are_a_refusal(pki, broker, code):
    """An uplink that cannot hear its receipts would never settle anything."""
    broker.suback = code
    error = await refused(pki, broker)
    assert error.refused
    assert TOPIC in str(error)


async def test_the_end_of_a_connection_is_told_once_asked(broker, client):
    """Closed before the PUBACK: a last event with words."""
    broker.answer = close_before
    client.session.publish(RECORD)
    await until(lambda: client.of(mqtt.Closed))
    assert client.of(mqtt.Acknowledged) == []
    with pytest.raises(LinkError):
        client.session.publish(RECORD)


async def test_a_half_open_idle_link_is_noticed(pki, broker):
    """Within twice the keepalive: 20 s by default, here with 2 s. One that answers its pings is held."""
    client = await connected(pki, broker, keepalive_s=2)
    await until(lambda: broker.pings == 2, 20)
    broker.deaf = True
    began = asyncio.get_running_loop().time()
    await until(lambda: client.of(mqtt.Closed), 20)
    assert asyncio.get_running_loop().time() - began < 5 * 4
    client.session.close()


async def test_a_gateway_that_only_hears_sends_pings(pki, broker):
    """For the broker counts what it hears from us (MQTT 5, 3.1.2.10)."""
    client = await connected(pki, broker, keepalive_s=2)

    def told():
        broker.send(message(TOPIC, b"x", qos=0))
        return broker.pings

    await until(told, 10)
    client.session.close()


async def test_what_the_socket_does_not_take_at_once_goes_when_it_can(broker, client):
    """All of it, and then nobody waits for the socket any more: that would take the processor."""
    client.session._stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    client.session.publish(RECORD._replace(body=bytes(1_000_000)))
    await until(lambda: client.session._stream._blocked)
    await until(lambda: client.of(mqtt.Acknowledged), 20)
    assert len(broker.published[0].body) == 1_000_000
    assert not client.session._stream._blocked


async def test_a_broker_that_never_answers_connect_is_left(pki, broker, monkeypatch):
    """Bounded by ANSWER_S."""
    monkeypatch.setattr(mqtt, "ANSWER_S", 0.5)
    broker.deaf = True
    assert "does not answer" in str(await refused(pki, broker))


async def test_nobody_at_the_port_is_an_ordinary_failure(pki, broker):
    """Refused by the kernel: no person needed."""
    await broker.stop()
    assert not (await refused(pki, broker)).refused
    await broker.start()


async def test_good_bye_is_said(broker, client):
    """DISCONNECT reaches the broker, which then publishes no will."""
    await client.session.leave()
    await until(lambda: broker.left)


async def test_what_is_published_at_once_shares_short_tls_records(pki, broker):
    """Each costs a system call; but what is in one is read only when its last byte is there: on a slow link an alarm
    must not wait for the end of a long one."""
    seen = bytearray()

    async def pump(source, sink, kept):
        while data := await source.read(1 << 16):
            kept += data
            sink.write(data)
        sink.close()

    async def relay(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", broker.port)
        await asyncio.gather(pump(reader, far_writer, seen), pump(far_reader, writer, bytearray()))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as between:
        client = await connected(pki, SimpleNamespace(port=between.sockets[0].getsockname()[1]))
        seen.clear()
        for _ in range(20):
            client.session.publish(RECORD._replace(body=b"x" * 400))
        await until(lambda: len(client.of(mqtt.Acknowledged)) == 20)
        sizes = []
        while seen:
            sizes.append(int.from_bytes(seen[3:5], "big"))
            del seen[: 5 + sizes[-1]]
        client.session.close()
    assert len(sizes) <= 7
    assert max(sizes) < stream.RECORD_BYTES + 64


async def test_a_broker_that_floods_and_does_not_read_is_left(pki, broker, client, monkeypatch):
    """Each message at QoS 1 asks for an answer; what cannot be written is bounded."""
    monkeypatch.setattr(stream, "OUTBOUND_BYTES", 1000)
    client.session._stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    broker.send(message(TOPIC, b"x") * 2000)
    await until(lambda: client.of(mqtt.Closed))
    assert "does not read" in str(client.of(mqtt.Closed)[0].error)


async def test_a_broker_may_wish_for_more_pings(pki, broker):
    """Server Keep Alive: the shorter of both."""
    broker.connack_properties = b"\x13\x00\x01"
    client = await connected(pki, broker, keepalive_s=60)
    await until(lambda: broker.pings, 10)
    client.session.close()


@pytest.mark.parametrize(
    ("told_s", "wish", "after_s"),
    [(5, b"", 4), (5, b"\x13\x00\x03", 2), (5, b"\x13\x00\x00", 4), (5, b"\x13\x00\x01", 1), (1, b"", 1)],
)
async def test_silence_is_broken_a_tick_before_the_broker_counts_on_it(pki, broker, told_s, wish, after_s):
    """We look once a second: told as the limit what we wait for ourselves, mosquitto closed an idle link at 2 s."""
    broker.connack_properties = wish
    client = await connected(pki, broker, keepalive_s=told_s)
    assert broker.connects[0][8:10] == bytes([0, told_s])
    assert client.session._keepalive_s == after_s
    client.session.close()


async def test_a_ping_goes_after_silence_and_has_its_time(broker, client):
    """Not before the keepalive is over; then one, and the link is left when that was not answered for as long again."""
    session, now = client.session, asyncio.get_running_loop().time
    broker.deaf = True
    session._tick()
    assert session._pinged_at is None
    session._heard_at = now() - session._keepalive_s
    session._tick()
    pinged_at = session._pinged_at
    assert pinged_at is not None
    session._tick()
    assert (session._pinged_at, client.of(mqtt.Closed)) == (pinged_at, [])
    session._pinged_at -= session._keepalive_s
    session._tick()
    assert "no answer to a ping" in str(client.of(mqtt.Closed)[0].error)


@pytest.mark.parametrize("whose", ["ours", "the broker's"])
async def test_nobody_looks_at_a_connection_that_has_ended(broker, client, whose):
    """Its timer would keep it, once a second, for ever."""
    if whose == "ours":
        client.session.close()
    else:
        broker.cut()
        await until(lambda: client.of(mqtt.Closed))
    assert client.session._tick_timer.cancelled()


async def test_the_brokers_reason_is_read_also_where_writing_finds_the_end(broker, client):
    """It said why, and reset the connection; that comes up in a write before anybody has read it."""
    ours = client.session._stream._socket
    asyncio.get_running_loop().remove_reader(ours)
    broker.send(packet(14, 0, b"\x8e"))
    theirs = broker.writers[-1].get_extra_info("socket")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broker.cut()
    await until(lambda: ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE)
    client.session.publish(RECORD)
    await until(lambda: client.of(mqtt.Closed))
    assert "Session taken over" in str(client.of(mqtt.Closed)[0].error)


async def test_a_disconnect_is_told_with_its_reason(broker, client):
    """In words; 0x8E: somebody else came with our name."""
    broker.send(packet(14, 0, b"\x8e"))
    await until(lambda: client.of(mqtt.Closed))
    assert str(client.of(mqtt.Closed)[0].error) == "the broker closed the connection: Session taken over"


async def test_a_packet_id_in_use_is_not_given_again(broker, client):
    """When all 65,535 have been used: one whose record is not acknowledged is passed over, 0 is none."""
    broker.answer = lambda publish: [] if publish.mid == 3 else taken(publish)
    mids = [client.session.publish(RECORD) for _ in range(2)]
    await until(lambda: len(client.of(mqtt.Acknowledged)) == 1)
    client.session._mid = 65_534
    mids += [client.session.publish(RECORD) for _ in range(4)]
    assert mids == [2, 3, 65_535, 1, 2, 4]
    await until(lambda: len(client.of(mqtt.Acknowledged)) == 5)


# Hostile


async def test_messages_are_received_with_their_retain_flag(broker, client):
    """The uplink decides; the topic and bytes are handed on."""
    broker.send(message(TOPIC, b"{}", mid=1) + message(TOPIC, b"x", mid=2, retain=True))
    await until(lambda: len(client.of(mqtt.Received)) == 2)
    assert client.of(mqtt.Received) == [mqtt.Received(TOPIC, b"{}", False), mqtt.Received(TOPIC, b"x", True)]


async def test_a_huge_packet_ends_the_connection_before_memory_is_taken(broker, client):
    """A header of 256 MiB: closed, and not a megabyte was asked for."""
    tracemalloc.start()
    broker.send(b"\x32\xff\xff\xff\x7f" + bytes(1000))
    await until(lambda: client.of(mqtt.Closed))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024
    assert "more than 65536 bytes" in str(client.of(mqtt.Closed)[0].error)


async def test_qos_2_ends_the_connection(broker, client):
    """Nobody asked for it, and each would have to be kept in memory."""
    broker.send(message(TOPIC, b"{}", qos=2))
    await until(lambda: client.of(mqtt.Closed))
    assert "QoS 2" in str(client.of(mqtt.Closed)[0].error)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00", b"\xff\xff\xff\xff\xff\xff", b"\x40\x00", b"\x40\x01\x00", b"\x30\x02\xff\xff", b"\x32\x03\x00\x01x",
        b"\x90\x01\x00", b"\x20\x00", b"\xf0\x00", b"\x10\x00", b"\xd0\x05hello", packet(3, 0, b"\x00\x01\xff\x05\x26\x00"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)  # fmt: skip
async def test_malformed_packets_close_or_are_ignored(pki, broker, client, data):
    """Nothing escapes into the loop; if the connection is still there, it works."""
    escaped = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: escaped.append(context))
    broker.send(data)
    broker.send(message(TOPIC, b"after" * 30))
    broker.send(message(TOPIC, b"after"))
    await until(lambda: client.of(mqtt.Closed) or client.of(mqtt.Received))
    assert escaped == []


async def test_a_flood_does_not_stop_the_loop_nor_fill_memory(broker, client):
    """20,000 messages: the loop stays responsive (limit: 5 x 100 ms), what waits is bounded."""
    client.session, session = None, client.session  # nobody takes them
    loop, worst, last = asyncio.get_running_loop(), 0.0, None
    for mid in range(20_000):
        broker.writers[-1].write(message(TOPIC, b"x" * 50, qos=0, mid=mid))
    broker.writers[-1].write(packet(4, 0, b"\x00\x01\x00\x00"))
    session.publish(RECORD)
    last = loop.time()

    def beat():
        nonlocal worst, last
        worst, last = max(worst, loop.time() - last), loop.time()
        return broker.published

    await until(beat, 20, 0.001)
    assert worst < 0.5
    assert len(session.take()) <= mqtt.INBOUND_WAITING + 1
    client.session = session


@pytest.mark.parametrize(("size", "at_once"), [(1000, 4000), (1, 1)])
async def test_a_broker_that_is_faster_than_we_does_not_take_the_loop(broker, client, size, at_once):
    """However long it sends: of what is there, a turn of the loop looks at a share that does not grow; nor do tiny TLS
    records, of which each costs as much as a long one."""
    loop, most, seen = asyncio.get_running_loop(), 0, 0
    for _ in range(4000 // at_once):
        broker.send(message(TOPIC, b"x" * size, qos=0) * at_once)

    def turn():
        nonlocal most, seen
        most, seen = max(most, len(client.events) - seen), len(client.events)
        if seen < 4000:
            loop.call_soon(turn)

    turn()
    await until(lambda: seen == 4000, 20)
    assert most * max(size, stream.COST_BYTES) <= 2 * stream.READ_BYTES


@pytest.mark.parametrize("unasked", [b"\x20\x03\0\0\0", b"\x90\x04\0\x01\0\x01"], ids=["CONNACK", "SUBACK"])
async def test_an_answer_to_nothing_ends_the_connection(broker, client, unasked):
    """A second CONNACK would ask for a SUBSCRIBE, and 65,535 of them for the last packet id; a SUBACK sets one free."""
    broker.answer = silent
    client.session.publish(RECORD)
    broker.send(unasked)
    await until(lambda: client.of(mqtt.Closed))
    assert "not asked for" in str(client.of(mqtt.Closed)[0].error)


async def test_a_second_connack_before_the_subscription_ends_the_connection(pki):
    """It would ask for another SUBSCRIBE."""

    class Twice(FakeBroker):
        async def _handle(self, number, head, body, writer):
            if head >> 4 == SUBSCRIBE:
                writer.write(b"\x20\x03\0\0\0")
            await super()._handle(number, head, body, writer)

    async with Twice(pki.server_context("broker")) as hasty:
        assert "not asked for" in str(await refused(pki, hasty))


async def test_what_comes_before_the_subscription_is_bounded(pki):
    """Nobody takes messages until SUBACK: a window of them is kept, though a broker may send them (MQTT 5, 3.8.4)."""

    class Hasty(FakeBroker):
        async def _handle(self, number, head, body, writer):
            if head >> 4 == SUBSCRIBE:
                writer.write(message(TOPIC, b"x") * 200)
            await super()._handle(number, head, body, writer)

    async with Hasty(pki.server_context("broker")) as hasty:
        client = await connected(pki, hasty)
        assert 0 < len(client.of(mqtt.Received)) <= mqtt.INBOUND_WINDOW
        client.session.close()


# TLS


async def test_a_key_that_others_can_read_is_refused(pki, broker, tmp_path):
    """Group or world: the uplink stops, nothing is sent."""
    for mode in (0o640, 0o604, 0o644):
        key = tmp_path / f"{mode:o}.key"
        key.write_bytes((pki.path / "gateway.key").read_bytes())
        key.chmod(mode)
        error = await refused(pki, broker, key=str(key))
        assert error.refused
        assert "chmod 600" in str(error)
    assert broker.connections == 0


async def test_missing_wrong_and_encrypted_files_are_refusals(pki, broker, tmp_path):
    """Each with words; never a prompt on the console."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key((pki.path / "gateway.key").read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.touch(mode=0o600)
    locked = form.BestAvailableEncryption(b"secret")
    encrypted.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    for changes in (
        {"key": str(encrypted)}, {"key": pki.file("broker.key")}, {"key": pki.file("nowhere.key")},
        {"ca": pki.file("nowhere.pem")}, {"certificate": pki.file("gateway.key")},
    ):  # fmt: skip
        error = await refused(pki, broker, **changes)
        assert error.refused, changes
        assert str(error)
        assert not str(error).startswith("None"), "of a file without a name"


@pytest.fixture
def other(tmp_path):
    directory = certificates.Directory(tmp_path / "other")
    directory.server("broker")
    directory.client("gateway")
    return directory


async def test_a_broker_of_another_authority_is_refused(pki, other):
    """Wrong authority, though every name is right."""
    async with FakeBroker(other.server_context("broker", trusts=pki)) as broker:
        error = await refused(pki, broker)
    assert error.refused
    assert "certificate" in str(error)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("expired", {"expired": True}),
        ("elsewhere", {"hosts": ("elsewhere.invalid",)}),
        ("common-name-only", {"hosts": ()}),
    ],
)
async def test_a_brokers_certificate_must_be_valid_and_name_it(pki, name, how):
    """Expired, another name, the name only as common name (which Python would take by default)."""
    pki.server(name, **how)
    async with FakeBroker(pki.server_context(name)) as broker:
        error = await refused(pki, broker)
    assert error.refused
    assert broker.connects == []


async def test_the_sites_server_name_counts_instead_of_the_host(pki):
    """For a broker that is reached by an address or a tunnel."""
    pki.server("named", hosts=("district.example",))
    async with FakeBroker(pki.server_context("named")) as broker:
        client = await connected(pki, broker, host="127.0.0.1", server_name="district.example")
        client.session.close()


async def test_a_gateway_of_another_authority_is_refused_by_the_broker(pki, other):
    """Nothing of MQTT is spoken. (With TLS 1.3 the client learns it only after its own handshake.)"""
    async with FakeBroker(pki.server_context("broker")) as broker:
        await refused(pki, broker, certificate=other.file("gateway.pem"), key=other.file("gateway.key"))
    assert broker.connects == []


async def test_plain_tcp_and_old_tls_are_refused(pki):
    """No fall-back of any kind."""
    async with FakeBroker(None) as broker:
        await refused(pki, broker)
    context = pki.server_context("broker")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with FakeBroker(context) as broker:
        await refused(pki, broker)
        assert broker.connects == []


async def test_connections_leave_nothing_behind(pki, broker):
    """Descriptors and threads after many good and bad ones (a share of R15)."""

    async def cycle():
        client = await connected(pki, broker)
        client.session.publish(RECORD)
        client.session.close()
        broker.connack = 0x88
        await refused(pki, broker)
        broker.connack = 0
        await refused(pki, broker, host="127.0.0.1", server_name="no.example")

    await cycle()
    broker.cut()
    await until(lambda: threading.active_count() == 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(15):
        await cycle()
    broker.cut()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    await until(lambda: threading.active_count() == 1)


class Turns:
    """The loop's selector, which counts the turns and does something at one of them."""

    def __init__(self, selector, at, act):
        self._selector, self._at, self._act, self.count = selector, at, act, 0

    def __getattr__(self, name):
        return getattr(self._selector, name)

    def select(self, timeout=None):
        self.count += 1
        if self.count == self._at:
            self._act()
            timeout = 0
        return self._selector.select(timeout)


async def test_a_dial_that_is_given_up_closes_its_socket(pki, broker):
    """At whatever turn of the loop: while the thread connects, shakes hands, hands over, while the broker answers. Nothing is
    open afterwards, on either side."""

    async def given_up(at):
        """True when it was connected before."""
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(connected(pki, broker))
        loop._selector = Turns(loop._selector, at, task.cancel)
        try:
            await asyncio.wait([task])
        finally:
            loop._selector = loop._selector._selector
        if not task.cancelled():
            task.result().session.close()
        await until(lambda: threading.active_count() == 1)
        await asyncio.sleep(0)  # what the thread handed over
        left = [one for one in gc.get_objects() if isinstance(one, ssl.SSLSocket) and one.fileno() >= 0]
        assert left == [], f"given up at turn {at}"
        return not task.cancelled()

    assert await given_up(0)
    before = len(os.listdir("/proc/self/fd"))
    done = 0
    for at in range(1, 200):
        done += await given_up(at)
        if done == 3:  # in a row, or as good: the thread is not always as quick
            break
    assert at > 8, "it was given up on the way"
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_silence_is_no_acknowledgement(broker, client):
    """Without a PUBACK nothing is told."""
    broker.answer = silent
    client.session.publish(RECORD)
    await until(lambda: broker.published)
    assert client.of(mqtt.Acknowledged) == []
