"""Makes a recording: from the running gateway's taps, or on a line of one's own by asking the site's devices in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import IO, Any

from drivers import DRIVERS
from gateway.blueprint import Site
from gateway.clock import boot_id
from gateway.errors import BusError
from gateway.listening import layout, tells_texts
from gateway.model import BusSpec, Text
from gateway.poller import tapped
from gateway.tools.channel import Channel, ToolError
from gateway.tools.lines import OwnLine
from gateway.tools.recording import Writer
from gateway.tools.scanning import Step, Tell

PACE_S = 0.5
"""Stand-alone: a round of the line begins at most this often."""


def live(file: IO[str], channel: Channel, target: str, lasting_s: float, tell: Tell) -> int:
    """What the running gateway reads; asks nothing itself. Returns the number of events."""
    lines = {
        name: row["id"]
        for row in channel.about["buses"]
        for name in (row["port"] or f"{row['host']}:{row['tcp_port']}", row["id"])
    }
    which = {"bus": lines[target]} if target in lines else {"device": target} if target else {}
    begun = channel.ask({"do": "tap", **which})
    about = channel.about
    header = {
        "started": begun["wall"],
        "boot": about["boot"],
        "gateway": about["gateway"],
        "site_sha256": about["site_sha256"],
        "what": target or "all",
        "points": begun["points"],
    }
    writer = Writer(file, header)
    until = time.monotonic() + lasting_s
    while (left_s := until - time.monotonic()) > 0:
        tell(Step("record 录制", int(lasting_s - left_s), int(lasting_s)))
        for event in channel.ask({"do": "taps", "wait_s": min(1.0, left_s)})["events"]:
            t = round(event.pop("at") - begun["at"], 6)
            if not writer.event({"t": t, **event}):
                return writer.events
    return writer.events


def alone(file: IO[str], site: Site, target: str, lasting_s: float, tell: Tell) -> int:
    """The devices of one line, which may be named by its port, asked in turn on a port of our own. Returns the number of
    events."""
    lines = {name: spec.id for spec in site.buses for name in (where(spec), spec.id)}
    target = lines.get(target, target)
    asked = [one for one in site.devices if target in (one.id, one.bus) and DRIVERS[one.driver].open]
    specs = [spec for spec in site.buses if spec.id in {one.bus for one in asked}]
    if len(specs) != 1:
        names = ", ".join(spec.id for spec in site.buses)
        raise ToolError(
            Text(f"请指定一条线路或一台可询问的设备：{names}", f"name one line, or a device that can be asked: {names}")
        )
    (spec,) = specs
    digest = sha256(site.source.read_bytes()).hexdigest()
    header = {
        "started": time.time(),
        "boot": boot_id(),
        "gateway": site.gateway.id,
        "site_sha256": digest,
        "what": target,
        "points": layout(asked),
    }
    begun = time.monotonic()
    writer = Writer(file, header)
    private = any(tells_texts(device) for device in site.devices if device.bus == spec.id)
    note = _noted(writer, spec.id, begun)
    with OwnLine(spec) as line:
        polls = [(one, DRIVERS[one.driver].open(one, spec.speaks)) for one in asked]  # type: ignore[misc]  # chosen for having it
        while (passed_s := time.monotonic() - begun) < lasting_s:
            tell(Step("record 录制", int(passed_s), int(lasting_s)))
            for device, poll in polls:
                for group in range(len(device.groups)):
                    try:
                        scan = line.perform(poll(group) if private else tapped(poll(group), note))
                    except BusError as error:
                        if error.scan is None:
                            points = len(device.groups[group].points)
                            values, qualities = [None] * points, [int(error.quality)] * points
                        else:
                            values, qualities = list(error.scan.values), list(error.scan.qualities)  # type: ignore[arg-type]  # values may be None
                    else:
                        values, qualities = list(scan.values), list(scan.qualities)
                    t = round(time.monotonic() - begun, 6)
                    event = {"t": t, "device": device.id, "group": group, "values": values, "qualities": qualities}
                    if not writer.event(event):
                        return writer.events
            line.listen(begun + passed_s + PACE_S - time.monotonic())
    return writer.events


def where(spec: BusSpec) -> str:
    """The port of a line as a person names it: a path, or host and port."""
    return spec.port or f"{spec.host}:{spec.tcp_port}"


def _noted(writer: Writer, bus: str, begun: float) -> Callable[[str, bytes], Any]:
    return lambda way, data: writer.event({"t": round(time.monotonic() - begun, 6), "bus": bus, way: data.hex()})
