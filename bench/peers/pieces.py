"""The measurements: each takes a product and a stage of its own, and gives figures by the keys of `table.ROWS`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.peers import gengfu, table
from bench.peers.plan import Device, Port, Product, Site
from bench.peers.stage import Part, Stage
from bench.world import until

DEVICES, REGISTERS = 50, 40
WARM_UP_S = 10.0
STEP_S = 0.3137
"""No multiple of the period, so that changes fall anywhere between two polls."""
LINE_DEVICES, LINE_BLOCKS, BLOCK, BLOCK_GAP = 10, 10, 10, 200
UNITS = 10
FIRST_VALUE_S = 60.0
IDLE_PERIOD_S = 20.0
"""Node-RED waits for a whole period before its first poll."""


@dataclass(frozen=True)
class Run:
    product: Product
    installed: Path
    stage: Stage
    seconds: float

    async def start(self, site: Site) -> Part:
        """The receiver and then the product; returns once the first value is at the broker, or it never comes."""
        place = self.stage.place(self.installed)
        if self.product is gengfu.PRODUCT:
            await self.stage.start("district", gengfu.district(place))
        watch = (self.product.watch or site.watched) if site.watched else ""
        await self.stage.ours(
            "receiver", "bench.peers.receiver", self.product.name, "--port", place.server_port, "--ca", "pki/ca.pem",
            "--watch", watch,
        )  # fmt: skip
        part = await self.stage.start("product", self.product.configure(site, place))
        try:
            await until((self.stage.folder / "receiver-first.json").exists, FIRST_VALUE_S)
        except TimeoutError:
            log = (self.stage.folder / "product.log").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{self.product.name}: no value at the broker; it says:\n{log}") from None
        return part

    def first_value_s(self) -> float:
        """From exec to the first value at the broker."""
        return float(self.stage.told("receiver-first.json")) - self.stage.parts["product"].started


Figures = dict[str, float | str]
Piece = Callable[[Run], Awaitable[Figures]]


async def load(run: Run) -> Figures:
    """50 Modbus TCP devices x 40 registers at 1 s, every value another one each time."""
    ports = await _simulated(run.stage, DEVICES)
    if run.product.servers < DEVICES:  # then they stand behind one server: its best case, one process
        devices = [Device(f"load-{n:03}", Port(ports[0]), n + 1, ((0, REGISTERS),)) for n in range(DEVICES)]
    else:
        devices = [Device(f"load-{n:03}", Port(port), 1, ((0, REGISTERS),)) for n, port in enumerate(ports)]
    part = await run.start(Site(tuple(devices), 1.0))
    start = run.first_value_s()
    await asyncio.sleep(WARM_UP_S)
    begin, before = time.monotonic(), part.cpu_s()
    await asyncio.sleep(run.seconds)
    end, after, rss = time.monotonic(), part.cpu_s(), part.rss_mib()
    heard = await run.stage.end("receiver")
    core = (after - before) / (end - begin)
    delivered = table.rate(heard["messages"], begin, end)
    cpu: Figures = {"cpu": core / delivered * 10_000 if delivered else "nothing delivered"}
    return {**cpu, "core": 100 * core, "delivered": delivered, "rss": rss, "load_start": start}


async def latency(run: Run) -> Figures:
    """A register of one device of 40 registers, polled at 100 ms, steps to 1 and back: until the subscriber has the 1.

    Only these count: an alarm that goes off again waits for a second poll by design, a value does not.
    """
    (port,) = await _simulated(run.stage, 1, "--step", "load-000/0", "--every", str(STEP_S), "--step-value", "1")
    device = Device("load-000", Port(port), 1, ((0, REGISTERS),))
    part = await run.start(Site((device,), 0.1, watched=device.name))
    start = {"start": run.first_value_s(), "start_cpu": part.cpu_s()}
    await asyncio.sleep(3)
    begin = time.monotonic()
    await asyncio.sleep(run.seconds)
    end = time.monotonic()
    await asyncio.sleep(2)
    heard = await run.stage.end("receiver")
    await run.stage.stop("load")
    log = map(json.loads, (run.stage.folder / "simulator.jsonl").read_text().splitlines())
    steps = [(entry["mono"], entry["value"]) for entry in log if entry["event"] == "change"]
    rises, arrivals = ([at for at, value in changes if value == 1] for changes in (steps, heard["changes"]))
    found, missed = table.delays(rises, arrivals, begin, end)
    figures: Figures = {**start, "changes": len(found), "changes_missed": missed}
    if not found:
        return {**figures, "p50": "no change arrived", "p99": "no change arrived"}
    return {**figures, "p50": table.percentile(found, 0.5), "p99": table.percentile(found, 0.99)}


async def line(run: Run, baud: int) -> Figures:
    """Reads of 10 registers, more than a serial line can carry: how much of it is used."""
    port = Port(path=await run.stage.ours("line", "bench.peers.line", baud), baud=baud)
    blocks = tuple((number * BLOCK_GAP, BLOCK) for number in range(LINE_BLOCKS))
    devices = tuple(Device(f"d{unit}", port, unit, blocks) for unit in range(1, LINE_DEVICES + 1))
    await run.start(Site(devices, 0.25))
    await asyncio.sleep(3)
    begin = time.monotonic()
    await asyncio.sleep(run.seconds)
    seen = await run.stage.end("line")
    share, early = table.use(seen["exchanges"], begin, begin + run.seconds)
    return {f"share_{baud}": share, f"early_{baud}": early, f"bad_bytes_{baud}": seen["bad"]}


async def shared(run: Run) -> Figures:
    """10 units at 1 s behind one TCP socket, one of which never answers: the periods of the others, from the first on."""
    (port,) = await _field(run.stage, 1, "0/5")
    devices = tuple(Device(f"d{unit}", Port(port), unit, ((0, BLOCK),)) for unit in range(1, UNITS + 1))
    return await _periods(run, Site(devices, 1.0), "0/5", "shared")


async def dead(run: Run) -> Figures:
    """10 Modbus TCP servers at 1 s, one of which takes connections and never says a word."""
    ports = await _field(run.stage, UNITS, "5/*")
    devices = tuple(Device(f"d{number}", Port(port), 1, ((0, BLOCK),)) for number, port in enumerate(ports))
    return await _periods(run, Site(devices, 1.0), "5/*", "dead")


async def idle(run: Run) -> Figures:
    """Connected, one device asked every 20 s."""
    (port,) = await _field(run.stage, 1)
    part = await run.start(Site((Device("d", Port(port), 1, ((0, BLOCK),)),), IDLE_PERIOD_S))
    await asyncio.sleep(WARM_UP_S)
    begin, before = time.monotonic(), part.cpu_s()
    await asyncio.sleep(run.seconds)
    return {"idle": 100 * (part.cpu_s() - before) / (time.monotonic() - begin)}


PIECES: dict[str, tuple[Piece, float]] = {
    "load": (load, 30.0),
    "latency": (latency, 45.0),
    "line-9600": (lambda run: line(run, 9600), 12.0),
    "line-115200": (lambda run: line(run, 115200), 8.0),
    "shared": (shared, 20.0),
    "dead": (dead, 12.0),
    "idle": (idle, IDLE_PERIOD_S),
}
"""With the seconds that each measures for."""


async def _simulated(stage: Stage, devices: int, *more: str) -> list[int]:
    sizes = ("--dir", ".", "--devices", devices, "--registers", REGISTERS)
    ports: dict[str, int] = await stage.ours("load", "firmware_sim.load", *sizes, *more, ready="ports.json")
    return list(ports.values())


async def _field(stage: Stage, ports: int, *silent: str) -> list[int]:
    found: list[int] = await stage.ours("field", "bench.peers.field", "--ports", ports, "--silent", *silent)
    return found


async def _periods(run: Run, site: Site, silent: str, key: str) -> Figures:
    await run.start(site)
    await asyncio.sleep(run.seconds)
    asked = await run.stage.end("field")
    found = table.periods(asked, but=silent)
    return {f"{key}_p95": table.percentile(found, 0.95), f"{key}_max": max(found), f"{key}_periods": len(found)}
