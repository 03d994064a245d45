"""The way to the district fails in each of its places: broker stopped, killed, stalled; link half-open; district away.

Nothing is lost, alarms arrive before the backlog, and what a broker acknowledged and then lost is sent again.
"""

import os
import signal
import sys
import time

import pytest

from tests import brokers
from tests.e2e import books, world
from tests.waiting import until

pytestmark = brokers.skip_without_mosquitto

FULL = os.environ.get("GENGFU_FAULTS") == "full"
TIMES = (1, 2) if FULL else (1,)
TOLERANCE = 5
NOTICED_GOAL_S, BACK_GOAL_S = 20, 5
OVERDUE_GOAL_S = 30
WINDOW = 20


def note(text):
    """A figure for docs/RELIABILITY.md; shown with -s."""
    sys.stderr.write(f"\n{text}\n")


async def committed(there, count):
    """So many more telemetry records are in the journal."""

    def last():
        answer = there.ask("status")
        return answer["parts"]["journal telemetry"]["last"] if answer else 0

    goal = await until(last) + count
    await until(lambda: last() >= goal, 60, 0.05)


def small_packs(count=3):
    """Ten telemetry records a second, so that there is a backlog to overtake."""
    scene, site = world.devices(count, 0.2)
    site["journal"]["telemetry_commit_s"] = 0.1
    return scene, site


@pytest.mark.parametrize("how", ["stopped", "killed", "stalled"])
async def test_a_broker_that_goes_away_costs_nothing_and_alarms_overtake_the_backlog(tmp_path, how):
    """Telemetry piles up, an alarm is raised at its end; after healing the alarm is at the district before what had
    waited longer (but for what was already in flight towards a stalled broker), and nothing is lost."""
    scene, site = small_packs()
    async with world.running(tmp_path, scene, site) as there:
        await there.start("gateway")
        await there.connected()
        for number in TIMES:
            await until(lambda: there.uplink().get("unsettled", WINDOW) < WINDOW and _telemetry(there), 120, 0.05)
            if how == "stalled":
                there.stall("broker")
            else:
                await (there.broker.stop() if how == "stopped" else there.broker.kill())
            await committed(there, 30)
            there.tell(set={f"smoke-{number}/density": 7})
            await until(lambda number=number: f"high-{number}" in there.alarms(), 10)
            await committed(there, 5)
            before = there.district("SELECT max(rowid) FROM record")[0][0]
            healed = time.monotonic()
            await there.heal_broker()
            await until(lambda number=number: there.arrived(f"high-{number}"), 120, 0.05)
            note(f"broker {how}: alarm at the district {time.monotonic() - healed:.2f} s after it was back")
            await overtaken(there, before, f"high-{number}", WINDOW if how == "stalled" else 0)
        await there.stop("gateway")
        await there.deliver()
        books.settle_accounts(tmp_path)


def _telemetry(there):
    return there.district("SELECT count(*) FROM record WHERE lane = 'telemetry'")[0][0]


async def overtaken(there, before, alarm, in_flight):
    """Telemetry older than the alarm that came after the outage, and came first: at most what was in flight."""
    (rowid, _), *_ = there.arrived(alarm)
    at = there.district("SELECT monotonic FROM record WHERE rowid = ?", rowid)[0][0]
    older = "SELECT count(*) FROM record WHERE lane = 'telemetry' AND rowid > ? AND monotonic < ?"
    await until(lambda: there.district(older, before, at)[0][0] >= 20, 120, 0.05)
    ahead = there.district(older + " AND rowid < ?", before, at, rowid)[0][0]
    assert ahead <= in_flight, f"{ahead} telemetry records that had waited came before the alarm"


async def test_a_half_open_link_is_noticed_and_used_again(tmp_path):
    """The relay stalls: nothing is closed, nothing passes. With data in flight the gateway notices, and it comes back."""
    scene, site = small_packs()
    async with world.running(tmp_path, scene, site) as there:
        await there.start_link()
        await there.start("gateway")
        await there.connected()
        for number in TIMES:
            began = time.monotonic()
            there.stall("link")
            there.tell(set={f"smoke-{number}/density": 7})
            await until(lambda: there.uplink().get("connected") is False, NOTICED_GOAL_S * TOLERANCE, 0.05)
            noticed = time.monotonic() - began
            assert f"high-{number}" in there.alarms(), "local alarms do not wait for the district"
            began = time.monotonic()
            there.go_on("link")
            await there.connected(BACK_GOAL_S * TOLERANCE)
            back = time.monotonic() - began
            await until(lambda number=number: there.arrived(f"high-{number}"), 60, 0.05)
            note(f"half-open link noticed after {noticed:.1f} s, used again {back:.1f} s after healing")
        await there.stop("gateway")
        await there.deliver()
        books.settle_accounts(tmp_path)


@pytest.mark.parametrize("away", ["stalled", "killed"] if FULL else ["stalled"])
async def test_what_a_broker_acknowledged_and_lost_is_sent_again(tmp_path, away):
    """The district is away, the broker takes everything, then dies and has forgotten it: nothing is lost, the missing
    receipt is an alarm on the spot, and the alarm goes out until the district has it."""
    scene, site = world.devices(2, 0.5)
    async with world.running(tmp_path, scene, site) as there:
        await there.start("gateway")
        await there.connected()
        await until(lambda: _telemetry(there), 60)
        if away == "killed":
            await there.stop("district", signal.SIGKILL)
        else:
            there.stall("district")
        there.tell(set={"smoke-1/density": 7})
        began = time.monotonic()
        await until(lambda: _stage(there, "high-1") == "broker", 30)
        await until(lambda: "gateway/receipts_overdue" in there.alarms(), OVERDUE_GOAL_S * TOLERANCE, 0.1)
        note(f"district {away}: told after {time.monotonic() - began:.1f} s without a receipt")
        assert not there.arrived("high-1")
        await there.broker.kill()
        for kept in there.broker.directory.glob("mosquitto.db*"):
            kept.unlink()
        if away == "stalled":
            await there.stop("district", signal.SIGKILL)  # else it would find its old connection's messages
        await there.broker.start()
        await there.start("district")
        healed = time.monotonic()
        await until(lambda: there.arrived("high-1"), 120, 0.05)
        note(f"district {away}, broker forgot: alarm there {time.monotonic() - healed:.1f} s after both were back")
        await until(lambda: _stage(there, "high-1") == "district", 30)
        await until(lambda: there.alarms().get("gateway/receipts_overdue") != "unacknowledged", 120, 0.1)
        await there.stop("gateway")
        await there.deliver()
        books.settle_accounts(tmp_path)


def _stage(there, alarm):
    answer = there.ask("alarms")
    return next((row["stage"] for row in answer["alarms"] if row["id"] == alarm), "") if answer else ""
