"""What every shape of the site file and of a template is made of: the strict base, patterns with their words, limits.

Everything is checked strictly: an unknown key is a mistake, "5" is not 5, 1 is not true. The shapes themselves are in
`gateway.site.schema`, those of conditions in `gateway.site.shapes_when`, those of templates in `gateway.site.template`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gateway.model import Text

ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
HOST = r"^[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}$"
FILE = r"^[^\x00-\x1f]{1,1000}$"
WORDS = r"\S"
POINT = r"^[^/]+/[^/]+$"
CLOCK = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,31}$"
DATE = r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$"

PATTERNS: dict[str, Text] = {
    ID: Text(
        "须为 1 至 64 个英文字母、数字或 - _ .，以字母或数字开头",
        "must be 1 to 64 letters, digits or - _ . and begin with a letter or digit",
    ),
    HOST: Text("须为主机名或 IP 地址", "must be a host name or an IP address"),
    FILE: Text("须为文件路径", "must be a path"),
    WORDS: Text("不能为空", "must not be empty"),
    POINT: Text("须写成“设备/测点”", "must be written device/point"),
    CLOCK: Text("须为 00:00 至 24:00 的时:分", "must be hours:minutes, 00:00 to 24:00"),
    NAME: Text(
        "须为 1 至 32 个英文字母、数字或 _，以字母或 _ 开头",
        "must be 1 to 32 letters, digits or _ and begin with a letter or _",
    ),
    DATE: Text("须为 年-月-日，如 2026-10-01", "must be year-month-day, such as 2026-10-01"),
}


def field(zh: str, en: str, default: Any = ..., **limits: Any) -> Any:
    return Field(default, description=en, json_schema_extra={"zh": zh}, **limits)


def scalar(value: Any) -> Any:
    """Says it once; a union of types would complain once for each of them."""
    if value is None or isinstance(value, list | dict):
        raise PydanticCustomError("scalar_type", "must be a number or text")
    return value


Id: TypeAlias = Annotated[str, Field(pattern=ID)]
Host: TypeAlias = Annotated[str, Field(pattern=HOST)]
File: TypeAlias = Annotated[str, Field(pattern=FILE)]
Date: TypeAlias = Annotated[str, Field(pattern=DATE)]
Words: TypeAlias = Annotated[str, Field(pattern=WORDS, max_length=200)]
PointId: TypeAlias = Annotated[str, Field(pattern=POINT, max_length=129)]
Part: TypeAlias = Annotated[str, Field(max_length=64)]
Delay: TypeAlias = Annotated[float, Field(ge=0, le=604800)]
Span: TypeAlias = Annotated[float, Field(gt=0, le=86400)]
Period: TypeAlias = Annotated[float, Field(ge=0.02, le=86400)]
Number: TypeAlias = Annotated[float, Field(ge=-1e15, le=1e15)]
Amount: TypeAlias = Annotated[float, Field(ge=0, le=1e15)]


class Shape(BaseModel):
    """What all shapes have in common."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    title: ClassVar[Text] = Text("", "")


class TextShape(Shape):
    title = Text("文字：两种语言都要有", "A text: both languages are needed")
    zh: Words = field("中文", "Chinese")
    en: Words = field("英文", "English")
