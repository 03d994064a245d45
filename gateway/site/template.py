"""Device templates: the points of one model as data. Reads ``<name>.yaml`` once and makes the groups of many devices.

Guarantees: a template that is used is checked as a whole, its driver's parts (``at``, ``options``) included, and its
mistakes are told once however many devices use it. ``golden`` is left alone: it is for tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from drivers.contract import Driver
from gateway.errors import ConfigError, DiskFault, Mistake, unread
from gateway.model import Group, Kind, Point, PointClass, Text
from gateway.site.plausible import CounterShape, QuantityShape, check_point, instead, plausibility
from gateway.site.roles import CLASSES, ROLES
from gateway.site.shape import Amount, Id, Period, Shape, Span, TextShape, Words, field
from gateway.site.words import nearest, one_of, validate
from gateway.site.yaml_lines import Document, Keys, dotted, read


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] >= pair[1]:
        raise PydanticCustomError("range_order", "the first must be less than the second")
    return pair


Range: TypeAlias = Annotated[tuple[float, float], AfterValidator(_ordered)]


class ModelShape(Shape):
    title = Text("型号", "The model")
    vendor: Words = field("厂家", "vendor")
    name: Words = field("型号", "model")
    text: TextShape = field("名称", "its name")


class GroupShape(Shape):
    title = Text("测点组：一起读取", "A group: points that are read together")
    period_s: Period = field("采样周期", "period")
    safety: bool = field("安全组：优先读取", "read before all others", False)


class PointShape(Shape):
    title = Text("测点", "A point")
    name: Id = field("名称，在设备内唯一", "name, unique in the device")
    group: str = field("所属的组", "its group")
    kind: Literal["bool", "int", "float", "enum", "text"] = field("数据类型", "what its value is")
    text: TextShape = field("名称", "what a person reads")
    at: dict[str, Any] = field("在设备中的位置，由驱动规定", "where the driver finds it; the driver's own keys")
    cls: Literal["safety", "status", "measurement"] = field("类别", "class", "measurement", alias="class")
    unit: Annotated[str, Field(max_length=16)] = field("单位（SenML）", "unit (SenML)", "")
    range: Range | None = field("量程 [低, 高]", "the instrument's range [low, high]", None)
    dead_band: Amount = field("死区", "a change of at most this is not reported at once", 0.0)
    longest_interval_s: Span = field("最长上报间隔", "reported at least this often", 60.0)
    labels: dict[int, Words] = field("枚举的标签（enum 必填）", "labels of an enumeration", {})
    role: str = field("在规则库中的角色（见 docs/rule-library.md）", "its role in the rule library", "")
    role_value: bool | Words = field(
        "角色成立时的值：触点反接时为 false，枚举为标签",
        "the value at which the role is true: false for a contact the other way round, an enumeration's label",
        True,
    )
    max_rate: float | None = field(
        "每秒最大变化量；更快为跳变（可疑：可报警，不能消警）",
        "fastest change a second; faster is uncertain: it may raise an alarm and never clears one",
        None,
        gt=0,
        le=1e15,
    )
    stuck_s: Span | None = field(
        "数值多久一位不变即为卡滞（可疑）", "a value that did not move by a digit for so long is uncertain", None
    )
    counter: CounterShape | None = field("计数器：上报累计值", "a counter: its value becomes a total", None)
    output: bool = field(
        "可由站点文件的输出（声光）控制；仅限线圈", "may be switched by an output of the site file; coils only", False
    )


class TemplateShape(Shape):
    title = Text("设备模板", "A device template")
    model: ModelShape = field("型号", "the model")
    cls: str = field("设备类别（见 docs/rule-library.md）", "class of device in the rule library", "", alias="class")
    driver: str = field("驱动", "its driver")
    source: Words = field("依据的文件和页码", "document and page that it was written from")
    certainty: Literal["A", "B", "C"] = field(
        "把握程度：A 原文，B 二手，C 推测", "A primary text, B secondary, C unconfirmed"
    )
    proved: bool = field("是否用手册或实录报文验证过", "proved by frames of the manual or a recorded device", False)
    options: dict[str, Any] = field("驱动选项", "driver options", {})
    groups: dict[str, GroupShape] = field("测点组", "groups", min_length=1)
    points: list[PointShape] = field("测点", "points", min_length=1)
    golden: list[Any] = field("验证报文（仅测试使用）", "golden exchanges, for tests only", [])


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be used."""

    name: str
    text: Text
    driver: str
    options: Any
    """The driver's own options object."""
    options_given: Mapping[str, Any]
    groups: tuple[tuple[str, GroupShape, tuple[Point, ...]], ...]
    """Name, shape, points without a device; in the order of the file."""
    proved: bool
    cls: str
    document: Document

    def device_groups(
        self, device: str, periods_s: Mapping[str, float], own: Mapping[str, QuantityShape]
    ) -> tuple[Group, ...]:
        return tuple(
            Group(
                name,
                tuple(_of(device, point, own.get(point.name)) for point in points),
                periods_s.get(name, group.period_s),
                group.safety,
            )
            for name, group, points in self.groups
        )


