"""What a technician's tool hears of the running gateway: scans and commands as they come, and the bytes of the lines.

Guarantees
* The bytes of a line on which a device tells texts (card numbers) are told to nobody.
* What a tap keeps is bounded: `KEPT` events, then the oldest go and are counted. It goes with its connection.
* A tap begins with the points of its devices, group by group, and ends when a new site has others: no value is ever told under
  another point's name.

Requests: ``tap`` (bus or device, or all) and then ``taps`` again and again. Who may listen is `gateway.lending`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.control import Answer, Caller, Refused
from gateway.model import Command, Device, Kind, Scan, Text
from gateway.pipeline import Pipeline
from gateway.poller import Poller

Layout = dict[str, list[list[str]]]
"""Device -> its groups -> the names of their points."""
KEPT = 2000
AT_ONCE = 200
LONGEST_TAP_S = 5.0


@dataclass(slots=True)
class _Taps:
    """What one tool hears."""

    points: Layout = field(default_factory=dict)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    dropped: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def put(self, event: dict[str, Any]) -> None:
        if self.ended:
            return
        self.dropped += len(self.events) == KEPT
        self.events.append(event)
        self.more.set()


class Listening:
    """The taps of all tools, one a connection."""

    def __init__(self, site: Site, pollers: Mapping[str, Poller], pipeline: Pipeline, clock: Clock) -> None:
        self._site = site
        self._pollers = pollers
        self._pipeline = pipeline
        self._clock = clock
        self._devices = {device.id for device in site.devices}
        self._taps: dict[int, _Taps] = {}

    def adopt(self, site: Site, pollers: Mapping[str, Poller]) -> None:
        """Another site; who has begun goes on, and hears no bytes of a bus that was started again."""
        self._site, self._pollers = site, pollers
        self._devices = {device.id for device in site.devices}
        now = layout(site.devices)
        for taps in self._taps.values():
            if any(now.get(device) != points for device, points in taps.points.items()):
                taps.ended = True
                taps.more.set()

    def begin(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        """To the scans (and commands) of a device, of a bus's devices, or of all; and to the bus's bytes."""
        if id(caller) in self._taps:
            raise Refused(Text("已在监听", "this connection listens already"))
        bus, device = str(request.get("bus") or ""), str(request.get("device") or "")
        if (bus and bus not in self._pollers and bus not in {spec.id for spec in self._site.buses}) or (
            device and device not in self._devices
        ):
            raise Refused(Text("没有这条总线或设备", "there is no such bus or device"))
        heard = {one.id for one in self._site.devices if one.id == device or one.bus == bus or not (bus or device)}
        points = layout(one for one in self._site.devices if one.id in heard)
        taps = self._taps[id(caller)] = _Taps(points)
        tap = partial(self._scanned, taps, heard)
        self._pipeline.taps.append(tap)
        caller.leaving.append(lambda: self._pipeline.taps.remove(tap))
        caller.leaving.append(partial(self._taps.__delitem__, id(caller)))
        for name in self._pollers if not (bus or device) else (bus,) if bus in self._pollers else ():
            self._tap_bytes(name, taps, caller)
        now, wall = self._clock.monotonic(), self._clock.wall()
        return {"devices": sorted(heard), "points": points, "at": now, "wall": wall}

    def _tap_bytes(self, name: str, taps: _Taps, caller: Caller) -> None:
        if any(tells_texts(device) for device in self._site.devices if device.bus == name):
            return
        poller = self._pollers[name]

        def tell(way: str, data: bytes) -> None:
            taps.put({"at": self._clock.monotonic(), "bus": name, way: data.hex()})

        poller.taps.append(tell)
        caller.leaving.append(lambda: poller.taps.remove(tell))

    def _scanned(self, taps: _Taps, heard: set[str], event: Scan | Command) -> None:
        if isinstance(event, Scan):
            if event.device in heard:
                which = {"at": event.at, "device": event.device, "group": event.group}
                taps.put({**which, "values": list(event.values), "qualities": list(event.qualities)})
        else:
            taps.put({"at": event.at, "command": {"action": event.action.value, "alarm": event.alarm}})

    async def heard(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        """What came since it was asked last; waits for a while where that is nothing."""
        taps = self._taps.get(id(caller))
        if taps is None:
            raise Refused(Text("先开始监听", "begin with tap"))
        given = request.get("wait_s")
        known = isinstance(given, int | float) and 0 <= given <= LONGEST_TAP_S  # no NaN: it would spoil the loop's heap
        wait_s = given if known else 1.0
        if not taps.events and taps.ended:
            raise Refused(
                Text(
                    "站点配置已更换，测点不同，监听结束", "the site has been changed, its points differ: this ends here"
                )
            )
        if not taps.events:
            taps.more.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(taps.more.wait(), wait_s)
        events = [taps.events.popleft() for _ in range(min(AT_ONCE, len(taps.events)))]
        return {"events": events, "dropped": taps.dropped}


def layout(devices: Iterable[Device]) -> Layout:
    """The names of the points of each device, group by group, in the order of a scan's values."""
    return {device.id: [[point.name for point in group.points] for group in device.groups] for device in devices}


def tells_texts(device: Device) -> bool:
    """Whether personal data may be in its bytes."""
    return any(point.kind is Kind.TEXT for group in device.groups for point in group.points)
