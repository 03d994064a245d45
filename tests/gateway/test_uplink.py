"""What an uplink promises, in virtual time: nothing lost, alarms first, refusals kept, receipts only."""

import asyncio
import json
import random
from itertools import pairwise

import pytest

from gateway.errors import LinkError
from gateway.link.delivery import ASIDE, BEYOND, KEPT
from gateway.model import Lane
from tests.gateway.virtual import Bench, Broker, without_receipts
from tests.waiting import until

pytestmark = pytest.mark.looptime


async def settled(bench, within_s=120.0):
    """Everything is settled, and the time it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while bench.status()["unsettled"]:
        assert loop.time() < began + within_s, bench.status()
        await asyncio.sleep(0.05)
    return loop.time() - began


async def test_every_record_arrives_in_order_and_is_settled(tmp_path):
    """Alarms and telemetry, with receipts; nothing is sent twice on a good link."""
    broker = Broker()
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(30)
        bench.telemetry(300)
        await settled(bench)
        for lane, count in (("alarm", 30), ("telemetry", 300)):
            assert [published.sequence for published in broker.of(lane)] == list(range(1, count + 1))
        assert bench.stages[:2] == [(1, "broker"), (1, "district")]
        assert bench.position(Lane.ALARM) == 30
        assert bench.position() == 300


async def test_a_receipt_that_comes_with_the_end_of_a_connection_counts(tmp_path):
    """At once, not with the next connection: there may be none in this life."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        journal = bench.telemetry(3)[0].journal
        await until(lambda: len(broker.of("telemetry")) == 3 and not bench.status()["in_flight"])
        broker.refusal = LinkError("gone")
        broker.receipt({"telemetry": {"journal": journal, "position": 3}})
        broker.cut()
        await until(lambda: not bench.status()["connected"])
        assert bench.position() == 3


async def test_a_window_of_large_alarms_is_counted_in_bytes(tmp_path):
    """On a link that takes 2 s for each: one at a time, so that none is late for its acknowledgement by those before it; where
    acknowledgements come quickly, all of the window."""
    broker = Broker(latency_s=2.0)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(20, b"x" * 16_000)
        bench.telemetry(20)
        await settled(bench)
        assert all(later.at - earlier.at >= 2.0 for earlier, later in pairwise(broker.of("alarm")))
        broker.latency_s = 0.01
        bench.alarm(200, b"x" * 16_000)
        await settled(bench)
        assert broker.session.most_in_flight == broker.receive_maximum


async def test_birth_will_and_good_bye(tmp_path):
    """Retained: online at the start of a connection, offline as the will and at the end."""
    broker = Broker()
    async with Bench(tmp_path, broker, version="0.1.0", run="r1", simulated=True) as bench:
        await asyncio.sleep(1)
        session = broker.session
    _, dial = broker.dials[0]
    birth, offline = broker.of("status")
    assert (birth.retain, offline.retain) == (True, True)
    assert [json.loads(m.body)["online"] for m in (dial.will, birth.message, offline.message)] == [False, True, False]
    assert json.loads(birth.message.body)["version"] == "0.1.0"
    assert session.left
    assert session.closed
    assert bench.task.cancelled()


async def test_good_bye_is_bounded_when_the_broker_is_silent(tmp_path):
    """The gateway stops within 5 s whatever the broker does."""
    broker = Broker(answer=lambda published: None)
    async with Bench(tmp_path, broker):
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began <= 5.0
    assert broker.session.closed


async def test_good_bye_keeps_to_the_window(tmp_path):
    """One more than Receive Maximum, and the broker breaks the connection instead of hearing it (MQTT 5, 4.9)."""
    broker = Broker(receive_maximum=3, latency_s=0.1)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(100)
        await until(lambda: bench.status()["in_flight"] == 3)
    assert broker.session.most_in_flight == 3
    assert not json.loads(broker.of("status")[-1].message.body)["online"]
    assert broker.session.left


