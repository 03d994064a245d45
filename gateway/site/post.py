"""From the `guard` and `partitions` of a site file to `rules.post`: the guard level and what people arm.

Guarantees: each zone is a point that is there, with a value that it can have; names do not get in each other's way; a
wrong device hides no mistake and causes none here.
"""

from __future__ import annotations

from typing import Any

from gateway.model import BusKind, Text
from gateway.site import rules as site_rules
from gateway.site.devices import declared, items, unique
from gateway.site.limits import KINDS, LEAVES
from gateway.site.schema import GuardShape, PartitionShape, ZoneShape
from gateway.site.shapes_when import EqualsShape
from gateway.site.words import validate
from gateway.site.yaml_lines import Document, Keys
from rules import post
from rules.partition import PartitionSpec, Zone


def read(document: Document, around: site_rules.Field) -> post.PostSpec:
    """What the file says, after telling what is wrong."""
    value = document.value if isinstance(document.value, dict) else {}
    guard = validate(GuardShape, value["guard"], document, ("guard",)) if "guard" in value else GuardShape()
    partitions = _partitions(document, around)
    if guard is None:
        return post.PostSpec(partitions)
    _check_levels(guard, document)
    return post.PostSpec(partitions, tuple(sorted(guard.levels.items())), guard.level)


def _check_levels(guard: GuardShape, document: Document) -> None:
    names = list(guard.levels.values())
    if len(set(names)) < len(names):
        document.complain(("guard", "levels"), Text("名称重复", "two levels have the same name"))
    if any(not name or name.isdecimal() for name in names):
        text = Text("名称不能为空或数字", "a name is not empty and no number")
        document.complain(("guard", "levels"), text)
    if guard.level not in guard.levels:
        document.complain(("guard", "level"), Text("没有这个等级", "there is no such level"))


def _partitions(document: Document, around: site_rules.Field) -> tuple[PartitionSpec, ...]:
    unique(document, "partitions")
    certain = declared(document, "devices") is not None
    rounds = site_rules.rounds_s(around)
    found = []
    for keys, item in items(document, "partitions"):
        shape = validate(PartitionShape, item, document, keys)
        if shape is None or not certain:
            continue
        if shape.id == post.LEVEL or shape.id.endswith((post.MODE, post.INTRUSION)):
            text = Text(f"“{shape.id}”是本站自身的测点", f"'{shape.id}' is a point of the site itself")
            document.complain((*keys, "id"), text)
        zones = [_zone(one, around, rounds, document, (*keys, "zones", index)) for index, one in enumerate(shape.zones)]
        points = [one.point for one in shape.zones]
        for index, point in enumerate(points):
            if point in points[:index]:
                document.complain((*keys, "zones", index, "point"), Text("防区重复", "is a zone already"))
        found.append(
            PartitionSpec(
                shape.id,
                Text(shape.text.zh, shape.text.en),
                tuple(zone for zone in zones if zone is not None),
                shape.exit_delay_s,
                shape.entry_delay_s,
                site_rules.place(shape.place),
            )
        )
    return tuple(found)


def _zone(
    shape: ZoneShape, around: site_rules.Field, rounds: dict[str, float], document: Document, keys: Keys
) -> Zone | None:
    device, point = site_rules.find(shape.point, around, document, (*keys, "point"))
    if device is None:
        return None
    if point is None or point.kind not in KINDS["equals"]:
        text = Text(
            "防区须是状态测点（开关量、枚举、整数、文字）",
            "a zone is a state: a boolean, enumeration, whole number or text",
        )
        document.complain((*keys, "point"), text)
        return None
    said = Document("")
    made: Any = LEAVES["equals"](EqualsShape(point=shape.point, value=shape.opened), point, said, ())
    if said.mistakes:
        document.complain((*keys, "opened"), Text(said.mistakes[0].zh, said.mistakes[0].en))
        return None
    bus = around.buses[device.bus]
    period_s = next(group.period_s for group in device.groups if point in group.points)
    calls = bus.kind is BusKind.LISTEN
    stale_s = bus.longest_silence_s if calls else max(3.0, round(3 * max(rounds[bus.id], period_s), 1))
    place = device.place.text()
    text = Text(f"{place.zh} {device.text.zh}：{point.text.zh}".strip(), _en(device.text.en, point.text.en, place.en))
    return Zone(shape.point, text, made.value, shape.entry, shape.interior, stale_s)


def _en(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
