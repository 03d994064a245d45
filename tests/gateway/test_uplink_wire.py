"""The whole uplink over real sockets and TLS: the scripted broker breaks the rules, mosquitto breaks down. Nothing is lost."""

import asyncio
import json
import signal
import socket
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from gateway.errors import LinkError
from gateway.link import mqtt
from gateway.model import UplinkSpec
from gateway.store.worker import ThreadWorker
from tests import brokers, certificates
from tests.clocks import HandClock
from tests.fake_broker import (
    FakeBroker,
    close_before,
    late,
    message,
    puback,
    receive_maximum,
    silent,
    taken,
    twice,
    wrong_id,
)
from tests.gateway.virtual import Bench
from tests.waiting import until

RECEIPT = "gengfu/v1/demo-01/receipt"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = certificates.Directory(tmp_path_factory.mktemp("tls") / "pki")
    directory.server("broker")
    directory.client("gateway")
    return directory


def spec_of(pki, port, **changes):
    files = {"ca": pki.file("ca.pem"), "certificate": pki.file("gateway.pem"), "key": pki.file("gateway.key")}
    return UplinkSpec("district", **{"host": "localhost", "port": port, **files, **changes})


def bench_of(tmp_path, spec, **options):
    """A gateway that commits on real threads and connects for real; impatient, so that tests are short."""
    seam = SimpleNamespace(connect=mqtt.connect)
    return Bench(
        tmp_path, seam, spec=spec, worker=lambda: ThreadWorker("disk"), random=lambda: 0.1, puback_s=0.5, **options
    )


@dataclass
class District:
    """Behind the scripted broker: stores by id what was acknowledged, and gives the receipts."""

    broker: FakeBroker
    fault: object = taken
    every: int = 1
    """The fault strikes each so many records."""
    count: int = 0

    def __post_init__(self):
        self.stored, self.numbers = {}, {0}

    def __call__(self, publish):
        if "sequence" not in publish.properties:
            return taken(publish)
        self.count += 1
        if self.count % self.every == 0:
            steps = self.fault(publish)
            if not steps or not isinstance(steps[-1], bytes) or steps[-1] != puback(publish.mid):
                return steps
            return [*steps, self.receipt(publish)]
        return [puback(publish.mid), self.receipt(publish)]

    def receipt(self, publish):
        self.stored.setdefault(publish.id, publish)
        if publish.properties["lane"] == "alarm":
            return message(RECEIPT, json.dumps({"alarms": [publish.id]}).encode(), qos=0)
        self.numbers.add(int(publish.properties["sequence"]))
        position = next(n for n in range(len(self.numbers) + 1) if n + 1 not in self.numbers)
        told = {"telemetry": {"journal": publish.properties["journal"], "position": position}}
        return message(RECEIPT, json.dumps(told).encode(), qos=0)


@pytest.mark.parametrize(
    ("fault", "every"),
    [(silent, 40), (late(0.7), 60), (wrong_id, 40), (twice, 2), (close_before, 25)],
    ids=["lost", "late", "wrong", "twice", "closed"],
)
async def test_acknowledgements_that_go_wrong_lose_nothing(tmp_path, pki, fault, every):
    """PUBACK lost, late, wrong, twice, connection closed before it: all are stored, each under one id (a share of R13)."""
    async with FakeBroker(pki.server_context("broker")) as broker:
        broker.answer = district = District(broker, fault, every)
        async with bench_of(tmp_path, spec_of(pki, broker.port)) as bench:
            bench.alarm(30)
            bench.telemetry(70)
            await until(lambda: bench.status()["unsettled"] == 0, 30)
        ids = [publish.id for publish in broker.published if "sequence" in publish.properties]
        assert len(district.stored) == 100
        assert set(ids) == set(district.stored)
        assert district.count > 100 or fault is twice


async def test_one_slot_is_enough(tmp_path, pki):
    """Receive Maximum 1: one record after the other, all of them."""
    async with FakeBroker(pki.server_context("broker"), connack_properties=receive_maximum(1)) as broker:
        broker.answer = district = District(broker)
        async with bench_of(tmp_path, spec_of(pki, broker.port)) as bench:
            bench.alarm(20)
            bench.telemetry(20)
            await until(lambda: bench.status()["unsettled"] == 0, 10)
        assert len(district.stored) == 40


async def test_a_half_open_link_is_left_and_the_records_go_over_the_next(tmp_path, pki):
    """Bytes go out, nothing comes back: noticed in the PUBACK time, all delivered after healing."""
    async with FakeBroker(pki.server_context("broker")) as broker:
        broker.answer = district = District(broker)
        async with bench_of(tmp_path, spec_of(pki, broker.port)) as bench:
            await until(lambda: bench.status()["connected"])
            broker.deaf = True
            bench.alarm(5)
            await until(lambda: not bench.status()["connected"], 5)
            broker.deaf = False
            await until(lambda: bench.status()["unsettled"] == 0, 20)
        assert len(district.stored) == 5


async def test_a_refused_certificate_stops_the_uplink_and_not_the_gateway(tmp_path, pki):
    """Shown as refused, with words; the journal goes on; mended, everything is delivered."""
    key = tmp_path / "gateway.key"
    key.write_bytes((pki.path / "gateway.key").read_bytes())
    key.chmod(0o644)
    async with FakeBroker(pki.server_context("broker")) as broker:
        broker.answer = District(broker)
        async with bench_of(tmp_path, spec_of(pki, broker.port, key=str(key))) as bench:
            bench.alarm(2)
            await until(lambda: bench.status()["refused"])
            assert "chmod 600" in bench.status()["error"]
            assert not bench.task.done()
            key.chmod(0o600)
            await until(lambda: bench.status()["unsettled"] == 0, 10)


# mosquitto


