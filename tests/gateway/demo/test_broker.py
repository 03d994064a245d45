"""Both brokers of the demo, end to end over mutual TLS: what the gateway and the district rely on."""

import asyncio
import importlib.util
import ssl

import aiomqtt
import pytest

from gateway.demo import broker as demo_broker
from gateway.demo.broker import Variant
from gateway.errors import ConfigError
from tests import brokers
from tests.waiting import until

VARIANTS = [
    pytest.param(Variant.MOSQUITTO, marks=brokers.skip_without_mosquitto),
    pytest.param(
        Variant.EMBEDDED,
        marks=pytest.mark.skipif(importlib.util.find_spec("iotcore") is None, reason="iotcore is not installed"),
    ),
]
ALARM, STATUS = "gengfu/v1/demo-01/alarm", "gengfu/v1/demo-01/status"


@pytest.fixture(params=VARIANTS)
async def broker(request, tmp_path):
    async with brokers.running(tmp_path, request.param) as running:
        yield running


@pytest.fixture
async def mosquitto(tmp_path):
    async with brokers.running(tmp_path) as running:
        yield running


async def take(client, count, timeout_s=5):
    """The next `count` messages."""
    messages = client.messages
    async with asyncio.timeout(timeout_s):
        return [await anext(messages) for _ in range(count)]


async def test_a_record_reaches_the_district_with_all_its_attributes(broker):
    """MQTT 5 user properties in their order, content type and QoS 1 pass through."""
    async with brokers.client(broker, "district") as district, brokers.client(broker, "gateway") as gateway:
        await district.subscribe("gengfu/v1/+/alarm", qos=1)
        properties = brokers.user_properties(id="demo-01/alarm/aa.bb/1", specversion="1.0", text="火警")
        await gateway.publish(ALARM, b'{"x": 1}', qos=1, properties=properties)
        (message,) = await take(district, 1)
    assert message.topic.value == ALARM
    assert message.qos == 1
    assert message.properties.ContentType == "application/json"
    assert message.properties.UserProperty == properties.UserProperty


async def test_what_is_published_while_the_district_is_away_waits_for_it(broker):
    """A persistent session: everything, in order, with its attributes."""
    async with brokers.client(broker, "district", expiry_s=600) as district:
        await district.subscribe("gengfu/v1/+/alarm", qos=1)
    async with brokers.client(broker, "gateway") as gateway:
        for number in range(150):
            await gateway.publish(ALARM, b"%d" % number, qos=1, properties=brokers.user_properties(n=str(number)))
    async with brokers.client(broker, "district", expiry_s=600) as district:
        messages = await take(district, 150)
    assert [int(message.payload) for message in messages] == list(range(150))
    assert [message.properties.UserProperty for message in messages] == [[("n", str(n))] for n in range(150)]


async def test_the_will_is_published_and_retained_when_a_gateway_vanishes(broker):
    """Birth retained, will on a cut connection, and the will is what a later subscriber sees."""
    will = aiomqtt.Will(STATUS, b'{"online": false}', 1, True)
    async with brokers.client(broker, "district") as district:
        await district.subscribe("gengfu/v1/+/status", qos=1)
        gateway = await brokers.client(broker, "gateway", will=will).__aenter__()
        await gateway.publish(STATUS, b'{"online": true}', qos=1, retain=True)
        assert [message.payload for message in await take(district, 1)] == [b'{"online": true}']
        gateway._client._sock_close()  # no public way to leave without a DISCONNECT
        assert [message.payload for message in await take(district, 1)] == [b'{"online": false}']
    async with brokers.client(broker, "district") as district:
        await district.subscribe("gengfu/v1/+/status", qos=1)
        (message,) = await take(district, 1)
    assert (message.payload, message.retain) == (b'{"online": false}', True)


@pytest.mark.parametrize("name", ["", "broker"])
async def test_without_a_client_certificate_nobody_gets_in(broker, name):
    """No certificate, or one that is not a client's: no CONNACK."""
    with pytest.raises((aiomqtt.MqttError, ssl.SSLError)):
        await brokers.client(broker, name, timeout=1).__aenter__()


async def test_older_tls_and_plain_tcp_are_refused(broker):
    """TLS 1.2 fails in the handshake; plain MQTT gets no answer."""
    context = brokers.client_context(broker.pki, "gateway")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", broker.port, ssl=context, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc")
    try:
        answer = await asyncio.wait_for(reader.read(4), 15)
    except ConnectionError:
        answer = b""
    writer.close()
    assert answer[:1] != b"\x20"  # CONNACK


