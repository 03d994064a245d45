"""The gateway's side: its real site loader, bus, drivers and poller on the port under test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from drivers import DRIVERS
from gateway.clock import SystemClock
from gateway.config import load
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.model import BusSpec, Device, Quality, Scan
from gateway.poller import Poller
from gateway.restart import Guard
from hil_tests.setting import Setting
from hil_tests.simulator import Simulator

Measured = Callable[[str, str], None]
"""Says what stands in the table's last column, in Chinese and in English."""

PAUSE_S = 0.02
"""Between two looks at a line that is down, which says so without waiting."""


@dataclass(slots=True)
class Watch:
    """What a poller brought."""

    scans: list[Scan] = field(default_factory=list)
    busy: float = 0.0
    """Share of the time in which the line was in use."""

    def distances_s(self, device: Device) -> list[float]:
        """Times between two good scans of a device's fastest group, which is asked first and most often."""
        fastest = min(range(len(device.groups)), key=lambda index: device.groups[index].period_s)
        times = [scan.at for scan in self.scans if (scan.device, scan.group) == (device.id, fastest) and good(scan)]
        return [after - before for before, after in pairwise(times)]


class World:
    """A bus on the port, and the devices of `entries` (as a site file's) behind it."""

    def __init__(
        self, setting: Setting, folder: Path, entries: Sequence[Mapping[str, Any]], simulator: Simulator | None
    ) -> None:
        self._clock = SystemClock()
        path = simulator.path if simulator is not None else setting.port
        site = load(_site_file(setting, folder, path, entries))
        self.spec: BusSpec = site.buses[0]
        self.devices = {device.id: device for device in site.devices}
        self.unproved = bool(site.unproved)
        self._simulator = simulator
        self.bus = Bus(self.spec, self._clock)
        self._polls = {}
        for device in site.devices:
            begin = DRIVERS[device.driver].open
            assert begin is not None, f"{device.driver} does not ask"
            self._polls[device.id] = begin(device, self.spec.speaks)

    @property
    def simulator(self) -> Simulator:
        """The other end of the line; a real device has none."""
        assert self._simulator is not None
        return self._simulator

    def now(self) -> float:
        return self._clock.monotonic()

    async def read(self, device: str, group: int = 0) -> Scan:
        """One poll; raises BusError as the bus does."""
        return await self.bus.perform(self._polls[device](group))

    async def tried(self, device: str, group: int = 0) -> Scan | None:
        """One poll; None when it failed."""
        try:
            return await self.read(device, group)
        except BusError:
            return None

    async def back_after_s(self, device: str, within_s: float) -> float:
        """How long until `device` answers well; it is asked without pause. Raises AssertionError after `within_s`."""
        return await self._asked_until(device, lambda scan, _: scan is not None and good(scan), within_s)

    async def down_after_s(self, device: str, within_s: float) -> float:
        """How long until the bus says that its line is down."""
        return await self._asked_until(device, lambda _, quality: quality is Quality.LINE_DOWN, within_s)

    async def _asked_until(
        self, device: str, enough: Callable[[Scan | None, Quality | None], bool], within_s: float
    ) -> float:
        begin = self._clock.monotonic()
        why = ""
        while (now := self._clock.monotonic()) - begin < within_s:
            scan, quality = None, None
            try:
                scan = await self.read(device)
            except BusError as error:
                quality, why = error.quality, str(error)
            if enough(scan, quality):
                return self._clock.monotonic() - begin
            await self._clock.sleep_until(max(now, self._clock.monotonic()) + PAUSE_S)
        raise AssertionError(f"{device}: not within {within_s:g} s ({why or 'it answers'})")

    async def watch(self, enough: Callable[[Watch], bool], within_s: float) -> Watch:
        """Let the gateway's poller run until `enough` of what it brings. Raises AssertionError after `within_s`."""
        seen = Watch()
        over = asyncio.Event()
        faults = Guard()

        def take(scan: Scan) -> None:
            seen.scans.append(scan)
            if enough(seen):
                over.set()

        poller = Poller(self.bus, list(self.devices.values()), self._polls, self._clock, take, faults)
        running = asyncio.create_task(poller.run())
        try:
            await asyncio.wait_for(over.wait(), within_s)
        except TimeoutError:
            raise AssertionError(f"only {len(seen.scans)} scans within {within_s:g} s") from None
        finally:
            seen.busy = float(str(poller.status()["busy"]))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert not faults.caught, f"a bug: {faults.faults}"
        return seen

    def close(self) -> None:
        self.bus.close()


def good(scan: Scan) -> bool:
    return set(scan.qualities) == {int(Quality.GOOD)}


def _site_file(setting: Setting, folder: Path, port: str, entries: Sequence[Mapping[str, Any]]) -> Path:
    if setting.template.endswith(".yaml"):
        (folder / "templates").mkdir()
        shutil.copy(setting.template, folder / "templates")
    line = {
        "id": "line",
        "kind": "serial",
        "port": port,
        "baud": setting.baud,
        "parity": setting.parity,
        "stop_bits": setting.stop_bits,
        "reply_timeout_s": setting.reply_timeout_s,
    }
    devices = [
        {
            "id": entry["id"],
            "bus": "line",
            "template": entry["template"],
            "address": entry["address"],
            "text": {"zh": entry["id"], "en": entry["id"]},
            "periods_s": entry.get("periods_s", {}),
        }
        for entry in entries
    ]
    path = folder / "site.yaml"
    gateway = {"id": "hil", "control_socket": "/run/hil.sock"}  # never opened; a path below `folder` could be too long
    path.write_text(yaml.safe_dump({"gateway": gateway, "buses": [line], "devices": devices}))
    return path