async def test_a_new_alarm_passes_a_backlog_of_telemetry(tmp_path):
    """It goes with the next packet, not behind thousands: within a few round trips also when the window is full."""
    broker = Broker(latency_s=0.2)
    async with Bench(tmp_path, broker) as bench:
        bench.telemetry(3000)
        await asyncio.sleep(3)
        assert bench.status()["in_flight"] > 10
        began = asyncio.get_running_loop().time()
        bench.alarm()
        await asyncio.sleep(0.1)
        [alarm] = broker.of("alarm")
        assert alarm.at - began < 0.05
        assert len(broker.of("telemetry")) < 1000


async def test_telemetry_does_not_starve_behind_alarms(tmp_path):
    """About a tenth of what is sent, also with one slot only."""
    broker = Broker(receive_maximum=1, district=False)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(500)
        bench.telemetry(100)
        await asyncio.sleep(3)
        sent = [published.lane for published in broker.published][1:201]
        assert 15 <= sent.count("telemetry") <= 25
        assert broker.session.most_in_flight == 1


async def test_the_window_is_the_smaller_of_ours_and_the_brokers(tmp_path):
    """Never more unacknowledged than Receive Maximum says, nor than 20."""
    for maximum, expected in ((7, 7), (65535, 20)):
        broker = Broker(receive_maximum=maximum, latency_s=0.1)
        async with Bench(tmp_path / str(maximum), broker) as bench:
            (tmp_path / str(maximum)).mkdir(exist_ok=True)
            bench.alarm(100)
            await settled(bench)
            assert broker.session.most_in_flight == expected


async def test_only_the_receipt_settles(tmp_path):
    """A PUBACK 0x00 says that a broker has it: the record stays, and comes again with the same id."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        [record] = bench.alarm()
        bench.telemetry(3)
        await asyncio.sleep(29)
        assert bench.status()["unsettled"] == 4
        assert len(broker.of("alarm")) == 1
        await asyncio.sleep(35)
        again = broker.of("alarm")
        assert [round(published.at) for published in again] == [0, 30, 60]
        assert {published.id for published in again} == {f"demo-01/alarm/{record.journal}.{record.run}/1"}
        assert [published.sequence for published in broker.of("telemetry")] == [1, 2, 3] * 3
        broker.receipt({"alarms": [again[0].id], "telemetry": {"journal": bench.telemetry()[0].journal, "position": 3}})
        await asyncio.sleep(0.1)
        assert bench.position(Lane.ALARM) == 1
        assert bench.position() == 3
        assert (1, "district") in bench.stages


async def test_without_receipts_a_puback_of_success_settles(tmp_path):
    """The explicit choice for a platform that has none; receipts that come all the same mean nothing."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker, spec=without_receipts()) as bench:
        bench.alarm(5)
        bench.telemetry(400)
        assert await settled(bench) < 10
        assert broker.dials[0][1].subscribe == ""
        assert ("district" in {stage for _, stage in bench.stages}) is False


@pytest.mark.parametrize("receipts", [True, False])
async def test_nobody_listening_never_settles(tmp_path, receipts):
    """0x10 is no error for paho, and no success for us: kept, counted, sent again when there may be somebody."""
    listening = []
    broker = Broker(answer=lambda published: 0x00 if listening else 0x10)
    async with Bench(tmp_path, broker, **({} if receipts else {"spec": without_receipts()})) as bench:
        bench.alarm(2)
        bench.telemetry(2)
        await asyncio.sleep(20)
        assert bench.status()["unsettled"] == 4
        assert 5 < bench.status()["counters"]["puback_0x10"] < 12
        listening.append(True)
        assert await settled(bench) < 35
        assert len(broker.dials) == 1


