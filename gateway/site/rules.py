"""From the alarms of a site file to `rules.spec`: are the points there, and can each condition ever be true and end?

Guarantees: every reference is checked, with the nearest known name; a condition on a point of the wrong kind, a limit
that the instrument cannot reach, an alarm that could never clear and a window too short for its point are mistakes.
A device whose own description is wrong hides no mistake of others and causes none here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.model import AlarmClass, BusKind, BusSpec, Device, Group, Place, Point, PointClass, Severity, Text
from gateway.site.limits import KINDS, LEAVES
from gateway.site.schema import AlarmShape, PlaceShape
from gateway.site.shapes_when import KOfNShape, WhenShape
from gateway.site.words import nearest
from gateway.site.yaml_lines import Document, Keys
from rules import spec

TURNAROUND_S = 0.02
"""What a device on a line is taken to need before it answers."""
_FIRST_SIGNAL = (AlarmClass.FIRE, AlarmClass.PERSONAL)
_FIRST_SIGNAL_S = 10.0
"""GB 26875.1-2011 clause 4: a fire alarm reaches the centre within 10 s (standards.md 1.11, 6.4)."""
_LIFE = (AlarmClass.FIRE, AlarmClass.PERSONAL, AlarmClass.ENTRAPMENT)

Leaf: TypeAlias = spec.Above | spec.Below | spec.Outside | spec.Equals | spec.Bit | spec.Rate | spec.Stale


@dataclass(frozen=True, slots=True)
class Field:
    """What conditions can be about."""

    devices: Mapping[str, Device]
    buses: Mapping[str, BusSpec]
    unclear: Collection[str]
    """Devices that the file has but whose description is wrong: nothing can be said of their points."""

    def longest_gap_s(self, device: Device, group: Group) -> float:
        """The time between two samples of a healthy device."""
        bus = self.buses[device.bus]
        return bus.longest_silence_s / 2 if bus.kind is BusKind.LISTEN else group.period_s

    def slow(self, when: spec.Condition, limit_s: float) -> Iterator[tuple[str, float]]:
        """Points that are polled more rarely than every `limit_s`, each with its period."""
        for point in sorted(spec.points(when)):
            device = self.devices[point.partition("/")[0]]
            for group in device.groups:
                polled = self.buses[device.bus].kind is not BusKind.LISTEN
                if polled and group.period_s > limit_s and any(one.id == point for one in group.points):
                    yield point, group.period_s


def condition(when: WhenShape, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    """The condition as the engine takes it; None after telling `document` what is wrong."""
    part = when.only()
    name = type(when).model_fields[next(iter(when.model_fields_set))].alias or next(iter(when.model_fields_set))
    at = (*keys, name)
    if isinstance(part, WhenShape):
        inner = condition(part, field, document, at)
        return None if inner is None else spec.Not(inner)
    if isinstance(part, list):
        several = _several(part, field, document, at)
        if several is None:
            return None
        return spec.All(several) if name == "all" else spec.Any(several)
    if isinstance(part, KOfNShape):
        several = _several(part.of, field, document, (*at, "of"))
        if several is None:
            return None
        _window(
            part.within_s, [leaf.point for one in several for leaf in leaves(one)], field, document, (*at, "within_s")
        )
        return spec.KOfN(part.k, several, part.within_s)
    return _leaf(name, part, field, document, at)


def leaves(when: spec.Condition) -> Iterator[Leaf]:
    """The conditions on points, in the order of the file."""
    if isinstance(when, spec.Not):
        yield from leaves(when.of)
    elif isinstance(when, spec.All | spec.Any | spec.KOfN):
        for one in when.of:
            yield from leaves(one)
    else:
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
    first = field.devices[next(leaves(when)).point.partition("/")[0]]
    where = place(shape.place) if shape.place is not None else first.place
    text = Text(shape.text.zh, shape.text.en)
    return spec.AlarmSpec(
        shape.id, cls, severity, when, text, where, shape.on_delay_s, shape.off_delay_s, shape.latching
    )


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


def _several(parts: list[WhenShape], field: Field, document: Document, keys: Keys) -> tuple[spec.Condition, ...] | None:
    made = [condition(part, field, document, (*keys, index)) for index, part in enumerate(parts)]
    right = tuple(one for one in made if one is not None)
    return right if len(right) == len(made) else None


def _leaf(name: str, part: Any, field: Field, document: Document, keys: Keys) -> spec.Condition | None:
    device, point = _find(part.point, field, document, (*keys, "point"))
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
    for key in ("window_s", "for_s"):
        if hasattr(part, key):
            _window(getattr(part, key), [part.point], field, document, (*keys, key))
    return made if len(document.mistakes) == before else None


def _find(name: str, field: Field, document: Document, keys: Keys) -> tuple[Device | None, Point | None]:
    """Device and point; no point for ``device/*``; nothing after telling what is unknown."""
    device_id, _, point_name = name.partition("/")
    if device_id in field.unclear:
        return None, None
    device = field.devices.get(device_id)
    if device is None:
        hint = nearest(device_id, field.devices)
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
    _window(part.for_s, [part.point], field, document, (*keys, "for_s"))
    return spec.Stale(part.point, part.for_s) if len(document.mistakes) == before else None


def _window(window_s: float, points: list[str], field: Field, document: Document, keys: Keys) -> None:
    """A window shorter than two periods holds one sample or none."""
    gaps = []
    for name in points:
        device_id, _, point_name = name.partition("/")
        device = field.devices[device_id]
        groups = [group for group in device.groups if point_name in ("*", *(point.name for point in group.points))]
        gaps.append(min(field.longest_gap_s(device, group) for group in groups))
    shortest_s = 2 * max(gaps)
    if window_s < shortest_s:
        text = Text(
            f"短于两个采样周期（至少 {shortest_s:g} 秒）",
            f"shorter than two periods of its point (at least {shortest_s:g} s)",
        )
        document.complain(keys, text)
