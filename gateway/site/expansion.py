"""From a rule of the library to the alarms of one site: points for roles, numbers for parameters.

What comes out is an alarm as the site file could have it, and takes the same way from there (`gateway.site.rules`): the
library can do nothing that a site file cannot, and is held against the same limits.

How a tree is put together
* A leaf with ``role: x`` looks at the device's point with that role; at several such points with ``any``.
* A leaf whose role the device lacks falls away; with it a condition that has nothing left, or that would mean something
  else without it (``not``, ``k_of_n`` with too few, ``sequence``, ``absence``...). In ``all`` and ``any`` the others stay: that is how a
  rule uses what is there; but an ``all`` does not outlive its ``absence``: lifts that are not there are not late. What a rule
  cannot do without stands in its ``needs``.
* ``for_each: {classes, within: zone | building, do}`` in a list stands for one condition a device around here.
* ``$name`` is a parameter, ``-$name`` its negative.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from gateway.model import Device, Kind, Place, Point
from gateway.site.library import Rule

WHOLE = "*"
ANY = "any"
Area: TypeAlias = tuple[str, ...]
Numbers: TypeAlias = Callable[[Device | None], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What one alarm is made for: a device, one point of it, or a zone and its devices."""

    id: str
    """The alarm's id is ``<id>/<rule>``, and ``<id>/<rule>.<point>`` where a device has several points for it."""
    words: Mapping[str, str]
    """``{device}``, ``{zone}``... of the Chinese texts."""
    words_en: Mapping[str, str]
    place: Place
    members: tuple[Device, ...]
    """The device itself, or those of the zone that the rule fits."""
    device: Device | None = None
    role: str = ""
    only: Point | None = None
    """With `role`: of the points with this role, this one alone."""

    def points(self, role: str) -> list[Point]:
        if self.only is not None and role == self.role:
            return [self.only]
        return [] if self.device is None else with_role(self.device, role)


def with_role(device: Device, role: str) -> list[Point]:
    return [point for group in device.groups for point in group.points if point.role == role]


def fits(rule: Rule, device: Device) -> bool:
    """Is it a device of this rule, with all the roles that the rule cannot do without?"""
    alternatives = ([need] if isinstance(need, str) else need for need in rule.shape.needs)
    return is_of_class(rule, device) and all(any(with_role(device, role) for role in one) for one in alternatives)


def is_of_class(rule: Rule, device: Device) -> bool:
    return device.cls in rule.shape.classes or ANY in rule.shape.classes


def concerns(rule: Rule, device: Device) -> bool:
    """Is it a device that the rule is for, or that it looks at around there?"""
    return device.cls in rule.classes or is_of_class(rule, device)


def of_device(rule: Rule, device: Device) -> list[Subject]:
    """The device, or each of its points with the role of which the rule makes one alarm each."""
    words, words_en = {"device": device.text.zh}, {"device": device.text.en}
    subject = Subject(device.id, words, words_en, device.place, (device,), device)
    points = with_role(device, rule.shape.each) if rule.shape.each else []
    if len(points) < 2:
        return [subject]
    return [
        replace(
            subject,
            words={"device": f"{device.text.zh} {point.text.zh}"},
            words_en={"device": f"{device.text.en}: {point.text.en}"},
            role=rule.shape.each,
            only=point,
        )
        for point in points
    ]


def of_zone(zone: str, members: Iterable[Device]) -> Subject:
    several = tuple(members)
    return Subject(zone, {"zone": zone}, {"zone": zone}, common_place(several), several)


def common_place(devices: tuple[Device, ...]) -> Place:
    """What the places of all have in common: the floor of a zone, not one of its flats."""
    return Place(
        **{
            key: values.pop() if len(values := {getattr(device.place, key) for device in devices}) == 1 else ""
            for key in Place.__dataclass_fields__
        }
    )


