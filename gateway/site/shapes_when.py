"""The shapes of conditions: what may stand under `when` in the site file.

The titles are what docs/site-file.md says of each condition: when it helps, and what it does with the unknown.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from gateway.model import Text
from gateway.site.shape import Amount, Number, PointId, Shape, Span, field, scalar


class AboveShape(Shape):
    title = Text("高于上限；降到 limit - hysteresis 以下才恢复", "over the limit, until under limit - hysteresis")
    point: PointId = field("测点", "point")
    limit: Number = field("限值", "limit")
    hysteresis: Amount = field("回差", "hysteresis", 0.0)


class BelowShape(Shape):
    title = Text("低于下限；升到 limit + hysteresis 以上才恢复", "under the limit, until over limit + hysteresis")
    point: PointId = field("测点", "point")
    limit: Number = field("限值", "limit")
    hysteresis: Amount = field("回差", "hysteresis", 0.0)


class OutsideShape(Shape):
    title = Text("超出范围；回到范围内 hysteresis 才恢复", "outside low..high, until inside by hysteresis")
    point: PointId = field("测点", "point")
    low: Number = field("下限", "lower limit")
    high: Number = field("上限", "upper limit")
    hysteresis: Amount = field("回差", "hysteresis", 0.0)


class EqualsShape(Shape):
    title = Text(
        "等于某状态值（开关量、枚举、整数、文字）", "equals a state (boolean, enumeration, whole number, text)"
    )
    point: PointId = field("测点", "point")
    value: Annotated[bool | int | float | str, BeforeValidator(scalar)] = field(
        "值：true/false、标签或数", "true or false, a label, a number"
    )


class BitShape(Shape):
    title = Text("整数的某一位为 1", "a bit of a whole number is set")
    point: PointId = field("测点", "point")
    bit: int = field("位号，0 为最低位", "bit, 0 is the least significant", ge=0, le=31)


class RateShape(Shape):
    title = Text(
        "变化率超过限值；正数为上升，负数为下降", "changes faster than the limit; positive rising, negative falling"
    )
    point: PointId = field("测点", "point")
    limit: Number = field("每秒变化量", "units a second")
    window_s: Span = field("时间窗", "window")


class StaleShape(Shape):
    title = Text(
        "长时间没有有效值；“设备/*”表示整台设备", "no usable value for so long; device/* means the whole device"
    )
    point: PointId = field("测点或“设备/*”", "point, or device/*")
    for_s: Span = field("时长", "how long")


class KOfNShape(Shape):
    title = Text(
        "within_s 内 n 个条件中至少 k 个成立过；只有一个条件时即为保持",
        "at least k of the conditions were true within within_s; with one condition it holds it for so long",
    )
    k: int = field("个数", "how many", ge=1)
    of: list[WhenShape] = field("条件", "conditions", min_length=1)
    within_s: Span = field("时间窗", "window")

    @model_validator(mode="after")
    def _possible(self) -> KOfNShape:
        if self.k > len(self.of):
            raise PydanticCustomError("k_too_large", "k is larger than the number of conditions")
        return self


class WhenShape(Shape):
    """Exactly one of its keys: a condition, perhaps of other conditions."""

    title = Text("条件：只能写其中一个键", "A condition: exactly one of these keys")
    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    above: AboveShape | None = field("高于", "over a limit", None)
    below: BelowShape | None = field("低于", "under a limit", None)
    outside: OutsideShape | None = field("超出范围", "outside a range", None)
    equals: EqualsShape | None = field("等于", "equals a state", None)
    bit: BitShape | None = field("位", "a bit is set", None)
    rate: RateShape | None = field("变化率", "changes fast", None)
    stale: StaleShape | None = field("无有效值", "silent", None)
    all_: list[WhenShape] | None = field("全部成立", "all of them", None, alias="all", min_length=1)
    any_: list[WhenShape] | None = field("任一成立", "any of them", None, alias="any", min_length=1)
    not_: WhenShape | None = field("不成立", "the opposite", None, alias="not")
    k_of_n: KOfNShape | None = field("n 中取 k", "k of n", None)

    @model_validator(mode="after")
    def _one(self) -> WhenShape:
        if len(self.model_fields_set) != 1 or self.only() is None:
            raise PydanticCustomError("one_condition", "must hold exactly one condition")
        return self

    def only(self) -> Any:
        """The one condition that is given."""
        return getattr(self, next(iter(self.model_fields_set)))
