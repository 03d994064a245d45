"""GB/T 26875.3-2011, one message, and what contradicts itself in it.

Guarantee: `oddities` never fails, and a message that keeps to the standard and its dialect has none. What it tells is for
people and counters; nothing of a message is left out because of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.gb26875_dialect import Dialect
from drivers.gb26875_tables import ANALOGUES, CONFIRM, DENY, SEND, USER_DEFINED, reserved_set
from drivers.gb26875_unit import SHAPES, Object, Unit, words
from gateway.model import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One frame; times and addresses as they stand on the wire, see `Dialect`."""

    serial: int
    version: tuple[int, int]
    time: bytes
    source: bytes
    destination: bytes
    command: int
    unit: Unit | None = None
    bare: bytes = b""
    """Data of one byte, which is no unit."""
    warnings: tuple[Text, ...] = ()


UNIT_COMMANDS = frozenset(command for shape in SHAPES.values() for command in shape.commands)
"""Commands whose data are units of table 3."""


def oddities(message: Message, dialect: Dialect) -> list[Text]:
    """What contradicts itself or the dialect in a frame that is taken."""
    main, command, unit = message.version[0], message.command, message.unit
    shape = SHAPES.get(unit.type) if unit else None
    told = []
    if main not in dialect.main_versions:
        expected = " / ".join(map(str, sorted(dialect.main_versions)))
        told.append(Text(f"主版本号为 {main}，应为 {expected}", f"main version {main}, expected {expected}"))
    if command in USER_DEFINED and command not in dialect.commands:
        told.append(Text(f"用户自定义命令 {command}", f"command {command} is the vendor's own"))
    if unit and shape and command not in shape.commands:
        told.append(
            Text(
                f"类型 {unit.type}（{shape.text.zh}）不应出现在命令 {command} 下",
                f"type {unit.type} under command {command}",
            )
        )
    if command in (CONFIRM, DENY) and unit:
        told.append(Text("确认或否认不应带数据", "a confirmation or denial carries data"))
    if (
        command in UNIT_COMMANDS
        and not unit
        and not message.bare
        and not (command == SEND and dialect.heartbeat == "empty_send")
    ):
        told.append(Text("没有应用数据（可能是心跳）", "no data (a heart-beat in some dialects)"))
    if message.bare and message.bare[0] not in dialect.handshakes:
        told.append(Text("应用数据仅 1 字节，不成单元", "one byte of data is no unit"))
    told += _time_oddity(message.time, dialect, Text("帧时间标签", "time of the frame"))
    for number, one in enumerate(unit.objects if unit else ()):
        told += _object_oddities(one, unit, number, dialect) if unit else []
    return told


def _time_oddity(tag: bytes | None, dialect: Dialect, what: Text) -> list[Text]:
    if tag is None or dialect.time(tag) is not None:
        return []
    return [Text(f"{what.zh}无效：{tag.hex(' ')}", f"{what.en} is none: {tag.hex(' ')}")]


def _object_oddities(one: Object, unit: Unit, number: int, dialect: Dialect) -> list[Text]:
    where = Text(f"第 {number + 1} 个对象", f"object {number + 1}")
    told = _time_oddity(one.time, dialect, Text(f"{where.zh}的时间", f"time of {where.en}"))
    bits = dialect.bits(unit.type)
    word = one.state if one.state is not None else one.flags
    if word is not None and (reserved := reserved_set(word, bits)):
        told.append(Text(f"{where.zh}保留位被置位：{reserved:#x}", f"{where.en} sets reserved bits: {reserved:#x}"))
    if one.reserved:
        told.append(Text(f"{where.zh}的预留字节为 {one.reserved}", f"reserved byte of {where.en} is {one.reserved}"))
    if one.value is not None and one.analogue not in ANALOGUES:
        told.append(
            Text(f"{where.zh}模拟量类型 {one.analogue} 未知", f"{where.en}: analogue type {one.analogue} not known")
        )
    for raw in (one.description, one.text):
        if raw is not None and "\ufffd" in words(raw):
            told.append(Text(f"{where.zh}的文字不是 GB18030", f"text of {where.en} is not GB18030"))
    return told
