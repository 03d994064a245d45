"""The whole world in one folder: a real broker over TLS, the real district, simulated devices and the real daemon.

    async with world.running(tmp_path, site) as there:
        await there.start("gateway") ...

Every part is a process of its own on a port of its own; what a test stops, stalls or kills is stopped, stalled, killed.
At the end, also of a failed test, every process is gone; a failed one carries the last lines of every log as notes.
"""

import asyncio
import contextlib
import copy
import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import yaml

from gateway.control import ask
from tests import brokers
from tests.e2e import books
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = "demo-01"
TAIL_LINES = 15
DELIVERIES = 4
COMMANDS = {
    "gateway": ("-m", "gateway.cli", "run", "site.yaml"),
    "simulator": ("-m", "firmware_sim", "scene.yaml", "--dir", "."),
}


class World:
    """The running parts; `site` is written anew at each start of the gateway."""

    def __init__(self, folder, site):
        self.folder = folder
        self.site = site
        self.broker = brokers.TestBroker(folder, brokers.demo_broker.Variant.MOSQUITTO)
        self.parts = {}
        self.starts = 0
        self.link_port = 0

    # --- parts --------------------------------------------------------------------------------------------------------

    async def start(self, name):
        """Start a part; its output goes to NAME.log. Does not wait until it is well."""
        command = COMMANDS.get(name) or getattr(self, f"_{name}")()
        stdin = asyncio.subprocess.PIPE if name == "simulator" else asyncio.subprocess.DEVNULL
        if name == "gateway":
            self.starts += 1
            self.write_site()
        with self.log(name).open("ab") as output:
            self.parts[name] = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=self.folder, stdin=stdin, stdout=output, stderr=output,
                start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    async def stop(self, name, how=signal.SIGTERM, within_s=20):
        """End a part and wait for it; returns its exit status."""
        part = self.parts[name]
        with contextlib.suppress(ProcessLookupError):
            part.send_signal(how)
            part.send_signal(signal.SIGCONT)
        if part.stdin:
            part.stdin.close()
        return await asyncio.wait_for(part.wait(), within_s)

    def stall(self, name):
        """Alive, and does nothing: the half-open end of every connection."""
        self.process(name).send_signal(signal.SIGSTOP)

    def go_on(self, name):
        """After `stall`; nothing when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process(name).send_signal(signal.SIGCONT)

    async def heal_broker(self):
        """Whatever was done to it, it runs."""
        self.go_on("broker")
        if self.process("broker").returncode is not None:
            await self.broker.start()

    def process(self, name):
        return self.broker.running.process if name == "broker" else self.parts[name]

    def log(self, name):
        """Each life of the gateway has a log of its own."""
        return self.folder / (f"gateway-{self.starts:04}.log" if name == "gateway" else f"{name}.log")

    def _district(self):
        return (
            "-m", "district", "--broker", f"localhost:{self.broker.port}", "--ca", "pki/ca.pem", "--cert",
            "pki/district.pem", "--key", "pki/district.key", "--database", "district.db", "--receipt-interval-s", "0.5",
        )  # fmt: skip

    def _link(self):
        where = ("--listen", str(self.link_port), "--to", f"127.0.0.1:{self.broker.port}", "--announce", "link.json")
        return ("-m", "firmware_sim.link", *where)

    async def start_link(self):
        """Put a relay between gateway and broker; `stall` and `stop` it like any other part."""
        await self.start("link")
        told = self.folder / "link.json"
        await until(told.exists, 20)
        self.link_port = json.loads(told.read_text())["port"]

    async def build(self, scene):
        """Everything but the gateway."""
        brokers.make_certificates(self.folder / "pki")
        await self.broker.start()
        await self.start("district")
        (self.folder / "scene.yaml").write_text(yaml.safe_dump(scene))
        await self.start("simulator")
        await until((self.folder / "ports.json").exists, 20)
        await until(
            lambda: "listening" in self.log("district").read_text() or (self.folder / "district.db").exists(), 20
        )

    def write_site(self):
        """The site with the ports of this run."""
        site = copy.deepcopy(self.site)
        ports = json.loads((self.folder / "ports.json").read_text())
        for bus in site["buses"]:
            bus["tcp_port"] = ports[bus["id"]]
        for uplink in site["uplinks"]:
            uplink["port"] = self.link_port or self.broker.port
        (self.folder / "site.yaml").write_text(yaml.safe_dump(site, allow_unicode=True))

    async def close(self):
        processes = [*self.parts.values(), *([self.broker.running.process] if self.broker.running else [])]
        for part in processes:
            with contextlib.suppress(ProcessLookupError):
                part.kill()
            if part.stdin:
                part.stdin.close()
        for part in processes:
            await part.wait()

    def tails(self):
        for path in [self.broker.directory / "broker.log", *sorted(self.folder.glob("*.log"))[-6:]]:
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
                yield f"--- {path.name}\n" + "\n".join(lines)

    # --- what is said and heard ---------------------------------------------------------------------------------------

    def tell(self, **order):
        """One order to the simulator, such as set={"smoke-1/density": 7}."""
        self.parts["simulator"].stdin.write(json.dumps(order).encode() + b"\n")

    def ask(self, do, **more):
        """The gateway's answer; None while nobody answers."""
        with contextlib.suppress(OSError, ValueError):
            return ask(self.folder / "run" / "control.sock", {"do": do, **more}, timeout_s=5.0)
        return None

    def alarms(self):
        """Alarm -> state, of those that are not normal; empty while the gateway does not answer."""
        answer = self.ask("alarms")
        return {row["id"]: row["state"] for row in answer["alarms"]} if answer else {}

    def uplink(self):
        """The status of the uplink; empty while the gateway does not answer."""
        answer = self.ask("status")
        return answer["parts"]["uplink district"] if answer else {}

    async def answers(self):
        """The gateway is up: its control socket answers; fails at once when the process ends."""
        gateway = self.parts["gateway"]
        await until(lambda: gateway.returncode is not None or self.ask("alarms"), 30)
        assert gateway.returncode is None, f"the daemon did not start: exit {gateway.returncode}"

    async def connected(self, within_s=60):
        await until(lambda: self.uplink().get("connected"), within_s, 0.05)

    def district(self, query, *values):
        """Rows of the district's database, beside the running district."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / 'district.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def arrived(self, alarm, after="unacknowledged"):
        """When each such transition of the alarm arrived at the district: [(rowid, wall time)]."""
        query = """SELECT rowid, received_at FROM record WHERE type = 'gengfu.alarm.transition'
                   AND json_extract(CAST(body AS TEXT), '$.alarm') = ?
                   AND json_extract(CAST(body AS TEXT), '$.after') = ? ORDER BY rowid"""
        return self.district(query, alarm, after)

    async def deliver(self):
        """Run the gateway, reporting changes only, until the district's receipt for all of it is there; stop it in order.

        What it commits between that look and its end is delivered by another, shorter life; what it had lost for good no
        life brings back.
        """
        self.site["report"] = {"by_exception": True}
        for _ in range(DELIVERIES):
            await self.start("gateway")
            await self.answers()
            await until(lambda: self.uplink().get("unsettled") == 0, 180, 0.1)
            assert await self.stop("gateway") == 0
            if not books.missing(self.folder):
                return


async def moment(seconds):
    """The time until a fault strikes. Not for waiting until something has happened: that is `until`."""
    at = time.monotonic() + seconds
    await until(lambda: time.monotonic() >= at, seconds + 60)


@contextlib.asynccontextmanager
async def running(folder, scene, site):
    """The world without its gateway, built; reaped whatever happens."""
    there = World(folder, site)
    try:
        await there.build(scene)
        yield there
    except BaseException as error:
        for tail in there.tails():
            error.add_note(tail)
        raise
    finally:
        await there.close()


# --- the devices and their site ---------------------------------------------------------------------------------------


def devices(count, period_s, bus="bus-{}"):
    """`count` smoke detectors, each on a bus of its own: (scene, site) with an alarm ``high-N`` each; all is reported."""
    names = range(1, count + 1)
    scene = {
        "servers": [
            {"id": bus.format(n), "devices": [{"id": f"smoke-{n}", "template": "generic_smoke_loop", "address": 1}]}
            for n in names
        ]
    }
    site = {
        "gateway": {"id": GATEWAY},
        "journal": {"directory": "journal"},
        "report": {"by_exception": False},
        "buses": [{"id": bus.format(n), "kind": "tcp", "host": "127.0.0.1", "tcp_port": 1} for n in names],
        "devices": [
            {"id": f"smoke-{n}", "bus": bus.format(n), "template": "generic_smoke_loop", "address": 1, "simulated": True,
             "periods_s": {"safety": period_s, "status": max(1.0, period_s)}}
            for n in names
        ],
        "alarms": [high(n) for n in names],
        "uplinks": [
            {"id": "district", "host": "localhost", "port": 1, "ca": "pki/ca.pem", "certificate": "pki/gateway.pem",
             "key": "pki/gateway.key", "receipts": "district"}
        ],
    }  # fmt: skip
    return scene, site


def high(number, **more):
    above = {"point": f"smoke-{number}/density", "limit": 5.0, "hysteresis": 0.5}
    text = {"zh": f"{number}号越限", "en": f"high {number}"}
    return {
        "id": f"high-{number}", "class": "water", "severity": "critical", "when": {"above": above}, "text": text, **more
    }  # fmt: skip
