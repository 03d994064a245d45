"""The shapes of scenario files; docs/scenarios.md says what their keys mean, `gateway.site.scenarios` reads them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from gateway.site.shape import Shape, Words, field

LONGEST_S = 31 * 86400.0
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def _seconds(given: Any) -> Any:
    """``12s``, ``1h30m``, a number of seconds."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise PydanticCustomError("duration_type", "must be a time")
    if not isinstance(given, str):
        return given
    found = _TIME.fullmatch(given)
    if not given or found is None:
        raise PydanticCustomError("duration_type", "must be a time")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


At = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_S)]
Step = Annotated[float, BeforeValidator(_seconds), Field(ge=0.01, le=86400)]
Plain = Annotated[bool | int | float | str, Field(union_mode="left_to_right")]


def _clocks(given: Any) -> Any:
    """``2026-01-05T12:00:00+08:00`` as it is written, or ``untrusted``."""
    if given == UNTRUSTED:
        return given
    try:
        dated = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        dated = None
    if dated is None or dated.utcoffset() is None or not 0 < dated.timestamp() < LATEST:
        raise PydanticCustomError("clock_type", "must be a time with its zone")
    return given


UNTRUSTED = "untrusted"
LATEST = 4e9
"""Seconds since 1970: in 2096."""
Clock = Annotated[str, BeforeValidator(_clocks)]


class HappeningShape(Shape):
    at: At
    do: str = ""
    alarm: str = ""
    who: Annotated[str, Field(max_length=80)] = "Li"
    why: Annotated[str, Field(max_length=200)] = "test"
    for_: At | None = Field(None, alias="for")
    value: str = ""
    refused: bool = False
    clock: Clock = ""
    restart: Annotated[bool | float, BeforeValidator(lambda given: given if given is True else _seconds(given))] = False


class ExpectationShape(Shape):
    at: At
    alarm: str = ""
    state: str = ""
    becomes: str = ""
    by: str = ""
    value: Plain | None = None
    states: dict[str, str] | None = None
    only: dict[str, str] | None = None
    none: Literal[True] | None = None


class ScenarioShape(Shape):
    name: Words
    clock: Clock = ""
    read_every: Step | None = None
    every: Step = 1.0
    usual: dict[str, Plain] = field("未提及测点的常值", "what points say that nobody mentions", {})
    points: dict[str, str] = field("各测点的数值序列", "series by point", {})
    happens: list[HappeningShape] = field("操作和重启", "commands and restarts", [])
    expect: list[ExpectationShape] = field("期望", "what is expected", min_length=1)


class FileShape(Shape):
    scenarios: Annotated[list[Any], Field(min_length=1)]
    site: str = ""
    every: Step = 1.0
    usual: dict[str, Plain] = field("未提及测点的常值", "what points say that nobody mentions", {})
