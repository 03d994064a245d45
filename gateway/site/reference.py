"""The reference of the site file (docs/site-file.md) and JSON Schemas for editors, both from the shapes themselves."""

from __future__ import annotations

from typing import Any, Literal

from gateway.site import plausible, template
from gateway.site import schema as site
from gateway.site import shapes_outputs as outputs
from gateway.site import shapes_when as when
from gateway.site.shape import CLOCK, DATE, FILE, HOST, ID, POINT, WORDS, Shape, TextShape
from gateway.site.shapes_virtual import VirtualShape

_SITE: tuple[type[Shape], ...] = (
    site.SiteShape,
    site.GatewayShape,
    *site.BUS_SHAPES.values(),
    site.DeviceShape,
    plausible.QuantityShape,
    VirtualShape,
    site.AlarmShape,
    when.WhenShape,
    when.AboveShape,
    when.BelowShape,
    when.OutsideShape,
    when.EqualsShape,
    when.BitShape,
    when.RateShape,
    when.StaleShape,
    when.KOfNShape,
    when.ChangedShape,
    when.FrozenShape,
    when.HeldShape,
    when.TimesShape,
    when.SequenceShape,
    when.AbsenceShape,
    when.ScheduleShape,
    when.CelShape,
    when.LatchShape,
    when.CapturedShape,
    site.CalendarShape,
    site.GuardShape,
    site.PartitionShape,
    site.ZoneShape,
    outputs.OutputShape,
    outputs.KeyShape,
    outputs.GpioShape,
    site.UplinkShape,
    site.JournalShape,
    site.ReportShape,
    site.MetricsShape,
    site.PlaceShape,
    TextShape,
)
_TEMPLATE: tuple[type[Shape], ...] = (
    template.TemplateShape,
    template.ModelShape,
    template.GroupShape,
    template.PointShape,
    plausible.CounterShape,
)
_SHAPES = {shape.__name__: shape for shape in (*_SITE, *_TEMPLATE)}
_PATTERNS = {
    ID: "id",
    HOST: "host",
    FILE: "path",
    WORDS: "text",
    POINT: "device/point",
    CLOCK: "hh:mm",
    DATE: "yyyy-mm-dd",
}

_HEAD = """# The site file 站点文件

Generated from the code by `make reference`; do not edit. 本文件由程序生成，请勿手工修改。

`gengfu check site.yaml` tells every mistake at once, with file and line. A complete example: `examples/compound/site.yaml`.
用 `gengfu check site.yaml` 一次列出全部错误及行号；完整示例见 `examples/compound/site.yaml`。

- YAML 1.2, UTF-8, at most 2 MiB; no tags, anchors or aliases, no key twice. Only `true` and `false` are booleans. Put `"1203"` in quotes where text is meant.
  YAML 1.2，UTF-8 编码，最大 2 MiB；不允许标签、锚点、引用和重复的键；布尔值只有 `true` 和 `false`；数字形式的文字要加引号，如 `"1203"`。
- Keys that end in `_s` are seconds, in `_mib` mebibytes. Relative paths are relative to the site file.
  以 `_s` 结尾的单位为秒，以 `_mib` 结尾的为 MiB；相对路径以站点文件所在目录为准。
- An id is 1 to 64 letters, digits or `-` `_` `.`, and begins with a letter or digit. A point is written `device/point`.
  编号为 1 至 64 个英文字母、数字或 `-` `_` `.`，以字母或数字开头；测点写成 `设备/测点`。
- Every device gets the alarm `<device>/silent` (class fault; high where it has a safety group, else medium): no usable value of the device, or of one
  of its points of class safety, for three polls of its group (three rounds of
  a line that needs longer than that) and at least 3 s, or for the bus's `longest_silence_s` where terminals call.
  每台设备自动带有报警 `<设备>/silent`（故障类；有安全组时为 high，否则为 medium）：整台设备最快一组、或任一安全类测点所在组连续三次（线路一轮更长时为三轮）且至少 3 秒没有有效值，或终端静默超过总线的 `longest_silence_s`。
- What is checked beyond the tables: names that are used exist; ids and addresses are given once; a condition fits its point's kind, its limit the
  instrument's range, its window at least two periods; fire, personal and entrapment are high or critical; fire latches; fire and personal wait at most 10 s.
  表外检查：引用的名称存在；编号和地址不重复；条件与测点类型相符，限值在量程内，时间窗不短于两个周期；火警、求助、困人须为 high 或 critical；火警须自保持；火警和求助的延时不超过 10 秒。
"""
_TEMPLATE_HEAD = """
# Device templates 设备模板

`drivers/templates/<vendor>_<model>.yaml`: the points of one model. What `at` and `options` hold is said by the driver.
`drivers/templates/<厂家>_<型号>.yaml`：一种型号的测点；`at` 和 `options` 的内容由驱动规定。
"""


def json_schema(of: Literal["site", "template"] = "site") -> dict[str, Any]:
    """A JSON Schema (2020-12) for editors: completion and a first check while typing."""
    shape = site.SiteShape if of == "site" else template.TemplateShape
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **shape.model_json_schema()}


def reference() -> str:
    """The text of docs/site-file.md."""
    parts = [_HEAD, *map(_section, _SITE), _TEMPLATE_HEAD, *map(_section, _TEMPLATE)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _section(shape: type[Shape]) -> str:
    schema = shape.model_json_schema()
    schema = schema.get("$defs", {}).get(shape.__name__, schema)  # where a shape holds itself
    needed = schema.get("required", [])
    rows = [
        f"## {shape.title.en} {shape.title.zh}",
        f'<a id="{_anchor(shape)}"></a>',
        "",
        "| key 键 | value 值 | default 默认 | meaning | 含义 |",
        "|---|---|---|---|---|",
    ]
    for key, item in schema["properties"].items():
        default = "**needed 必填**" if key in needed else _default(item)
        rows.append(f"| `{key}` | {_type(item)} | {default} | {item['description']} | {item['zh']} |")
    return "\n".join(rows)


def _default(item: dict[str, Any]) -> str:
    default = item.get("default")
    if default is None or default in ("", {}, []) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(item: dict[str, Any]) -> str:
    """One cell: the type with its limits, as a person reads it."""
    if "$ref" in item:
        shape = _SHAPES[item["$ref"].rpartition("/")[2]]
        return f"[{shape.title.en.partition(' (')[0].partition(':')[0]}](#{_anchor(shape)})"
    if several := item.get("anyOf") or item.get("oneOf"):
        return " or ".join(_type(one) for one in several if one != {"type": "null"})
    if "const" in item or "enum" in item:
        return " ".join(f"`{word}`" for word in item.get("enum", [item.get("const")]))
    if item.get("type") == "array":
        pair = item.get("prefixItems")
        return "[low, high]" if pair else f"list of {_type(item.get('items', {}))}".removesuffix(" of ")
    if item.get("type") == "object":
        inner = _type(item["additionalProperties"]) if isinstance(item.get("additionalProperties"), dict) else ""
        return f"mapping of {inner}" if inner else "mapping"
    kind: str = _PATTERNS.get(item.get("pattern", ""), item.get("type", ""))
    return kind + _limits(item)


def _limits(item: dict[str, Any]) -> str:
    low, high = item.get("minimum"), item.get("maximum")
    if high is not None and abs(high) < 1e15:
        return f", {low} to {high}" if low is not None else f", over {item['exclusiveMinimum']}, at most {high}"
    return f", {low} or more" if low is not None and abs(low) < 1e15 else ""


def _anchor(shape: type[Shape]) -> str:
    return shape.__name__.removesuffix("Shape").lower()
