"""CPU-seconds per 10,000 points, and memory: 50 Modbus TCP devices x 40 registers at 1 s, every value changing.

Dead bands off, journal durable (WAL, synchronous=FULL), TLS 1.3, every value at the district: the whole path.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
from pathlib import Path

from bench.world import World, template

WARM_UP_S = 10


async def measure(folder: Path, devices: int, registers: int, seconds: float) -> None:
    world = World(folder)
    try:
        await world.open()
        ports = await world.load(devices, registers)
        world.write("templates/bench_load.yaml", template(registers, 1.0))
        world.write(
            "site.yaml",
            {
                "gateway": {"id": "bench-01"},
                "report": {"by_exception": False},
                "buses": [{"id": name, "kind": "tcp", "host": "127.0.0.1", "tcp_port": port} for name, port in ports.items()],
                "devices": [
                    {"id": f"d-{name}", "bus": name, "template": "bench_load", "address": 1, "simulated": True,
                     "text": {"zh": "压测", "en": "bench"}}
                    for name in ports
                ],
                "uplinks": [world.uplink()],
            },
        )  # fmt: skip
        await world.watch()
        await asyncio.sleep(WARM_UP_S)
        user_before, system_before, _, _ = world.usage("gateway")
        await asyncio.sleep(seconds)
        user_after, system_after, rss, peak = world.usage("gateway")
    finally:
        await world.close()
    user, system = user_after - user_before, system_after - system_before
    cpu = user + system
    points = devices * registers * seconds
    with sqlite3.connect(folder / "district.db") as database:
        stored = database.execute("select count(*), sum(length(body)) from record where lane = 'telemetry'").fetchone()
    print(
        f"cpu_s_per_10000_points {cpu / points * 10_000:.4f}   (goal 0.05; user {user / points * 10_000:.4f}, system {system / points * 10_000:.4f}; {points:.0f} points in {seconds:.0f} s)"
    )
    print(f"core_share             {cpu / seconds * 100:.1f} %")
    print(f"rss_mib                {rss:.1f}   peak {peak:.1f} (goal 64)")
    print(f"district_records       {stored[0]} with {stored[1]} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--registers", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, help="keep the folder here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gengfu-bench-") as folder:
        asyncio.run(measure(given.keep or Path(folder), given.devices, given.registers, given.seconds))


if __name__ == "__main__":
    main()
