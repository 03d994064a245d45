"""The rule library: ``rules/library/<family>.yaml``, rules that a site switches on by family instead of writing them out.

A rule is an alarm as an installer would write it, but with the roles of points (``role: fire``) instead of points, and
parameters (``$hold_open_s``) instead of numbers; `gateway.site.expansion` puts the site's own points in their place. With
it come what it is for, what it does with what is unknown, and where it is from, with a mark how certain that is.

This module is the shape of those files and their reading. It knows nothing of a site.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

import rules as rules_package
from gateway.errors import ConfigError
from gateway.site.shape import Id, Number, Shape, TextShape, Words, field
from gateway.site.template import Range
from gateway.site.words import validate
from gateway.site.yaml_lines import read

FOLDER = Path(rules_package.__file__).parent / "library"


def _joined(text: str) -> str:
    """A folded line of YAML leaves a space, which Chinese has none of."""
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text)


Long: TypeAlias = Annotated[str, Field(pattern=r"\S", max_length=1200), AfterValidator(_joined)]


class LongTextShape(Shape):
    zh: Long = field("中文", "Chinese")
    en: Long = field("英文", "English")


class ParameterShape(Shape):
    """What a site may set. The value as written is multiplied by `factor` before it goes into the condition."""

    text: TextShape = field("含义", "meaning")
    unit: Words = field("单位", "unit")
    default: Number = field("默认值", "default")
    range: Range = field("允许范围", "allowed range")
    factor: Number = field("换算系数", "factor", 1.0)
    why: TextShape | None = field("默认值的来由", "why this default", None)


class CiteShape(Shape):
    clause: Words = field("条款", "clause")
    says: TextShape = field("内容", "what it says")
    certainty: Literal["A", "B", "C"] = field("把握程度", "A primary text, B secondary source, C unconfirmed")


class RuleShape(Shape):
    id: Id = field("规则编号", "identity, unique in the library")
    version: int = field("版本", "version", ge=1)
    scope: Literal["device", "zone"] = field("对象", "what an alarm is made for", alias="for")
    classes: list[Words] = field("适用的设备类别", "classes of devices that it fits", min_length=1)
    needs: list[Words | list[Words]] = field("必须有的角色；列表表示任一", "roles needed; a list is one of", [])
    each: str = field("有此角色的每个测点一条报警", "one alarm for each point of this role", "")
    title_: TextShape = field("名称", "title", alias="title")
    explain: LongTextShape = field("说明：何时有用", "when it helps")
    unknown: LongTextShape = field("值未知时如何", "what it does with unknown values")
    cites: list[CiteShape] = field("依据", "where it is from", min_length=1)
    advice: TextShape | None = field("处置；默认按报警类别", "what to do; default: by the alarm's class", None)
    alarm: dict[str, Any] = field("报警", "the alarm, as in a site file, with roles and parameters")


class FamilyShape(Shape):
    title_: TextShape = field("名称", "title", alias="title")
    parameters: dict[Id, ParameterShape] = field("参数", "parameters", {})
    rules: list[RuleShape] = field("规则", "rules", min_length=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the library."""

    family: str
    shape: RuleShape
    parameters: dict[str, ParameterShape]
    """Those that it uses."""

    @property
    def name(self) -> str:
        return f"{self.family}/{self.shape.id}"

    @property
    def classes(self) -> set[str]:
        """All classes of devices that it is for or looks at."""
        return {*self.shape.classes, *(one for loop in loops(self.shape.alarm) for one in loop.get("classes", []))}

    @property
    def reference(self) -> str:
        """As an alarm's evidence names it: ``fire/first-signal@1``."""
        return f"{self.name}@{self.shape.version}"


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    shape: FamilyShape
    rules: tuple[Rule, ...]


@cache
def families() -> dict[str, Family]:
    """The whole library, by family. `ConfigError` if the installation is damaged."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def load(path: Path) -> Family:
    """One file of the library."""
    document = read(path)
    shape = validate(FamilyShape, document.value, document, ())
    if shape is None:
        raise ConfigError(document.mistakes)
    made = (Rule(path.stem, rule, _used(rule, shape)) for rule in shape.rules)
    return Family(path.stem, shape, tuple(made))


def find(name: str) -> Rule | None:
    """The rule ``family/id``, with or without ``@version``."""
    name = name.partition("@")[0]
    return next((rule for family in families().values() for rule in family.rules if rule.name == name), None)


def values(node: Any) -> list[Any]:
    """All scalars of a tree, in its order."""
    if isinstance(node, dict):
        return [value for one in node.values() for value in values(one)]
    return [value for one in node for value in values(one)] if isinstance(node, list) else [node]


def loops(node: Any) -> list[dict[str, Any]]:
    """All ``for_each`` of a tree."""
    if isinstance(node, dict):
        own = [node["for_each"]] if "for_each" in node else []
        return own + [loop for one in node.values() for loop in loops(one)]
    return [loop for one in node for loop in loops(one)] if isinstance(node, list) else []


def _used(rule: RuleShape, family: FamilyShape) -> dict[str, ParameterShape]:
    """In the order of the file: what the condition and the delays take, and what the texts say."""
    told = [value for value in values(rule.alarm) if isinstance(value, str)]
    return {
        name: parameter
        for name, parameter in family.parameters.items()
        if any(text.removeprefix("-") == f"${name}" or f"{{{name}}}" in text for text in told)
    }
