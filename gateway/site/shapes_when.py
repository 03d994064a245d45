"""The shapes of conditions: what may stand under `when` in the site file.

The titles are what docs/site-file.md says of each condition: when it helps, and what it does with the unknown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.model import Text
from gateway.site.shape import CLOCK, NAME, Amount, Number, PointId, Shape, Span, field, scalar

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")


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
    window_s: Annotated[float, Field(gt=0, le=604800)] = field("时间窗", "window")


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


class ChangedShape(Shape):
    title = Text(
        "within_s 内变成过另一个值；用于没有状态的事件，如卡号、试验计数；测点无效时未知",
        "became another value within within_s; for events without a state, such as a card number; unknown while BAD",
    )
    point: PointId = field("测点", "point")
    within_s: Span = field("时间窗", "window")


class FrozenShape(Shape):
    title = Text(
        "有应答但值一直不变；用于应当变化的值，如心跳计数、水位；测点无效时未知（无数据用 stale）",
        "answers, and its value stays the same; for what should move, such as a heart-beat counter; unknown while BAD "
        "(no data is 'stale')",
    )
    point: PointId = field("测点", "point")
    for_s: Span = field("时长", "how long")


class HeldShape(Shape):
    title = Text(
        "条件已持续成立 for_s；相当于写在条件里的延时；条件未知时未知，中间有过未知则只报警、不作恢复依据",
        "true for for_s: an on-delay inside a condition; unknown while `of` is; after an unknown in between it may raise "
        "and clears nothing",
    )
    of: WhenShape = field("条件", "condition")
    for_s: Span = field("时长", "how long")


class TimesShape(Shape):
    title = Text(
        "within_s 内至少 n 次由不成立变为成立；用于频繁发生，如多次拒绝、水泵频繁启动；未知过后 within_s 内不算“否”",
        "became true at least n times within within_s; for intensity, such as refused cards; not false until an unknown is "
        "within_s ago",
    )
    of: WhenShape = field("条件", "condition")
    n: int = field("次数", "how many times", ge=1, le=1000)
    within_s: Span = field("时间窗", "window")


class SequenceShape(Shape):
    title = Text(
        "within_s 内按此顺序先后成立，之后保持 within_s；同时发现的只报警、不作恢复依据；未知过后两倍 within_s 内不算“否”",
        "became true in this order within within_s, and for within_s after; seen at once it may raise and clears nothing; "
        "not false until an unknown is twice within_s ago",
    )
    of: list[WhenShape] = field("条件，按先后", "conditions, in their order", min_length=2, max_length=20)
    within_s: Span = field("时间窗", "window")


class AbsenceShape(Shape):
    title = Text(
        "after 成立后 within_s 内 of 没有确实成立，直到它成立为止；用于命令无反馈、报警无人应答；of 未知时未知",
        "after `after` became true, `of` was not surely true within within_s, until it is; for a command without feedback; "
        "unknown while `of` is",
    )
    after: WhenShape = field("先发生的条件", "what happens first")
    of: WhenShape = field("应随之成立的条件", "what should follow")
    within_s: Span = field("时限", "time allowed")


class ScheduleShape(Shape):
    title = Text(
        "按日历：某些日子的某段时间；时钟不可信时未知；时差、节假日、调休见 calendar",
        "on the calendar: at a time of some days; unknown while the clock is not trusted; offset and holidays: see calendar",
    )
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]] = field(
        "哪些日子；节假日只算 holiday", "which days; a holiday counts as holiday alone", list(DAYS), min_length=1
    )
    from_: Annotated[str, Field(pattern=CLOCK)] = field("从（时:分）", "from (hours:minutes)", "00:00", alias="from")
    to: Annotated[str, Field(pattern=CLOCK)] = field(
        "到（时:分）；早于 from 则到次日", "to; the next day where it is earlier than from", "24:00"
    )

    @model_validator(mode="after")
    def _ever(self) -> ScheduleShape:
        if self.from_ == self.to or self.from_ == "24:00" or self.to == "00:00":
            raise PydanticCustomError("no_time", "must be a time of the day")
        return self


class LatchShape(Shape):
    title = Text(
        "自 set 成立起保持，直到 reset 确实成立；用于只能由另一信号结束的状态，如困人；reset 未知不结束",
        "from `set` until `reset` is surely true; for what only another sign may end, such as entrapment; an unknown `reset` "
        "ends nothing",
    )
    set: WhenShape = field("置位条件", "what sets it")
    reset: WhenShape = field("复位条件", "what ends it")


class CapturedShape(Shape):
    title = Text(
        "at 最近一次成立那一刻 of 的真假；用于“关门时轿厢内有人”；at 未知过后只报警、不作恢复依据",
        "what `of` was when `at` last became true; for 'somebody inside when the door closed'; after an unknown `at` it may "
        "raise and clears nothing",
    )
    of: WhenShape = field("要记住的条件", "what is remembered")
    at: WhenShape = field("时刻：变为成立时", "the moment: when it becomes true")


class CelShape(Shape):
    title = Text(
        "表达式（CEL 的一部分）：用于其他条件写不出的运算；任一测点没有有效值时未知",
        "an expression (a part of CEL), for what the other conditions do not reach; unknown unless every point has a value",
    )
    expr: Annotated[str, Field(min_length=1, max_length=500)] = field(
        "如 a - b > 5 && !c；可用 && || ! == != < <= > >= + - * ?: ( ) abs min max，枚举为其编号",
        "such as a - b > 5 && !c; with && || ! == != < <= > >= + - * ?: ( ) abs min max; an enumeration is its number",
    )
    points: dict[Annotated[str, Field(pattern=NAME)], PointId] = field(
        "表达式中的名称及其测点", "names in the expression and their points", min_length=1, max_length=16
    )


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
    changed: ChangedShape | None = field("变化过", "changed", None)
    frozen: FrozenShape | None = field("不变", "does not move", None)
    held: HeldShape | None = field("持续成立", "true for a time", None)
    times: TimesShape | None = field("多次", "n times in a time", None)
    sequence: SequenceShape | None = field("按顺序", "in this order", None)
    absence: AbsenceShape | None = field("没有随之发生", "one without the other", None)
    cel: CelShape | None = field("表达式", "an expression", None)
    schedule: ScheduleShape | None = field("日历", "on the calendar", None)
    latch: LatchShape | None = field("自保持，另有复位", "until something else", None)
    captured: CapturedShape | None = field("当时的真假", "what was true at a moment", None)

    @model_validator(mode="after")
    def _one(self) -> WhenShape:
        if len(self.model_fields_set) != 1 or self.only() is None:
            raise PydanticCustomError("one_condition", "must hold exactly one condition")
        return self

    def only(self) -> Any:
        """The one condition that is given."""
        return getattr(self, next(iter(self.model_fields_set)))
