"""What decoding gives: one frame in words, or the reason why not. Shared by the protocols of `gateway.decode`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.model import Text


class Line(NamedTuple):
    """One field as a person reads it."""

    raw: bytes
    name: Text
    value: Text


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame, field by field; `content` is the JSON of it, without the warnings."""

    lines: tuple[Line, ...]
    content: dict[str, Any]
    warnings: tuple[Text, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.content | {"warnings": [f"{warning.en} / {warning.zh}" for warning in self.warnings]}


class Undecodable(ValueError):
    """No frame of this protocol. `reason` is one word: start, length, truncated, tail, checksum, command, hex."""

    def __init__(self, reason: str, text: Text) -> None:
        super().__init__(text.en)
        self.reason = reason
        self.text = text

    def to_json(self) -> dict[str, str]:
        return {"reason": self.reason, "en": self.text.en, "zh": self.text.zh}


class Piece(NamedTuple):
    """A part of a stream: a frame that was read, or bytes that were skipped and why."""

    data: bytes
    reading: Reading | None
    error: Undecodable | None


def plain(value: object) -> Text:
    """A value that reads the same in both languages."""
    return Text(str(value), str(value))


def number(raw: bytes) -> int:
    """High byte first, as in all protocols here but GB/T 26875."""
    return int.from_bytes(raw, "big")


def line(raw: bytes, zh: str, en: str, value: object) -> Line:
    return Line(raw, Text(zh, en), value if isinstance(value, Text) else plain(value))


def hex_(raw: bytes) -> str:
    return raw.hex(" ")


def no_frame(reason: str, data: bytes, expected: object = "") -> Undecodable:
    """The refusals that all protocols share."""
    texts = {
        "start": Text(f"以 {hex_(data[:2])} 开头，不是帧头", f"starts with {hex_(data[:2])}, no frame begins so"),
        "length": Text(
            f"{len(data)} 字节与长度不符（{expected}）", f"{len(data)} bytes do not fit its length ({expected})"
        ),
        "truncated": Text(f"帧不完整，仅 {len(data)} 字节", f"cut off: {len(data)} bytes"),
        "tail": Text(f"结束符为 {hex_(data[-2:])}", f"ends with {hex_(data[-2:])}"),
        "checksum": Text(f"校验和错误，应为 {expected}", f"wrong checksum, should be {expected}"),
        "command": Text(f"未知命令 {expected}", f"unknown command {expected}"),
    }
    return Undecodable(reason, texts[reason])
