"""R11 (large alarms on a slow link), R12, R13, R15, R17 with the real uplink over TLS against a scripted broker, in part behind our own proxy.

GENGFU_FAULTS=full .venv/bin/pytest -s tests/faults/test_link_faults.py      the full figures
"""

import asyncio
import contextlib
import gc
import os
import random
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.link import mqtt
from gateway.model import Scan
from gateway.store.worker import ThreadWorker
from gateway.wire import pack
from tests import certificates
from tests.fake_broker import CLOSE, FakeBroker, late, silent, twice, wrong_id
from tests.faults.tcp_proxy import Proxy
from tests.gateway.test_uplink_wire import District, spec_of
from tests.gateway.virtual import LAYOUT, Bench
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("GENGFU_FAULTS") == "full"
TOLERANCE = 5
BACK_GOAL_S, LAG_GOAL_S = 5, 0.1
KEEPALIVE_S, PUBACK_S = (10, 10) if FULL else (2, 1)
"""The site's own, and shorter ones of the same kind: noticed within the one with data in flight, twice the other idle."""
SLOW_KBIT, SLOW_PUBACK_S, LARGE_ALARMS = (64, 10, 20) if FULL else (320, 2, 10)
LARGE_BYTES = 16 * 1024
"""`gateway.wire.alarm.LARGEST_BYTES`."""
ACKNOWLEDGEMENTS = 1_000 if FULL else 40
FLAPS = 10_000 if FULL else 120
MESSAGES = 20_000 if FULL else 1_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = certificates.Directory(tmp_path_factory.mktemp("tls") / "pki")
    directory.server("broker")
    directory.client("gateway")
    return directory


def bench_of(tmp_path, spec, rng=lambda: 0.0, connect=mqtt.connect, **options):
    """As on a box, but for what is given; without jitter it connects again at once."""
    seam = SimpleNamespace(connect=connect)
    return Bench(tmp_path, seam, spec=spec, worker=lambda: ThreadWorker("disk"), random=rng, **options)


def note(text):
    sys.stderr.write(f"\n{text}\n")


# R11


