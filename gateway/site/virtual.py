"""From the `virtual` points of a site file to `rules.virtual` and the built-in device that holds them.

Guarantees: each input is there, of a kind that can be computed with and in one unit; a difference has two inputs and a
rate one, with a window that holds enough of its samples. A wrong device causes no mistake here.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.model import Device, Group, Kind, Point, Text
from gateway.site import rules as site_rules
from gateway.site.devices import declared, items, unique
from gateway.site.shapes_virtual import VirtualShape
from gateway.site.words import validate
from gateway.site.yaml_lines import Document, Keys
from rules.virtual import DEVICE, VirtualSpec

_KINDS = (Kind.INT, Kind.FLOAT)
_MISSING_AFTER = 3
"""Periods of the slowest input, after which one that was not heard is missing."""


def read(document: Document, around: site_rules.Field) -> tuple[tuple[VirtualSpec, ...], Device | None]:
    """What is computed, and the device of its points (none without any), after telling what is wrong."""
    unique(document, "virtual")
    certain = declared(document, "devices") is not None
    found = []
    for keys, item in items(document, "virtual"):
        shape = validate(VirtualShape, item, document, keys)
        if shape is not None and certain:
            found.append(_point(shape, around, document, keys))
    made = [one for one in found if one is not None]
    if not made or len(made) < len(found):  # then nothing can be said of its points
        return (), None
    groups = tuple(Group(point.name, (point,), period_s) for _, point, period_s in made)
    return tuple(spec for spec, _, _ in made), Device(
        DEVICE, "", "", 0, groups, text=Text("计算测点", "computed points")
    )


def _point(
    shape: VirtualShape, around: site_rules.Field, document: Document, keys: Keys
) -> tuple[VirtualSpec, Point, float] | None:
    before = len(document.mistakes)
    inputs = list(_named(shape, around, document, keys) if shape.points else _with_role(shape, around))
    if shape.role and not inputs and not around.unclear:
        document.complain((*keys, "role"), Text("没有这样的测点", "there are no such points"))
    _check(shape, inputs, document, keys)
    if len(document.mistakes) > before or not inputs:
        return None
    period_s = max(around.point_gap_s(point.id) for point in inputs)
    if shape.window_s is not None and shape.window_s < 2 * period_s:
        text = Text(
            f"短于两个采样周期（至少 {2 * period_s:g} 秒）",
            f"shorter than two periods of its point (at least {2 * period_s:g} s)",
        )
        document.complain((*keys, "window_s"), text)
        return None
    name = f"{DEVICE}/{shape.id}"
    ids = tuple(point.id for point in inputs)
    spec = VirtualSpec(name, shape.of, ids, _MISSING_AFTER * period_s, shape.window_s or 0.0)
    kind = Kind.INT if shape.of == "count_true" else Kind.FLOAT
    told = Text(shape.text.zh, shape.text.en) if shape.text is not None else Text(shape.id, shape.id)
    point = Point(
        name, shape.id, kind, shape.unit or _unit(shape, inputs), text=told, dead_band=shape.dead_band,
        longest_interval_s=shape.longest_interval_s,
    )  # fmt: skip
    return spec, point, period_s


def _named(shape: VirtualShape, around: site_rules.Field, document: Document, keys: Keys) -> Iterator[Point]:
    for index, name in enumerate(shape.points):
        at = (*keys, "points", index)
        if name.startswith(f"{DEVICE}/"):
            text = Text("计算测点不能用作输入", "a computed point is no input of another")
            document.complain(at, text)
            continue
        if name in shape.points[:index]:
            document.complain(at, Text("重复", "is there twice"))
        device, point = site_rules.find(name, around, document, at)
        if point is not None:
            yield point
        elif device is not None:
            document.complain(at, Text("须为一个测点", "must be one point"))


def _with_role(shape: VirtualShape, around: site_rules.Field) -> Iterator[Point]:
    for device in around.devices.values():
        if not shape.zone or device.place.zone == shape.zone:
            yield from (point for group in device.groups for point in group.points if point.role == shape.role)


def _check(shape: VirtualShape, inputs: list[Point], document: Document, keys: Keys) -> None:
    key = "points" if shape.points else "role"
    fits = (Kind.BOOL,) if shape.of == "count_true" else _KINDS
    for point in inputs:
        if point.kind not in fits:
            kinds = ", ".join(fits)
            text = Text(
                f"{shape.of} 不能用于 {point.id}（{point.kind}；可用于 {kinds}）",
                f"'{shape.of}' does not fit {point.id}, of kind {point.kind} (it fits {kinds})",
            )
            document.complain((*keys, key), text)
    wanted = {"difference": 2, "rate": 1}.get(shape.of)
    if wanted is not None and shape.points and len(shape.points) != wanted:
        text = Text(f"{shape.of} 须有 {wanted} 个输入", f"'{shape.of}' has {wanted} input{'s' * (wanted > 1)}")
        document.complain((*keys, "points"), text)
    if wanted is not None and shape.role:
        document.complain((*keys, "role"), Text(f"{shape.of} 须写明 points", f"'{shape.of}' needs points"))
    if (shape.of == "rate") != (shape.window_s is not None):
        text = Text("rate 须有 window_s，其他不能有", "a rate has a window_s, and nothing else has")
        document.complain((*keys, "window_s"), text)
    units = sorted({point.unit for point in inputs})
    if len(units) > 1 and shape.of != "count_true":
        told = ", ".join(unit or "-" for unit in units)
        document.complain((*keys, key), Text(f"单位不一致：{told}", f"different units: {told}"))


def _unit(shape: VirtualShape, inputs: list[Point]) -> str:
    if shape.of == "count_true":
        return ""
    unit = inputs[0].unit
    return f"{unit}/s" if shape.of == "rate" and unit else unit