async def test_alarms_go_soon_after_the_district_is_back(tmp_path):
    """A broker that came back without the district's session says 0x10; 30 s would be long for a fire."""
    listening = []
    broker = Broker(answer=lambda published: 0x00 if listening else 0x10)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(20)
        await asyncio.sleep(5)
        listening.append(True)
        assert await settled(bench) < 4 + 20 * 0.1 + 1


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x97, 0x99])
@pytest.mark.parametrize("receipts", [True, False])
async def test_a_refused_record_is_kept_and_blocks_nobody(tmp_path, code, receipts):
    """At most one try in 30 s for it; all others are delivered and settled; it goes when the broker takes it."""
    refusing = [True]
    broker = Broker(answer=lambda p: code if refusing and p.lane != "status" and p.sequence == 5 else 0)
    async with Bench(tmp_path, broker, **({} if receipts else {"spec": without_receipts()})) as bench:
        bench.alarm(20)
        bench.telemetry(1000)
        await asyncio.sleep(100)
        for lane, count in (("alarm", 20), ("telemetry", 1000)):
            got = {p.sequence for p in broker.stored.values() if p.lane == lane}
            assert got == set(range(1, count + 1)) - {5}
            tries = [p.at for p in broker.of(lane) if p.sequence == 5]
            assert len(tries) >= 3
            assert min(b - a for a, b in pairwise(tries)) >= 29.9
        assert bench.status()["refused_records"] == {"5": f"refused: 0x{code:02x}"}
        assert len(bench.status()["refused_alarms"]) == 1
        assert bench.lanes[Lane.ALARM].backlog("district") == 1
        refusing.clear()
        await asyncio.sleep(31)
        assert {p.sequence for p in broker.stored.values() if p.lane == "telemetry"} == set(range(1, 1001))
        assert bench.status()["unsettled"] == 0
        assert bench.status()["refused_records"] == {}


async def test_a_refused_record_waits_its_30_s_across_connections(tmp_path):
    """A flapping link does not turn into a flood of the same refused record."""
    broker = Broker(answer=lambda p: 0x87 if p.lane != "status" and p.sequence == 1 else 0)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(2)
        bench.telemetry(2)
        for _ in range(20):
            await asyncio.sleep(5)
            if bench.status()["connected"]:
                broker.cut()
        for lane in ("alarm", "telemetry"):
            tries = [p.at for p in broker.of(lane) if p.sequence == 1]
            assert len(tries) >= 2
            assert min(b - a for a, b in pairwise(tries)) >= 29.9


async def test_records_set_aside_outlive_the_gateway(tmp_path):
    """The position passed them; after a restart they are tried again all the same."""
    refusing = [True]
    broker = Broker(answer=lambda p: 0x99 if refusing and p.lane == "telemetry" and p.sequence == 2 else 0)
    async with Bench(tmp_path, broker) as bench:
        bench.telemetry(4)
        await asyncio.sleep(5)
        assert bench.position() == 4
    refusing.clear()
    async with Bench(tmp_path, broker) as bench:
        assert list(bench.status()["refused_records"]) == ["2"]
        await asyncio.sleep(35)
        assert bench.status()["refused_records"] == {}
    assert {p.sequence for p in broker.stored.values()} == {1, 2, 3, 4}


async def test_where_everything_is_refused_telemetry_waits(tmp_path):
    """A wrong access list is nothing wrong with the records: few are set aside, none is lost, alarms still go."""
    allowed = []
    broker = Broker(answer=lambda p: 0 if allowed or p.lane != "telemetry" else 0x87)
    async with Bench(tmp_path, broker, spec=without_receipts()) as bench:
        bench.telemetry(1000)
        bench.alarm(3)
        await asyncio.sleep(300)
        assert bench.position(Lane.ALARM) == 3
        assert max(p.sequence for p in broker.of("telemetry")) <= ASIDE + BEYOND
        assert bench.position() <= ASIDE
        allowed.append(True)
        await settled(bench)
        await asyncio.sleep(31)
    assert {p.sequence for p in broker.stored.values() if p.lane == "telemetry"} == set(range(1, 1001))


async def test_a_record_larger_than_the_broker_takes_is_set_aside(tmp_path):
    """Counted and shown; the others go; alarms stay owed."""
    broker = Broker(maximum_packet_bytes=4000)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(1, body=b'{"x":"%s"}' % (b"x" * 5000))
        bench.alarm(2)
        from gateway.wire import payloads

        bench.lanes[Lane.TELEMETRY].commit([])
        bench.telemetry(1)
        big = payloads.to_json({"x": "y" * 5000})
        bench.lanes[Lane.TELEMETRY].commit([_draft(payloads.TELEMETRY_GAP, big)])
        bench.telemetry(3)
        await asyncio.sleep(5)
        assert {p.sequence for p in broker.of("telemetry")} == {1, 3, 4, 5}
        assert bench.position() == 5
        assert {p.sequence for p in broker.of("alarm")} == {2, 3}
        assert bench.lanes[Lane.ALARM].backlog("district") == 1
        status = bench.status()
        assert "too large" in status["refused_records"]["2"]
        assert status["counters"]["alarms_too_large"] == 1


