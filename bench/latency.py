"""From the change of an alarm register to the district: polled at 100 ms, journal durable, TLS 1.3, report by exception.

The floor is the poll alone: a change at a random moment waits 50 ms at the median, 99 ms at the 99th percentile. What is
above it is ours: bus, rules, commit with fdatasync, MQTT, broker, district.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
from pathlib import Path

from bench.world import World, template

PERIOD_S = 0.1
EVERY_S = 0.5137
"""No multiple of the period, so that changes fall anywhere between two polls."""


async def measure(folder: Path, seconds: float) -> list[float]:
    world = World(folder)
    try:
        await world.open()
        ports = await world.load(1, 40, "--step", "load-000/0", "--every", str(EVERY_S), "--step-value", "1")
        world.write("templates/bench_load.yaml", template(40, PERIOD_S))
        alarm = {
            "id": "stepped", "class": "water", "severity": "high", "when": {"equals": {"point": "d/r00", "value": 1}},
            "text": {"zh": "压测", "en": "bench"},
        }  # fmt: skip
        ((name, port),) = ports.items()
        world.write(
            "site.yaml",
            {
                "gateway": {"id": "bench-01"},
                "buses": [{"id": name, "kind": "tcp", "host": "127.0.0.1", "tcp_port": port}],
                "devices": [
                    {
                        "id": "d",
                        "bus": name,
                        "template": "bench_load",
                        "address": 1,
                        "simulated": True,
                        "text": alarm["text"],
                    }
                ],
                "alarms": [alarm],
                "uplinks": [world.uplink()],
            },
        )
        await world.watch()
        await asyncio.sleep(3 + seconds)
    finally:
        await world.close()
    return latencies(folder)


def latencies(folder: Path) -> list[float]:
    """Milliseconds of each change to 1 that has its transition: the first arrival before the next change to 1."""
    changes = [json.loads(line) for line in (folder / "simulator.jsonl").read_text().splitlines()]
    rises = [change["t"] for change in changes if change["event"] == "change" and change["value"] == 1]
    with sqlite3.connect(folder / "district.db") as database:
        rows = database.execute(
            "select received_at, body from record where type = 'gengfu.alarm.transition' order by received_at"
        )
        arrivals = [
            at
            for at, body in rows
            if (event := json.loads(body))["alarm"] == "stepped" and event["after"] == "unacknowledged"
        ]
    found = []
    for rise, following in zip(rises, [*rises[1:], float("inf")], strict=True):
        inside = [at for at in arrivals if rise <= at < following]
        if inside:
            found.append((inside[0] - rise) * 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--keep", type=Path, help="keep the folder here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gengfu-bench-") as folder:
        times = sorted(asyncio.run(measure(given.keep or Path(folder), given.seconds)))
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
    print(
        f"change_to_district_ms p50 {p50:.1f} p99 {p99:.1f} max {times[-1]:.1f}   ({len(times)} changes; floor 50 / 99; goal 55 / 104)"
    )


if __name__ == "__main__":
    main()