class Templates:
    """The templates of some directories, each read at most once. Collects their mistakes."""

    def __init__(self, directories: Sequence[Path], drivers: Mapping[str, Driver]) -> None:
        """A name in an earlier directory hides the same name in a later one. Raises `DiskFault` where one cannot be listed now."""
        found = [path for directory in reversed(directories) for path in _listed(directory)]
        self._paths = {path.stem: path for path in found}
        self._drivers = drivers
        self._read: dict[str, Template | None] = {}
        self.names = sorted(self._paths)
        self.mistakes: list[Mistake] = []

    def get(self, name: str) -> Template | None:
        """None after telling its mistakes. `name` must be one of `names`. Raises `DiskFault`: that is no mistake."""
        if name not in self._read:
            try:
                document = read(self._paths[name])
            except DiskFault:
                raise
            except ConfigError as error:
                self.mistakes += error.mistakes
                self._read[name] = None
            else:
                template = _template(name, document, self._drivers)
                self.mistakes += document.mistakes
                self._read[name] = None if document.mistakes else template
        return self._read[name]

    def complain(self, template: Template, path: str, text: Text) -> None:
        """A mistake that the driver found in a point: ``points.<name>.<key>...``; told once."""
        _, name, *rest = path.split(".")
        names = [point["name"] for point in template.document.value["points"]]
        keys: Keys = ("points", names.index(name), *rest) if name in names else ("points",)
        mistake = Mistake(template.document.file, template.document.line(keys), dotted(keys), text.en, text.zh)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)


def _listed(directory: Path) -> list[Path]:
    """Its templates; none where there is no such directory. (`Path.glob` takes a disk that fails for an empty directory.)"""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".yaml")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    except OSError as error:
        raise unread(str(directory), error) from None


def _template(name: str, document: Document, drivers: Mapping[str, Driver]) -> Template | None:
    value = document.value if isinstance(document.value, dict) else {}
    shape = validate(TemplateShape, document.value, document, ())
    driver = _driver(value.get("driver"), document, drivers)
    if driver is None:
        return None
    options = value.get("options", {})
    made = validate(driver.options, options, document, ("options",)) if isinstance(options, dict) else None
    ats = _ats(value.get("points"), document, driver)
    if shape is None or made is None or None in ats:
        return None
    _check(shape, document)
    _check_outputs(shape, driver, document)
    _check_roles(shape, document)
    points = list(zip(shape.points, ats, strict=True))
    groups = tuple(
        (key, group, tuple(_point(point, at) for point, at in points if point.group == key))
        for key, group in shape.groups.items()
    )
    text = Text(shape.model.text.zh, shape.model.text.en)
    return Template(name, text, shape.driver, made, options, groups, shape.proved, shape.cls, document)


def _driver(name: object, document: Document, drivers: Mapping[str, Driver]) -> Driver | None:
    if isinstance(name, str) and name not in drivers:
        hint = nearest(name, drivers)
        document.complain(("driver",), Text(f"没有驱动“{name}”{hint.zh}", f"there is no driver '{name}'{hint.en}"))
    return drivers.get(name) if isinstance(name, str) else None


def _ats(points: object, document: Document, driver: Driver) -> list[Any]:
    """The driver's `at` of each point, even where the rest of the point is wrong: all mistakes at once."""
    ats = [point.get("at") if isinstance(point, dict) else None for point in points] if isinstance(points, list) else []
    return [
        validate(driver.at, at, document, ("points", index, "at")) if isinstance(at, dict) else None
        for index, at in enumerate(ats)
    ]


