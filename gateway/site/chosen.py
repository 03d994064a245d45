"""What a site switches on of the rule library: ``library:`` in its file, ``rules:`` and ``without:`` of its devices.

Guarantees: every mistake is told at the line where it can be put right (a parameter that no rule of this device has, one
out of its range, a family that fits no device, a rule left out that was not there), and a rule whose alarm would be a
mistake in a site file is one here. What was applied and what was left out, with its reason, is kept to be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gateway.model import Device, Text
from gateway.site import library
from gateway.site import rules as site_rules
from gateway.site.expansion import Expansion, Neighbours, Subject, concerns, fits, of_device, of_zone
from gateway.site.library import Family, ParameterShape, Rule
from gateway.site.schema import AlarmShape, DeviceShape
from gateway.site.words import nearest, one_of, validate
from gateway.site.yaml_lines import Document, Keys
from rules.spec import AlarmSpec


@dataclass(frozen=True, slots=True)
class Applied:
    """One alarm that the library made."""

    alarm: str
    rule: Rule
    subject: str
    """The device or zone."""
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that a device goes without, and why: on the record, since it is one alarm less."""

    device: str
    rule: str
    why: str


@dataclass(slots=True)
class Chosen:
    """The outcome."""

    alarms: list[AlarmSpec] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    idle: list[Rule] = field(default_factory=list)
    """Rules that are switched on and fit nothing here."""


Given = Mapping[str, tuple[Keys, DeviceShape]]
"""By device id: where it stands in the file, and what the file says."""


def choose(document: Document, given: Given, around: site_rules.Field) -> Chosen:
    """All alarms of the families that the file switches on."""
    numbers = _families(document)
    books = {name: library.families()[name] for name in numbers}
    reader = _Reader(document, given, around, numbers)
    _device_keys(document, given, around.devices, books)
    for name, family in books.items():
        for rule in family.rules:
            reader.read(rule)
        devices = around.devices.values()
        if not around.unclear and not any(fits(rule, device) for rule in family.rules for device in devices):
            classes = sorted({one for rule in family.rules for one in rule.shape.classes})
            text = Text(
                f"本站没有适用的设备（须有类别 {'、'.join(classes)}）",
                f"fits no device of this site (it is for the classes {', '.join(classes)})",
            )
            document.complain(("library", name), text)
    return reader.chosen


def _families(document: Document) -> dict[str, dict[str, float]]:
    """Family -> the parameters that the site gives it; only those that are right."""
    section = document.value.get("library", {}) if isinstance(document.value, dict) else {}
    if not isinstance(section, dict):
        document.complain(("library",), Text("须为“规则族: {参数}”的映射", "must be a mapping 'family: {parameters}'"))
        return {}
    chosen: dict[str, dict[str, float]] = {}
    for name, given in section.items():
        keys: Keys = ("library", name)
        if name not in library.families():
            document.complain(keys, one_of(library.families(), name))
        elif not isinstance(given, dict):
            document.complain(keys, Text("须为参数的映射；没有则写 {}", "must be a mapping of parameters; {} for none"))
        else:
            chosen[str(name)] = _numbers(given, library.families()[str(name)].shape.parameters, document, keys)
    return chosen


def _numbers(
    given: Mapping[Any, Any], known: Mapping[str, ParameterShape], document: Document, keys: Keys
) -> dict[str, float]:
    right = {}
    for name, value in given.items():
        parameter = known.get(name)
        if parameter is None:
            hint = nearest(name, known)
            text = Text(f"没有参数“{name}”{hint.zh}", f"there is no parameter '{name}'{hint.en}")
            document.complain((*keys, name), text)
        elif type(value) not in (int, float):
            document.complain((*keys, name), Text("须为数字", "must be a number"))
        elif not parameter.range[0] <= value <= parameter.range[1]:
            low, high = parameter.range
            text = Text(
                f"须在 {low:g} 至 {high:g} {parameter.unit} 之间", f"must be {low:g} to {high:g} {parameter.unit}"
            )
            document.complain((*keys, name), text)
        else:
            right[str(name)] = float(value)
    return right