async def test_large_alarms_on_a_slow_link_do_not_cost_the_connection(tmp_path, pki):
    """Alarms of 16 KiB, the largest there are, at 64 kbit/s, more of them than can be acknowledged within the time for one:
    each is sent once, over one connection, and a new alarm waits for those before it and for no more."""
    loop = asyncio.get_running_loop()
    async with FakeBroker(pki.server_context("broker")) as broker, Proxy(broker.port) as proxy:
        broker.answer = district = District(broker)
        spec = spec_of(pki, proxy.port, keepalive_s=KEEPALIVE_S)
        async with bench_of(tmp_path, spec, puback_s=SLOW_PUBACK_S) as bench:
            await until(lambda: bench.status()["connected"], 20)
            proxy.bytes_per_s = SLOW_KBIT * 125
            scans = [(LAYOUT, Scan("dev-1", 0, float(number), (number / 7,), b"\0"), None) for number in range(300)]
            bench.telemetry(4, pack.encode(scans))
            bench.alarm(LARGE_ALARMS, b"x" * LARGE_BYTES)
            began = loop.time()
            await until(lambda: len(district.stored) >= LARGE_ALARMS // 2, 600)
            bench.alarm(1, b"fire")
            asked, left = loop.time(), bench.status()["alarms_without_receipt"] + bench.status()["alarms_read_ahead"]
            await until(lambda: any(publish.body == b"fire" for publish in district.stored.values()), 600)
            waited_s, took_s = loop.time() - asked, loop.time() - began
            counters = bench.status()["counters"]
        sent = [publish.id for publish in broker.published if "sequence" in publish.properties]
    note(
        f"{LARGE_ALARMS} alarms of {LARGE_BYTES} bytes at {SLOW_KBIT} kbit/s, PUBACK within {SLOW_PUBACK_S} s: {len(sent)} sent, "
        f"{len(set(sent))} different, {counters['connected']} connections, {took_s:.1f} s in all; a new one behind "
        f"{left} of them after {waited_s:.1f} s"
    )
    assert counters["connected"] == 1
    assert len(sent) == len(set(sent))
    assert took_s < TOLERANCE * LARGE_ALARMS * (LARGE_BYTES + 8 * 1024) / proxy.bytes_per_s


# R12


@pytest.mark.parametrize("idle", [False, True], ids=["data in flight", "idle"])
async def test_a_half_open_link_is_noticed_and_used_again(tmp_path, pki, idle):
    """Within 10 s with data in flight, 20 s idle; used again within 5 s after it passes bytes; nothing is lost."""
    loop = asyncio.get_running_loop()
    goal_s = 2 * KEEPALIVE_S if idle else PUBACK_S
    async with FakeBroker(pki.server_context("broker")) as broker, Proxy(broker.port) as proxy:
        broker.answer = district = District(broker)
        spec = spec_of(pki, proxy.port, keepalive_s=KEEPALIVE_S)
        async with bench_of(tmp_path, spec, random.Random(1).random, puback_s=PUBACK_S) as bench:
            bench.alarm()
            await until(lambda: bench.status()["unsettled"] == 0 and not bench.status()["in_flight"], 20)
            proxy.passing.clear()
            began = loop.time()
            if not idle:
                bench.alarm()
            await until(lambda: not bench.status()["connected"], goal_s * TOLERANCE)
            noticed_s = loop.time() - began
            bench.alarm()
            proxy.passing.set()
            began = loop.time()
            await until(lambda: bench.status()["unsettled"] == 0, BACK_GOAL_S * TOLERANCE)
            note(
                f"half-open, {'idle' if idle else 'data in flight'} (keepalive {KEEPALIVE_S} s, PUBACK {PUBACK_S} s): "
                f"noticed after {noticed_s:.1f} s, all delivered {loop.time() - began:.1f} s after healing"
            )
        assert len(district.stored) == (2 if idle else 3)


# R13


class Careless:
    """Acknowledges as it should, but for a share of faults, until there were so many."""

    def __init__(self, broker, faults, rng):
        self.district = District(broker)
        self.faults, self.rng, self.struck = faults, rng, 0

    def __call__(self, publish):
        if "sequence" not in publish.properties or self.struck == ACKNOWLEDGEMENTS or self.rng.random() > 0.2:
            return self.district(publish)
        self.struck += 1
        self.district.fault, self.district.every = self.rng.choice(self.faults), 1
        try:
            return self.district(publish)
        finally:
            self.district.every = sys.maxsize


async def test_acknowledgements_of_every_wrong_kind_lose_nothing(tmp_path, pki):
    """PUBACK lost, late, wrong, twice, or the connection closed before it, in any mixture: each record is stored, and
    whatever came twice came under one id with the same bytes."""
    rng = random.Random(13)
    async with FakeBroker(pki.server_context("broker")) as broker:
        kinds = (silent, late(0.15), wrong_id, twice, lambda publish: [CLOSE])
        broker.answer = careless = Careless(broker, kinds, rng)
        count = 0
        async with bench_of(tmp_path, spec_of(pki, broker.port), puback_s=0.3) as bench:
            while careless.struck < ACKNOWLEDGEMENTS:
                await until(lambda: bench.status()["unsettled"] < 40, 60)
                bench.alarm(10, b'{"n":%d}' % count)
                bench.telemetry(10)
                count += 20
            await until(lambda: bench.status()["unsettled"] == 0, 120)
        bodies = {}
        sent = [publish for publish in broker.published if "sequence" in publish.properties]
        for publish in sent:
            bodies.setdefault(publish.id, set()).add((publish.body, publish.properties["sequence"]))
        assert len(careless.district.stored) == len(bodies) == count
        assert all(len(variants) == 1 for variants in bodies.values())
        assert len(sent) > count, "no fault had an effect"
        note(f"{careless.struck} wrong acknowledgements: {count} records, {len(sent)} sent, 0 lost, each under one id")


# R15


def resources():
    """Descriptors, threads, resident KiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGESIZE") // 1024


async def test_a_flapping_broker_leaves_nothing_behind(tmp_path, pki):
    """Cut after the connection, before CONNACK, in the middle of the handshake, refused by code or by the kernel: after so
    many of them descriptors, threads and memory are what they were."""
    rng = random.Random(15)
    async with FakeBroker(pki.server_context("broker")) as broker, Proxy(broker.port) as proxy:
        broker.answer = District(broker)

        async def connect(dial):
            broker.connects.clear()
            broker.published.clear()
            how = rng.randrange(5) if flapping else 0
            broker.connack = 0x88 if how == 1 else 0x00
            proxy.to = 1 if how == 2 else broker.port  # nobody listens there
            if how == 3:
                asyncio.get_running_loop().call_later(0.002 * rng.random(), proxy.cut)
            session = await mqtt.connect(dial)
            if flapping:
                asyncio.get_running_loop().call_later(0.003 * rng.random(), proxy.cut)
            return session

        flapping = True
        async with bench_of(tmp_path, spec_of(pki, proxy.port), connect=connect) as bench:

            def flaps():
                counted = bench.status()["counters"]
                return sum(counted.get(name, 0) for name in ("link_failed", "link_refused"))

            await until(lambda: flaps() >= FLAPS // 5, 600)
            gc.collect()
            descriptors, threads, kib = resources()
            at_start = flaps()
            while flaps() < FLAPS:
                goal = min(FLAPS, flaps() + 200)
                await until(lambda goal=goal: flaps() >= goal, 120)
                if FULL:
                    note(f"{flaps()} of {FLAPS} flaps, {resources()} descriptors, threads, KiB")
            flapping = False
            bench.alarm()
            await until(lambda: bench.status()["unsettled"] == 0, 30)
            await until(lambda: resources()[0] <= descriptors + 4 and resources()[1] <= threads + 1, 10)
            grown = resources()[2] - kib
            connected = bench.status()["counters"]["connected"]
            note(
                f"{flaps()} flaps ({connected} of them connected): from {at_start} on descriptors {descriptors} -> "
                f"{resources()[0]}, threads {threads} -> {resources()[1]}, resident {kib} KiB {grown:+} KiB"
            )
            assert grown < 4096


# R17


@contextlib.asynccontextmanager
async def hostile_broker(pki):
    """See `hostile_broker.py`; a process of its own, and its port."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.hostile_broker", str(pki.path), str(MESSAGES),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield program, int(await asyncio.wait_for(program.stdout.readline(), 20))
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


async def test_hostile_messages_cost_neither_records_nor_time(tmp_path, pki):
    """Poison, floods, nonsense: nothing settles that was not delivered, nothing escapes into the loop, the loop goes on
    within 100 ms (x5), and alarms go out meanwhile. Malformed packets cost a connection, no more."""
    loop = asyncio.get_running_loop()
    escaped, lags, held, alarms = [], [], [], 0
    loop.set_exception_handler(lambda _, context: escaped.append(context))

    async def beat():
        """Late by the clock, and by what this thread computed meanwhile: no other process adds to that."""
        while True:
            began, worked = loop.time(), time.thread_time()
            await asyncio.sleep(0.005)
            lags.append(loop.time() - began - 0.005)
            held.append(time.thread_time() - worked)

    async with hostile_broker(pki) as (program, port), bench_of(tmp_path, spec_of(pki, port)) as bench:
        heart = asyncio.ensure_future(beat())
        flooded = asyncio.ensure_future(program.stdout.readline())
        while not flooded.done():
            bench.alarm()
            alarms += 1
            await until(lambda: bench.status()["unsettled"] == 0, 60, 0.005)
        heart.cancel()
        assert flooded.result() == b"DONE\n"
        counters = bench.status()["counters"]
        program.stdin.close()
        stored = int(await asyncio.wait_for(program.stdout.readline(), 20))
    assert escaped == []
    assert stored == alarms
    assert counters["inbound_malformed"] > MESSAGES // 20
    lags.sort()
    note(
        f"{MESSAGES} hostile messages: 0 escaped, {alarms} alarms delivered meanwhile, loop lag p99 "
        f"{lags[len(lags) * 99 // 100] * 1000:.0f} ms, max {lags[-1] * 1000:.0f} ms, of CPU time max {max(held) * 1000:.0f} ms, "
        f"{counters['connected']} connections"
    )
    assert max(held) < LAG_GOAL_S
    assert lags[len(lags) * 99 // 100] < LAG_GOAL_S * TOLERANCE
