"""A scene file -> the simulated devices and their story. Every mistake at once, each with its dotted path.

The parts of a scene:

    lines:      [{id, baud: 9600, parity: N, stop_bits: 1, response_s: 0.005, fifo: 8, devices: [DEVICE...]}]
    servers:    [{id, response_s: 0.005, devices: [DEVICE...]}]                  Modbus TCP, one unit a device
    terminals:  [{id, template, address, interval_s: 60, type: 24, limits: [0.14, 1.2], values: {...}}]
    transmitters: [{id, template, address, centre: 1, transport: tcp, heartbeat_s: 20, operator: 1,
                    duty_after_s: 5 | nobody, values: {...}}]                      fire transmission devices
    story:      [STEP...]        see story.py
    expect:     [EXPECTATION...] see expect.py

    DEVICE = {id, template, address, gaps: zero | refused, values: {point: value}}       points not named start at 0
             a fire panel: {id, template: notifier_panel, address, loops: {1: {detectors: [1, 20], modules: [1, 5]}}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from firmware_sim import expect, fault, story
from firmware_sim.bwm826 import Inclinometer
from firmware_sim.expect import Expectation
from firmware_sim.fault import What
from firmware_sim.field import Check, Member, checked, checked_fault
from firmware_sim.line import Timing
from firmware_sim.meokon import STEP_MPA, Gauge
from firmware_sim.modbus import ModbusSlave
from firmware_sim.panel import Panel
from firmware_sim.registers import RegisterMap
from firmware_sim.slave import Slave
from firmware_sim.story import Moment
from firmware_sim.template import Template, load
from firmware_sim.transmitter import Things
from firmware_sim.uitd import Uitd

T = TypeVar("T")


class SceneError(Exception):
    """A scene that cannot be played; one line a mistake. Reaction: `__main__` prints it and exits."""


@dataclass(frozen=True, slots=True)
class LineSpec:
    id: str
    timing: Timing
    slaves: tuple[Slave, ...]


@dataclass(frozen=True, slots=True)
class ServerSpec:
    id: str
    units: tuple[ModbusSlave | Panel, ...]
    response_s: float


@dataclass(frozen=True, slots=True)
class TerminalSpec:
    id: str
    gauge: Gauge
    interval_s: float


@dataclass(frozen=True, slots=True)
class TransmitterSpec:
    id: str
    things: Things
    address: int
    centre: int
    transport: str
    heartbeat_s: float | None
    operator: int
    duty_after_s: float | None

    def device(self) -> Uitd:
        return Uitd(
            self.address,
            self.centre,
            self.things.parts(),
            heartbeat_s=self.heartbeat_s,
            operator=self.operator,
            duty_after_s=self.duty_after_s,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    lines: tuple[LineSpec, ...]
    servers: tuple[ServerSpec, ...]
    terminals: tuple[TerminalSpec, ...]
    transmitters: tuple[TransmitterSpec, ...]
    members: Mapping[str, Member]
    story: tuple[Moment, ...]
    expect: tuple[Expectation, ...]


LINE = frozenset({"id", "baud", "parity", "stop_bits", "response_s", "fifo", "devices"})
SERVER = frozenset({"id", "response_s", "devices"})
TERMINAL = frozenset({"id", "template", "address", "interval_s", "type", "limits", "values"})
TRANSMITTER = frozenset(
    {"id", "template", "address", "centre", "transport", "heartbeat_s", "operator", "duty_after_s", "values"}
)
DEVICE = frozenset({"id", "template", "address", "gaps", "loops", "values"})


def read(path: Path, templates: Path) -> Scene:
    """The scene of a file; SceneError with every mistake in it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SceneError(f"{path}: {error}") from None
    reader = Reader(templates)
    scene = reader.scene(content or {})
    if reader.mistakes:
        raise SceneError("\n".join(f"{path}: {mistake}" for mistake in reader.mistakes))
    return scene


