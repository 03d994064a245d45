"""From the alarms of a site file to `rules.spec`: are the points there, and can each condition ever be true and end?

Guarantees: every reference is checked, with the nearest known name; a condition on a point of the wrong kind, a limit
that the instrument cannot reach, an alarm that could never clear and a window too short for its point are mistakes.
A device whose own description is wrong hides no mistake of others and causes none here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from gateway.model import AlarmClass, BusKind, BusSpec, Device, Group, Kind, Place, Point, PointClass, Severity, Text
from gateway.site.compound import COMPOUND, Builder
from gateway.site.limits import KINDS, LEAVES
from gateway.site.schema import AlarmShape, PlaceShape
from gateway.site.shapes_when import CelShape, WhenShape
from gateway.site.words import nearest
from gateway.site.yaml_lines import Document, Keys
from rules import expression, spec

TURNAROUND_S = 0.02
"""What a device on a line is taken to need before it answers."""
_FIRST_SIGNAL = (AlarmClass.FIRE, AlarmClass.PERSONAL)
_FIRST_SIGNAL_S = 10.0
"""GB 26875.1-2011 clause 4: a fire alarm reaches the centre within 10 s (standards.md 1.11, 6.4)."""
_LIFE = (AlarmClass.FIRE, AlarmClass.PERSONAL, AlarmClass.ENTRAPMENT)

Leaf: TypeAlias = (
    spec.Above
    | spec.Below
    | spec.Outside
    | spec.Equals
    | spec.Bit
    | spec.Rate
    | spec.Stale
    | spec.Changed
    | spec.Frozen
)
NO_LEAF = (
    spec.Cel, spec.Schedule, spec.All, spec.Any, spec.Not, spec.KOfN, spec.Held, spec.Times, spec.Sequence,
    spec.Absence, spec.Latch, spec.Captured,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """What conditions can be about."""

    devices: Mapping[str, Device]
    buses: Mapping[str, BusSpec]
    unclear: Collection[str]
    """Devices that the file has but whose description is wrong: nothing can be said of their points."""

    builtin: Mapping[str, Device] = dataclasses.field(default_factory=dict)
    """Devices that the gateway makes itself: on no bus, read at the period of their group."""
    holidays: tuple[int, ...] = ()
    workdays: tuple[int, ...] = ()

    def device(self, name: str) -> Device | None:
        return self.devices.get(name) or self.builtin.get(name)

    def polled(self, device: Device) -> bool:
        """Not one that speaks when it likes."""
        return device.id in self.builtin or self.buses[device.bus].kind is not BusKind.LISTEN

    def longest_gap_s(self, device: Device, group: Group) -> float:
        """The time between two samples of a healthy device."""
        return group.period_s if self.polled(device) else self.buses[device.bus].longest_silence_s / 2

    def point_gap_s(self, point: str) -> float:
        """The same of a point, or with ``device/*`` of the device's fastest group."""
        name, _, point_name = point.partition("/")
        device = self.device(name)
        assert device is not None  # found before
        groups = [group for group in device.groups if point_name in ("*", *(one.name for one in group.points))]
        return min(self.longest_gap_s(device, group) for group in groups)

    def gap_s(self, when: spec.Condition) -> float:
        """The longest of a condition's points."""
        return max(map(self.point_gap_s, spec.points(when)), default=0.0)

    def slow(self, when: spec.Condition, limit_s: float) -> Iterator[tuple[str, float]]:
        """Points that are polled more rarely than every `limit_s`, each with its period."""
        for point in sorted(spec.points(when)):
            device = self.device(point.partition("/")[0])
            if device is None or point.endswith("/*"):
                continue
            if self.polled(device) and self.point_gap_s(point) > limit_s:
                yield point, self.point_gap_s(point)


def condition(when: WhenShape, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    """The condition as the engine takes it; None after telling `document` what is wrong."""
    part = when.only()
    name = type(when).model_fields[next(iter(when.model_fields_set))].alias or next(iter(when.model_fields_set))
    at = (*keys, name)
    if isinstance(part, CelShape):
        return _expression(part, field, document, at)
    if name not in COMPOUND:
        return _leaf(name, part, field, document, at)

    def build(inner: WhenShape, inside: Keys) -> spec.Condition | None:
        return condition(inner, field, document, inside)

    return COMPOUND[name](part, Builder(build, field.gap_s, field.holidays, field.workdays, document, at))


def leaves(when: spec.Condition) -> Iterator[Leaf]:
    """The conditions on one point, in the order of the file."""
    parts = spec.parts(when)
    for one in parts:
        yield from leaves(one)
    if not parts and not isinstance(when, NO_LEAF):
        yield when


def alarm(shape: AlarmShape, when: spec.Condition, field: Field, document: Document, keys: Keys) -> spec.AlarmSpec:
    """The alarm, after telling `document` where class, severity, delay and latching do not fit together."""
    cls, severity = AlarmClass(shape.cls), Severity[shape.severity.upper()]
    if cls in _LIFE and severity < Severity.HIGH:
        text = Text("火警、求助、困人须为 high 或 critical", "fire, personal and entrapment are high or critical")
        document.complain((*keys, "severity"), text)
    if cls is AlarmClass.FIRE and not shape.latching:
        text = Text(
            "火警须自保持（latching: true），由人复位", "a fire alarm latches (latching: true): a person resets it"
        )
        document.complain((*keys, "latching"), text)
    if cls in _FIRST_SIGNAL and shape.on_delay_s > _FIRST_SIGNAL_S:
        text = Text("火警和求助的延时不得超过 10 秒", "a fire or personal alarm is not delayed by more than 10 s")
        document.complain((*keys, "on_delay_s"), text)
    elif cls in _FIRST_SIGNAL:
        for point, period_s in field.slow(when, _FIRST_SIGNAL_S):
            text = Text(
                f"{point} 每 {period_s:g} 秒才读一次；火警和求助不得晚于 10 秒",
                f"{point} is read every {period_s:g} s; a fire or personal alarm takes at most 10 s",
            )
            document.complain((*keys, "when"), text)
    looked_at = [field.device(point.partition("/")[0]) for point in spec.looked_at(when)]
    # A place of its own has only a device on a bus.
    first = next((device for device in looked_at if device is not None and device.id in field.devices), None)
    if not looked_at:
        document.complain((*keys, "when"), Text("没有用到任何测点", "looks at no point"))
    where = place(shape.place) if shape.place is not None else Place() if first is None else first.place
    text = Text(shape.text.zh, shape.text.en)
    made = spec.AlarmSpec(
        shape.id, cls, severity, when, text, where, shape.on_delay_s, shape.off_delay_s, shape.latching
    )
    longest_s = made.max_shelve_s if shape.max_shelve_s is None else shape.max_shelve_s
    advice = None if shape.advice is None else Text(shape.advice.zh, shape.advice.en)
    hidden = _suppressed_by(shape, field, document, keys)
    return replace(made, realarm_s=shape.realarm_s, suppressed_by=hidden, max_shelve_s=longest_s, advice=advice)


def _suppressed_by(shape: AlarmShape, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    """What hides the alarm, after telling where nothing may: a life hangs on it (standards.md 6.1)."""
    if AlarmClass(shape.cls) in spec.LIFE:
        for key in (name for name in ("suppressed_by", "max_shelve_s") if name in shape.model_fields_set):
            text = Text("火警、求助、困人不得抑制或搁置", "a fire, personal or entrapment alarm is never hidden")
            document.complain((*keys, key), text)
        return None
    if shape.suppressed_by is None:
        return None
    return condition(shape.suppressed_by, field, document, (*keys, "suppressed_by"))


def silent(device: Device, field: Field, round_s: float) -> spec.AlarmSpec:
    """The supervision alarm that every device has: silence is a sample, and must reach somebody (law 1).

    Of the device as a whole, and of each of its safety points: a detector whose temperature can be read and whose fire bit
    cannot is a dead one. After three polls of the (fastest) group, but at least 3 s (R23: 30 s or 3 polls); a line that
    needs longer than the period for one round (`round_s`) polls as often as it can. A terminal that speaks first: its
    bus's longest silence."""
    bus = field.buses[device.bus]

    def for_s(period_s: float) -> float:
        return bus.longest_silence_s if bus.kind is BusKind.LISTEN else max(3.0, round(3 * max(round_s, period_s), 1))

    points = [
        spec.Stale(point.id, for_s(group.period_s))
        for group in device.groups
        for point in group.points
        if point.cls is PointClass.SAFETY
    ]
    whole = spec.Stale(f"{device.id}/*", for_s(min(group.period_s for group in device.groups)))
    when = spec.Any((whole, *points)) if points else whole
    severity = Severity.HIGH if any(group.safety for group in device.groups) else Severity.MEDIUM
    text = Text(f"{device.text.zh} 无响应或无有效数据", f"{device.text.en}: not responding, or without valid values")
    return spec.AlarmSpec(f"{device.id}/silent", AlarmClass.FAULT, severity, when, text, device.place)


def rounds_s(field: Field) -> dict[str, float]:
    """A generous guess of one round of each serial line, from the number of points alone: the drivers are not opened
    for it (`gateway.check` does that), and one that is too long only makes `silent` wait a little longer."""
    rounds = dict.fromkeys(field.buses, 0.0)
    for device in field.devices.values():
        bus = field.buses[device.bus]
        if bus.speaks is BusKind.SERIAL:
            characters = sum(20 + 4 * len(group.points) for group in device.groups)
            rounds[bus.id] += characters * 11 / bus.baud + TURNAROUND_S * len(device.groups)
    return rounds


def place(shape: PlaceShape) -> Place:
    return Place(shape.grid, shape.building, shape.unit, shape.floor, shape.flat, shape.position, shape.zone)


def _leaf(name: str, part: Any, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    device, point = find(part.point, field, document, (*keys, "point"))
    if device is None:
        return None
    if point is None:
        return _whole_device(name, part, field, device, document, keys)
    if point.kind not in KINDS[name]:
        fits = ", ".join(KINDS[name])
        text = Text(
            f"{name} 不能用于 {point.kind} 测点（可用于 {fits}）",
            f"'{name}' does not fit a point of kind {point.kind} (it fits {fits})",
        )
        document.complain((*keys, "point"), text)
        return None
    before = len(document.mistakes)
    made = LEAVES[name](part, point, document, keys)
    for key in ("window_s", "for_s", "within_s"):
        if hasattr(part, key):
            _window(getattr(part, key), part.point, field, document, (*keys, key))
    return made if len(document.mistakes) == before else None


def _expression(part: CelShape, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    kinds: dict[str, type[bool] | type[float] | type[str]] = {}
    for name, point_id in part.points.items():
        device, point = find(point_id, field, document, (*keys, "points", name))
        if point is not None:
            kinds[name] = {Kind.BOOL: bool, Kind.TEXT: str}.get(point.kind, float)
        elif device is not None:
            document.complain((*keys, "points", name), Text("须为一个测点", "must be one point"))
    if len(kinds) < len(part.points):
        return None
    wrong = expression.mistake(part.expr, kinds)
    if wrong is not None:
        document.complain((*keys, "expr"), wrong)
        return None
    bools, texts = (tuple(name for name, kind in kinds.items() if kind is one) for one in (bool, str))
    return spec.Cel(part.expr, tuple(part.points.items()), bools, texts)


def find(name: str, field: Field, document: Document, keys: Keys) -> tuple[Device | None, Point | None]:
    """Device and point; no point for ``device/*``; nothing after telling what is unknown."""
    device_id, _, point_name = name.partition("/")
    if device_id in field.unclear:
        return None, None
    device = field.device(device_id)
    if device is None:
        hint = nearest(device_id, [*field.devices, *field.builtin])
        document.complain(keys, Text(f"没有设备“{device_id}”{hint.zh}", f"there is no device '{device_id}'{hint.en}"))
        return None, None
    for group in device.groups:
        for point in group.points:
            if point.name == point_name:
                return device, point
    if point_name == "*":
        return device, None
    hint = nearest(point_name, [point.name for group in device.groups for point in group.points])
    text = Text(
        f"设备“{device_id}”没有测点“{point_name}”{hint.zh}",
        f"device '{device_id}' has no point '{point_name}'{hint.en}",
    )
    document.complain(keys, text)
    return None, None


def _whole_device(
    name: str, part: Any, field: Field, device: Device, document: Document, keys: Keys
) -> spec.Condition | None:
    if name != "stale":
        document.complain((*keys, "point"), Text("“设备/*”只能用于 stale", "device/* is for 'stale' only"))
        return None
    before = len(document.mistakes)
    _window(part.for_s, part.point, field, document, (*keys, "for_s"))
    return spec.Stale(part.point, part.for_s) if len(document.mistakes) == before else None


def _window(window_s: float, point: str, field: Field, document: Document, keys: Keys) -> None:
    """A window shorter than two periods holds one sample or none."""
    shortest_s = 2 * field.point_gap_s(point)
    if window_s < shortest_s:
        text = Text(
            f"短于两个采样周期（至少 {shortest_s:g} 秒）",
            f"shorter than two periods of its point (at least {shortest_s:g} s)",
        )
        document.complain(keys, text)
