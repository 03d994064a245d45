"""A real broker over mutual TLS for tests, on a free port, with certificates of the test authority.

    @pytest.fixture
    async def broker(tmp_path):
        async with brokers.running(tmp_path) as running:
            yield running

    async with brokers.client(broker, "district") as district: ...      # aiomqtt, MQTT 5

Names of certificates in `broker.pki`: ``gateway`` (demo-01), ``gateway-2`` (demo-02), ``district``, ``observer`` (may
read everything; use it to listen in, since one identity has one connection), ``broker``, ``ca``.
`skip_without_mosquitto` is the marker that states its reason. `broker.kill()` is kill -9; `broker.restart()` brings it
back on the same port with what its disk kept.
"""

import contextlib
import socket
import ssl
import time
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway import pki
from gateway.demo import broker as demo_broker

GATEWAYS = {"gateway": "demo-01", "gateway-2": "demo-02"}
skip_without_mosquitto = pytest.mark.skipif(demo_broker.mosquitto_path() is None, reason="mosquitto is not installed")


class TestBroker:
    """A broker that a test can kill and bring back."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, directory: Path, variant: demo_broker.Variant):
        self.directory = directory / "broker"
        self.pki = directory / "pki"
        self.variant = variant
        self.host = "localhost"
        self.port = 0
        self.running = None

    async def start(self):
        self.running = await demo_broker.start(
            self.directory, self.pki, self.variant, self.port, tuple(GATEWAYS.values()), ("observer",)
        )
        self.port = self.running.port

    async def stop(self):
        await self.running.stop()

    async def kill(self):
        """kill -9; returns when it is gone."""
        self.running.process.kill()
        await self.running.process.wait()

    async def restart(self):
        await self.stop()
        await self.start()

    def file(self, name):
        return str(self.pki / name)


def make_certificates(directory):
    """All certificates a test may want; ~10 ms."""
    pki.init(directory, GATEWAYS["gateway"])
    authority = pki.read(directory)
    for file, name in (("gateway-2", GATEWAYS["gateway-2"]), ("observer", "observer")):
        pki.write(directory, file, pki.issue(authority, name, pki.Role.CLIENT, time.time()))


@contextlib.asynccontextmanager
async def running(directory, variant=demo_broker.Variant.MOSQUITTO):
    """A broker in `directory`/broker with certificates in `directory`/pki; stopped at the end."""
    make_certificates(directory / "pki")
    broker = TestBroker(directory, variant)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def client_context(directory, name):
    """TLS as a client; without a certificate when `name` is empty."""
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if name:
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return context


def client(broker, name, port=None, expiry_s=0, **options):
    """An aiomqtt client with MQTT 5 and the certificate `name`; `expiry_s` makes its session persistent."""
    properties = Properties(PacketTypes.CONNECT)
    if expiry_s:
        properties.SessionExpiryInterval = expiry_s
    return aiomqtt.Client(
        broker.host,
        port or broker.port,
        identifier=f"test-{name}",
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(broker.pki, name),
        clean_start=not expiry_s,
        properties=properties,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # else ~40 ms a round trip
        **{"timeout": 5, "keepalive": 10} | options,
    )


def user_properties(content_type="application/json", **attributes):
    """PUBLISH properties with these user properties."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = content_type
    properties.UserProperty = list(attributes.items())
    return properties
