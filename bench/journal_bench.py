"""What the journal costs on this machine: python bench/journal_bench.py [DIRECTORY]

Prints records/s in commits of 100, the time of a single alarm commit until it is told (p50, p99), backlog reads, and how many
bytes went to the disk for each byte of body (from /proc/self/io).
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway.clock import SystemClock
from gateway.model import Draft, Lane
from gateway.store.journal import Journal
from gateway.store.worker import ThreadWorker

ALARM = b'{"alarm":"fire-1203","x":"' + b"x" * 574 + b'"}'
PACK = bytes(range(256)) * 64


def written_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def lane_of(lane: Lane, directory: Path) -> Journal:
    worker = ThreadWorker(lane.value)
    return Journal(lane, directory / f"{lane.value}.db", "bench", SystemClock(), worker, 2**29, secrets.token_hex)


async def durable(journal: Journal, drafts: list[Draft], state: dict[str, bytes | None]) -> None:
    done = asyncio.get_running_loop().create_future()
    journal.commit(drafts, state, lambda records, error: done.set_result(error))
    if error := await done:
        raise error


async def measure(journal: Journal, name: str, body: bytes, commits: int, each: int) -> None:
    times: list[float] = []
    before, start = written_bytes(), time.perf_counter()
    for number in range(commits):
        began = time.perf_counter()
        drafts = [Draft("gengfu.alarm.transition", time.monotonic(), body)] * each
        await durable(journal, drafts, {f"alarm/{number % 200}": b"x" * 80} if each == 1 else {})
        times.append(time.perf_counter() - began)
    took = time.perf_counter() - start
    amplification = (written_bytes() - before) / (commits * each * len(body))
    centiles = statistics.quantiles(times, n=100)
    print(  # a bench prints
        f"{name:28} {commits * each / took:9.0f} records/s   commit p50 {centiles[49] * 1e6:7.0f} us"
        f"  p99 {centiles[98] * 1e6:7.0f} us   written/body {amplification:5.1f}"
    )


async def read_all(journal: Journal, name: str) -> None:
    start, count, after = time.perf_counter(), 0, 0
    while records := await journal.after(after, 500, 2**20):
        count += len(records)
        after = records[-1].sequence
    print(f"{name:28} {count / (time.perf_counter() - start):9.0f} records/s read")  # a bench prints


async def main(directory: Path) -> None:
    alarms, telemetry = (lane_of(lane, directory) for lane in Lane)
    await alarms.open()
    await telemetry.open()
    await measure(alarms, "alarm, one a commit", ALARM, 1000, 1)
    await measure(alarms, "alarm, 100 a commit", ALARM, 200, 100)
    await measure(telemetry, "telemetry 16 KiB, 2 a commit", PACK, 300, 2)
    await read_all(alarms, "alarm backlog")
    await read_all(telemetry, "telemetry backlog 16 KiB")
    await alarms.close()
    await telemetry.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
        asyncio.run(main(Path(place)))
