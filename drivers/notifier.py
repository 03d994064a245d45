"""A NOTIFIER or Honeywell fire panel behind its Modbus gateway, read and never commanded (standards.md 3.1: B).

Each detector and module of a loop has one holding register: 40001 + 400 x (loop - 1) + number - 1 for detectors 1 to 159,
200 further for modules. The word: bit 15 acknowledge block, 14 pre-alarm, 13 trouble, 12 inactive, 11 active, 10 enabled,
9 disabled, 8 fire acknowledged; the low byte is the event type, valid while bit 11 is set; 0xFF says that there is no such
point. A site names its loops (option `loops`), and each address gets its points, which nobody writes down one by one.

Guarantees
* Only function 3 is ever sent: this driver asks through `drivers.modbus`, which cannot do anything else, and has no
  `tells`. The gateway does not acknowledge, silence, reset, disable or activate anything at the panel.
* An absent point is NO_SUCH_REGISTER, never a reassuring 0; a word that says neither active nor inactive nor what else is
  wrong is SENSOR_FAULT. One that says both active and inactive is active. A fire is never hidden by another bit.
* The event is 0 while its point is not active: what stands there then is not valid.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from drivers import modbus
from drivers.contract import Driver, Exchange, Poll, Reply
from drivers.modbus_at import At as Register
from drivers.modbus_pdu import CrcOrder
from gateway.errors import BusError
from gateway.model import BusKind, Device, Group, Kind, Point, PointClass, Quality, Scan, Text, Value

LOOP_REGISTERS, MODULES_AT, MOST, LOOPS = 400, 200, 159, 10
STATUS_REGISTER = 9499
"""49500, the panel's status word."""
ACTIVE, INACTIVE = 1 << 11, 1 << 12
FIELDS = {"acknowledged": 8, "disabled": 9, "active": 11, "trouble": 13, "pre_alarm": 14}
"""The bit of each; a detector's `active` is called fire."""
ABSENT = 0xFF


@dataclass(frozen=True, slots=True)
class At:
    """A bit or the event of one address, or (of `panel`) the panel's status word."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    of: Literal["detector", "module", "panel"]
    loop: int = 0
    number: int = 0
    field: Literal["active", "pre_alarm", "trouble", "disabled", "acknowledged", "event", "status"] = "status"

    @property
    def register(self) -> int:
        if self.of == "panel":
            return STATUS_REGISTER
        return LOOP_REGISTERS * (self.loop - 1) + (MODULES_AT if self.of == "module" else 0) + self.number - 1


@dataclass(frozen=True, slots=True)
class Loop:
    """The addresses of one loop that are read: first and last; detectors and modules are numbered apart."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    detectors: tuple[int, int] | None = None
    modules: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    loops: dict[int, Loop] = field(default_factory=dict)
    """By number, 1 to 10."""
    loop_period_s: float = 2.0
    max_registers: int = 125
    crc_order: CrcOrder = "low_first"
    timeout_s: float | None = None
    settle_s: float = 0.0


_NAMES = {
    "active": (Text("动作", "active"), ""),
    "pre_alarm": (Text("预警", "pre-alarm"), "pre_alarm"),
    "trouble": (Text("故障", "trouble"), "fault"),
    "disabled": (Text("屏蔽", "disabled"), "isolated"),
    "acknowledged": (Text("火警已在主机确认", "fire acknowledged at the panel"), ""),
    "event": (Text("事件类型", "event type"), ""),
}
"""Name and role of each field."""
_OF = {"detector": Text("探测器", "detector"), "module": Text("模块", "module")}


def grow(device: str, options: Options, periods_s: Mapping[str, float]) -> tuple[Group, ...]:
    """`Driver.grow`: a group for the detectors and one for the modules of each loop."""
    groups = []
    for loop, spec in sorted(options.loops.items()):
        for kind, span in (("detector", spec.detectors), ("module", spec.modules)):
            if span is not None and 1 <= span[0] <= span[1] <= MOST and 1 <= loop <= LOOPS:
                name = f"loop_{loop}_{kind}s"
                points = [
                    _point(device, kind, loop, number, one) for number in range(span[0], span[1] + 1) for one in _NAMES
                ]
                groups.append(Group(name, tuple(points), periods_s.get(name, options.loop_period_s), safety=True))
    return tuple(groups)


def _point(device: str, kind: str, loop: int, number: int, name: str) -> Point:
    text, role = _NAMES[name]
    fire = kind == "detector" and name == "active"
    if fire:
        text, role = Text("火警", "fire"), "fire"
    own = f"l{loop}_{kind[0]}{number:03d}_{'fire' if fire else name}"
    what = _OF[kind]
    return Point(
        f"{device}/{own}",
        own,
        Kind.INT if name == "event" else Kind.BOOL,
        cls=PointClass.STATUS if name in ("event", "acknowledged") else PointClass.SAFETY,
        text=Text(f"回路{loop}{what.zh}{number}{text.zh}", f"loop {loop} {what.en} {number}: {text.en}"),
        source=At("detector" if kind == "detector" else "module", loop, number, name),  # type: ignore[arg-type]  # a key of _NAMES
        role=role,
    )


