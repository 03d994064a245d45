"""What three parties wrote down, read without the gateway's help: journal files, district's database, simulator's log.

The journal is read after a clean stop (its owner holds it exclusively). `settle_accounts` is what must hold after any
fault that was healed.
"""

import contextlib
import json
from collections import Counter, defaultdict
from typing import NamedTuple

import apsw

from gateway.wire import pack

TRANSITION, RUN, COMMAND = "gengfu.alarm.transition", "gengfu.event.run", "gengfu.event.command"
NORMAL = "normal"
LEGAL = {
    ("normal", "unacknowledged"), ("unacknowledged", "acknowledged"), ("unacknowledged", "returned"),
    ("unacknowledged", "latched_unacknowledged"), ("acknowledged", "normal"), ("acknowledged", "latched_acknowledged"),
    ("returned", "normal"), ("returned", "unacknowledged"), ("latched_unacknowledged", "latched_acknowledged"),
    ("latched_unacknowledged", "unacknowledged"), ("latched_unacknowledged", "returned"),
    ("latched_acknowledged", "normal"), ("latched_acknowledged", "unacknowledged"),
}  # fmt: skip
"""The moves of docs/alarm-states.md that the sites of these tests can make."""


class Row(NamedTuple):
    """One record of a journal file."""

    id: str
    run: str
    sequence: int
    kind: str
    at: float
    wall: float
    body: bytes


def rows(path, query, *values):
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        return database.execute(query, values).fetchall()


def lane(folder, name, gateway="demo-01"):
    """All records of a lane, in order."""
    found = rows(
        folder / "journal" / f"{name}.db",
        "SELECT journal, run, sequence, kind, at, wall, body FROM record ORDER BY sequence",
    )
    return [
        Row(f"{gateway}/{name}/{journal}.{run}/{number}", run, number, kind, at, wall, bytes(body))
        for journal, run, number, kind, at, wall, body in found
    ]


def transitions(records):
    """(record, body) of every transition, in order."""
    return [(record, json.loads(record.body)) for record in records if record.kind == TRANSITION]


def scans(folder):
    """(device, group, at) of every scan in the telemetry lane."""
    items = rows(folder / "journal" / "telemetry.db", "SELECT key, value FROM item WHERE space = 'state'")
    layouts = {
        int(key.removeprefix("layout/")): pack.Layout.from_json(bytes(value))
        for key, value in items
        if key.startswith("layout/")
    }
    packs = [record.body for record in lane(folder, "telemetry") if record.kind == "gengfu.telemetry.pack"]
    return [
        (entry.layout.device, entry.layout.group, entry.at) for body in packs for entry in pack.decode(body, layouts)
    ]


def missing(folder):
    """Ids that stand in the journal and not in the district's database."""
    there = {row[0] for row in rows(folder / "district.db", "SELECT id FROM record")}
    return {record.id for name in ("alarm", "telemetry") for record in lane(folder, name)} - there


def settle_accounts(folder):
    """Nothing lost, doubled, renumbered, invented or out of its chain. Returns the number of records."""
    alarm, telemetry = lane(folder, "alarm"), lane(folder, "telemetry")
    for records in (alarm, telemetry):
        assert [record.sequence for record in records] == list(range(1, len(records) + 1)), "a hole in the sequence"
    _district(folder, {record.id for record in (*alarm, *telemetry)})
    _alarms(folder, alarm)
    doubled = [scan for scan, count in Counter(scans(folder)).items() if count > 1]
    assert not doubled, "the same scan committed twice"
    return len(alarm) + len(telemetry)


def _district(folder, committed):
    database = folder / "district.db"
    received = rows(database, "SELECT id, durable FROM record")
    assert committed - {name for name, _ in received} == set(), "lost"
    # What was announced before the disk confirmed it is a true record of a life that was killed; it says so.
    assert {name for name, durable in received if durable} - committed == set(), (
        "the journal lost what it had committed"
    )
    assert rows(database, "SELECT * FROM lost") == []
    assert rows(database, "SELECT topic, reason FROM rejected") == []
    assert rows(database, "SELECT id, flaw FROM record WHERE flaw IS NOT NULL") == []
    assert rows(database, "SELECT id, chain FROM record WHERE lane = 'alarm' AND chain <> 'linked'") == []


def _alarms(folder, records):
    """Each alarm's transitions form one legal chain across all lives, and each life began where the last one ended."""
    state = defaultdict(lambda: NORMAL)
    for record in records:
        body = json.loads(record.body)
        if record.kind == RUN:
            standing = {name for name, after in state.items() if after != NORMAL}
            assert set(body["alarms"]) == standing, f"{record.id}: the alarm state did not survive"
        elif record.kind == TRANSITION:
            move = (body["before"], body["after"])
            assert body["before"] == state[body["alarm"]], f"{record.id}: {body['alarm']} was {state[body['alarm']]}"
            assert move in LEGAL, f"{record.id}: {move}"
            state[body["alarm"]] = body["after"]
    known = dict(rows(folder / "district.db", "SELECT alarm, state FROM alarm_state"))
    assert known == dict(state), "the district's picture is not the gateway's"
