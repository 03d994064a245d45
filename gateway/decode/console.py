"""``gengfu decode`` at the terminal: arguments in, tables or JSON out, the exit status. The only part that prints."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text as Plain

from gateway.decode import DIALECTS, PROTOCOLS, Piece, Reading, Undecodable, decode, from_hex, stream

OK, FAILED, USAGE = 0, 1, 2
LARGEST_INPUT = 16 * 1024 * 1024
"""Characters that are read from standard input."""


def run(protocol: str, text: str, dialect: str, *, as_json: bool, as_stream: bool) -> int:
    """The exit status: 0 when at least one frame was read, 1 with the reason when none was, 2 for wrong words."""
    out, err = Console(), Console(stderr=True)
    for name, known, what in ((protocol, PROTOCOLS, "protocol 协议"), (dialect, DIALECTS, "dialect 方言")):
        if name not in known:
            err.print(f"{what}: {name}? {', '.join(known)}", markup=False, highlight=False, soft_wrap=True)
            return USAGE
    given = sys.stdin.read(LARGEST_INPUT) if text == "-" else text
    try:
        data = from_hex(given)
        if as_stream:
            return _stream(stream(protocol, data, dialect), out, as_json=as_json)
        reading = decode(protocol, data, dialect)
    except Undecodable as error:
        if as_json:
            _write(error.to_json())
        else:
            _say(err, f"reason 原因: {error.reason}: {error.text.en} / {error.text.zh}")
        return FAILED
    if as_json:
        _write(reading.to_json())
    else:
        _show(out, reading, protocol)
    return OK


def _stream(pieces: list[Piece], out: Console, *, as_json: bool) -> int:
    frames = [piece.reading for piece in pieces if piece.reading]
    skipped: list[dict[str, Any]] = []
    at = 0
    for piece in pieces:
        if piece.error:
            skipped.append({"offset": at, "bytes": len(piece.data), "hex": piece.data.hex(), **piece.error.to_json()})
        at += len(piece.data)
    if as_json:
        reason = {} if frames else {"reason": skipped[0]["reason"] if skipped else "truncated"}
        _write({"frames": [frame.to_json() for frame in frames], "skipped": skipped, **reason})
        return OK if frames else FAILED
    at = 0
    for piece in pieces:
        if piece.reading:
            _show(out, piece.reading, f"offset 位置 {at}")
        elif piece.error:
            why = f"{piece.error.reason}: {piece.error.text.en} / {piece.error.text.zh}"
            _say(out, f"offset 位置 {at}: {len(piece.data)} bytes skipped 跳过: {why}")
        at += len(piece.data)
    _say(out, f"{len(frames)} frames 帧, {sum(one['bytes'] for one in skipped)} bytes skipped 跳过字节")
    return OK if frames else FAILED


def _show(out: Console, reading: Reading, title: str) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("bytes 字节", "字段", "field", "值", "value"):
        table.add_column(column, overflow="fold", max_width=32)
    for raw, name, value in reading.lines:
        table.add_row(*(_plain(cell) for cell in (raw.hex(" "), name.zh, name.en, value.zh, value.en)))
    out.print(table)
    for warning in reading.warnings:
        _say(out, f"warning 注意: {warning.en} / {warning.zh}")


def _plain(cell: str) -> Plain:
    """Text from a wire: no markup, no control characters that would reach the terminal."""
    return Plain("".join(c if c.isprintable() else "·" for c in cell))


def _say(console: Console, words: str) -> None:
    console.print(words, markup=False, highlight=False, soft_wrap=True)


def _write(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