def _registers(device: Device) -> Device:
    """The same device as plain registers, each address once."""
    groups = []
    for group in device.groups:
        registers = sorted({point.source.register for point in group.points})
        points = tuple(Point(f"{device.id}/{one}", str(one), Kind.INT, source=Register(one)) for one in registers)
        groups.append(replace(group, points=points))
    own: Options = device.options or Options()
    options = modbus.Options(
        max_registers=own.max_registers, crc_order=own.crc_order, timeout_s=own.timeout_s, settle_s=own.settle_s
    )
    return replace(device, driver="modbus", groups=tuple(groups), options=options)


def read(at: At, word: int) -> tuple[Value, Quality]:
    """What one field of a word is worth."""
    if at.of == "panel":
        return word, Quality.GOOD
    active = bool(word & ACTIVE)
    if word & 0xFF == ABSENT and not active:
        return None, Quality.NO_SUCH_REGISTER
    if at.field == "event":
        return word & 0xFF if active else 0, Quality.GOOD
    if not active and not word & INACTIVE and not any(word >> bit & 1 for bit in FIELDS.values()):
        return None, Quality.SENSOR_FAULT
    return word >> FIELDS[at.field] & 1, Quality.GOOD


def _places(group: Group) -> tuple[int, ...]:
    """Of each point, which of the group's registers it is in."""
    places = {register: place for place, register in enumerate(sorted({one.source.register for one in group.points}))}
    return tuple(places[point.source.register] for point in group.points)


def open_device(device: Device, bus: BusKind) -> Poll:
    """`Driver.open`."""
    poll_registers = modbus.open_device(_registers(device), bus)
    places = [_places(group) for group in device.groups]

    def translated(scan: Scan) -> Scan:
        """A scan of registers becomes one of the device's points."""
        values: list[Value] = []
        qualities = bytearray()
        for point, place in zip(device.groups[scan.group].points, places[scan.group], strict=True):
            word = scan.values[place]
            value, quality = read(point.source, word) if isinstance(word, int) else (None, scan.qualities[place])
            values.append(value)
            qualities.append(quality)
        return replace(scan, values=tuple(values), qualities=bytes(qualities))

    def poll(group: int) -> Generator[Exchange, Reply, Scan]:
        try:
            scan = yield from poll_registers(group)
        except BusError as error:
            if error.scan is not None:
                error.scan = translated(error.scan)
            raise
        return translated(scan)

    return poll


def exchanges(device: Device, bus: BusKind) -> list[list[tuple[int, int]]]:
    """`Driver.exchanges`."""
    return modbus.exchanges(_registers(device), bus)


def check(device: Device) -> list[tuple[str, str]]:
    """`Driver.check`."""
    options: Options = device.options or Options()
    mistakes = []
    for loop, spec in options.loops.items():
        if not 1 <= loop <= LOOPS:
            mistakes.append((f"options.loops.{loop}", f"loops are 1 to {LOOPS} / 回路为 1 到 {LOOPS}"))
        for name, span in (("detectors", spec.detectors), ("modules", spec.modules)):
            if span is not None and not 1 <= span[0] <= span[1] <= MOST:
                text = f"first and last of 1 to {MOST} / 起止地址，1 到 {MOST}"
                mistakes.append((f"options.loops.{loop}.{name}", text))
    if not 0.2 <= options.loop_period_s <= 3600:
        mistakes.append(("options.loop_period_s", "must be 0.2 to 3600 / 必须在 0.2 到 3600 之间"))
    for group in device.groups:
        for point in group.points:
            mistakes += _point_mistakes(point)
    return mistakes or modbus.check(_registers(device))


def _point_mistakes(point: Point) -> list[tuple[str, str]]:
    at: At = point.source
    wanted = Kind.INT if at.field in ("event", "status") else Kind.BOOL
    mistakes = []
    if point.kind is not wanted:
        mistakes.append((f"points.{point.name}.kind", f"{at.field} is {wanted} / {at.field} 应为 {wanted}"))
    if (at.of == "panel") != (at.field == "status"):
        mistakes.append((f"points.{point.name}.at.field", "status is the panel's / status 只属于 panel"))
    elif at.of != "panel" and not (1 <= at.loop <= LOOPS and 1 <= at.number <= MOST):
        mistakes.append((f"points.{point.name}.at", "no such loop or number / 没有此回路或地址"))
    return mistakes


NOTIFIER = Driver(
    At, Options, frozenset({BusKind.SERIAL, BusKind.TCP}), open=open_device, check=check, exchanges=exchanges, grow=grow
)