class Expansion:
    """One rule for one subject, with all devices of the site to look around in."""

    def __init__(self, rule: Rule, subject: Subject, numbers: Numbers, neighbours: Neighbours) -> None:
        """`numbers`: the parameters as they are for a device, or (None) for the site."""
        self._rule = rule
        self._subject = subject
        self._numbers = numbers
        self._neighbours = neighbours

    def alarm(self) -> dict[str, Any] | None:
        """The alarm as in a site file, without its id; None where the subject lacks what the condition is made of."""
        made: dict[str, Any] = {}
        for key, value in self._rule.shape.alarm.items():
            if isinstance(value, dict) and ("zh" in value or "en" in value):
                made[key] = self._text(value)
            elif isinstance(value, dict):
                made[key] = self._one(value, self._subject)
            else:
                made[key] = self._scalar(value, self._subject)
        if made["when"] is None:
            return None
        place = self._subject.place
        made["place"] = {key: getattr(place, key) for key in Place.__dataclass_fields__}
        return {key: value for key, value in made.items() if value is not None}

    @property
    def suffix(self) -> str:
        only = self._subject.only
        return self._rule.shape.id if only is None else f"{self._rule.shape.id}.{only.name}"

    def _text(self, text: Mapping[str, str]) -> dict[str, str]:
        numbers = {name: f"{value:g}" for name, value in self._numbers(self._subject.device).items()}
        words = {"zh": self._subject.words, "en": self._subject.words_en}
        return {language: said.format(**numbers, **words[language]) for language, said in text.items()}

    def _scalar(self, value: Any, subject: Subject) -> Any:
        if not isinstance(value, str) or not value.removeprefix("-").startswith("$"):
            return value
        name = value.removeprefix("-").removeprefix("$")
        parameter = self._rule.parameters[name]
        number = self._numbers(subject.device)[name] * parameter.factor
        number = -number if value.startswith("-") else number
        return int(number) if number.is_integer() else number  # a count has to be a whole number

    def _parts(self, node: Mapping[str, Any], subject: Subject) -> list[Any]:
        """What one item of a list becomes."""
        if "for_each" in node:
            loop = node["for_each"]
            around = self._around(loop.get("within", "zone"), loop.get("classes", self._rule.shape.classes))
            made = [self._one(loop["do"], of_device_alone(device)) for device in around]
        else:
            made = [self._one(node, subject)]
        return [one for one in made if one is not None]

    def _one(self, node: Mapping[str, Any], subject: Subject) -> Any:
        """A condition; None where what it is made of is not there."""
        [(name, body)] = node.items()
        if isinstance(body, list):
            found = [(one, self._parts(one, subject)) for one in body]
            if name == "all" and any("absence" in one and not made for one, made in found):
                return None
            parts = [part for _, made in found for part in made]
            return ({name: parts} if len(parts) > 1 else parts[0]) if parts else None
        if name == "not":
            inner = self._one(body, subject)
            return None if inner is None else {"not": inner}
        if "role" in body:
            return self._leaf(name, body, subject)
        made: dict[str, Any] = {}
        for key, value in body.items():
            if isinstance(value, dict):
                made[key] = self._one(value, subject)
            elif isinstance(value, list):
                made[key] = [part for one in value for part in self._parts(one, subject)]
                if not made[key] or (name == "sequence" and len(made[key]) < len(value)):
                    return None
            else:
                made[key] = self._scalar(value, subject)
        if None in made.values() or (name == "k_of_n" and made["k"] > len(made["of"])):
            return None
        return {name: made}

    def _leaf(self, name: str, body: Mapping[str, Any], subject: Subject) -> Any:
        rest = {key: self._scalar(value, subject) for key, value in body.items() if key != "role"}
        if body["role"] == WHOLE:
            return None if subject.device is None else {name: {"point": f"{subject.device.id}/*", **rest}}
        leaves = [_on_point(name, rest, point) for point in subject.points(body["role"])]
        return (leaves[0] if len(leaves) == 1 else {"any": leaves}) if leaves else None

    def _around(self, within: str, classes: Iterable[str]) -> list[Device]:
        """The devices of the same zone or building, by class. A device without such a place has itself alone."""
        around = self._neighbours.of(self._rule.name, self._subject.place, within) or self._subject.members
        return [device for device in around if device.cls in classes]


class Neighbours:
    """The devices of a site by zone and by building."""

    def __init__(self, devices: Iterable[Device], without: Container[tuple[str, str]] = ()) -> None:
        """`without`: (device, rule) for those that a rule must not look at."""
        self._without = without
        self._devices: dict[Area, list[Device]] = {}
        for device in devices:
            for within in AREAS:
                self._devices.setdefault(AREAS[within](device.place), []).append(device)

    def of(self, rule: str, place: Place, within: str) -> list[Device]:
        area = AREAS[within](place)
        around = self._devices.get(area, []) if area[-1] else []
        return [device for device in around if (device.id, rule) not in self._without]


AREAS: dict[str, Callable[[Place], Area]] = {
    "zone": lambda place: ("zone", place.zone),
    "building": lambda place: ("building", place.grid, place.building),
}


def of_device_alone(device: Device) -> Subject:
    return Subject(device.id, {}, {}, device.place, (device,), device)


def _on_point(name: str, rest: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """A leaf on a point; of a state that its template turns round or picks from an enumeration, with that value."""
    if name != "equals" or not isinstance(rest["value"], bool) or point.kind not in (Kind.BOOL, Kind.ENUM):
        return {name: {"point": point.id, **rest}}
    if point.kind is Kind.BOOL:
        return {"equals": {"point": point.id, "value": rest["value"] == bool(point.role_value)}}
    picked = {"equals": {"point": point.id, "value": point.role_value}}
    return picked if rest["value"] else {"not": picked}
