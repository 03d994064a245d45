"""What a template, or a device of the site, says of the quantity behind a point: `max_rate`, `stuck_s`, `counter`.

Guarantees: a limit that no sample could keep or break (a time shorter than two samples, a counter whose wrap cannot be told
from a reset) is a mistake, with its line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from gateway.model import Counter, Kind, Plausibility, Point, Text
from gateway.site.shape import Shape, Span, field
from gateway.site.yaml_lines import Document, Keys


class CounterShape(Shape):
    title = Text("计数器：回绕，或读后清零", "A counter: it wraps, or reading clears it")
    bits: Literal[16, 32, 64] | None = field("计数器位数：到顶后从 0 继续", "its width: it wraps to 0", None)
    clears_on_read: bool = field(
        "读取后清零（重复读取会丢失计数）", "reading clears it (a read repeated is a loss)", False
    )

    @model_validator(mode="after")
    def _one(self) -> CounterShape:
        if (self.bits is None) is not self.clears_on_read:
            raise PydanticCustomError("counter_kind", "must hold either bits or clears_on_read")
        return self


class QuantityShape(Shape):
    title = Text("测点的物理限制（覆盖模板）", "What a point's quantity can do, instead of the template's")
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


def plausibility(shape: Any, at: Any) -> Plausibility | None:
    """Of a template's point. `at`: the driver's own; a counter's count is as large as its scale."""
    if shape.max_rate is None and shape.stuck_s is None and shape.counter is None:
        return None
    counter = None
    if shape.counter is not None:
        step = abs(getattr(at, "scale", 1.0))
        counter = Counter(shape.counter.bits, int(step) if shape.kind == "int" else step)
    return Plausibility(shape.max_rate, shape.stuck_s, counter)


def instead(of: Plausibility | None, own: QuantityShape | None) -> Plausibility | None:
    """With what the site says in place of the template's."""
    given = {} if own is None else {name: getattr(own, name) for name in own.model_fields_set}
    return replace(of or Plausibility(), **given) if given else of


def check_point(shape: Any, document: Document, keys: Keys) -> None:
    """Of a template's point."""
    for name in ("max_rate", "stuck_s", "counter"):
        if getattr(shape, name) is not None and shape.kind not in ("int", "float"):
            text = Text(f"只有 int 和 float 有 {name}", f"only an int or float has '{name}'")
            document.complain((*keys, name), text)
    counter = shape.counter
    if counter is None:
        return
    if counter.bits is not None and shape.max_rate is None:
        text = Text("须有 max_rate：否则无法区分回绕和复位", "needs max_rate: else a reset looks like a wrap")
        document.complain((*keys, "counter"), text)
    if shape.range is not None:
        text = Text("计数器没有量程：累计值不会回落", "a counter has no range: its total never falls")
        document.complain((*keys, "range"), text)


def check_point_of(point: Point, own: QuantityShape, document: Document, keys: Keys) -> None:
    """Of a device of the site: `own` in place of its template's."""
    for name in own.model_fields_set:
        if point.kind not in (Kind.INT, Kind.FLOAT):
            text = Text(f"只有 int 和 float 有 {name}", f"only an int or float has '{name}'")
            document.complain((*keys, name), text)


def check_stuck(point: Point, gap_s: float, document: Document, keys: Keys) -> None:
    """`gap_s`: the time between two samples."""
    stuck_s = point.plausible.stuck_s if point.plausible else None
    if stuck_s is not None and stuck_s < 2 * gap_s:
        text = Text(
            f"测点“{point.name}”的 stuck_s 短于两个采样周期（至少 {2 * gap_s:g} 秒）",
            f"stuck_s of point '{point.name}' is shorter than two of its periods (at least {2 * gap_s:g} s)",
        )
        document.complain(keys, text)