async def test_a_pack_that_cannot_be_read_is_set_aside(tmp_path):
    """A body without its layout blocks nobody."""
    broker = Broker()
    async with Bench(tmp_path, broker) as bench:
        bench.telemetry(1, body=b"\x01rubbish")
        bench.telemetry(2)
        await asyncio.sleep(1)
        assert bench.position() == 3
        assert "cannot be read" in bench.status()["refused_records"]["1"]


async def test_a_silent_broker_is_left_within_10_s(tmp_path):
    """Data in flight and no PUBACK: reconnect, and the same records with the same ids."""
    silent = [True]
    broker = Broker(answer=lambda p: None if silent and p.lane == "alarm" else 0)
    async with Bench(tmp_path, broker) as bench:
        await asyncio.sleep(2)
        bench.alarm(3)
        await asyncio.sleep(10.1)
        silent.clear()
        assert not broker.dials[1:] or broker.dials[1][0] <= 12.5
        await settled(bench)
        assert len(broker.dials) == 2
        assert [p.sequence for p in broker.of("alarm")] == [1, 2, 3, 1, 2, 3]
        assert len({p.id for p in broker.of("alarm")}) == 3


async def test_unsettled_alarms_go_again_on_every_connection(tmp_path):
    """In order, before telemetry, with the same ids."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(3)
        bench.telemetry(2)
        for number in (2, 3, 4):
            await asyncio.sleep(1)
            broker.cut()
            await until(lambda number=number: len(broker.dials) == number, 60)
        await asyncio.sleep(1)
    for number in (2, 3, 4):
        sent = [p for p in broker.published if p.connection == number and p.lane != "status"]
        assert [(p.lane, p.sequence) for p in sent] == [("alarm", n) for n in (1, 2, 3)] + [
            ("telemetry", n) for n in (1, 2)
        ]


async def test_unsettled_alarms_are_known_after_a_restart_of_the_gateway(tmp_path):
    """The journal is the only memory."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(2)
        await asyncio.sleep(1)
    broker.district = True
    async with Bench(tmp_path, broker) as bench:
        bench.alarm()
        assert await settled(bench) < 5
    assert [p.sequence for p in broker.of("alarm")] == [1, 2, 1, 2, 3]


async def test_telemetry_beyond_the_position_is_bounded(tmp_path):
    """A district that gives no position is not flooded; alarms still pass."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        bench.telemetry(1000)
        await asyncio.sleep(20)
        assert len(broker.of("telemetry")) == BEYOND
        bench.alarm()
        await asyncio.sleep(0.1)
        assert len(broker.of("alarm")) == 1
        await asyncio.sleep(60)
        assert len({p.id for p in broker.of("telemetry")}) == BEYOND
        assert bench.status()["counters"]["telemetry_started_again"] == 2


async def test_a_lost_message_is_sent_again_from_the_position(tmp_path):
    """A broker that acknowledged and forgot: the position does not move, and telemetry starts again from it."""
    forgotten = {7}
    broker = Broker()
    receive = broker.receive

    def forgetful(published, session):
        if published.lane == "telemetry" and published.sequence in forgotten:
            forgotten.discard(published.sequence)
            return
        receive(published, session)

    broker.receive = forgetful
    async with Bench(tmp_path, broker) as bench:
        bench.telemetry(20)
        assert 29 < await settled(bench) < 32
    assert {p.sequence for p in broker.stored.values()} == set(range(1, 21))


async def test_losses_of_every_kind_lose_nothing(tmp_path):
    """PUBACK lost, late, or the link cut, in a row of records: all are stored, each under one id (a share of R13)."""
    dice, loop = random.Random(20261122), asyncio.get_running_loop()

    def answer(published):
        luck = dice.random()
        if luck < 0.02:
            loop.call_later(0.005, broker.cut)
        return None if luck > 0.97 else 0

    broker = Broker(answer=answer)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(60)
        bench.telemetry(200)
        await settled(bench, 3600)
    assert len({p.id for p in broker.of("alarm")}) == 60
    assert {p.sequence for p in broker.stored.values() if p.lane == "alarm"} == set(range(1, 61))
    assert {p.sequence for p in broker.stored.values() if p.lane == "telemetry"} == set(range(1, 201))


async def test_an_alarm_does_not_wait_behind_telemetry_on_a_slow_link(tmp_path):
    """Where acknowledgements are slow, at most one pack's bytes are under way; where they are quick, the window."""
    broker = Broker(latency_s=1.5)
    body = b'{"x":"%s"}' % (b"x" * 9000)
    from gateway.wire import payloads

    async with Bench(tmp_path, broker) as bench:
        for _ in range(50):
            bench.lanes[Lane.TELEMETRY].commit([_draft(payloads.TELEMETRY_GAP, body)])
        await asyncio.sleep(10)
        assert broker.session.most_in_flight <= 2
        broker.latency_s = 0.01
        await asyncio.sleep(5)
        assert broker.session.most_in_flight > 4


