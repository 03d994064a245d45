"""Strict YAML with line numbers: bytes -> plain values, where each of them stands, and every mistake that can be told.

Guarantees
* YAML 1.2 scalars: only ``true`` and ``false`` are booleans, so that ``no``, ``on``, ``y`` stay texts; ``0x40`` is a number.
* Duplicate keys, tags, anchors, aliases and keys that are neither text nor a whole number are mistakes, all reported at
  once; a file that is no YAML at all is one mistake, since nothing after it can be trusted.
* Bounded: bytes, depth and number of values. The events of libyaml are read instead of `yaml.compose`, whose recursion
  is not bounded: 100,000 opening brackets kill the process there (PyYAML 6.0.3).
* Whatever the bytes are, only `ConfigError` leaves this module.

It knows nothing of what a site is; see `gateway.site.schema`.
"""

from __future__ import annotations

import math
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from gateway.errors import ConfigError, Mistake, unread
from gateway.model import Text

Keys: TypeAlias = tuple[str | int, ...]
"""The way from the top of a file to a value."""

LIMIT_BYTES = 2 * 1024 * 1024
LIMIT_DEPTH = 40
LIMIT_VALUES = 200_000
LIMIT_MISTAKES = 1_000
"""Nobody reads on after so many; a file made of mistakes must not take minutes."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    "true": True,
    "false": False,
}
_NUMBER_START = frozenset("+-.0123456789")
# Also the line breaks that libyaml counts and editors do not: line numbers would drift apart.
_INVISIBLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_FULL_WIDTH = re.compile("[：，｛｝【】“”‘’－＃]")

_NO_TAGS = Text("不允许使用标签（!…）；数据类型由字段决定", "tags (!...) are not allowed; the field decides the type")
_NO_ANCHORS = Text(
    "不允许使用锚点（&）和引用（*）；请写出完整内容", "anchors (&) and aliases (*) are not allowed; write it out"
)
_KEY_KIND = Text(
    "键必须是文字或整数；如需要请加引号", "a key must be text or a whole number; put it in quotes where needed"
)

# What libyaml says -> what a person on site can act on.
_SYNTAX = {
    "found unexpected end of stream": Text("引号没有结束", "a quoted text is not closed"),
    "did not find expected ',' or ']'": Text("列表 [...] 中缺少“,”或“]”", "a list [...] lacks its ',' or ']'"),
    "did not find expected ',' or '}'": Text("映射 {...} 中缺少“,”或“}”", "a mapping {...} lacks its ',' or '}'"),
    "mapping values are not allowed in this context": Text(
        "此处不能出现“键: 值”；请检查缩进，含“: ”的文字要加引号",
        "'key: value' cannot stand here; look at the indentation, and put a text that holds ': ' in quotes",
    ),
    "could not find expected ':'": Text("缺少“: ”（英文冒号加空格）", "a ': ' (colon and space) is missing"),
    "did not find expected key": Text(
        "缩进不一致，或此处应为“键: 值”", "the indentation does not fit, or a 'key: value' is missing"
    ),
    "did not find expected '-' indicator": Text(
        "缩进不一致，或列表项缺少“- ”", "the indentation does not fit, or a '- ' is missing"
    ),
    "block sequence entries are not allowed in this context": Text(
        "此处不能出现列表项“- ”", "a list item '- ' cannot stand here"
    ),
    "found unexpected ':'": Text(
        "冒号位置有误；键后没有值时请删去此键", "a ':' is out of place; leave out a key without a value"
    ),
    "did not find expected node content": Text("此处缺少内容", "a value is missing here"),
    "found unknown escape character": Text(
        "双引号中有未知的转义符“\\”；请改用单引号", "unknown escape after '\\' in double quotes; take single quotes"
    ),
    "found undefined tag handle": _NO_TAGS,
    "found character that cannot start any token": Text(
        "此字符不能作为开头；请给文字加引号", "a text cannot begin with this character; put it in quotes"
    ),
}
_TAB = Text("缩进不能使用制表符（Tab）；请用空格", "a tab cannot indent; use spaces")


@dataclass(slots=True)
class Document:
    """A file as read: `value` is made of dict, list, str, int, float, bool and None. Collects the file's mistakes."""

    file: str
    value: Any = None
    lines: dict[Keys, int] = field(default_factory=dict)
    """1-based line of each value (of its key, where it has one)."""
    mistakes: list[Mistake] = field(default_factory=list)
    unusable: set[Keys] = field(default_factory=set)
    """Values that are no values (an alias, a tag): what is said of them later would only be noise."""

    def line(self, keys: Keys) -> int:
        """The line of the value, or of the nearest thing around it that stands in the file."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def complain(self, keys: Keys, text: Text, line: int | None = None) -> None:
        if not any(keys[:depth] in self.unusable for depth in range(len(keys) + 1)):
            where = self.line(keys) if line is None else line
            self.mistakes.append(Mistake(self.file, where, dotted(keys), text.en, text.zh))
            if len(self.mistakes) >= LIMIT_MISTAKES:
                en = f"{LIMIT_MISTAKES} mistakes so far: the rest was not looked at"
                zh = f"已有 {LIMIT_MISTAKES} 处错误，其余未检查"
                raise ConfigError([*self.mistakes, Mistake(self.file, where, "", en, zh)])


def dotted(keys: Keys) -> str:
    """``("devices", 3, "address")`` -> ``devices[3].address``"""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def read(path: Path) -> Document:
    """Read a file; raises `ConfigError` if it cannot be read or is no YAML, `DiskFault` if that is no fault of the file."""
    try:
        if path.is_dir():
            raise _fatal(str(path), 1, Text("这是目录，不是文件", "this is a directory, not a file"))
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or device would block or never end
            raise _fatal(str(path), 1, Text("不是普通文件", "not a regular file"))
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unread(str(path), error) from None
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Document:
    """Parse the bytes of `file`; raises `ConfigError` if they are no YAML."""
    text = _decode(data, file)
    document = Document(file)
    try:
        _Builder(text, document).build()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text, file) from None
    except yaml.YAMLError as error:  # only libyaml's reader, which _decode has made unlikely
        raise _fatal(file, 1, Text(f"YAML 语法错误：{error}", f"not YAML: {error}")) from None
    return document


class _Builder:
    """Builds values from libyaml's events, to a bounded depth."""

    def __init__(self, text: str, document: Document) -> None:
        self._events = yaml.CSafeLoader(text)
        self._document = document
        self._lines = document.lines

    def build(self) -> None:
        self._next()  # start of the stream
        self._lines[()] = 1
        if isinstance(self._next(), yaml.StreamEndEvent):
            return
        first = self._next()
        self._lines[()] = _line(first)
        self._document.value = self._value(first, ())
        self._next()  # end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            text = Text("一个文件只能有一个 YAML 文档（---）", "a file holds one YAML document, not several (---)")
            raise _fatal(self._document.file, _line(after), text)

    def _next(self) -> yaml.Event:
        event = self._events.get_event()
        assert event is not None  # only after the end of the stream, where nobody reads on
        return event

    def _value(self, event: yaml.Event, keys: Keys) -> Any:
        if len(keys) > LIMIT_DEPTH or len(self._lines) > LIMIT_VALUES:
            text = Text("嵌套过深或内容过多", "nested too deeply, or too many values")
            raise _fatal(self._document.file, _line(event), text)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:  # for an alias it is the name of what it stands for
            self._refuse(keys, _NO_ANCHORS)
        elif event.tag is not None:  # type: ignore[attr-defined]  # all NodeEvents but the alias have a tag
            self._refuse(keys, _NO_TAGS)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(keys)
        return self._mapping(keys) if isinstance(event, yaml.MappingStartEvent) else None

    def _list(self, keys: Keys) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            item = (*keys, len(items))
            self._lines[item] = _line(event)
            items.append(self._value(event, item))
        return items

    def _mapping(self, keys: Keys) -> dict[str | int, Any]:
        mapping: dict[str | int, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = _key(event)
            if key is None:
                self._document.complain(keys, _KEY_KIND, _line(event))
                self._skip(event)
                self._skip(self._next())
            elif key in mapping:
                entry = (*keys, key)
                first = self._lines[entry]
                text = Text(f"重复的键“{key}”，第 {first} 行已有", f"duplicate key '{key}', first in line {first}")
                self._document.complain(entry, text, _line(event))
                self._skip(self._next())
            else:
                entry = (*keys, key)
                self._lines[entry] = _line(event)
                mapping[key] = None
                mapping[key] = self._value(self._next(), entry)
        return mapping

    def _skip(self, event: yaml.Event) -> None:
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return
            event = self._next()

    def _refuse(self, keys: Keys, text: Text) -> None:
        self._document.complain(keys, text)
        self._document.unusable.add(keys)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _key(event: yaml.Event) -> str | int | None:
    """The key, or None where it is no text and no whole number."""
    if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
        return None
    key = _scalar(event.value) if event.implicit[0] else event.value
    return key if type(key) is int or isinstance(key, str) else None


def _scalar(text: str) -> object:
    """A plain scalar by the YAML 1.2 core schema, without capitalised booleans and numbers that are not finite."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_START:
        if _INTEGER.fullmatch(text):
            return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if math.isfinite(number) else text
    return text


def _decode(data: bytes, file: str) -> str:
    if len(data) > LIMIT_BYTES:
        limit = LIMIT_BYTES // 1024 // 1024
        raise _fatal(file, 1, Text(f"文件大于 {limit} MiB", f"larger than {limit} MiB"))
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = Text(
            "不是 UTF-8 编码（可能是 GBK）；请另存为 UTF-8",
            "not UTF-8 (GBK perhaps); save the file with encoding UTF-8",
        )
        raise _fatal(file, line, why) from None
    if found := _INVISIBLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        code = f"U+{ord(found[0]):04X}"
        raise _fatal(file, line, Text(f"含有不可见字符 {code}", f"an invisible character, {code}"))
    return text


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigError:
    problem = error.problem or ""
    mark = error.context_mark if problem == "found unexpected end of stream" else error.problem_mark
    line = mark.line if mark is not None else 0
    rows = text.splitlines() or [""]
    row = rows[min(line, len(rows) - 1)]
    column = mark.column if mark is not None else 0
    said = _SYNTAX.get(problem, Text(f"YAML 语法错误：{problem}", f"not YAML: {problem}"))
    if problem == "found character that cannot start any token" and row[column : column + 1] == "\t":
        said = _TAB
    around = rows[max(0, line - 1) : line + 1]
    if any(_FULL_WIDTH.search(one) for one in around) and said is not _TAB:
        said = Text(f"{said.zh}（注意全角标点）", f"{said.en} (there is full-width punctuation nearby)")
    return _fatal(file, min(line, len(rows) - 1) + 1, said)


def _fatal(file: str, line: int, text: Text) -> ConfigError:
    return ConfigError([Mistake(file, line, "", text.en, text.zh)])
