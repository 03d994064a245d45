"""The shape of a computed point: what may stand under `virtual` in the site file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.model import Text
from gateway.site.shape import Amount, Id, Part, PointId, Shape, Span, TextShape, field


class VirtualShape(Shape):
    title = Text(
        "计算测点：写成 virtual/编号，与其他测点一样上报、显示和用于报警",
        "A computed point: virtual/id, reported, shown and used by alarms like any other",
    )
    id: Id = field("编号，计算测点中唯一", "identity, unique among the computed points")
    of: Literal["difference", "maximum", "minimum", "mean", "sum", "rate", "count_true"] = field(
        "差、最大、最小、平均、和、每秒变化率、为真的个数；缺输入时最大、最小、个数为可疑，其他无效",
        "what is computed; with an input missing maximum, minimum and count_true are uncertain, all others bad",
    )
    points: list[PointId] = field(
        "输入测点；差为前者减后者", "its inputs; a difference is the first less the second", [], max_length=500
    )
    role: Part = field("或：此角色的全部测点", "or: all points with this role", "")
    zone: Part = field("其中此防火分区的", "of those, the ones in this fire compartment", "")
    window_s: Span | None = field("变化率的时间窗", "window of a rate", None)
    unit: Part = field("单位；默认与输入相同", "unit; default: that of its inputs", "")
    text: TextShape | None = field("名称", "its name", None)
    dead_band: Amount = field("变化不超过此值不上报", "a change of at most this is not reported", 0.0)
    longest_interval_s: Annotated[float, Field(gt=0, le=86400)] = field(
        "最长多久上报一次", "reported at least so often", 60.0
    )

    @model_validator(mode="after")
    def _inputs(self) -> VirtualShape:
        if bool(self.points) == bool(self.role):
            raise PydanticCustomError("points_or_role", "must have points, or a role")
        return self
