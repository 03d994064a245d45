"""What ``gengfu check`` says of a site file beyond its mistakes: devices, points, the time of one round of each bus, and how
late an alarm can be with no, one or two dead devices on its bus.

The times are estimates from the bytes on the line: a device is taken to answer after `TURNAROUND_S`; a driver that does
not say what it will ask (`Driver.exchanges`) is judged by the first exchange of each group. Rates, disk and district are
left out. Nothing is opened but the site file, its templates and the uplinks' certificates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from drivers import DRIVERS
from drivers.contract import Driver, Exchange, Framing
from gateway import keys
from gateway.blueprint import Site
from gateway.config import load
from gateway.errors import BusError, ConfigError
from gateway.model import BusKind, BusSpec, Device, Text
from gateway.site.rules import TURNAROUND_S, leaves
from rules import spec

NETWORK_S = 0.01
SHORTEST_DRAIN_S = 0.3
"""After a time-out the line is drained for max(time-out, 0.3 s) (reliability.md, rule 7)."""


class Table(NamedTuple):
    """For the command line to draw."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class BusReport:
    id: str
    kind: str
    where: str
    devices: int
    points: int
    round_s: float
    """Every group of every device once, all of them answering; 0 where the terminals call."""
    lost_s: float
    """What a device that has just died costs in a round, until it is probed only after the live ones."""


@dataclass(frozen=True, slots=True)
class DeviceReport:
    id: str
    bus: str
    address: int | str
    name: str
    place: str
    points: int
    fastest_s: float
    proved: bool
    """Whether its template was proved by frames of the manual or a recorded device."""
    simulated: bool


@dataclass(frozen=True, slots=True)
class AlarmReport:
    id: str
    cls: str
    severity: str
    text: str
    place: str
    worst_s: tuple[float, float, float]
    """From the change at the sensor to the decision, with 0, 1 and 2 dead devices on the bus."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    gateway: str
    buses: tuple[BusReport, ...]
    devices: tuple[DeviceReport, ...]
    alarms: tuple[AlarmReport, ...]

    def to_json(self) -> dict[str, Any]:
        return {"ok": True, **asdict(self)}

    def tables(self) -> list[Table]:
        return [
            Table(
                f"Buses of {self.gateway} 总线",
                (
                    "bus 总线",
                    "kind 类型",
                    "where 位置",
                    "devices 设备",
                    "points 测点",
                    "round 一轮",
                    "lost to a dead one 失联损失",
                ),
                tuple(
                    (bus.id, bus.kind, bus.where, str(bus.devices), str(bus.points), _s(bus.round_s), _s(bus.lost_s))
                    for bus in self.buses
                ),
            ),
            Table(
                "Devices 设备",
                (
                    "device 设备",
                    "name and place 名称和位置",
                    "bus, address 总线、地址",
                    "points 测点",
                    "fastest 最快周期",
                    "template 模板",
                ),
                tuple(
                    (
                        device.id,
                        f"{device.name}\n{device.place}".strip(),
                        f"{device.bus} {device.address}",
                        str(device.points),
                        _s(device.fastest_s),
                        "proved 已验证" if device.proved else "UNPROVED 未验证",
                    )
                    for device in self.devices
                ),
            ),
            Table(
                "Alarms, and how late they can be 报警及最坏延迟",
                ("alarm 报警", "text 文字", "class 类别", "with 0, 1, 2 dead devices 0、1、2 台设备失联时"),
                tuple(
                    (alarm.id, alarm.text, f"{alarm.cls}, {alarm.severity}", " / ".join(map(_s, alarm.worst_s)))
                    for alarm in self.alarms
                ),
            ),
        ]


def check(path: Path, templates: Path | None = None, drivers: Mapping[str, Driver] = DRIVERS) -> CheckReport:
    """Raises `ConfigError` with every mistake, those of the uplinks' certificates and keys included."""
    site = load(path, templates, drivers)
    if mistakes := keys.mistakes(site):
        raise ConfigError(mistakes)
    return report(site, drivers)


def report(site: Site, drivers: Mapping[str, Driver] = DRIVERS) -> CheckReport:
    buses = {bus.id: bus for bus in site.buses}
    devices = {device.id: device for device in site.devices}
    polls = {device.id: _polls_s(device, buses[device.bus], drivers[device.driver]) for device in site.devices}
    rounds = {bus: sum(sum(polls[device.id]) for device in site.devices if device.bus == bus) for bus in buses}
    lost = {bus.id: _lost_s(bus, site, drivers) for bus in site.buses}
    return CheckReport(
        site.gateway.id,
        tuple(_bus(bus, site, rounds[bus.id], lost[bus.id]) for bus in site.buses),
        tuple(_device(device, site) for device in site.devices),
        tuple(
            AlarmReport(
                alarm.id,
                alarm.cls.value,
                alarm.severity.name.lower(),
                _both(alarm.text),
                _both(alarm.place.text()),
                tuple(_worst_s(alarm, seen, dead, devices, buses, polls, rounds, lost) for dead in (0, 1, 2)),  # type: ignore[arg-type]  # three of them
            )
            for alarm in site.alarms
            for seen in (_read(alarm.when, site),)
        ),
    )


