"""One look at a device: the bytes, the registers in them, the points that its template makes of them.

Three ways to look: a device of the running gateway's site, in idle slots; a device of a site file, stand-alone; any address
and range of registers, without a template, either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers import DRIVERS
from drivers.modbus_reads import find_reply, pdu_of, rtu_frame, tcp_frame
from gateway.errors import BusError
from gateway.lending import points as point_rows
from gateway.model import BusKind, Device, Quality, Scan, Text
from gateway.poller import tapped
from gateway.tools.channel import Channel, ToolError
from gateway.tools.lines import Asked, OwnLine

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
FUNCTIONS = {name: function for function, name in TABLES.items()}


@dataclass(slots=True)
class Group:
    """One group as it was read just now."""

    name: str
    quality: str
    why: str
    wire: list[tuple[str, bytes]]
    points: list[dict[str, Any]]
    words: list[tuple[str, int, int]] = field(default_factory=list)
    """Table, register, content."""

    def to_json(self) -> dict[str, Any]:
        words = [{"table": table, "register": register, "raw": raw} for table, register, raw in self.words]
        wire = [{way: data.hex()} for way, data in self.wire]
        told = {"group": self.name, "quality": self.quality, "why": self.why}
        return {**told, "wire": wire, "registers": words, "points": self.points}


Look = Callable[[], list[Group]]


def lent(channel: Channel, name: str) -> Look:
    """A device of the running gateway."""
    row = next((row for row in channel.about["devices"] if row["id"] == name), None)
    if row is None:
        known = ", ".join(row["id"] for row in channel.about["devices"])
        raise ToolError(Text(f"没有设备 {name}；已有：{known}", f"no device {name}; known: {known}"))
    bus = next(bus for bus in channel.about["buses"] if bus["id"] == row["bus"])

    def look() -> list[Group]:
        groups = []
        for number, group in enumerate(row["groups"]):
            told = channel.ask({"do": "peek", "device": name, "group": number})
            wire = [(way, bytes.fromhex(data)) for way, data in told["wire"]]
            groups.append(Group(group["name"], told["quality"], told["why"], wire, told["points"]))
            if row["driver"] == "modbus":
                groups[-1].words = words(wire, rtu=bus["rtu"])
        return groups

    return look


def own(line: OwnLine, device: Device) -> Look:
    """A device of a site file, on a line of our own."""
    kind = line.spec.speaks
    opened = DRIVERS[device.driver].open
    if opened is None:
        raise ToolError(Text("该设备主动上报，不能询问", "this device calls by itself and cannot be asked"))
    poll = opened(device, kind)

    def look() -> list[Group]:
        groups = []
        for number, group in enumerate(device.groups):
            wire: list[tuple[str, bytes]] = []
            scan: Scan | None
            quality, why = Quality.GOOD, ""
            try:
                scan = line.perform(tapped(poll(number), _into(wire)))
            except BusError as error:
                scan, quality, why = error.scan, error.quality, str(error)
            else:
                quality = Quality(max(scan.qualities, default=0)) if scan else quality
            groups.append(Group(group.name, quality.label, why, wire, point_rows(device, number, scan, quality)))
            if device.driver == "modbus":
                groups[-1].words = words(wire, rtu=kind is BusKind.SERIAL)
        return groups

    return look


def _into(wire: list[tuple[str, bytes]]) -> Callable[[str, bytes], None]:
    return lambda way, data: wire.append((way, data))


def raw(line: Asked, unit: int, table: str, first: int, count: int) -> Look:
    """Any registers of any address; no template needed."""
    pdu = bytes((FUNCTIONS[table],)) + first.to_bytes(2, "big") + count.to_bytes(2, "big")
    rtu = line.spec.speaks is BusKind.SERIAL
    request = rtu_frame(unit, pdu) if rtu else tcp_frame(1, unit, pdu)

    def look() -> list[Group]:
        heard = line.ask(request, line.spec.reply_timeout_s)
        hit = find_reply(request, heard.data) if rtu else None
        frame = hit[0] if hit else heard.data
        wire = [("tx", request), *([("rx", frame)] if frame else [])]
        quality = Quality.NOT_RESPONDING
        why = "" if frame else "no reply"
        if frame:
            try:
                refused = pdu_of(request, frame, rtu=rtu)[0] & 0x80
                quality = Quality.REFUSED if refused else Quality.GOOD
            except BusError as error:
                quality, why = error.quality, str(error)
        return [Group("", quality.label, why, wire, [], words(wire, rtu=rtu))]

    return look


def words(wire: Sequence[tuple[str, bytes]], *, rtu: bool) -> list[tuple[str, int, int]]:
    """The registers (or bits) in the replies, in the order in which they were read."""
    found = []
    request = b""
    for way, data in wire:
        if way == "tx":
            request = data
            continue
        try:
            pdu = pdu_of(request, data, rtu=rtu)
        except BusError:
            continue
        asked = request[1:-2] if rtu else request[7:]
        if pdu[0] & 0x80 or pdu[0] not in TABLES:
            continue
        first, count = int.from_bytes(asked[1:3], "big"), int.from_bytes(asked[3:5], "big")
        body = pdu[2:]
        for place in range(count):
            if pdu[0] > 2:
                cell = int.from_bytes(body[2 * place : 2 * place + 2], "big")
            else:
                cell = body[place // 8] >> place % 8 & 1 if place // 8 < len(body) else 0
            found.append((TABLES[pdu[0]], first + place, cell))
    return found


def runs(found: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, list[int]]]:
    """Registers that lie one after the other: table, first, contents."""
    made: list[tuple[str, int, list[int]]] = []
    for table, register, content in found:
        if made and made[-1][0] == table and made[-1][1] + len(made[-1][2]) == register:
            made[-1][2].append(content)
        else:
            made.append((table, register, [content]))
    return made
