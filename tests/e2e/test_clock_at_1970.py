"""R18-R20 with the whole daemon: a box whose battery is dead boots at 1970, and a wall clock that jumps while it runs.

Only the daemon's process sees the false clock (`tests.e2e.clocked_gateway`); mosquitto, the district and the devices live in
the present. Monotonic time is everybody's, so what the simulator and the district wrote down judges the daemon's times.
"""

import json
import signal
import statistics
import sys
import time
from itertools import pairwise

import pytest

from gateway.clock import RELEASED_S
from tests import brokers
from tests.e2e import books, clocked_gateway, world
from tests.faults.test_starved import Book
from tests.waiting import until

pytestmark = [
    brokers.skip_without_mosquitto,
    pytest.mark.skipif(clocked_gateway.LIBRARY is None, reason="libfaketime is not installed"),
]

TOLERANCE = 5
CONNECTED_GOAL_S, TIMER_GOAL_S = 30, 0.1
DATED_GOAL_S = 1.0
DELAY_S, PERIOD_S, COMMIT_S = 0.8, 0.2, 1.0
DAY_S = 86_400.0
JUMPS = {
    "+3 d": lambda now: now + 3 * DAY_S,
    "-1 y": lambda now: now - 365 * DAY_S,
    "1970": lambda now: 60.0,
    "2036": lambda now: 2_090_000_000.0,
}


class Machine:
    """The clocks of the daemon's machine, apart from monotonic time, which is everybody's."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        command = ("-m", "tests.e2e.clocked_gateway", str(folder), "run", "site.yaml")
        monkeypatch.setitem(world.COMMANDS, "gateway", command)

    def boots(self, boot, wall):
        """With a battery that is dead: at `wall`, and nobody has set the clock yet."""
        (self.folder / "boot").write_text(boot)
        (self.folder / "synced").unlink(missing_ok=True)
        self.says(wall)

    def says(self, wall):
        """Its clock stands at `wall` now, and goes on from there. Whole or not at all: the daemon reads it all the time."""
        new = self.folder / "offset.new"
        new.write_text(f"{wall - time.time():+.6f}")
        new.replace(self.folder / "offset")

    def synchronised(self):
        """What an NTP client does: it sets the clock, and then the kernel knows that it is right."""
        self.says(time.time())
        (self.folder / "synced").touch()


def note(text):
    """A figure for docs/RELIABILITY.md; shown with -s."""
    sys.stderr.write(f"\n{text}\n")


def truth(monotonic):
    """What a right clock showed at that moment."""
    return time.time() - time.monotonic() + monotonic


def steps(there, boot):
    """The alarm's transitions of that boot as they arrived, with the time that the gateway gave them and the district's."""
    query = """SELECT json_extract(CAST(body AS TEXT), '$.after') AS after, sequence, monotonic, clock, time, wall, dated_by,
               CAST(body AS TEXT) AS body FROM dated WHERE boot = ? AND type = 'gengfu.alarm.transition'
               AND json_extract(CAST(body AS TEXT), '$.alarm') = 'high-1' ORDER BY rowid"""
    names = ("after", "sequence", "monotonic", "clock", "time", "wall", "dated_by", "body")
    return [dict(zip(names, row, strict=True)) for row in there.district(query, boot)]


async def dated(there, machine, boot):
    """The clock is set: from then on the district knows of each record of the boot when it was. The largest error."""
    machine.synchronised()
    await until(lambda: there.district("SELECT * FROM clock WHERE boot = ?", boot), 30, 0.05)
    rows = there.district("SELECT monotonic, wall, dated_by FROM dated WHERE boot = ?", boot)
    assert {by for _, _, by in rows} <= {"mapping", "gateway"}
    error_s = max(abs(wall - truth(monotonic)) for monotonic, wall, _ in rows)
    assert error_s < DATED_GOAL_S
    return len(rows), error_s


async def test_a_box_that_boots_at_1970_connects_alarms_and_is_dated_later(tmp_path, monkeypatch):
    """Connected within 30 s (x5) over verified TLS; a fire reaches the district in its state and order, marked as not dated;
    once the clock is set, the district dates it within a second. The next boot at 1970 does not fall behind that time."""
    scene, site = world.devices(1, 0.2)
    site["alarms"] = [world.high(1, **{"class": "fire", "latching": True})]
    machine = Machine(tmp_path, monkeypatch)
    first, second = "1" * 32, "2" * 32
    async with world.running(tmp_path, scene, site) as there:
        machine.boots(first, 60.0)
        began = time.monotonic()
        await there.start("gateway")
        await there.connected(CONNECTED_GOAL_S * TOLERANCE)
        note(f"at 1970: connected {time.monotonic() - began:.1f} s after the daemon's start")
        there.tell(set={"smoke-1/density": 7})
        await until(lambda: there.arrived("high-1"), 30, 0.05)
        assert there.ask("acknowledge", alarm="high-1", who="tester")["ok"]
        await until(lambda: there.arrived("high-1", "acknowledged"), 30, 0.05)
        raised, acknowledged = steps(there, first)
        assert (raised["after"], acknowledged["after"]) == ("unacknowledged", "acknowledged")
        assert raised["sequence"] < acknowledged["sequence"]
        for step in (raised, acknowledged):
            assert (step["clock"], step["dated_by"]) == ("untrusted", "nobody")
            assert RELEASED_S <= step["time"] < RELEASED_S + DAY_S, "never before the program was written"
            assert "(clock not set)" in json.loads(step["body"])["message"]["en"]
        records, error_s = await dated(there, machine, first)
        note(f"dated by the mapping: {records} records, at most {error_s:.3f} s from the truth")
        known = time.time()
        there.tell(set={"smoke-1/density": 0})
        await until(lambda: there.arrived("high-1", "latched_acknowledged"), 30, 0.05)
        assert there.ask("reset", alarm="high-1", who="tester")["ok"]
        await until(lambda: there.arrived("high-1", "normal"), 30, 0.05)
        assert {(step["clock"], step["dated_by"]) for step in steps(there, first)[2:]} == {("trusted", "gateway")}

        await there.stop("gateway", signal.SIGKILL)
        machine.boots(second, 120.0)
        await there.start("gateway")
        await there.connected(CONNECTED_GOAL_S * TOLERANCE)
        there.tell(set={"smoke-1/density": 7})
        [raised] = await until(lambda: steps(there, second), 30, 0.05)
        assert (raised["clock"], raised["dated_by"]) == ("untrusted", "nobody")
        assert known - 5 <= raised["time"] <= time.time(), "the floor is what the clock said while it was right"
        await dated(there, machine, second)
        await there.stop("gateway")
        assert not books.missing(tmp_path)
        books.settle_accounts(tmp_path)


def house():
    """A sensor whose alarm waits, and the guard room's horn."""
    scene, site = world.devices(1, PERIOD_S)
    panel = {"id": "panel", "template": "waveshare_relay_d", "address": 1}
    scene["servers"].append({"id": "bus-panel", "devices": [panel]})
    site["buses"].append({"id": "bus-panel", "kind": "tcp", "host": "127.0.0.1", "tcp_port": 1})
    site["devices"].append({**panel, "bus": "bus-panel", "simulated": True})
    site["alarms"] = [world.high(1, on_delay_s=DELAY_S)]
    site["outputs"] = [{"id": "horn", "kind": "sounder", "classes": ["water"], "point": "panel/relay_1"}]
    return scene, site