class Reader:
    """Builds the parts of a scene and collects what is wrong with them."""

    def __init__(self, templates: Path) -> None:
        self.mistakes: list[str] = []
        self._templates = templates
        self._members: dict[str, Member] = {}
        self._ids: set[str] = set()

    def scene(self, content: Any) -> Scene:
        if not isinstance(content, Mapping):
            content = {"scene": content}
        for surplus in content.keys() - {"lines", "servers", "terminals", "transmitters", "story", "expect"}:
            self.mistakes.append(f"{surplus}: there is no such part of a scene")
        lines = self._each(content, "lines", self._line)
        servers = self._each(content, "servers", self._server)
        terminals = self._each(content, "terminals", self._terminal)
        transmitters = self._each(content, "transmitters", self._transmitter)
        expectations = self._each(content, "expect", self._expectation)
        self._each(content, "story", self._step)
        moments: list[Moment] = []
        if not self.mistakes:
            start = {
                f"{device}/{name}": value
                for device, member in self._members.items()
                for name, value in member.values.items()
            }
            moments = self._try("story", lambda: story.timeline(content.get("story") or [], start)) or []
            for moment in moments:
                self._try(f"story at {moment.at}", partial(self._check_moment, moment))
        parts = (tuple(lines), tuple(servers), tuple(terminals), tuple(transmitters))
        return Scene(*parts, self._members, tuple(moments), tuple(expectations))

    def _each(self, content: Mapping[str, Any], part: str, build: Callable[[str, Mapping[str, Any]], T]) -> list[T]:
        """Build every entry of a list; those that cannot be built are mistakes and left out."""
        entries = content.get(part) or []
        if not isinstance(entries, list):
            self.mistakes.append(f"{part}: is not a list")
            return []
        built = []
        for index, entry in enumerate(entries):
            path = f"{part}[{index}]"
            if not isinstance(entry, Mapping):
                self.mistakes.append(f"{path}: {entry!r} is not a mapping")
            elif (made := self._try(path, partial(build, path, entry))) is not None:
                built.append(made)
        return built

    def _try(self, path: str, build: Callable[[], T]) -> T | None:
        try:
            return build()
        except KeyError as error:
            self.mistakes.append(f"{path}: {error.args[0]} is missing")
        except (TypeError, ValueError) as error:
            self.mistakes.append(f"{path}: {error}")
        return None

    def _new(self, entry: Mapping[str, Any], known: frozenset[str]) -> str:
        """The id of an entry, which must be new and may say only `known` words."""
        if surplus := entry.keys() - known:
            raise ValueError(f"does not take {', '.join(sorted(map(str, surplus)))}; takes {', '.join(sorted(known))}")
        id = entry["id"]
        if not isinstance(id, str) or not id or id in self._ids:
            raise ValueError(f"id: {id!r} is empty, no text, or given twice")
        self._ids.add(id)
        return id

    def _line(self, path: str, entry: Mapping[str, Any]) -> LineSpec:
        id = self._new(entry, LINE)
        baud, parity = _number(entry, "baud", 9600), entry.get("parity", "N")
        if baud <= 0 or parity not in ("N", "E", "O") or entry.get("stop_bits", 1) not in (1, 2):
            raise ValueError("baud: more than 0; parity: N, E or O; stop_bits: 1 or 2")
        timing = Timing.of(
            int(baud),
            parity,
            entry.get("stop_bits", 1),
            _number(entry, "response_s", 0.005),
            int(_number(entry, "fifo", 8)) or 1,
        )
        slaves = self._each_device(path, entry, ("modbus", "bwm826", "notifier"))
        return LineSpec(id, timing, tuple(slaves))

    def _server(self, path: str, entry: Mapping[str, Any]) -> ServerSpec:
        id = self._new(entry, SERVER)
        slaves = self._each_device(path, entry, ("modbus", "notifier"))
        units = tuple(slave for slave in slaves if isinstance(slave, ModbusSlave | Panel))
        return ServerSpec(id, units, _number(entry, "response_s", 0.005))

    def _each_device(self, path: str, entry: Mapping[str, Any], drivers: Sequence[str]) -> list[Slave]:
        taken: set[tuple[str, int]] = set()

        def build(where: str, device: Mapping[str, Any]) -> Slave:
            return self._slave(device, drivers, taken)

        return self._each({f"{path}.devices": entry.get("devices")}, f"{path}.devices", build)

    def _slave(self, entry: Mapping[str, Any], drivers: Sequence[str], taken: set[tuple[str, int]]) -> Slave:
        id, template = self._new(entry, DEVICE), self._template(entry, drivers)
        address = entry["address"]
        lowest, highest = (1, 247) if template.driver in ("modbus", "notifier") else (0, 0xFFFF)
        if isinstance(address, bool) or not isinstance(address, int) or not lowest <= address <= highest:
            raise ValueError(f"address: {address!r} is not a whole number in {lowest}..{highest}")
        if (template.driver, address) in taken:
            raise ValueError(f"address: {address} is taken")
        taken.add((template.driver, address))
        if template.driver == "bwm826":
            instrument = Inclinometer(id, address)
            self._join(id, template, entry, instrument.check, fault.INSTRUMENT)
            return instrument
        if template.driver == "notifier":
            panel = Panel.of(id, address, entry.get("loops") or {})
            self._join(id, replace(template, names=panel.points()), entry, panel.check, fault.MODBUS)
            return panel
        if entry.get("gaps", "zero") not in ("zero", "refused"):
            raise ValueError(f"gaps: {entry['gaps']!r} is neither zero nor refused")
        slave = ModbusSlave(id, address, RegisterMap(template.maps, entry.get("gaps") == "refused"))
        self._join(id, template, entry, slave.check, fault.MODBUS)
        return slave

    def _terminal(self, path: str, entry: Mapping[str, Any]) -> TerminalSpec:
        id, template = self._new(entry, TERMINAL), self._template(entry, ("meokon",))
        address, kind = entry["address"], entry.get("type", 24)
        if not isinstance(address, str) or not address.isascii() or not 1 <= len(address) <= 12:
            raise ValueError(f"address: {address!r} is not a text of up to 12 characters")
        if kind not in STEP_MPA:
            raise ValueError(f"type: {kind!r} is none of {', '.join(map(str, STEP_MPA))}")
        low, high = entry.get("limits", (0.14, 1.2))
        gauge = Gauge(address, kind, (float(low), float(high)))
        self._join(id, template, entry, gauge.check, fault.TERMINAL)
        return TerminalSpec(id, gauge, _number(entry, "interval_s", 60))

    def _transmitter(self, path: str, entry: Mapping[str, Any]) -> TransmitterSpec:
        id, template = self._new(entry, TRANSMITTER), self._template(entry, ("gb26875",))
        address, centre, operator = (_whole(entry, key, most) for key, most in _WHOLE)
        if entry.get("transport", "tcp") not in ("tcp", "udp"):
            raise ValueError(f"transport: {entry['transport']!r} is neither tcp nor udp")
        after = entry.get("duty_after_s", 5)
        after_s = None if after == "nobody" else _number(entry, "duty_after_s", 5)
        things = Things.of(template.points)
        self._join(id, template, entry, things.check, fault.TERMINAL)
        heartbeat_s = _number(entry, "heartbeat_s", 20) or None
        transport = str(entry.get("transport", "tcp"))
        return TransmitterSpec(id, things, address, centre, transport, heartbeat_s, operator, after_s)

    def _template(self, entry: Mapping[str, Any], drivers: Sequence[str]) -> Template:
        template = load(self._templates, str(entry["template"]))
        if template.driver not in drivers:
            raise ValueError(f"template: {template.name} speaks {template.driver}; here only {', '.join(drivers)}")
        return template

    def _join(
        self, id: str, template: Template, entry: Mapping[str, Any], check: Check, faults: frozenset[What]
    ) -> None:
        """Enter a device with its first values into the field."""
        stated = entry.get("values") or {}
        if unknown := stated.keys() - set(template.names):
            raise ValueError(f"values: {template.name} has no {', '.join(sorted(map(str, unknown)))}")
        self._members[id] = Member(dict.fromkeys(template.names, 0), check, faults)
        values = {name: checked(self._members, f"{id}/{name}", value) for name, value in stated.items()}
        self._members[id] = Member(dict.fromkeys(template.names, 0) | values, check, faults)

    def _step(self, path: str, entry: Mapping[str, Any]) -> None:
        """The points of a step; times and shapes are the timeline's."""
        shapes = (entry[name] for name in ("ramp", "creep") if name in entry)
        for point in [*dict(entry.get("set") or {}), *(shape["point"] for shape in shapes)]:
            device, _, name = str(point).partition("/")
            if device not in self._members or name not in self._members[device].values:
                raise ValueError(f"there is no point {point}")

    def _check_moment(self, moment: Moment) -> None:
        for point, value in moment.points.items():
            checked(self._members, point, value)
        if moment.fault is not None:
            checked_fault(self._members, moment.fault)

    def _expectation(self, path: str, entry: Mapping[str, Any]) -> Expectation:
        expectation = expect.parse(entry)
        if expectation.device not in self._members or (
            expectation.point and expectation.point not in self._members[expectation.device].values
        ):
            raise ValueError(f"there is no point {expectation.device}/{expectation.point}")
        return expectation


_WHOLE = (("address", 2**48 - 1), ("centre", 2**48 - 1), ("operator", 255))


def _whole(entry: Mapping[str, Any], key: str, most: int) -> int:
    value = entry[key] if key == "address" else entry.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{key}: {value!r} is not a whole number in 0..{most}")
    return value


def _number(entry: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = entry.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{key}: {value!r} is not a number of at least 0")
    return value
