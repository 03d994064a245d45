"""`gengfu demo` as a newcomer runs it, and its report checked against the three books by other code than its own."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys

import apsw
import pytest
import yaml

from tests import brokers
from tests.e2e import world

FULL = os.environ.get("GENGFU_FAULTS") == "full"
BROKERS = ["mosquitto", "embedded"] if FULL else ["mosquitto"]
"""The embedded one takes 80 s more, and no production site runs it: a part of the full run."""
STORY_S = 75
LONGEST_S = 240
SLACK_MS = 2
EXPECTED = {
    "fire-1203", "fire-1204", "fire-1203-confirmed", "door-12-forced", "lift-3-entrapment", "slope-tilt-rate",
    "hydrant-1-pressure-low", "hydrant-1-disturbed", "smoke-1204/silent", "lift-3-alarm-button",
}  # fmt: skip


async def gengfu(folder, *arguments, **environment):
    """Run the command; returns (exit status, output). Whatever it started is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()", *arguments, cwd=folder,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(world.ROOT), **environment},
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)  # it ends its parts in order
            await process.wait()
    return process.returncode, output.decode(errors="replace")


@brokers.skip_without_mosquitto
@pytest.mark.parametrize("broker", BROKERS)
async def test_the_demo_tells_the_truth(tmp_path, broker):
    """Exit 0, and every figure of the report follows from simulator's log, journal and district's database."""
    status, output = await gengfu(
        tmp_path, "demo", "--for", str(STORY_S), "--keep", "kept", "--report", "report.json", GENGFU_BROKER=broker
    )
    assert status == 0, output
    report = json.loads((tmp_path / "report.json").read_text())
    kept = tmp_path / "kept"
    sys.stderr.write(f"\n{broker}: {json.dumps({**report, 'alarms': len(report['alarms']), 'faults_played': '...'})}\n")
    assert (kept / "broker" / "mosquitto.conf").exists() == (broker == "mosquitto")
    check_counts(report, kept)
    check_alarms(report, kept)
    check_guard_room(report, kept)
    assert report["complete"] is True
    assert report["story_complete"] is True
    assert report["tls_version"] == "TLSv1.3"
    assert "demo-01" in report["client_certificate"]
    played = " ".join(fault["what"] for fault in report["faults_played"])
    assert all(word in played for word in ("SIGSTOP", "closes", "kill -9", "started again", "link is back", "silent"))


def rows(path, query):
    """Read without the gateway's own code; apsw, since the journal was written by a newer SQLite than Python's may be."""
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        return database.execute(query).fetchall()


def journal(kept):
    """Record id -> (kind, wall time, body) of both lanes."""
    found = {}
    for lane in ("alarm", "telemetry"):
        for name, run, number, *rest in rows(
            kept / "journal" / f"{lane}.db", "SELECT journal, run, sequence, kind, wall, body FROM record"
        ):
            found[f"demo-01/{lane}/{name}.{run}/{number}"] = rest
    return found


def check_counts(report, kept):
    committed = journal(kept)
    with contextlib.closing(sqlite3.connect(f"file:{kept / 'district.db'}?mode=ro", uri=True)) as database:
        received = [row[0] for row in database.execute("SELECT id FROM record")]
        duplicates = database.execute("SELECT sum(duplicates) FROM record").fetchone()[0]
        assert database.execute("SELECT count(*) FROM lost").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM rejected").fetchone() == (0,)
    answers = [json.loads(line) for line in (kept / "simulator.jsonl").read_text().splitlines()]
    carried = sum(len(entry["points"]) for entry in answers if entry["event"] == "answer")
    assert report["samples_read"] == carried > 1000
    assert report["records_committed"] == len(committed)
    assert report["records_received"] == len(received)
    assert set(committed) - set(received) == set()
    assert report["lost"] == 0
    assert report["duplicates_dropped"] == duplicates


def check_alarms(report, kept):
    """Each alarm of the story: raised after its change, committed, receipted, and at the district when it says."""
    committed = journal(kept)
    arrived = dict(rows(kept / "district.db", "SELECT id, received_at FROM record"))
    changes = [
        json.loads(line) for line in (kept / "simulator.jsonl").read_text().splitlines() if '"change"' in line or '"fault"' in line
    ]  # fmt: skip
    delays = {
        alarm["id"]: alarm.get("on_delay_s", 0) for alarm in yaml.safe_load((kept / "site.yaml").read_text())["alarms"]
    }
    assert {alarm["id"] for alarm in report["alarms"]} == EXPECTED
    scene = yaml.safe_load((kept / "scene.yaml").read_text())
    rates = {said["alarm"] for said in scene["expect"] if "rate" in said}
    latencies = {True: [], False: []}
    for alarm in report["alarms"]:
        kind, wall, body = committed[alarm["record"]]
        told = json.loads(body)
        assert kind == "gengfu.alarm.transition"
        assert (told["alarm"], told["after"]) == (alarm["id"], "unacknowledged")
        assert told["place"] == alarm["place"]
        assert any(abs(entry["t"] - alarm["changed_at"]) < 1e-3 for entry in changes), alarm
        assert alarm["raised_at"] == wall
        # A rate has no one change: what the rule sees of its samples may cross the limit before the log's own chord does.
        assert alarm["changed_at"] <= wall or alarm["id"] in rates
        assert alarm["district_at"] == arrived[alarm["record"]]
        assert alarm["raised_at"] <= alarm["district_at"] + 0.001  # the district keeps milliseconds
        assert alarm["receipt_at"], alarm
        if alarm["id"].endswith("/silent") or alarm["id"] in rates:
            continue  # they have no moment of change to count from
        late = (alarm["district_at"] - alarm["changed_at"] - delays.get(alarm["id"], 0)) * 1000
        latencies[alarm["link_down"]].append(late)
    for down, name in ((True, "link_down"), (False, "link_up")):
        shown = report["alarm_latency_ms"][name]
        assert shown["count"] == len(latencies[down]) > 0
        assert abs(shown["max"] - max(latencies[down])) <= SLACK_MS


def check_guard_room(report, kept):
    """The horn comes with the first fire. The lamp is steady once the district has it and flashes while the link is cut. An
    orderly stop is quiet."""
    changes = [
        json.loads(line) for line in (kept / "simulator.jsonl").read_text().splitlines() if "guard-panel" in line
    ]
    horn, lamp = (
        [(one["t"], one["value"]) for one in changes if one["event"] == "change" and one["point"] == relay]
        for relay in ("relay_1", "relay_2")
    )
    fire = next(alarm for alarm in report["alarms"] if alarm["id"] == "fire-1203")
    assert horn[0][1] == 1
    assert abs(horn[0][0] - fire["raised_at"]) <= 0.2 * 5
    assert horn[-1][1] == lamp[-1][1] == 0
    cut, back = (
        next(fault["t"] for fault in report["faults_played"] if word in fault["what"])
        for word in ("SIGSTOP", "link is back")
    )
    assert sum(cut < at < back for at, _ in lamp) >= (back - cut) / 2
    assert not [at for at, _ in lamp if fire["receipt_at"] + 3 < at < cut]


async def test_a_demo_too_short_for_its_story_is_refused(tmp_path):
    """Exit 2 and the reason, in both languages; nothing is made."""
    status, output = await gengfu(tmp_path, "demo", "--for", "10", "--keep", "kept", "--report", "report.json")
    assert status == 2
    assert "75" in output
    assert "演示" in output
    assert list(tmp_path.iterdir()) == []