@pytest.fixture
async def mosquitto(tmp_path):
    async with brokers.running(tmp_path) as running:
        yield running


class Receiver:
    """A district on aiomqtt, persistent session: stores by id, gives receipts; may be away."""

    def __init__(self, broker):
        self.broker, self.stored, self.numbers, self.seen = broker, {}, {0}, 0

    async def __aenter__(self):
        self.task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self):
        import aiomqtt

        while True:
            try:
                async with brokers.client(self.broker, "district", expiry_s=3600) as client:
                    for name in ("alarm", "telemetry", "status"):
                        await client.subscribe(f"gengfu/v1/+/{name}", qos=1)
                    async for got in client.messages:
                        await self._receive(client, got)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _receive(self, client, got):
        told = dict(getattr(got.properties, "UserProperty", []))
        if "id" not in told:
            return
        self.seen += 1
        self.stored.setdefault(told["id"], got.payload)
        if told["lane"] == "alarm":
            receipt = {"alarms": [told["id"]]}
        else:
            self.numbers.add(int(told["sequence"]))
            position = next(n for n in range(len(self.numbers) + 1) if n + 1 not in self.numbers)
            receipt = {"telemetry": {"journal": told["journal"], "position": position}}
        await client.publish(RECEIPT, json.dumps(receipt), qos=1)


def mosquitto_spec(broker, **changes):
    return spec_of(broker, broker.port, **{"host": broker.host, "keepalive_s": 4, **changes})


@brokers.skip_without_mosquitto
async def test_a_broker_that_stops_stalls_and_is_killed_loses_nothing(tmp_path, mosquitto):
    """SIGSTOP, kill -9 with its memory, restart: every record is stored by the district, under its one id."""
    async with Receiver(mosquitto) as district, bench_of(tmp_path, mosquitto_spec(mosquitto)) as bench:
        bench.alarm(10)
        bench.telemetry(20)
        await until(lambda: bench.status()["unsettled"] == 0, 20)
        mosquitto.running.process.send_signal(signal.SIGSTOP)
        bench.alarm(10)
        await until(lambda: not bench.status()["connected"], 10)
        mosquitto.running.process.send_signal(signal.SIGCONT)
        bench.telemetry(20)
        await until(lambda: bench.status()["unsettled"] == 0, 30)
        bench.alarm(10)
        await mosquitto.kill()
        bench.telemetry(20)
        await until(lambda: not bench.status()["connected"], 10)
        await mosquitto.start()
        await until(lambda: bench.status()["unsettled"] == 0, 60)
        assert len(district.stored) == 90


@brokers.skip_without_mosquitto
async def test_the_status_tells_online_offline_and_death(tmp_path, mosquitto):
    """Retained birth; offline said at a clean end; the will when the connection dies."""
    import aiomqtt

    said = asyncio.Queue()

    async def listen():
        async with brokers.client(mosquitto, "observer") as client:
            await client.subscribe("gengfu/v1/demo-01/status", qos=1)
            async for got in client.messages:
                said.put_nowait(json.loads(got.payload)["online"])

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(20):
        async with bench_of(tmp_path, mosquitto_spec(mosquitto)):
            assert await said.get() is True
        assert await said.get() is False
        async with bench_of(tmp_path, mosquitto_spec(mosquitto)) as bench:
            assert await said.get() is True
            bench.uplink._session._stream._socket.shutdown(socket.SHUT_RDWR)  # dies without a word
            assert await said.get() is False
    listening.cancel()
    with pytest.raises((asyncio.CancelledError, aiomqtt.MqttError)):
        await listening


@brokers.skip_without_mosquitto
@pytest.mark.parametrize("trouble", ["other authority", "expired", "no certificate"])
async def test_the_broker_refuses_a_gateway_it_cannot_verify(tmp_path, mosquitto, trouble):
    """mosquitto requires a certificate of its authority; the refusal is shown as one."""
    other = certificates.Directory(tmp_path / "other")
    other.client("gateway")
    files = {"certificate": other.file("gateway.pem"), "key": other.file("gateway.key")}
    if trouble == "expired":
        from gateway import pki as test_pki

        authority = test_pki.read(mosquitto.pki)
        pair = test_pki.issue(authority, "demo-01", test_pki.Role.CLIENT, 1_500_000_000.0)
        test_pki.write(other.path, "gateway", pair)
    dial = mqtt.Dial(mosquitto_spec(mosquitto, **files), "demo-01", _will(), RECEIPT, lambda: None, HandClock())
    if trouble == "no certificate":
        import ssl

        context = ssl.create_default_context(cafile=mosquitto.file("ca.pem"))
        reader, writer = await asyncio.open_connection("localhost", mosquitto.port, ssl=context)
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            await reader.read(1)
        writer.transport.abort()
        return
    with pytest.raises(LinkError) as caught:
        await mqtt.connect(dial)
    assert caught.value.refused, str(caught.value)


@brokers.skip_without_mosquitto
@pytest.mark.parametrize("trouble", ["other authority", "other name"])
async def test_the_gateway_refuses_a_broker_it_cannot_verify(tmp_path, mosquitto, trouble):
    """A real broker, but not ours."""
    other = certificates.Directory(tmp_path / "other")
    changes = {"ca": other.file("ca.pem")} if trouble == "other authority" else {"server_name": "elsewhere.invalid"}
    dial = mqtt.Dial(mosquitto_spec(mosquitto, **changes), "demo-01", _will(), RECEIPT, lambda: None, HandClock())
    with pytest.raises(LinkError) as caught:
        await mqtt.connect(dial)
    assert caught.value.refused
    assert "certificate" in str(caught.value)


def _will():
    from gateway.wire import payloads

    return payloads.status("demo-01", online=False, version="", boot="", run="", since=0.0, simulated=False)
