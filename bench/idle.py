"""What the daemon costs while nothing happens: its share of a core, and how often it wakes up.

Two sites: nothing due (one device, asked once a minute) and the demo's (a line at 9600, lift, panel, terminal, at their usual
periods); each with one uplink connected over TLS, and a district. Processor time is the scheduler's own count of all of the
daemon's threads (/proc/PID/task/*/schedstat, nanoseconds; ticks of 10 ms would be too coarse), wake-ups are voluntary context
switches.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.world import World, template, until
from gateway.control import ask
from gateway.demo import play
from gateway.demo.compound import Compound

SETTLE_S = 10.0
"""After the connection: the first polls, the birth message, the last known good site."""
GOALS = {"nothing due": 0.1, "demo": 1.0}
"""Per cent of a core."""


@asynccontextmanager
async def nothing_due(folder: Path) -> AsyncIterator[int]:
    """The daemon's process id, connected."""
    world = World(folder)
    try:
        await world.open()
        ((name, port),) = (await world.load(1, 40)).items()
        world.write("templates/bench_load.yaml", template(40, 60.0))
        device = {"id": "d", "bus": name, "template": "bench_load", "address": 1, "simulated": True}
        world.write(
            "site.yaml",
            {
                "gateway": {"id": "bench-01"},
                "buses": [{"id": name, "kind": "tcp", "host": "127.0.0.1", "tcp_port": port}],
                "devices": [{**device, "text": {"zh": "压测", "en": "bench"}}],
                "uplinks": [world.uplink()],
            },
        )
        await world.watch()
        status = folder / "run/control.sock"
        await until(lambda: ask(status, {"do": "status"})["parts"]["uplink district"]["connected"])
        yield world.parts["gateway"].pid
    finally:
        await world.close()


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[int]:
    """The daemon of `gengfu demo`, before its story begins."""
    compound = Compound(folder)
    try:
        await play.build(compound)
        yield compound.parts["gateway"].pid
    finally:
        for name in ("gateway", "simulator", "district", "link"):
            await compound.stop(name)
        if compound.broker:
            await compound.broker.stop()


def used(pid: int) -> tuple[float, int]:
    """Processor seconds and voluntary context switches of all threads so far."""
    seconds, switches = 0.0, 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        seconds += int((thread / "schedstat").read_text().split()[0]) / 1e9
        status = (thread / "status").read_text()
        switches += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return seconds, switches


async def measure(pid: int, seconds: float) -> tuple[float, float]:
    """Per cent of a core, wake-ups a second."""
    await asyncio.sleep(SETTLE_S)
    before = used(pid)
    await asyncio.sleep(seconds)
    after = used(pid)
    return 100 * (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


async def run(seconds: float) -> None:
    for name, world in (("nothing due", nothing_due), ("demo", demo)):
        with tempfile.TemporaryDirectory(prefix="gengfu-bench-") as folder:
            async with world(Path(folder)) as pid:
                percent, wakes = await measure(pid, seconds)
        print(
            f"idle {name}: {percent:.3f} % of a core, {wakes:.1f} wake-ups/s   ({seconds:.0f} s; goal {GOALS[name]} %)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    asyncio.run(run(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
