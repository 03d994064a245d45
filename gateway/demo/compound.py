"""The demo's compound while it runs: its folder, its processes, what happened to them, and what they used."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.control import ask
from gateway.demo import broker

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "demo"


class Broken(Exception):
    """A part of the demo did not start; the message says which and shows its last lines."""


@dataclass
class Compound:
    """The running demo: its processes, its folder, and what happened so far."""

    folder: Path
    parts: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, float] = field(default_factory=dict)
    tls_version: str = ""
    link_port: int = 0
    broker: broker.Broker | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "control.sock"

    async def start(self, name: str, *command: str, stdin: int | None = None) -> asyncio.subprocess.Process:
        """Start a process of this Python; its output goes to NAME.log."""
        with (self.folder / f"{name}.log").open("ab") as output:
            part = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                cwd=self.folder,
                stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(SOURCE.parents[1]), "PYTHONUNBUFFERED": "1"},
            )
        self.parts[name] = part
        return part

    async def wait_for(self, name: str, there: Callable[[], Any], timeout_s: float = 15.0) -> Any:
        """The first true value of `there()`; `Broken` when the part ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not (value := there()):
            part = self.parts.get(name)
            if time.monotonic() > deadline or (part and part.returncode is not None):
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise Broken(f"{name} did not start / 未能启动:\n{tail}")
            await asyncio.sleep(0.05)
        return value

    async def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one part and wait for it; force after 15 s."""
        part = self.parts.pop(name, None)
        if part is None or part.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            part.send_signal(how)
            if how is not signal.SIGKILL:  # a stopped process hears nothing else; and a killed one must not wake first
                part.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(part.wait(), 15)
        except TimeoutError:
            part.kill()
            await part.wait()

    def note(self, what: str) -> None:
        self.events.append({"t": time.time(), "what": what})

    def ask(self, do: str) -> dict[str, Any] | None:
        """The gateway's answer, or None while it does not answer."""
        try:
            answer = ask(self.socket, {"do": do}, timeout_s=1.0)
        except (OSError, ValueError):
            return None
        return answer if answer["ok"] else None

    def look(self) -> dict[str, Any] | None:
        """The gateway's status; the TLS version of its connection is noted."""
        status = self.ask("status")
        for name, part in (status or {"parts": {}})["parts"].items():
            if name.startswith("uplink") and part.get("tls"):
                self.tls_version = part["tls"]
        return status

    def look_at_gateway(self) -> None:
        """Note memory and processor time of the running gateway; the last look before each end counts."""
        part = self.parts.get("gateway")
        if part is None or part.returncode is not None:
            return
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{part.pid}/status").read_text()
            peak_kib = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
            fields = Path(f"/proc/{part.pid}/stat").read_text().rsplit(")", 1)[1].split()
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            self.usage[f"rss_mib.{part.pid}"] = peak_kib / 1024
            self.usage[f"cpu_s.{part.pid}"] = cpu_s
