"""The district as a process, against a real broker over mutual TLS: stored first, receipted then, whatever dies."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys

import apsw
import pytest

from district import inbox, receiver
from district.journals import Position
from district.store import Outcome, Store
from gateway.demo import broker as demo_broker
from tests import brokers
from tests.district.messages import attributes, chained, pack, transition
from tests.waiting import until

RECEIPT = "gengfu/v1/demo-01/receipt"


class District:
    """The process; its database is read beside it."""

    def __init__(self, broker, directory):
        self.broker = broker
        self.database = directory / "district.db"
        self.log = directory / "district.log"
        self.process = None

    async def start(self, port=None, interval_s=0.2):
        listening = self.said("listening on")
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "district", "--broker", f"localhost:{port or self.broker.port}",
                "--ca", self.broker.file("ca.pem"), "--cert", self.broker.file("district.pem"),
                "--key", self.broker.file("district.key"), "--database", str(self.database),
                "--receipt-interval-s", str(interval_s), stderr=output,
            )  # fmt: skip
        await until(lambda: self.said("listening on") > listening, 15)

    def said(self, words):
        """How often its log has them."""
        return self.log.read_text().count(words) if self.log.exists() else 0

    def rows(self, query):
        db = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def change(self, statement):
        """Do to its database what a person with sqlite3 could."""
        db = apsw.Connection(str(self.database))
        try:
            db.set_busy_timeout(2_000)
            db.execute(statement)
        finally:
            db.close()

    async def end(self, how=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 15)


@pytest.fixture
async def broker(tmp_path):
    if demo_broker.mosquitto_path() is None:
        pytest.skip("mosquitto is not installed")
    async with brokers.running(tmp_path) as running:
        yield running


@pytest.fixture
async def district(broker, tmp_path):
    made = District(broker, tmp_path)
    yield made
    if made.process and made.process.returncode is None:
        await made.end(signal.SIGKILL)


@contextlib.asynccontextmanager
async def gateway(broker):
    """A gateway that waits for its receipts."""
    async with brokers.client(broker, "gateway") as client:
        await client.subscribe(RECEIPT, qos=1)
        yield client


async def receipt(client, timeout_s=5):
    async with asyncio.timeout(timeout_s):
        message = await anext(client.messages)
    assert message.topic.value == RECEIPT
    return json.loads(message.payload)


async def say_alarm(client, sequence, **changes):
    body = transition()
    listed = chained(attributes(sequence, lane="alarm", **changes), body)
    await publish(client, "alarm", listed, body)


async def say_values(client, *sequences, follows=None):
    for sequence in sequences:
        listed = attributes(sequence) + ([("follows", str(follows))] if follows is not None else [])
        await publish(client, "telemetry", listed, pack(density=sequence), "application/senml+json")


async def publish(client, leaf, listed, body, content_type="application/json", **options):
    properties = brokers.user_properties(content_type, **dict(listed))
    await client.publish(f"gengfu/v1/demo-01/{leaf}", body, qos=1, properties=properties, **options)


async def test_an_alarm_is_stored_then_receipted_at_once_and_again(broker, district):
    """Also when it comes a second time; the interval of telemetry does not matter."""
    await district.start(interval_s=60)
    async with gateway(broker) as client:
        for duplicates in (0, 1):
            await say_alarm(client, 1)
            assert await receipt(client) == {"alarms": ["demo-01/alarm/a01b.7be0/1"]}
            assert district.rows("SELECT id, duplicates FROM record") == [("demo-01/alarm/a01b.7be0/1", duplicates)]


async def test_it_works_with_the_embedded_broker_of_the_demo(tmp_path):
    """MQTT 5 of another make: stored, receipted, and back after a kill -9 in its persistent session."""
    if importlib.util.find_spec("iotcore") is None:
        pytest.skip("iotcore is not installed")
    async with brokers.running(tmp_path, demo_broker.Variant.EMBEDDED) as broker:
        district = District(broker, tmp_path)
        await district.start()
        try:
            async with gateway(broker) as client:
                await say_alarm(client, 1)
                assert "alarms" in await receipt(client)
                await district.end(signal.SIGKILL)
                for sequence in range(2, 40):
                    await say_alarm(client, sequence)
                await district.start()
                receipted = set()
                while len(receipted) < 38:
                    receipted |= set((await receipt(client))["alarms"])
        finally:
            await district.end(signal.SIGKILL)
        assert district.rows("SELECT count(*) FROM record") == [(39,)]


async def test_telemetry_is_receipted_by_position(broker, district):
    """Cumulative, every interval, never past the hole."""
    await district.start()
    async with gateway(broker) as client:
        await say_values(client, 1, 2, 4)
        while (told := await receipt(client)) != {"telemetry": {"journal": "a01b", "position": 2}}:
            assert told["telemetry"]["position"] < 2
        assert district.rows("SELECT first, last FROM lost") == [(3, 3)]


async def test_a_hole_that_is_filled_or_passed_over_is_receipted_at_once(broker, district):
    """Without waiting for the interval, which is an hour here."""
    await district.start(interval_s=3600)
    async with gateway(broker) as client:
        await say_values(client, 1, 3)
        await say_values(client, 2)
        assert await receipt(client) == {"telemetry": {"journal": "a01b", "position": 3}}
        await say_values(client, 9, follows=3)
        assert await receipt(client) == {"telemetry": {"journal": "a01b", "position": 9}}


async def test_a_hundred_new_records_are_receipted_before_the_interval(broker, district):
    """So that a gateway with a window of 200 never waits for the clock."""
    await district.start(interval_s=3600)
    async with gateway(broker) as client:
        await say_values(client, *range(1, 101))
        assert (await receipt(client))["telemetry"]["position"] == 100


async def test_a_flood_is_stored_whole(broker, district):
    """A thousand records while its disk is held up: none is lost, whatever the broker thinks of the window."""
    await district.start()
    lock = apsw.Connection(str(district.database))
    lock.execute("BEGIN IMMEDIATE")
    async with gateway(broker) as client:
        client.pending_calls_threshold = 1_000
        for start in range(1, 1_000, 100):
            await asyncio.gather(*(say_values(client, sequence) for sequence in range(start, start + 100)))
        lock.execute("ROLLBACK")
        lock.close()
        while (await receipt(client, 10))["telemetry"]["position"] < 1_000:
            pass
    assert district.rows("SELECT count(*), sum(duplicates) FROM record") == [(1_000, 0)]


async def test_a_flood_beyond_its_memory_comes_again(broker, tmp_path, monkeypatch):
    """Overrun: the session is begun anew, and the broker delivers what was not acknowledged."""
    monkeypatch.setattr(inbox, "MOST_MESSAGES", 50)
    files = [broker.file(name) for name in ("ca.pem", "district.pem", "district.key")]
    store = Store(tmp_path / "district.db")
    task = asyncio.ensure_future(receiver.run(receiver.Options("localhost", broker.port, *files, 0.2), store))
    try:
        async with gateway(broker) as client:
            await say_until_receipted(client)
            client.pending_calls_threshold = 1_000
            await asyncio.gather(*(say_values(client, sequence) for sequence in range(1, 601)))
            while (await receipt(client, 10)).get("telemetry", {}).get("position", 0) < 600:
                pass
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        store.close()


async def say_until_receipted(client):
    """The district's session stands at the broker once it receipts."""
    while True:
        await say_alarm(client, 1)
        with contextlib.suppress(TimeoutError):
            return await receipt(client, 0.5)


