"""R11: a long backlog drains quickly, and an alarm does not wait behind it, on a free link and at 64 kbit/s.

    python -m tests.faults.test_backlog 1000000      the full figure (minutes; about 400 MB of disk)

The real uplink over mutual TLS to a real mosquitto, without receipts: an acknowledgement frees a record, so that what is
measured is the gateway's part and the broker's, no district's. Alarms are committed all the while; their time ends with the
broker's acknowledgement.
"""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from gateway.clock import SystemClock
from gateway.link import mqtt
from gateway.model import Draft, Lane, Scan, UplinkSpec
from gateway.store.journal import Journal
from gateway.store.worker import ThreadWorker
from gateway.wire import pack, payloads
from tests import brokers
from tests.faults.tcp_proxy import Proxy
from tests.gateway.virtual import LAYOUT, Bench
from tests.waiting import until

pytestmark = brokers.skip_without_mosquitto

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 5
ALARM_GOAL_S = {0: 1.0, 64: 3.0}
DRAIN_GOAL = 3_000
QUOTA_BYTES = 4 * 2**30
EVERY_S = 0.25
CHUNK = 500
GROWTH_GOAL_MIB = 16


def lane_of(directory, lane):
    worker = ThreadWorker(f"backlog-{lane.value}")
    path = directory / f"{lane}.sqlite"
    return Journal(lane, path, "demo-01", SystemClock(), worker, QUOTA_BYTES, secrets.token_hex)


async def fill(directory, count):
    """So many telemetry records that nobody has, each with one scan."""
    journal = lane_of(directory, Lane.TELEMETRY)
    await journal.open()
    journal.position("district")
    for number in range(0, count, CHUNK):
        body = pack.encode([(LAYOUT, Scan("dev-1", 0, float(number), (number % 100 / 4,), b"\0"), None)])
        drafts = [Draft(payloads.PACK, float(number), body)] * min(CHUNK, count - number)
        journal.commit(drafts, {f"layout/{LAYOUT.id}": LAYOUT.to_json()})
        await until(lambda: journal.counters().waiting < 4, 60)
    await until(lambda: not journal.counters().waiting, 60)
    await journal.close()


@contextlib.asynccontextmanager
async def listening(broker):
    """Somebody takes what is sent; see `sink.py`."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.sink", str(broker.port), str(broker.pki),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert await asyncio.wait_for(program.stdout.readline(), 20) == b"READY\n"
        yield
    finally:
        program.kill()
        await program.wait()


async def drained(directory, port, pki, seconds=None, progress=None):
    """Drain the backlog, or for so long; (records/s, seconds of each alarm to the broker)."""
    files = {"ca": pki / "ca.pem", "certificate": pki / "gateway.pem", "key": pki / "gateway.key"}
    spec = UplinkSpec(
        "district", "localhost", port, *(str(files[one]) for one in ("ca", "certificate", "key")), receipts=False
    )
    bench = Bench(directory, SimpleNamespace(connect=mqtt.connect), spec=spec, worker=lambda: ThreadWorker("disk"))
    bench.lanes = {lane: lane_of(directory, lane) for lane in Lane}
    loop, times, committed = asyncio.get_running_loop(), [], {}

    def staged(record, stage):
        times.append(loop.time() - committed[record.sequence])

    bench.stages = SimpleNamespace(append=lambda told: staged(SimpleNamespace(sequence=told[0]), told[1]))
    async with bench:
        await until(lambda: bench.status()["connected"], 30)
        began, start = loop.time(), bench.position()
        last = bench.lanes[Lane.TELEMETRY].counters().last
        while bench.position() < last and (seconds is None or loop.time() < began + seconds):
            (record,) = bench.alarm(1, b'{"alarm":"fire-1203","x":"%s"}' % (b"x" * 500))
            committed[record.sequence] = loop.time()
            until_at = loop.time() + EVERY_S
            await until(lambda at=until_at: loop.time() >= at or bench.position() >= last, 60)
            if progress:
                progress(bench.position() - start, last - start)
        took_s, done = loop.time() - began, bench.position() - start
        await until(lambda: len(times) == len(committed), 30)
    return done / took_s, sorted(times)


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def centile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


async def both(directory, count, slow_s, progress=None):
    """Words of the figures on a slow link, then on a free one, which empties the lane."""
    await fill(directory, count)
    async with brokers.running(directory) as broker, listening(broker), Proxy(broker.port) as proxy:
        for kbit, port, seconds in ((64, proxy.port, slow_s), (0, broker.port, None)):
            proxy.bytes_per_s = kbit * 125
            cpu_s, mib = time.process_time(), resident_mib()
            rate, times = await drained(directory, port, broker.pki, seconds, progress)
            cpu_s, grown = time.process_time() - cpu_s, resident_mib() - mib
            sys.stderr.write(
                f"\nbacklog of {count} records, {f'{kbit} kbit/s' if kbit else 'free link'}: {rate:.0f} records/s, "
                f"{len(times)} alarms p50 {centile(times, 0.5):.2f} s, p99 {centile(times, 0.99):.2f} s, max {times[-1]:.2f} s; "
                f"{cpu_s:.1f} s of CPU in this process, resident {mib:.0f} {grown:+.1f} MiB\n"
            )
            assert grown < GROWTH_GOAL_MIB
            yield kbit, rate, times


async def test_a_backlog_drains_and_alarms_do_not_wait_behind_it(tmp_path):
    """20,000 records: a fiftieth of the full figure."""
    async for kbit, rate, times in both(tmp_path, 20_000, 4.0):
        assert centile(times, 0.99) < ALARM_GOAL_S[kbit] * TOLERANCE
        assert kbit or rate > DRAIN_GOAL / TOLERANCE


class Progress:
    """A line each ten seconds."""

    def __init__(self):
        self.at = time.monotonic()

    def __call__(self, done, of):
        if time.monotonic() - self.at >= 10:
            self.at = time.monotonic()
            sys.stderr.write(f"{done} of {of}\n")


async def main(count):
    with tempfile.TemporaryDirectory() as where:
        missed = []
        async for kbit, rate, times in both(Path(where), count, 60.0, Progress()):
            if centile(times, 0.99) >= ALARM_GOAL_S[kbit] or (not kbit and rate < DRAIN_GOAL):
                missed.append(kbit)
    sys.exit(f"missed at {missed} kbit/s" if missed else 0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
