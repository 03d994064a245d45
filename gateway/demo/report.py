"""What the demo proves, from the books of three parties: the simulator's log, the gateway's journal, the district's database.

Nothing here asks the gateway for its own counters: `lost` is what stands in the journal and not in the district's
database, a latency begins with the change in the simulator's log and ends with the arrival at the district. Memory and
processor time are the kernel's (`usage`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import yaml

from firmware_sim import expect
from firmware_sim.log import read

DOWN, UP = "link stalls", "link is back"
"""Words of the demo's notes between which the link counts as down."""


class Committed(NamedTuple):
    """One record as the journal has it."""

    id: str
    sequence: int
    kind: str
    wall: float
    body: bytes


def compute(folder: Path, events: Sequence[Mapping[str, Any]], usage: Mapping[str, Any]) -> dict[str, Any]:
    """The report. `events`: what the demo did, with wall times; `usage`: per gateway process, see `play`."""
    scene = yaml.safe_load((folder / "scene.yaml").read_text())
    site = yaml.safe_load((folder / "site.yaml").read_text())
    log = read(folder / "simulator.jsonl")
    gateway = site["gateway"]["id"]
    alarm_lane, trail = _journal(folder / "journal" / "alarm.db", gateway, "alarm")
    telemetry, _ = _journal(folder / "journal" / "telemetry.db", gateway, "telemetry")
    district = _District(folder / "district.db", gateway)
    caused = expect.changed_at([expect.parse(said) for said in scene["expect"]], log)
    down = _spans(events)
    expected = dict.fromkeys(said["alarm"] for said in scene["expect"])
    sharp = {said["alarm"] for said in scene["expect"] if "fault" not in said and "rate" not in said}
    delays = {alarm["id"]: float(alarm.get("on_delay_s", 0)) for alarm in site["alarms"]}
    alarms = [
        _alarm(name, caused.get(name), alarm_lane, trail, district, down, delays.get(name, 0.0))
        | {"sharp": name in sharp}
        for name in expected
    ]
    missing = {record.id for record in (*alarm_lane, *telemetry)} - district.ids
    return {
        "simulated": True,
        "samples_read": sum(len(entry["points"]) for entry in log if entry["event"] == "answer"),  # type: ignore[arg-type,misc]  # a JSON object
        "records_committed": len(alarm_lane) + len(telemetry),
        "records_received": len(district.ids),
        "lost": len(missing),
        "duplicates_dropped": district.duplicates,
        "out_of_order": district.out_of_order,
        "alarms": alarms,
        "alarm_latency_ms": {
            "link_up": _latency(alarm for alarm in alarms if not alarm["link_down"]),
            "link_down": _latency(alarm for alarm in alarms if alarm["link_down"]),
        },
        "gateway_rss_mib": round(max((v for k, v in usage.items() if k.startswith("rss_mib.")), default=0.0), 1),
        "gateway_cpu_s": round(sum(v for k, v in usage.items() if k.startswith("cpu_s.")), 2),
        "faults_played": [
            *({"t": entry["t"], "what": f"{entry['device']}: {entry['what']}"} for entry in log if entry["event"] == "fault"),
            *({"t": event["t"], "what": event["what"]} for event in events),
        ],
        "complete": not missing and all(alarm["receipt_at"] for alarm in alarms if alarm["changed_at"]),
        "story_complete": all(alarm["changed_at"] for alarm in alarms),
    }  # fmt: skip