def _check(template: TemplateShape, document: Document) -> None:
    names: dict[str, int] = {}
    for index, point in enumerate(template.points):
        first = names.setdefault(point.name.casefold(), index)
        if first != index:
            text = Text(f"测点“{point.name}”重复", f"there is another point '{point.name}'")
            document.complain(("points", index, "name"), text)
        if point.group not in template.groups:
            hint = nearest(point.group, template.groups)
            text = Text(f"没有组“{point.group}”{hint.zh}", f"there is no group '{point.group}'{hint.en}")
            document.complain(("points", index, "group"), text)
        elif point.cls == "safety" and not template.groups[point.group].safety:
            text = Text("安全类测点须在安全组（safety: true）", "a point of class safety belongs into a safety group")
            document.complain(("points", index, "class"), text)
        if (point.kind == "enum") != bool(point.labels):
            text = Text("enum 必须有标签，其他类型不得有", "an enum needs labels, and only an enum has them")
            document.complain(("points", index, "labels"), text)
        if len(set(point.labels.values())) < len(point.labels):
            document.complain(("points", index, "labels"), Text("标签重复", "two labels are the same"))
        if point.range is not None and point.kind not in ("int", "float"):
            text = Text("只有 int 和 float 有量程", "only an int or float has a range")
            document.complain(("points", index, "range"), text)
    for name in template.groups:
        if not any(point.group == name for point in template.points):
            document.complain(("groups", name), Text("组中没有测点", "the group has no points"))


def _check_outputs(template: TemplateShape, driver: Driver, document: Document) -> None:
    for index, point in enumerate(template.points):
        if point.output and driver.switch is None:
            text = Text("该驱动不能控制输出", "its driver can switch nothing")
            document.complain(("points", index, "output"), text)


def _check_roles(template: TemplateShape, document: Document) -> None:
    if template.cls and template.cls not in CLASSES:
        hint = nearest(template.cls, CLASSES)
        text = Text(f"没有类别“{template.cls}”{hint.zh}", f"there is no class '{template.cls}'{hint.en}")
        document.complain(("class",), text)
    for index, point in enumerate(template.points):
        _check_role(point, document, ("points", index))
        check_point(point, document, ("points", index))


def _check_role(point: PointShape, document: Document, keys: Keys) -> None:
    """A threshold of the library means the same on every device: one kind and one unit a role."""
    role = ROLES.get(point.role)
    if point.role and role is None:
        hint = nearest(point.role, ROLES)
        text = Text(f"没有角色“{point.role}”{hint.zh}", f"there is no role '{point.role}'{hint.en}")
        document.complain((*keys, "role"), text)
    elif role is not None and point.kind not in role.kinds:
        kinds = ", ".join(role.kinds)
        text = Text(
            f"角色“{point.role}”只能用于 {kinds} 测点", f"the role '{point.role}' is for points of kind {kinds}"
        )
        document.complain((*keys, "role"), text)
    elif role is not None and role.unit != point.unit and role.unit:
        text = Text(
            f"角色“{point.role}”的单位须为 {role.unit}（用 scale 换算）",
            f"a point with the role '{point.role}' is in {role.unit} (use 'scale')",
        )
        document.complain((*keys, "unit"), text)
    labels = list(point.labels.values())
    if point.kind == "enum" and point.role and point.role_value not in labels:
        document.complain((*keys, "role_value"), one_of(labels, point.role_value))
    elif isinstance(point.role_value, str) and point.kind != "enum":
        document.complain((*keys, "role_value"), Text("只有枚举测点用标签", "a label is for an enumeration only"))


def _point(shape: PointShape, at: Any) -> Point:
    low, high = shape.range or (None, None)
    return Point(
        "",
        shape.name,
        Kind(shape.kind),
        shape.unit,
        PointClass(shape.cls),
        Text(shape.text.zh, shape.text.en),
        low,
        high,
        shape.dead_band,
        shape.longest_interval_s,
        tuple(shape.labels.items()),
        at,
        shape.role,
        shape.role_value if isinstance(shape.role_value, str) else int(shape.role_value),
        plausibility(shape, at),
        shape.output,
    )


def _of(device: str, point: Point, own: QuantityShape | None) -> Point:
    """dataclasses.replace takes twice as long, and a large site has thousands of points."""
    return Point(
        f"{device}/{point.name}",
        point.name,
        point.kind,
        point.unit,
        point.cls,
        point.text,
        point.low,
        point.high,
        point.dead_band,
        point.longest_interval_s,
        point.labels,
        point.source,
        point.role,
        point.role_value,
        instead(point.plausible, own),
        point.output,
    )
