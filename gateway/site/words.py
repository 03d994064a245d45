"""Holds a value against a shape and says every mistake in Chinese and English, with file, line and dotted path.

pydantic finds the mistakes; the words are ours, since its own are English, and written for programmers. An unknown key
or word comes with the nearest known one. A table from pydantic's error types to our words; a type that is not in it
(there is a test that looks for one) is still reported, in pydantic's words.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.model import Text
from gateway.site.shape import PATTERNS
from gateway.site.yaml_lines import Document, Keys

T = TypeVar("T")

_NUMBER = Text("须为数字", "must be a number")
_LIST = Text("须为列表", "must be a list")
_MAPPING = Text("须为“键: 值”的映射", "must be a mapping of 'key: value'")
_WHOLE = Text("须为整数", "must be a whole number")

_SAID: dict[str, Text] = {
    "missing": Text("缺少此项", "is missing"),
    "string_type": Text("须为文字；数字请加引号", "must be text; put a number in quotes"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "float_type": _NUMBER,
    "bool_type": Text("须为 true 或 false", "must be true or false"),
    "list_type": _LIST,
    "tuple_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "scalar_type": Text("须为数字或文字", "must be a number or text"),
    "one_condition": Text("须恰好有一个条件", "must hold exactly one condition"),
    "k_too_large": Text("k 大于条件的个数", "k is larger than the number of conditions"),
    "clock_type": Text(
        "须为带时区的时间，如 2026-01-05T12:00:00+08:00，或 untrusted",
        "must be a time with its zone such as 2026-01-05T12:00:00+08:00, or untrusted",
    ),
    "duration_type": Text("须为时长，如 12s、2m、1h30m", "must be a time such as 12s, 2m or 1h30m"),
    "counter_kind": Text("须为 bits 或 clears_on_read 之一", "must hold either bits or clears_on_read"),
    "points_or_role": Text("points 与 role 须写且只写一个", "must have points, or a role"),
    "no_time": Text("from 与 to 之间没有时间", "there is no time between from and to"),
    "range_order": Text("须为 [低, 高]，且低小于高", "must be [low, high] with low less than high"),
}
_WITH_LIMIT: dict[str, tuple[str, Text]] = {
    "greater_than": ("gt", Text("须大于 {}", "must be greater than {}")),
    "greater_than_equal": ("ge", Text("不得小于 {}", "must be at least {}")),
    "less_than": ("lt", Text("须小于 {}", "must be less than {}")),
    "less_than_equal": ("le", Text("不得大于 {}", "must be at most {}")),
    "string_too_short": ("min_length", Text("至少 {} 个字", "must have at least {} characters")),
    "string_too_long": ("max_length", Text("最多 {} 个字", "must have at most {} characters")),
    "too_short": ("min_length", Text("至少 {} 项", "must have at least {} item(s)")),
    "too_long": ("max_length", Text("最多 {} 项", "must have at most {} item(s)")),
}
_EMPTY = Text("没有值", "has no value")
_FULL_WIDTH_COLON = Text("（注意全角冒号“：”，应为“: ”）", " (there is a full-width colon '：', not ': ')")


def validate(kind: type[T], value: Any, document: Document, keys: Keys) -> T | None:
    """The value as a `kind` (a shape or a driver's frozen dataclass); None after telling `document` each mistake.

    `value` usually stands at `keys` in the document; a value put together from several places may differ from it.
    """
    known = [item.name for item in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    unknown = [key for key in value if key not in known] if known and isinstance(value, dict) else []
    for key in unknown:  # a shape forbids them itself; a dataclass is the standard library's and would let them pass
        document.complain((*keys, key), unknown_key(key, known))
    meant: set[Keys] = {(_nearest(key, known),) for key in unknown}
    if unknown:
        value = {key: item for key, item in value.items() if key in known}
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # a class is hashable
    try:
        valid = adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        _tell(error.errors(include_url=False), kind, value, document, keys, meant)
        return None
    return None if unknown else valid


def _tell(
    faults: Sequence[Mapping[str, Any]], kind: type, value: Any, document: Document, keys: Keys, meant: set[Keys]
) -> None:
    """`meant`: keys that a misspelt one stands for, so that they are not missing as well."""
    meant |= {
        (*_way(fault, value)[:-1], _nearest(fault["loc"][-1], _known(kind, fault["loc"][:-1])))
        for fault in faults
        if fault["type"] == "extra_forbidden"
    }
    said: set[Keys] = set()
    for fault in faults:
        way = _way(fault, value)
        if way in said or (fault["type"] == "missing" and way in meant):
            continue  # a union complains once for each of its types
        said.add(way)
        document.complain((*keys, *way), _words(fault, kind))


def nearest(word: object, known: Iterable[str]) -> Text:
    """A hint to the known word that looks most like it; empty when none does."""
    near = _nearest(word, known)
    return Text(f"；是不是“{near}”？", f"; did you mean '{near}'?") if near else Text("", "")


def one_of(known: Iterable[str], given: object) -> Text:
    words = list(known)
    hint = Text("；此处没有值", "; it has no value") if given is None else nearest(given, words)
    return Text(f"须为以下之一：{'、'.join(words)}{hint.zh}", f"must be one of {', '.join(words)}{hint.en}")


def _nearest(word: object, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(str(word), list(known), n=1)), "")


def unknown_key(word: object, known: Iterable[str]) -> Text:
    hint = nearest(word, known)
    return Text(f"未知的键“{word}”{hint.zh}", f"unknown key '{word}'{hint.en}")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _way(fault: Mapping[str, Any], value: Any) -> Keys:
    """pydantic's location as keys of the document: without the names of union members, with whole-number keys."""
    way: list[str | int] = []
    location = [part for part in fault["loc"] if part != "[key]"]
    for index, part in enumerate(location):
        number = int(part) if isinstance(part, str) and re.fullmatch(r"-?[0-9]{1,18}", part) else part
        key = next((key for key in (part, number) if _has(value, key)), None)
        if key is not None:
            way.append(key)
            value = value[key]
        elif fault["type"] == "missing" and index == len(location) - 1:
            way.append(part)
    return tuple(way)


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value)


