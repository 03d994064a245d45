"""Broker and processes of one measurement, in one folder; processor time and memory as the kernel accounts them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.peers.plan import Command, Place
from bench.world import ROOT, until
from gateway import pki
from gateway.demo import broker

GATEWAY = "bench-01"
STOP_S = 8.0


@dataclass
class Part:
    process: asyncio.subprocess.Process
    started: float
    """Monotonic time before exec."""

    def cpu_s(self) -> float:
        """Of it and its children, to the nanosecond: the kernel's clock of a process (see clock_getcpuclockid(3))."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self._pids())

    def rss_mib(self) -> float:
        return sum(psutil.Process(pid).memory_info().rss for pid in self._pids()) / 2**20

    def _pids(self) -> list[int]:
        own = psutil.Process(self.process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    async def stop(self) -> None:
        """In order, or else killed."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), STOP_S)
        await self.kill()

    async def kill(self) -> None:
        if self.process.returncode is None:
            with suppress(psutil.NoSuchProcess):
                for pid in reversed(self._pids()):
                    psutil.Process(pid).kill()
        await self.process.wait()


@dataclass
class Stage:
    folder: Path
    mutual_port: int = 0
    server_port: int = 0
    parts: dict[str, Part] = field(default_factory=dict)

    async def open(self) -> None:
        """Certificates and mosquitto, the same for every product."""
        pki.init(self.folder / "pki", gateway=GATEWAY, force=True)
        self.mutual_port, self.server_port = broker.free_port(), broker.free_port()
        (self.folder / "mosquitto.conf").write_text(broker_config(self.folder, self.mutual_port, self.server_port))
        await self.start("broker", Command((broker.mosquitto_path() or "mosquitto", "-c", "mosquitto.conf")))
        await until(lambda: _listens(self.server_port))

    def place(self, installed: Path) -> Place:
        return Place(self.folder, installed, self.mutual_port, self.server_port)

    async def start(self, name: str, command: Command) -> Part:
        environment = {**os.environ, **command.environment}
        with (self.folder / f"{name}.log").open("ab") as output:
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command.argv, cwd=self.folder, env=environment, stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output
            )  # fmt: skip
        self.parts[name] = Part(process, started)
        return self.parts[name]

    async def ours(self, name: str, module: str, *arguments: object, ready: str = "") -> Any:
        """A part of the bench; when it is up it writes NAME-ready.json (or `ready`): what the others must know."""
        argv = (sys.executable, "-m", module, *map(str, arguments))
        await self.start(name, Command(argv, {"PYTHONPATH": str(ROOT)}))
        ready = ready or f"{name}-ready.json"
        await until(lambda: (self.folder / ready).exists() and (self.folder / ready).stat().st_size)
        return self.told(ready)

    def told(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    async def stop(self, name: str) -> None:
        await self.parts.pop(name).stop()

    async def end(self, name: str) -> Any:
        """Stop a part of the bench and read what it measured."""
        await self.stop(name)
        return self.told(f"{name}.json")

    async def close(self) -> None:
        """All figures are taken: nobody needs to end in order."""
        for name in list(self.parts):
            await self.parts.pop(name).kill()


def broker_config(folder: Path, mutual_port: int, server_port: int) -> str:
    """Two doors to one mosquitto: products that can show a certificate of their own do."""
    lines = [
        "persistence false", "set_tcp_nodelay true", "max_queued_messages 100000", "log_dest stderr",
        *(["user root"] if os.geteuid() == 0 else []), "per_listener_settings true",
    ]  # fmt: skip
    for port, mutual in ((mutual_port, "true"), (server_port, "false")):
        files = [f"{key} {folder / 'pki' / file}" for key, file in BROKER_FILES]
        lines += [f"listener {port} {broker.HOST}", *files, f"require_certificate {mutual}", "allow_anonymous true"]
    return "\n".join([*lines, ""])


BROKER_FILES = (("cafile", "ca.pem"), ("certfile", "broker.pem"), ("keyfile", "broker.key"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((broker.HOST, port)) == 0
