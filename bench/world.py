"""What every end-to-end measurement needs around the gateway: certificates, broker, district, load, and its own figures.

All parts are processes of their own; the processor time and memory that count are those of the gateway's process alone,
as the kernel accounts them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import pki
from gateway.demo import broker

ROOT = Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class World:
    """The running parts in one folder."""

    folder: Path
    parts: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    broker: broker.Broker | None = None

    async def start(
        self, name: str, *command: str, stdin: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        with (self.folder / f"{name}.log").open("ab") as output:
            part = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=self.folder, stdin=stdin, stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        self.parts[name] = part
        return part

    async def open(self) -> None:
        """Certificates, broker and district."""
        pki.init(self.folder / "pki", gateway="bench-01", force=True)
        self.broker = await broker.start(self.folder / "broker", self.folder / "pki", gateways=("bench-01",))
        await self.start(
            "district", "-m", "district", "--broker", f"localhost:{self.broker.port}", "--ca", "pki/ca.pem",
            "--cert", "pki/district.pem", "--key", "pki/district.key", "--database", "district.db",
        )  # fmt: skip

    async def load(self, devices: int, registers: int, *more: str) -> dict[str, int]:
        """Simulated Modbus TCP devices; returns device -> port."""
        await self.start(
            "load", "-m", "firmware_sim.load", "--dir", ".", "--devices", str(devices), "--registers", str(registers),
            *more, stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ports = self.folder / "ports.json"
        await until(ports.exists)
        found: dict[str, int] = json.loads(ports.read_text())
        return found

    def write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1))  # JSON is YAML

    def uplink(self) -> dict[str, Any]:
        assert self.broker is not None  # `open` comes first
        return {
            "id": "district", "host": "localhost", "port": self.broker.port, "ca": "pki/ca.pem",
            "certificate": "pki/gateway.pem", "key": "pki/gateway.key", "receipts": "district",
        }  # fmt: skip

    async def watch(self) -> None:
        """Start the gateway on ``site.yaml`` and wait until it answers; says why when it does not."""
        part = await self.start("gateway", "-m", "gateway.cli", "run", "site.yaml")
        try:
            await until((self.folder / "run/control.sock").exists)
        except TimeoutError:
            if part.returncode is None:
                raise
            raise RuntimeError((self.folder / "gateway.log").read_text()[-2000:]) from None

    def usage(self, name: str) -> tuple[float, float, float, float]:
        """Processor seconds (user, system), memory now and memory at its highest (MiB) of a part."""
        pid = self.parts[name].pid
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        mib = {key: int(status[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")}
        return int(fields[11]) / TICK, int(fields[12]) / TICK, mib["VmRSS"], mib["VmHWM"]

    async def close(self) -> None:
        for name in ("gateway", "load", "district"):
            part = self.parts.get(name)
            if part and part.returncode is None:
                part.send_signal(signal.SIGTERM)
                await part.wait()
        if self.broker:
            await self.broker.stop()


async def until(there: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := there()):
        if time.monotonic() > deadline:
            raise TimeoutError("the bench's world did not come up; see the logs in its folder")
        await asyncio.sleep(0.05)
    return value


def template(registers: int, period_s: float) -> dict[str, Any]:
    """A device with so many 16-bit registers, all of them points."""
    points = [
        {
            "name": f"r{number:02}", "group": "all", "kind": "int", "class": "measurement",
            "text": {"zh": f"寄存器{number}", "en": f"register {number}"},
            "at": {"table": "holding", "register": number, "type": "uint16"},
        }
        for number in range(registers)
    ]  # fmt: skip
    return {
        "model": {"vendor": "bench", "name": "load", "text": {"zh": "压测设备", "en": "bench device"}},
        "driver": "modbus", "source": "firmware_sim/load.py", "certainty": "A", "proved": False,
        "groups": {"all": {"period_s": period_s}},
        "points": points,
    }  # fmt: skip
