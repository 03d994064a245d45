"""GB/T 26875.3 in words: `drivers.gb26875` decodes, this names what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers import gb26875
from drivers.gb26875_dialect import Dialect
from drivers.gb26875_message import Message
from drivers.gb26875_stream import Stream
from drivers.gb26875_tables import ANALOGUES, RESERVED_NAME, SYSTEMS, Bit, bits_set, name_of
from drivers.gb26875_unit import SHAPES, Object, Unit, parts, quantity, words
from gateway.decode.reading import Line, Piece, Reading, Undecodable, hex_, line, plain
from gateway.model import Text

NAMES: dict[str, Text] = {
    "system": Text("系统类型", "system type"),
    "address": Text("系统地址", "system address"),
    "component": Text("部件类型", "component type"),
    "component_address": Text("部件地址", "component address"),
    "analogue": Text("模拟量类型", "analogue type"),
    "value": Text("模拟量值", "analogue value"),
    "state": Text("状态", "state"),
    "flags": Text("操作标志", "operation"),
    "operator": Text("操作员编号", "operator"),
    "major": Text("主版本", "major version"),
    "minor": Text("次版本", "minor version"),
    "description": Text("说明", "description"),
    "text": Text("配置说明", "configuration"),
    "records": Text("记录条数", "records"),
    "minutes": Text("应答时限（分钟）", "minutes to answer"),
    "reserved": Text("预留", "reserved"),
    "time": Text("时间", "time"),
}


def read(data: bytes, dialect: Dialect) -> Reading:
    try:
        return _reading(data, gb26875.decode(data, dialect), dialect)
    except gb26875.FrameError as error:
        raise _undecodable(error) from error


def stream(data: bytes, dialect: Dialect) -> list[Piece]:
    cutter = Stream(dialect)
    return [
        Piece(
            piece.data,
            _reading(piece.data, piece.message, dialect) if piece.message else None,
            _undecodable(piece.error) if piece.error else None,
        )
        for piece in cutter.feed(data) + cutter.give_up()
    ]


def _undecodable(error: gb26875.FrameError) -> Undecodable:
    """What does not begin as a frame lacks its beginning: the words say so, the reason is one of five."""
    reason = gb26875.Reason.TRUNCATED if error.reason is gb26875.Reason.START else error.reason
    return Undecodable(reason.value, error.text)


def _reading(data: bytes, message: Message, dialect: Dialect) -> Reading:
    unit = message.unit
    content = {
        "serial": message.serial,
        "version": list(message.version),
        "time": _time(message.time, dialect),
        "source": dialect.address(message.source),
        "destination": dialect.address(message.destination),
        "command": message.command,
        "type": unit.type if unit else None,
        "count": unit.count if unit else None,
        "objects": _objects(message, dialect),
    }
    main, user = message.version
    length = len(data) - gb26875.FRAME_BYTES
    lines = (
        line(data[:2], "起始符", "start", "@@"),
        line(data[2:4], "业务流水号", "serial", message.serial),
        line(data[4:6], "协议版本号", "version", f"{main}.{user}"),
        line(message.time, "时间标签", "time", content["time"] or "-"),
        line(message.source, "源地址", "source", content["source"]),
        line(message.destination, "目的地址", "destination", content["destination"]),
        line(data[24:26], "应用数据单元长度", "length of the data", length),
        line(data[26:27], "命令", "command", _named(message.command, name_of(message.command, dialect.commands))),
        *_unit_lines(message, dialect),
        line(data[-3:-2], "校验和", "checksum", f"{data[-3]:02x}"),
        line(data[-2:], "结束符", "end", "##"),
    )
    return Reading(lines, content, message.warnings)


def _time(tag: bytes, dialect: Dialect) -> str | None:
    """Local time of the device, ISO 8601 without zone; None for a tag that is no time."""
    moment = dialect.time(tag)
    return moment.isoformat() if moment else None


def _named(code: int, name: Text) -> Text:
    return Text(f"{code} {name.zh}", f"{code} {name.en}")


def _handshake(bare: bytes, dialect: Dialect) -> Text:
    return dialect.handshakes.get(bare[0], RESERVED_NAME)


def _objects(message: Message, dialect: Dialect) -> list[dict[str, Any]]:
    """The objects; data that are none stand as `data` in hex."""
    unit = message.unit
    if unit is None:
        bare = message.bare
        return [{"data": bare.hex(), "name": _handshake(bare, dialect)._asdict()}] if bare else []
    if unit.type not in SHAPES:
        return [{"data": unit.rest.hex()}] if unit.rest else []
    return [_object(one, unit, dialect) for one in unit.objects]


def _object(one: Object, unit: Unit, dialect: Dialect) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for _, name, raw in parts(Unit(unit.type, 1, (one,))):
        told |= _JSON.get(name, _as_it_is)(one, name, raw, dialect, unit)
    return told


_Json = Callable[[Object, str, bytes, Dialect, Unit], dict[str, Any]]


def _as_it_is(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> dict[str, Any]:
    return {name: getattr(one, name)}


def _component_address(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> dict[str, Any]:
    if dialect.component_addresses != "loop_node":
        return {name: one.component_address}
    loop, node = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    return {name: one.component_address, "loop": loop, "node": node}


def _bits(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> dict[str, Any]:
    word = int.from_bytes(raw, "little")
    return {name: bits_set(word, dialect.bits(unit.type)), f"{name}_raw": word}


def _value(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> dict[str, Any]:
    measured = quantity(one)
    value, unit_ = measured or (None, None)
    return {"value": value, "unit": unit_, "value_raw": one.value}


def _tagged(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> dict[str, Any]:
    return {name: _time(raw, dialect)}


_JSON: dict[str, _Json] = {
    "system": lambda one, name, raw, dialect, unit: {
        name: raw[0], "system_name": name_of(raw[0], SYSTEMS)._asdict()
    },
    "component": lambda one, name, raw, dialect, unit: {
        name: raw[0], "component_name": name_of(raw[0], dialect.components)._asdict()
    },
    "component_address": _component_address,
    "state": _bits,
    "flags": _bits,
    "value": _value,
    "description": lambda one, name, raw, dialect, unit: {name: words(raw)},
    "text": lambda one, name, raw, dialect, unit: {name: words(raw[1:])},
    "time": _tagged,
}  # fmt: skip


def _unit_lines(message: Message, dialect: Dialect) -> list[Line]:
    unit = message.unit
    if unit is None:
        bare = message.bare
        return [line(bare, "应用数据", "data", _named(bare[0], _handshake(bare, dialect)))] if bare else []
    shape = SHAPES.get(unit.type)
    lines = [
        line(
            bytes([unit.type]), "类型标志", "type", _named(unit.type, shape.text if shape else name_of(unit.type, {}))
        ),
        line(bytes([unit.count]), "信息对象数目", "objects", unit.count),
    ]
    for number, name, raw in parts(unit):
        mark = f"{number + 1}." if unit.count > 1 else ""
        named = NAMES[name]
        value = _spoken(unit.objects[number], name, raw, dialect, unit)
        lines.append(Line(raw, Text(f"{mark}{named.zh}", f"{mark}{named.en}"), value))
    if unit.rest:
        lines.append(line(unit.rest, "其余字节", "further bytes", f"{len(unit.rest)}"))
    return lines


def _spoken(one: Object, name: str, raw: bytes, dialect: Dialect, unit: Unit) -> Text:
    """A field's value as a person reads it."""
    told = _JSON.get(name, _as_it_is)(one, name, raw, dialect, unit)
    if name == "system":
        return _named(raw[0], name_of(raw[0], SYSTEMS))
    if name == "component":
        return _named(raw[0], name_of(raw[0], dialect.components))
    if name in ("state", "flags"):
        return _bit_words(told[f"{name}_raw"], dialect.bits(unit.type))
    if name == "analogue":
        return _named(raw[0], ANALOGUES[raw[0]].text if raw[0] in ANALOGUES else RESERVED_NAME)
    if name == "value":
        return plain(f"{told['value']:g} {told['unit']}".strip() if told["unit"] is not None else told["value_raw"])
    if "loop" in told:
        return Text(f"回路 {told['loop']} 节点 {told['node']}", f"loop {told['loop']} node {told['node']}")
    return plain(hex_(raw) if told[name] is None else told[name])


def _bit_words(word: int, bits: Mapping[int, Bit]) -> Text:
    """The bits that are set, in words; a word without any says so."""
    there = [
        bits[at].text if at in bits else Text(f"保留位 {at}", f"reserved bit {at}")
        for at in range(16)
        if word >> at & 1
    ]
    zh, en = "、".join(text.zh for text in there), ", ".join(text.en for text in there)
    return Text(f"{word:#06x} {zh or '无'}", f"{word:#06x} {en or 'none'}")