async def test_hostile_messages_are_counted_and_forgotten(tmp_path):
    """Garbage, unknown ids, positions never reached, retained, other topics: nothing settles, nothing breaks."""
    broker = Broker(district=False)
    async with Bench(tmp_path, broker) as bench:
        bench.alarm(2)
        journal = bench.telemetry(3)[0].journal
        await asyncio.sleep(1)
        known = broker.of("alarm")[0].id
        for content in (b"", b"\xff", b"[" * 50000, b'{"alarms": 7}', {"alarms": ["x", "demo-01/alarm/zz.zz/1"]}):
            broker.receipt(content)
        broker.receipt({"telemetry": {"journal": "other", "position": 3}})
        broker.receipt({"telemetry": {"journal": journal, "position": 0}})
        broker.receipt({"alarms": [known]}, retained=True)
        broker.receipt({"alarms": [known]}, topic="gengfu/v1/demo-02/receipt")
        await asyncio.sleep(1)
        assert bench.status()["unsettled"] == 5
        counters = bench.status()["counters"]
        assert counters["inbound_malformed"] == 4
        assert counters["inbound_ignored"] == 2
        assert counters["receipts_unknown"] == 2
        assert counters["positions_ignored"] == 2
        broker.receipt({"telemetry": {"journal": journal, "position": 10**9}})
        await asyncio.sleep(1)
        assert bench.position() == 3, "never beyond what was sent"
        bench.telemetry()
        await asyncio.sleep(1)
        assert bench.status()["unsettled"] == 3
        assert len(broker.dials) == 1


async def test_refused_connections_back_off_with_jitter(tmp_path, caplog):
    """Up to 60 s, never all at once; logged once, shown all the time."""
    broker = Broker(refusal=LinkError("the broker refused: Not authorized", refused=True))
    randoms = iter([0.25, 0.5, 0.75] * 100)
    async with Bench(tmp_path, broker, random=lambda: next(randoms)) as bench:
        await asyncio.sleep(600)
        times = [at for at, _ in broker.dials]
        waits = [b - a for a, b in pairwise(times)]
        assert waits[:3] == pytest.approx([0.25, 0.5, 0.75]), "a short outage is no reason to wait long"
        assert all(wait <= max(1.0, at / 4) for wait, at in zip(waits, times, strict=False))
        assert max(waits) < 60
        assert sum(waits[-5:]) / 5 > 15
        status = bench.status()
        assert (status["connected"], status["refused"], status["error"]) == (
            False, True, "the broker refused: Not authorized",
        )  # fmt: skip
        assert sum("no connection" in message for message in caplog.messages) == 1
        broker.refusal = None
        bench.alarm()
        assert await settled(bench) < 61
        assert bench.status()["error"] == ""


async def test_a_flapping_link_is_logged_once_in_a_while(tmp_path, caplog):
    """Edges, not every beat of a link that comes and goes."""
    broker = Broker()
    async with Bench(tmp_path, broker) as bench:
        for _ in range(100):
            await asyncio.sleep(5)
            if bench.status()["connected"]:
                broker.cut()
    assert len(broker.dials) > 10
    assert 1 <= sum("no connection" in message for message in caplog.messages) <= 2