def _bus(bus: BusSpec, site: Site, round_s: float, lost_s: float) -> BusReport:
    devices = [device for device in site.devices if device.bus == bus.id]
    where = bus.port if bus.kind is BusKind.SERIAL else f"{bus.host}:{bus.tcp_port}"
    points = sum(len(group.points) for device in devices for group in device.groups)
    return BusReport(bus.id, bus.kind.value, where, len(devices), points, round_s, lost_s)


def _device(device: Device, site: Site) -> DeviceReport:
    return DeviceReport(
        device.id,
        device.bus,
        device.address,
        _both(device.text),
        _both(device.place.text()),
        sum(len(group.points) for group in device.groups),
        min(group.period_s for group in device.groups),
        device.id not in site.unproved,
        device.simulated,
    )


def _read(when: spec.Condition, site: Site) -> frozenset[str]:
    """The points that are read for a condition: of a computed one its inputs; none for silence, which has its own time."""
    silent = Counter(leaf.point for leaf in leaves(when) if isinstance(leaf, spec.Stale))
    inputs = {one.id: one.points for one in site.computed}
    looked_at = Counter(spec.looked_at(when)) - silent
    return frozenset(point for one in looked_at for point in inputs.get(one, (one,)))


def _worst_s(
    alarm: spec.AlarmSpec,
    read: frozenset[str],
    dead: int,
    devices: Mapping[str, Device],
    buses: Mapping[str, BusSpec],
    polls: Mapping[str, tuple[float, ...]],
    rounds: Mapping[str, float],
    lost: Mapping[str, float],
) -> float:
    """A change that comes just after a read is seen by the next one, a period or a whole round later."""
    worst_s = max((leaf.for_s for leaf in leaves(alarm.when) if isinstance(leaf, spec.Stale)), default=0.0)
    for one in read:
        name, _, point = one.partition("/")
        if name not in devices:  # the gateway's own: at once
            continue
        device, bus = devices[name], buses[devices[name].bus]
        if bus.kind is BusKind.LISTEN:
            seen_s = bus.longest_silence_s
        else:
            index = next(i for i, group in enumerate(device.groups) if any(p.name == point for p in group.points))
            round_s = rounds[bus.id] + dead * lost[bus.id]
            seen_s = max(device.groups[index].period_s, round_s) + polls[name][index]
        worst_s = max(worst_s, seen_s)
    return worst_s + alarm.on_delay_s


def _lost_s(bus: BusSpec, site: Site, drivers: Mapping[str, Driver]) -> float:
    """The longest time-out of its devices, and the drain after it."""
    if bus.kind is BusKind.LISTEN:
        return 0.0
    own = [_first(device, bus, drivers[device.driver]).timeout_s for device in site.devices if device.bus == bus.id]
    longest_s = max((bus.reply_timeout_s if one is None else one for one in own), default=bus.reply_timeout_s)
    return longest_s + (max(bus.reply_timeout_s, SHORTEST_DRAIN_S) if bus.speaks is BusKind.SERIAL else 0.0)


def _first(device: Device, bus: BusSpec, driver: Driver, group: int = 0) -> Exchange:
    assert driver.open is not None  # config lets only drivers that ask onto such a bus
    return next(driver.open(device, bus.speaks)(group))


def _polls_s(device: Device, bus: BusSpec, driver: Driver) -> tuple[float, ...]:
    """How long a poll of each group occupies the bus."""
    if driver.open is None:
        return tuple(0.0 for _ in device.groups)
    if driver.exchanges is not None:
        sizes = driver.exchanges(device, bus.speaks)
    else:
        firsts = [_first(device, bus, driver, index) for index in range(len(device.groups))]
        sizes = [[(len(first.request), _reply_bytes(first.framing))] for first in firsts]
    settle_s = _first(device, bus, driver).settle_s
    return tuple(sum(_exchange_s(bus, *size) + settle_s for size in group) for group in sizes)


def _exchange_s(bus: BusSpec, request_bytes: int, reply_bytes: int) -> float:
    network_s = NETWORK_S if bus.kind is BusKind.TCP else 0.0
    if bus.speaks is not BusKind.SERIAL:
        return network_s + TURNAROUND_S
    character_s = (9 + bus.stop_bits + (bus.parity != "N")) / bus.baud
    silence_s = max(3.5 * character_s, 0.00175)
    return (request_bytes + reply_bytes) * character_s + 2 * silence_s + TURNAROUND_S + network_s


def _reply_bytes(framing: Framing) -> int:
    """The length of the reply as its first bytes tell it: try what may begin one, until the length stays."""
    begin = bytearray()
    for _ in range(4):
        for byte in range(256):
            try:
                framing(bytes((*begin, byte)))
            except BusError:
                continue
            begin.append(byte)
            break
    return framing(begin)


def _both(text: Text) -> str:
    return " ".join(part for part in text if part)


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds else "-"