async def test_what_was_sent_while_it_was_away_comes_when_it_is_back(broker, district):
    """Its session at the broker is persistent."""
    await district.start()
    assert await district.end() == 0
    async with gateway(broker) as client:
        await say_alarm(client, 1)
        await district.start()
        assert "alarms" in await receipt(client)


class OneWay:
    """Between district and broker: what the district says can be held back, so that it can be killed in between."""

    def __init__(self, to_port):
        self.to_port = to_port
        self.open = asyncio.Event()
        self.open.set()
        self.held = 0

    async def __call__(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        pumps = [
            asyncio.ensure_future(self.pump(reader, far_writer, gated=True)),
            asyncio.ensure_future(self.pump(far_reader, writer, gated=False)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for each in pumps:
            each.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in (writer, far_writer):
            each.transport.abort()

    async def pump(self, source, sink, gated):
        while data := await source.read(65536):
            if gated and not self.open.is_set():
                self.held += len(data)
                continue
            sink.write(data)
            await sink.drain()


async def test_killed_between_store_and_receipt_nothing_is_lost_or_doubled(broker, district):
    """kill -9 with the record on the disk and the receipt unsent: the broker still has it, one row, a receipt again."""
    link = OneWay(broker.port)
    async with await asyncio.start_server(link, "127.0.0.1", 0) as server, gateway(broker) as client:
        await district.start(server.sockets[0].getsockname()[1])
        link.open.clear()
        await say_alarm(client, 1)
        await until(lambda: district.rows("SELECT count(*) FROM record") == [(1,)])
        await until(lambda: link.held)
        await district.end(signal.SIGKILL)
        with pytest.raises(TimeoutError):
            await receipt(client, 0.3)
        await district.start()
        assert await receipt(client) == {"alarms": ["demo-01/alarm/a01b.7be0/1"]}
        await say_alarm(client, 1)
        assert await receipt(client) == {"alarms": ["demo-01/alarm/a01b.7be0/1"]}
        assert district.rows("SELECT count(*), min(duplicates) FROM record") == [(1, 2)]


async def test_kills_at_any_moment_lose_no_receipted_record(broker, district):
    """kill -9 at any moment of a stream of alarms: whatever was receipted is stored, once."""
    receipted, sent = set(), 0
    async with gateway(broker) as client:
        for kill in range(5):
            await district.start()
            for _ in range(5):
                sent += 1
                await say_alarm(client, sent)
            while len(receipted) <= sent - 5 + kill % 4:
                receipted |= set((await receipt(client))["alarms"])
            await district.end(signal.SIGKILL)
        await district.start()
        while len(receipted) < sent:
            receipted |= set((await receipt(client))["alarms"])
    assert {row[0] for row in district.rows("SELECT id FROM record")} == receipted
    assert district.rows("SELECT * FROM lost") == []


async def test_it_comes_back_after_the_broker_was_killed(broker, district):
    """By itself, within its back-off."""
    await district.start()
    await broker.kill()
    await broker.start()
    await until(lambda: district.said("listening on") == 2, 15)
    async with gateway(broker) as client:
        await say_alarm(client, 1)
        assert "alarms" in await receipt(client)


async def test_a_failing_disk_gives_no_receipt_until_it_works_again(broker, district):
    """The broker keeps the message; once the disk works it is stored and receipted without being sent again."""
    await district.start()
    district.change("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'disk full'); END")
    async with gateway(broker) as client:
        await say_alarm(client, 1)
        await until(lambda: district.said("disk full"))
        with pytest.raises(TimeoutError):
            await receipt(client, 0.3)
        district.change("DROP TRIGGER full")
        assert "alarms" in await receipt(client, 15)


async def test_malformed_messages_are_set_aside_and_block_nobody(broker, district):
    """No receipt for them, one for the alarm behind them."""
    await district.start()
    async with gateway(broker) as client:
        await client.publish("gengfu/v1/demo-01/alarm", b"\xff", qos=1)
        await publish(client, "alarm", attributes(1, lane="alarm"), b"{}")
        await publish(client, "telemetry", attributes(1, specversion="9"), b"{}")
        await client.publish("gengfu/v1/demo-01/status", b"[]", qos=0)
        await say_alarm(client, 1)
        assert "alarms" in await receipt(client)
    await until(lambda: len(district.rows("SELECT * FROM rejected")) == 4)
    reasons = {row[0] for row in district.rows("SELECT reason FROM rejected")}
    assert reasons == {
        "content type: missing or not one",
        "previous: missing",
        "specversion: not as described",
        "body: not a JSON object",
    }


@pytest.mark.parametrize("leaf", ["alarm", "status"])
async def test_a_message_that_the_library_cannot_read_does_not_stop_it(broker, district, leaf):
    """U+FEFF in an attribute is legal MQTT, and paho refuses to parse it: with each session it would come again."""
    await district.start()
    async with gateway(broker) as client:
        retain = leaf == "status"
        await publish(client, leaf, [("x", "\ufeff")], b"{}", retain=retain)
        await until(lambda: district.said("Unreadable") and district.said("listening on") >= 2, 20)
        async with asyncio.timeout(20):
            while True:  # as a gateway does: again on each new connection and every 30 s
                await say_alarm(client, 1)
                with contextlib.suppress(TimeoutError):
                    assert "alarms" in await receipt(client, 1)
                    break


async def test_status_is_kept(broker, district):
    """Retained birth, then the will."""
    async with gateway(broker) as client:
        await client.publish("gengfu/v1/demo-01/status", b'{"online": true}', qos=1, retain=True)
        await district.start()
        await until(lambda: district.rows("SELECT online FROM status") == [(1,)])
        await client.publish("gengfu/v1/demo-01/status", b'{"online": false}', qos=1, retain=True)
        await until(lambda: district.rows("SELECT online FROM status") == [(0,)])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(broker, district, how):
    """Status 0, also in the middle of a stream."""
    await district.start()
    async with gateway(broker) as client:
        await say_values(client, *range(1, 20))
        assert await district.end(how) == 0
    assert "Traceback" not in district.log.read_text()


async def test_connections_that_come_to_nothing_leave_nothing_behind(tmp_path, monkeypatch):
    """A far side that accepts and is silent, many times: no descriptor more (aiomqtt leaves its socket to the loop)."""
    brokers.make_certificates(tmp_path / "pki")
    monkeypatch.setattr(receiver, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(receiver, "LONGEST_BACK_OFF_S", 0.1)
    tries, gone = 0, []

    async def silent(reader, writer):
        nonlocal tries
        tries += 1
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()
        gone.append(writer)

    context = server_context(tmp_path / "pki")
    store = Store(tmp_path / "district.db")
    async with await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context) as server:
        files = [str(tmp_path / "pki" / name) for name in ("ca.pem", "district.pem", "district.key")]
        options = receiver.Options("localhost", server.sockets[0].getsockname()[1], *files)
        task = asyncio.ensure_future(receiver.run(options, store))
        await until(lambda: tries >= 3, 15)
        before = len(os.listdir("/proc/self/fd"))
        await until(lambda: tries >= 13, 30)
        after = len(os.listdir("/proc/self/fd"))
    # Refused from here on: the cancellation finds it outside of a handshake, which a thread would go on with.
    await until(lambda: len(gone) == tries)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.close()
    assert after <= before + 4


def server_context(pki):
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / "ca.pem")
    context.load_cert_chain(pki / "broker.pem", pki / "broker.key")
    return context


def test_receipts_are_of_bounded_size():
    """Many alarms of one gateway: several receipts, none lost."""
    ids = [f"demo-01/alarm/a01b.7be0/{n}" for n in range(450)]
    made = receiver.receipts(Outcome({"demo-01": ids, "demo-02": ["x"]}, []))
    assert [gateway for gateway, _ in made] == ["demo-01", "demo-01", "demo-01", "demo-02"]
    assert [name for _, payload in made for name in json.loads(payload)["alarms"]] == [*ids, "x"]
    assert max(len(payload) for _, payload in made) < 64 * 1024


async def test_positions_wait_for_their_time_or_a_reason():
    """Latest of each journal; due at once after a jump or a hundred records."""
    waiting = receiver.Positions()
    waiting.add(Outcome({}, [Position("g", "a", 5, False), Position("g", "b", 7, False)]))
    waiting.add(Outcome({}, [Position("g", "a", 6, False)]))
    assert not waiting.due.is_set()
    assert [json.loads(payload)["telemetry"] for _, payload in waiting.take()] == [
        {"journal": "a", "position": 6}, {"journal": "b", "position": 7},
    ]  # fmt: skip
    assert waiting.take() == []
    waiting.add(Outcome({}, [Position("g", "a", 105, False)]))
    assert not waiting.due.is_set()
    waiting.add(Outcome({}, [Position("g", "a", 106, False)]))
    assert waiting.due.is_set()
    waiting.take()
    assert not waiting.due.is_set()
    waiting.add(Outcome({}, [Position("g", "a", 108, True)]))
    assert waiting.due.is_set()