async def test_a_bug_goes_up(tmp_path):
    """What is no link or delivery error is not swallowed: restart deals with it."""

    async def connect(dial):
        raise ZeroDivisionError("a bug")

    bench = Bench(tmp_path, Broker())
    bench.broker.connect = connect
    with pytest.raises(AssertionError, match="a bug"):
        async with bench:
            await asyncio.sleep(1)


def _draft(kind, body):
    from gateway.model import Draft

    return Draft(kind, asyncio.get_running_loop().time(), body)


class Troubled:
    """A lane whose disk does what `after` says; everything else is the lane's."""

    def __init__(self, lane, after):
        self._lane, self._after = lane, after

    def __getattr__(self, name):
        return getattr(self._lane, name)

    async def after(self, *asked):
        return await self._after(self._lane, *asked)


async def test_alarms_that_a_failing_disk_skipped_come_later(tmp_path):
    """The journal gives what is in memory when its disk cannot be read; the older ones are not forgotten."""
    failing = [True]

    async def newest_only(lane, *asked):
        found = await lane.after(*asked)
        return found[-1:] if failing else found

    broker = Broker()
    bench = Bench(tmp_path, broker)
    bench.lanes[Lane.ALARM] = Troubled(bench.lanes[Lane.ALARM], newest_only)
    async with bench:
        bench.alarm(5)
        await asyncio.sleep(1)
        first = [p.sequence for p in broker.of("alarm")]
        assert first[0] == 5 or len(first) < 5
        failing.clear()
        assert await settled(bench) < 15
    assert {p.sequence for p in broker.of("alarm")} == {1, 2, 3, 4, 5}


async def test_an_owed_alarm_that_a_failing_disk_hides_is_not_given_up(tmp_path):
    """Beyond those kept in memory it is read again; a newer one in its place does not mean that it is gone."""
    failing = [False]

    async def newest_only(lane, *asked):
        return (await lane.after(asked[0], 5000, 1 << 30))[-1:] if failing[0] else await lane.after(*asked)

    broker = Broker(district=False)
    bench = Bench(tmp_path, broker)
    bench.lanes[Lane.ALARM] = Troubled(bench.lanes[Lane.ALARM], newest_only)
    async with bench:
        bench.alarm(KEPT + 5)
        await asyncio.sleep(20)
        assert len(broker.of("alarm")) == KEPT + 5
        failing[0] = True
        await asyncio.sleep(150)
        failing[0], broker.district = False, True
        await asyncio.sleep(150)
        assert bench.lanes[Lane.ALARM].backlog("district") == 0


async def test_a_hanging_telemetry_disk_does_not_delay_alarms(tmp_path):
    """One lane's read that never ends is that lane's trouble."""

    async def never(lane, *asked):
        await asyncio.Event().wait()

    broker = Broker()
    bench = Bench(tmp_path, broker)
    bench.lanes[Lane.TELEMETRY] = Troubled(bench.lanes[Lane.TELEMETRY], never)
    async with bench:
        bench.telemetry(5)
        await asyncio.sleep(1)
        bench.alarm(3)
        await asyncio.sleep(0.2)
        assert [p.sequence for p in broker.of("alarm")] == [1, 2, 3]


async def test_telemetry_goes_on_after_records_that_were_dropped(tmp_path):
    """`follows` tells the district to wait for none of the numbers that do not come: 0 for the first, then the one before."""
    broker = Broker()

    async def thinned(lane, *asked):
        return [record for record in await lane.after(*asked) if record.sequence not in (1, 2, 6, 7)]

    bench = Bench(tmp_path, broker)
    bench.lanes[Lane.TELEMETRY] = Troubled(bench.lanes[Lane.TELEMETRY], thinned)
    async with bench:
        bench.telemetry(10)
        await asyncio.sleep(1)
        told = [(p.follows, p.sequence) for p in broker.of("telemetry")]
        assert told == [(0, 3), (3, 4), (4, 5), (5, 8), (8, 9), (9, 10)]
        assert bench.position() == 10