async def test_no_timer_goes_by_the_wall_clock(tmp_path, monkeypatch):
    """The clock, trusted, jumps in the middle of an alarm's delay by +3 d, -1 y, to 1970 and to 2036: the delay, the polls and
    the commits keep their time within 100 ms (x5), told by the devices and by the journal."""
    scene, site = house()
    machine = Machine(tmp_path, monkeypatch)
    async with world.running(tmp_path, scene, site) as there:
        machine.boots("1" * 32, 60.0)
        machine.synchronised()
        book = Book(tmp_path)
        await there.start("gateway")
        await there.connected()
        await until(lambda: book.periods(0.0), 30, 0.05)
        began, errors = time.monotonic(), {}
        for name, jump in JUMPS.items():
            errors[name] = await delay_error(there, machine, book, jump(time.time()))
        periods = book.periods(began)
        ended = time.monotonic()
        machine.synchronised()
        await there.stop("gateway")
        assert not books.missing(tmp_path)
        books.settle_accounts(tmp_path)
        commits = [record.at for record in books.lane(tmp_path, "telemetry") if began <= record.at <= ended]
        jumps = [record for record in books.lane(tmp_path, "alarm") if record.kind == "gengfu.event.clock_jump"]
    cadence = sorted(b - a for a, b in pairwise(commits))
    note(
        f"delay of {DELAY_S:g} s off by {', '.join(f'{1000 * late:+.0f} ms ({name})' for name, late in errors.items())}; "
        f"{len(periods)} periods of {PERIOD_S} s: mean {1000 * statistics.mean(periods):.1f}, max {1000 * periods[-1]:.0f} ms; "
        f"{len(cadence)} commits, {cadence[0]:.2f} to {cadence[-1]:.2f} s apart"
    )
    assert len(jumps) >= len(JUMPS), "the clock did jump"
    assert max(map(abs, errors.values())) < TIMER_GOAL_S * TOLERANCE
    assert statistics.mean(periods) < PERIOD_S + TIMER_GOAL_S
    assert periods[-1] < PERIOD_S + TIMER_GOAL_S * TOLERANCE
    assert len(cadence) >= (ended - began) / COMMIT_S - 3
    assert COMMIT_S - TIMER_GOAL_S * TOLERANCE < cadence[0] <= cadence[-1] < COMMIT_S + TIMER_GOAL_S * TOLERANCE


async def delay_error(there, machine, book, wall):
    """Raise the alarm and set the clock in the middle of its delay: from the first answer that showed it to the relay, less the
    delay. Everything is quiet again afterwards."""
    began = time.monotonic()
    there.tell(set={"smoke-1/density": 7})
    await world.moment(DELAY_S / 2)
    machine.says(wall)
    await until(lambda: [value for _, value in book.relay(began)] == [1], DELAY_S + 10, 0.02)
    changed, closed = book.change(began), book.relay(began)[0][0]
    shown = min(
        entry["mono"]
        for entry in book.entries(changed)
        if entry["event"] == "answer" and entry["device"] == "smoke-1" and "density" in entry["points"]
    )
    await until(
        lambda: there.ask("acknowledge", alarm="high-1", who="tester") and book.relay(began)[-1][1] == 0, 10, 0.02
    )
    there.tell(set={"smoke-1/density": 0})
    await until(lambda: "high-1" not in there.alarms(), 10, 0.02)
    return closed - shown - DELAY_S
