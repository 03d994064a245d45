"""From the `outputs` and `keys` of a site file to what `gateway.outputs` drives.

Guarantees: an output is a point that its template declares as one, on a device that is asked, or a GPIO line; each is used
once. A key's value is one that its point can have. A wrong device causes no further mistake here.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

from gateway.annunciator import LONGEST_ON_S, Kind, Line, OutputSpec
from gateway.blueprint import GuardRoom
from gateway.button import KeySpec
from gateway.model import AlarmClass, BusKind, Text
from gateway.site import rules as site_rules
from gateway.site.devices import declared, items, unique
from gateway.site.limits import KINDS, LEAVES
from gateway.site.shapes_outputs import Ended, GpioShape, KeyShape, OutputShape
from gateway.site.shapes_when import EqualsShape
from gateway.site.words import validate
from gateway.site.yaml_lines import Document, Keys


def read(document: Document, root: Path, around: site_rules.Field) -> GuardRoom:
    """What the file says, after telling what is wrong."""
    reader = _Reader(document, root, around)
    outputs = [reader.output(keys, item) for keys, item in items(document, "outputs")]
    pushed = [reader.key(keys, item) for keys, item in items(document, "keys")]
    unique(document, "outputs")
    unique(document, "keys")
    return GuardRoom(tuple(one for one in outputs if one), tuple(one for one in pushed if one))


class _Reader:
    def __init__(self, document: Document, root: Path, around: site_rules.Field) -> None:
        self._document, self._root, self._around = document, root, around
        self._certain = declared(document, "devices") is not None
        self._taken: dict[str | tuple[str, int], Keys] = {}

    def output(self, keys: Keys, item: Any) -> OutputSpec | None:
        shape = validate(OutputShape, item, self._document, keys)
        if shape is None:
            return None
        lamp = shape.kind == "lamp"
        if lamp and shape.longest_on_s is not None:
            text = Text("只用于 sounder", "is for a sounder")
            self._document.complain((*keys, "longest_on_s"), text)
        end = self._end(shape, keys)
        if isinstance(end, str) and not self._switches(end, (*keys, "point")):
            return None
        if end is None:
            return None
        longest_s = inf if lamp else shape.longest_on_s or LONGEST_ON_S
        return OutputSpec(shape.id, Kind(shape.kind), _classes(shape), end, longest_s, shape.fail == "off")

    def key(self, keys: Keys, item: Any) -> KeySpec | None:
        shape = validate(KeyShape, item, self._document, keys)
        if shape is None:
            return None
        end = self._end(shape, keys)
        if isinstance(end, Line):
            if "pressed" in shape.model_fields_set:
                text = Text("只用于测点；GPIO 用 active_low", "is for a point; a GPIO line has active_low")
                self._document.complain((*keys, "pressed"), text)
            return KeySpec(shape.id, _classes(shape), end)
        value = self._value(end, shape.pressed, keys) if end is not None else None
        return None if end is None or value is None else KeySpec(shape.id, _classes(shape), end, value)

    def _end(self, shape: Ended, keys: Keys) -> str | Line | None:
        """Where it is; told when it is nowhere, in two places, or taken."""
        if (shape.point is None) == (shape.gpio is None):
            text = Text("point 与 gpio 须写且只写一个", "must have a point, or a gpio")
            self._document.complain(keys, text)
            return None
        end = shape.point if shape.point is not None else self._line(shape.gpio)
        where = (*keys, "point" if isinstance(end, str) else "gpio")
        taken = end if isinstance(end, str) or end is None else (end.chip, end.line)
        if taken is not None and (first := self._taken.setdefault(taken, where)) != where:
            line = self._document.line(first)
            self._document.complain(where, Text(f"第 {line} 行已使用", f"is used already, in line {line}"))
        return end

    def _line(self, shape: GpioShape | None) -> Line | None:
        return None if shape is None else Line(str(self._root / shape.chip), shape.line, shape.active_low)

    def _switches(self, name: str, keys: Keys) -> bool:
        if not self._certain:
            return False
        device, point = site_rules.find(name, self._around, self._document, keys)
        if device is None:
            return False
        if point is None or not point.output:
            outputs = [one.name for group in device.groups for one in group.points if one.output]
            known = "、".join(outputs), ", ".join(outputs)
            text = Text(
                f"不是输出{f'；该设备的输出：{known[0]}' if outputs else '；该设备的模板没有输出'}",
                f"is no output{f'; those of the device: {known[1]}' if outputs else '; the template has none'}",
            )
            self._document.complain(keys, text)
            return False
        return True

    def _value(self, name: str, pressed: Any, keys: Keys) -> Any:
        if not self._certain:
            return None
        device, point = site_rules.find(name, self._around, self._document, (*keys, "point"))
        if device is None:
            return None
        if point is None or point.kind not in KINDS["equals"] or point.output:
            text = Text("按键须是输入的状态测点", "a key is the state of an input")
            self._document.complain((*keys, "point"), text)
            return None
        if self._around.buses[device.bus].kind is BusKind.LISTEN:
            text = Text("按键须在主动采集的设备上", "a key is on a device that is asked, not on one that calls")
            self._document.complain((*keys, "point"), text)
            return None
        said = Document("")
        made: Any = LEAVES["equals"](EqualsShape(point=name, value=pressed), point, said, ())
        if said.mistakes:
            self._document.complain((*keys, "pressed"), Text(said.mistakes[0].zh, said.mistakes[0].en))
            return None
        return made.value


def _classes(shape: Ended) -> frozenset[AlarmClass]:
    return frozenset(map(AlarmClass, shape.classes))