def _words(fault: Mapping[str, Any], kind: type) -> Text:
    name: str = fault["type"]
    context: Mapping[str, Any] = fault.get("ctx", {})
    given = fault.get("input")
    if name == "extra_forbidden":
        return unknown_key(fault["loc"][-1], _known(kind, fault["loc"][:-1]))
    if name in ("literal_error", "enum"):
        expected: str = context["expected"]  # 'N', 'E' or 'O' -- or, of numbers: 1, 2 or 3
        return one_of(re.findall(r"'([^']*)'", expected) or re.findall(r"[-\w.]+(?= or |,|$)", expected), given)
    if given is None and name in _SAID and name != "missing":
        return _EMPTY
    if name == "string_pattern_mismatch":
        return PATTERNS.get(
            context["pattern"], Text(f"须符合 {context['pattern']}", f"must match {context['pattern']}")
        )
    if name in _WITH_LIMIT:
        key, text = _WITH_LIMIT[name]
        return Text(*(words.format(_plain(context[key])) for words in text))
    if name in _SAID:
        said = _SAID[name]
        colon = said is _MAPPING and isinstance(given, str) and "：" in given
        return Text(said.zh + _FULL_WIDTH_COLON.zh, said.en + _FULL_WIDTH_COLON.en) if colon else said
    if name == "value_error":
        return Text(f"不可用：{context['error']}", str(context["error"]))
    return Text(f"不可用：{fault['msg']}", fault["msg"])


def _plain(number: Any) -> str:
    return f"{number:.15g}" if isinstance(number, float) else str(number)


def _known(kind: Any, location: tuple[str | int, ...]) -> list[str]:
    """The keys that the shape at this location knows."""
    if get_origin(kind) in (Union, UnionType):
        kind = next((member for member in get_args(kind) if member is not type(None)), None)
    if get_origin(kind) in (list, dict):
        return _known(get_args(kind)[-1], location[1:])
    if not isinstance(kind, type) or not issubclass(kind, BaseModel):
        return []
    names = {item.alias or name: name for name, item in kind.model_fields.items()}
    if not location:
        return list(names)
    return _known(get_type_hints(kind)[names[str(location[0])]], location[1:])