def client_certificate(folder: Path, variant: str) -> str:
    """Whose certificate the broker verified, in words. mosquitto names the user that it took from the certificate."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate((folder / "pki" / "gateway.pem").read_bytes())
    subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    name = str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
    log = folder / "broker" / "broker.log"
    seen = log.exists() and f"u'{name}'" in log.read_text(errors="replace")
    word = "logged in" if seen else "required"
    return f"{subject}, issued by {issuer}, {word} by {variant}"


class _District:
    """What the district stored of this gateway."""

    def __init__(self, path: Path, gateway: str) -> None:
        rows = _rows(
            path, "SELECT id, lane, journal, sequence, duplicates, received_at FROM record WHERE gateway = ? ORDER BY rowid", gateway
        )  # fmt: skip
        self.ids = {row[0] for row in rows}
        self.arrived = {row[0]: row[5] for row in rows}
        self.duplicates = sum(row[4] for row in rows)
        self.states = dict(_rows(path, "SELECT alarm, state FROM alarm_state WHERE gateway = ?", gateway))
        self.out_of_order = 0
        highest: dict[tuple[str, str], int] = {}
        for _, lane, journal, sequence, *_ in rows:
            self.out_of_order += sequence < highest.get((lane, journal), 0)
            highest[lane, journal] = max(sequence, highest.get((lane, journal), 0))


def _journal(path: Path, gateway: str, lane: str) -> tuple[list[Committed], dict[str, dict[str, Any]]]:
    """The records of a lane, and how far each transition came, by record id."""
    rows = _rows(path, "SELECT journal, run, sequence, kind, wall, body FROM record ORDER BY sequence")
    records = [
        Committed(f"{gateway}/{lane}/{journal}.{run}/{sequence}", sequence, kind, wall, bytes(body))
        for journal, run, sequence, kind, wall, body in rows
    ]
    items = _rows(path, "SELECT key, value FROM item WHERE space = 'state' AND key LIKE 'trail/%'")
    return records, {f"{gateway}/{lane}/{key.removeprefix('trail/')}": json.loads(value) for key, value in items}


def _rows(path: Path, query: str, *values: str) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    database = apsw.Connection(str(path))
    try:
        return list(database.execute(query, values))
    finally:
        database.close()


def _alarm(
    name: str,
    cause: Mapping[str, Any] | None,
    records: Sequence[Committed],
    trail: Mapping[str, Mapping[str, Any]],
    district: _District,
    down: Sequence[tuple[float, float]],
    delay_s: float,
) -> dict[str, Any]:
    """One alarm of the story, from its cause to the district. `rule_delay_s` is the on-delay that the site file asks for."""
    changed = float(cause["t"]) if cause else None
    raised = _raised(name, records)
    times = trail.get(raised.id, {}) if raised else {}
    arrived = district.arrived.get(raised.id) if raised else None
    return {
        "id": name,
        "place": json.loads(raised.body)["place"] if raised else {},
        "state": district.states.get(name, ""),
        "changed_at": changed,
        "raised_at": raised and raised.wall,
        "committed_at": times.get("committed"),
        "broker_at": times.get("broker"),
        "district_at": arrived,
        "receipt_at": times.get("district"),
        "record": raised and raised.id,
        "rule_delay_s": delay_s,
        "link_down": any(begin <= (raised.wall if raised else 0.0) < end for begin, end in down),
    }


def _raised(name: str, records: Sequence[Committed]) -> Committed | None:
    """The first record with which the alarm became active."""
    for record in records:
        if record.kind == "gengfu.alarm.transition":
            body = json.loads(record.body)
            if body["alarm"] == name and body["after"] == "unacknowledged":
                return record
    return None


def _latency(alarms: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """From the change in the simulated world to the arrival at the district, less the delay that the rule asks for.

    Left out: alarms of silence (their rule waits for what does not come) and of a rate (it has no moment of change;
    `changed_at` is when the simulated speed passed the limit, by a ruler of the simulator's own).
    """
    times = [
        (alarm["district_at"] - alarm["changed_at"] - alarm["rule_delay_s"]) * 1000
        for alarm in alarms
        if alarm["district_at"] and alarm["changed_at"] and alarm["sharp"]
    ]
    return {
        "count": len(times),
        "p50": round(statistics.median(times)) if times else None,
        "max": round(max(times)) if times else None,
    }


def _spans(events: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """When the link was down."""
    spans, begin = [], None
    for event in events:
        if DOWN in event["what"] and begin is None:
            begin = event["t"]
        elif UP in event["what"] and begin is not None:
            spans.append((begin, event["t"]))
            begin = None
    return spans if begin is None else [*spans, (begin, float("inf"))]