def _device_keys(document: Document, given: Given, devices: Mapping[str, Device], books: Mapping[str, Family]) -> None:
    """`rules:` and `without:` of the devices, against the rules that fit them."""
    for device_id, (keys, shape) in given.items():
        device = devices.get(device_id)
        if device is None or not (shape.rules or shape.without):
            continue
        fitting = [rule for book in books.values() for rule in book.rules if concerns(rule, device)]
        known = {name: one for rule in fitting for name, one in rule.parameters.items() if rule.shape.scope == "device"}
        _numbers(shape.rules, known, document, (*keys, "rules"))
        names = [rule.name for rule in fitting]
        for name in shape.without:
            if name not in names:
                hint = nearest(name, names)
                text = Text(
                    f"本设备没有规则“{name}”{hint.zh}", f"this device has no rule '{name}' to go without{hint.en}"
                )
                document.complain((*keys, "without", name), text)


class _Reader:
    def __init__(
        self, document: Document, given: Given, around: site_rules.Field, numbers: Mapping[str, Mapping[str, float]]
    ) -> None:
        self._document = document
        self._given = given
        self._around = around
        self._numbers = numbers
        self._devices = tuple(around.devices.values())
        without = {(device, rule) for device, (_, shape) in given.items() for rule in shape.without}
        self._neighbours = Neighbours(self._devices, without)
        self.chosen = Chosen()

    def read(self, rule: Rule) -> None:
        before = len(self.chosen.applied)
        members = []
        for device in self._devices:
            why = self._given[device.id][1].without.get(rule.name) if device.id in self._given else None
            if why is not None:
                self.chosen.left_out.append(LeftOut(device.id, rule.name, why))
            elif fits(rule, device):
                members.append(device)
        for subject in _subjects(rule, members):
            self._apply(rule, subject)
        if len(self.chosen.applied) == before:
            self.chosen.idle.append(rule)

    def _apply(self, rule: Rule, subject: Subject) -> None:
        expansion = Expansion(rule, subject, partial(self._parameters, rule), self._neighbours)
        item = expansion.alarm()
        if item is None:
            return
        scratch = Document(self._document.file)
        spec = self._spec(item, scratch)
        if spec is not None and not scratch.mistakes:
            name = f"{subject.id}/{expansion.suffix}"
            said = rule.shape.advice
            advice = Text(said.zh, said.en) if said is not None else None
            self.chosen.alarms.append(replace(spec, id=name, rule=rule.reference, advice=advice))
            self.chosen.applied.append(Applied(name, rule, subject.id, self._parameters(rule, subject.device)))
        for mistake in scratch.mistakes:
            text = Text(
                f"规则 {rule.name} 不适用于 {subject.id}：{mistake.path}：{mistake.zh}",
                f"rule {rule.name} cannot be used for {subject.id}: {mistake.path}: {mistake.en}",
            )
            self._document.complain(self._keys(rule, subject.device), text)

    def _parameters(self, rule: Rule, device: Device | None) -> dict[str, float]:
        """The device's own, else the site's, else the library's."""
        site = self._numbers[rule.family]
        own = self._given[device.id][1].rules if device is not None and device.id in self._given else {}
        return {name: own.get(name, site.get(name, parameter.default)) for name, parameter in rule.parameters.items()}

    def _keys(self, rule: Rule, device: Device | None) -> Keys:
        """Where in the file something can be done about it."""
        names = rule.parameters.keys()
        if device is None or device.id not in self._given:
            return ("library", rule.family)
        keys, shape = self._given[device.id]
        if shape.rules.keys() & names:
            return (*keys, "rules")
        return ("library", rule.family) if self._numbers[rule.family].keys() & names else keys

    def _spec(self, item: Mapping[str, Any], scratch: Document) -> AlarmSpec | None:
        shape = validate(AlarmShape, {"id": "library", **item}, scratch, ())
        if shape is None:
            return None
        when = site_rules.condition(shape.when, self._around, scratch, ("when",))
        return None if when is None else site_rules.alarm(shape, when, self._around, scratch, ())


def _subjects(rule: Rule, members: Iterable[Device]) -> Iterator[Subject]:
    if rule.shape.scope == "device":
        for device in members:
            yield from of_device(rule, device)
        return
    zones: dict[str, list[Device]] = {}
    for device in members:
        if device.place.zone:
            zones.setdefault(device.place.zone, []).append(device)
    for zone, devices in zones.items():
        yield of_zone(zone, devices)