async def test_it_comes_back_on_the_same_port(broker):
    """kill -9, and start again where the clients look for it."""
    port = broker.port
    await broker.kill()
    await broker.start()
    assert broker.port == port
    async with brokers.client(broker, "gateway") as gateway:
        await gateway.publish(ALARM, b"", qos=1)


async def test_it_listens_on_this_machine_only(broker):
    """127.0.0.1, never 0.0.0.0."""
    listening = set(await asyncio.to_thread(listeners, broker.running.process.pid))
    assert listening
    assert {host for host, _ in listening} == {"127.0.0.1"}


def listeners(pid):
    import psutil

    process = psutil.Process(pid)
    return {
        (connection.laddr.ip, connection.laddr.port)
        for each in [process, *process.children(recursive=True)]
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


@brokers.skip_without_mosquitto
async def test_a_gateway_can_neither_pose_as_another_nor_listen_to_it(mosquitto):
    """The access list: own topics only; a foreign alarm is refused (0x87) and nobody hears it."""
    async with brokers.client(mosquitto, "observer") as observer, brokers.client(mosquitto, "gateway-2") as other:
        await observer.subscribe("gengfu/#", qos=1)
        await other.publish(ALARM, b"forged", qos=1)
        await other.publish("gengfu/v1/demo-01/receipt", b"forged", qos=1)
        granted = await other.subscribe("gengfu/v1/demo-01/receipt", qos=1)
        assert granted  # mosquitto grants it and delivers nothing
        async with brokers.client(mosquitto, "district") as district:
            await district.publish(ALARM, b"forged", qos=1)
            await district.publish("gengfu/v1/demo-01/receipt", b"for 1", qos=1)
            await district.publish("gengfu/v1/demo-02/receipt", b"for 2", qos=1)
            await other.subscribe("gengfu/v1/demo-02/receipt", qos=1)
            await district.publish("gengfu/v1/demo-02/receipt", b"again for 2", qos=1)
        assert [message.payload for message in await take(observer, 3)] == [b"for 1", b"for 2", b"again for 2"]
        assert [message.payload for message in await take(other, 1)] == [b"again for 2"]


@brokers.skip_without_mosquitto
async def test_the_certificate_decides_whose_session_it_is(mosquitto):
    """A gateway that calls itself like the district's client gets its own session, not the district's queue."""
    async with brokers.client(mosquitto, "district", expiry_s=600) as district:
        await district.subscribe("gengfu/v1/+/alarm", qos=1)
    async with brokers.client(mosquitto, "gateway") as gateway:
        await gateway.publish(ALARM, b"kept", qos=1)
    thief = brokers.client(mosquitto, "gateway")
    thief._client._client_id = b"test-district"
    async with thief:
        pass
    async with brokers.client(mosquitto, "district", expiry_s=600) as district:
        assert [message.payload for message in await take(district, 1)] == [b"kept"]


@brokers.skip_without_mosquitto
async def test_its_disk_keeps_the_queue_over_a_clean_restart(mosquitto):
    """Persistence is on (kill -9 may lose it: that is what receipts are for)."""
    async with brokers.client(mosquitto, "district", expiry_s=600) as district:
        await district.subscribe("gengfu/v1/+/alarm", qos=1)
    async with brokers.client(mosquitto, "gateway") as gateway:
        await gateway.publish(ALARM, b"kept", qos=1)
    await mosquitto.restart()
    async with brokers.client(mosquitto, "district", expiry_s=600) as district:
        assert [message.payload for message in await take(district, 1)] == [b"kept"]


async def test_a_broker_that_cannot_start_says_why(tmp_path):
    """Certificates missing: a ConfigError with the end of its log, in both languages, and no process left."""
    if demo_broker.installed() is None:
        pytest.skip("neither mosquitto nor iotcore is installed")
    brokers.make_certificates(tmp_path / "pki")
    (tmp_path / "pki" / "broker.key").write_text("")
    with pytest.raises(ConfigError, match="did not start") as refusal:
        await demo_broker.start(tmp_path / "broker", tmp_path / "pki")
    assert "消息服务器" in str(refusal.value)


async def test_the_embedded_inner_broker_ends_with_its_front(tmp_path):
    """kill -9 of the front leaves no orphan behind."""
    if importlib.util.find_spec("iotcore") is None:
        pytest.skip("iotcore is not installed")
    import psutil

    async with brokers.running(tmp_path, Variant.EMBEDDED) as broker:
        children = psutil.Process(broker.running.process.pid).children(recursive=True)
        assert children
        await broker.kill()
        await until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
