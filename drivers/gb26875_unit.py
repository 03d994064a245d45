"""GB/T 26875.3-2011, application data units: type, count and objects of figures 6 to 23, up and down, without loss.

An `Object` holds what stands on the wire: numbers as they are, texts and times as bytes; `Dialect` and `analogue`,
`words` say what they mean. So ``encode(decode(data)) == data`` for every data of at least two bytes, whatever is wrong
with it, and what is wrong is told.

Guarantees
* A unit is never refused. Objects that are there are read even when their count is wrong; of an object that is cut, the
  fields before the cut are read: a fire stays a fire though its text or time is missing.
* Bytes behind the last object are kept in `rest` and told (vendors append time tags: standards.md 1.5).
* Objects that all lack their time tag (figure 5 allows it) are read without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from drivers.gb26875_tables import ANALOGUES, CONTROL, REQUEST, RESPOND, SEND
from gateway.model import Text

DESCRIPTION_BYTES = 31
TIME_BYTES = 6
_COUNTED = 0
"""Size of a field that begins with its own length in one byte."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object; None for a field that its type does not have, or that was cut off."""

    system: int | None = None
    address: int | None = None
    component: int | None = None
    component_address: int | None = None
    analogue: int | None = None
    value: int | None = None
    """Signed, in steps of the analogue type."""
    state: int | None = None
    flags: int | None = None
    operator: int | None = None
    major: int | None = None
    minor: int | None = None
    description: bytes | None = None
    text: bytes | None = None
    records: int | None = None
    minutes: int | None = None
    reserved: int | None = None
    time: bytes | None = None


class Shape(NamedTuple):
    """What a type of unit is made of."""

    text: Text
    most: int
    """Most objects in one unit."""
    commands: tuple[int, ...]
    """Commands that it may come under."""
    fields: tuple[tuple[str, int], ...]
    """Name in `Object` and size in bytes, in order."""


@dataclass(frozen=True, slots=True)
class Unit:
    type: int
    count: int
    """As it stands in the unit; `objects` may be another number of them."""
    objects: tuple[Object, ...] = ()
    rest: bytes = b""
    """What is behind the objects, or all of it for a type that is not known."""


_UP, _ASK, _ORDER = (SEND, RESPOND), (REQUEST,), (CONTROL,)
_SYSTEM = (("system", 1), ("address", 1))
_PART = (("component", 1), ("component_address", 4))
_TIME = (("time", TIME_BYTES),)
_STATE = (("state", 2),)
_DESCRIPTION = (("description", DESCRIPTION_BYTES),)
_VERSION = (("major", 1), ("minor", 1))
_TEXT = (("text", _COUNTED),)
_DONE = (("flags", 1), ("operator", 1))
_WHICH = (("component_address", 4),)
_RESERVED = (("reserved", 1),)
_RECORDS = (("records", 1), *_TIME)
_VALUE = (("analogue", 1), ("value", 2))

SHAPES: dict[int, Shape] = {
    1: Shape(Text("上传建筑消防设施系统状态", "facility system state"), 102, _UP, _SYSTEM + _STATE + _TIME),
    2: Shape(
        Text("上传建筑消防设施部件运行状态", "component state"), 22, _UP, _SYSTEM + _PART + _STATE + _DESCRIPTION + _TIME
    ),
    3: Shape(Text("上传建筑消防设施部件模拟量值", "component analogue value"), 63, _UP, _SYSTEM + _PART + _VALUE + _TIME),
    4: Shape(Text("上传建筑消防设施操作信息", "facility operation"), 102, _UP, _SYSTEM + _DONE + _TIME),
    5: Shape(Text("上传建筑消防设施软件版本", "facility software version"), 1, _UP, _SYSTEM + _VERSION),
    6: Shape(Text("上传建筑消防设施系统配置情况", "facility configuration"), 3, _UP, _SYSTEM + _TEXT),
    7: Shape(Text("上传建筑消防设施部件配置情况", "component configuration"), 26, _UP, _SYSTEM + _PART + _DESCRIPTION),
    8: Shape(Text("上传建筑消防设施系统时间", "facility clock"), 1, _UP, _SYSTEM + _TIME),
    21: Shape(Text("上传用户信息传输装置运行状态", "transmission device state"), 1, _UP, (("state", 1), *_TIME)),
    24: Shape(Text("上传用户信息传输装置操作信息", "transmission device operation"), 127, _UP, _DONE + _TIME),
    25: Shape(Text("上传用户信息传输装置软件版本", "transmission device software version"), 1, _UP, _VERSION),
    26: Shape(Text("上传用户信息传输装置配置情况", "transmission device configuration"), 1, _UP, _TEXT),
    28: Shape(Text("上传用户信息传输装置系统时间", "transmission device clock"), 1, _UP, _TIME),
    61: Shape(Text("读建筑消防设施系统状态", "read facility system state"), 102, _ASK, _SYSTEM),
    62: Shape(Text("读建筑消防设施部件运行状态", "read component state"), 22, _ASK, _SYSTEM + _WHICH),
    63: Shape(Text("读建筑消防设施部件模拟量值", "read component analogue value"), 63, _ASK, _SYSTEM + _WHICH),
    64: Shape(Text("读建筑消防设施操作信息", "read facility operation records"), 1, _ASK, _SYSTEM + _RECORDS),
    65: Shape(Text("读建筑消防设施软件版本", "read facility software version"), 1, _ASK, _SYSTEM),
    66: Shape(Text("读建筑消防设施系统配置情况", "read facility configuration"), 3, _ASK, _SYSTEM),
    67: Shape(Text("读建筑消防设施部件配置情况", "read component configuration"), 26, _ASK, _SYSTEM + _WHICH),
    68: Shape(Text("读建筑消防设施系统时间", "read facility clock"), 1, _ASK, _SYSTEM),
    81: Shape(Text("读用户信息传输装置运行状态", "read transmission device state"), 1, _ASK, _RESERVED),
    84: Shape(Text("读用户信息传输装置操作信息记录", "read transmission device operation records"), 1, _ASK, _RECORDS),
    85: Shape(Text("读用户信息传输装置软件版本", "read transmission device software version"), 1, _ASK, _RESERVED),
    86: Shape(Text("读用户信息传输装置配置情况", "read transmission device configuration"), 1, _ASK, _RESERVED),
    88: Shape(Text("读用户信息传输装置系统时间", "read transmission device clock"), 1, _ASK, _RESERVED),
    89: Shape(Text("初始化用户信息传输装置", "initialise transmission device"), 1, _ORDER, _RESERVED),
    90: Shape(Text("同步用户信息传输装置时钟", "synchronise transmission device clock"), 1, _ORDER, _TIME),
    91: Shape(Text("查岗命令", "duty check"), 1, _ORDER, (("minutes", 1),)),
}  # fmt: skip
"""Table 3. Type 91 carries the minutes to answer in, not a reserved byte (standards.md 1.9)."""


def decode(data: bytes) -> tuple[Unit, list[Text]]:
    """The unit in `data` (at least two bytes), and what is wrong with it."""
    type_, count = data[0], data[1]
    shape = SHAPES.get(type_)
    if shape is None:
        vendors = 128 <= type_ <= 254
        whose = (
            Text("用户自定义", "the vendor's own")
            if vendors
            else Text("保留，含义未知", "reserved, its meaning not known")
        )
        return Unit(type_, count, (), data[2:]), [Text(f"类型标志 {type_}：{whose.zh}", f"type {type_} is {whose.en}")]
    wrong = []
    if not 1 <= count <= shape.most:
        wrong.append(
            Text(f"信息对象数目 {count} 应为 1 到 {shape.most}", f"object count {count}, allowed 1 to {shape.most}")
        )
    objects, at, cut = _objects(data, shape, count)
    whole = len(objects) - cut
    if whole < count:
        wrong.append(
            Text(f"声明 {count} 个信息对象，完整的只有 {whole} 个", f"{count} objects declared, {whole} complete")
        )
    if at < len(data) and not cut:
        size, shown = len(data) - at, data[at : at + 16].hex(" ")
        wrong.append(Text(f"末个对象后多出 {size} 字节：{shown}", f"{size} bytes after the last object: {shown}"))
    if whole and not cut and _TIME[0] in shape.fields and all(one.time is None for one in objects):
        wrong.append(Text("信息对象没有时间标签", "objects without time tag"))
    return Unit(type_, count, objects, data[at:]), wrong


def encode(unit: Unit) -> bytes:
    """The bytes of a unit. Raises ValueError for a number that does not fit, and for objects of an unknown type."""
    return bytes([unit.type, unit.count]) + b"".join(raw for _, _, raw in parts(unit)) + unit.rest


def parts(unit: Unit) -> list[tuple[int, str, bytes]]:
    """The fields of all objects in order: number of the object, name, bytes. Raises like `encode`."""
    shape = SHAPES.get(unit.type)
    if shape is None:
        if unit.objects:
            raise ValueError(f"type {unit.type} has no known objects")
        return []
    try:
        every = [
            (number, name, _written(one, name, size))
            for number, one in enumerate(unit.objects)
            for name, size in shape.fields
        ]
    except OverflowError as error:
        raise ValueError(f"type {unit.type}: {error}") from error
    return [part for part in every if part[2]]


def _objects(data: bytes, shape: Shape, count: int) -> tuple[tuple[Object, ...], int, bool]:
    """The objects, where they end, and whether the last one is cut."""
    fields = shape.fields
    least = sum(size or 1 for _, size in fields)
    room = len(data) - 2
    if _TIME[0] in fields and len(fields) > 1 and room == count * (least - TIME_BYTES):
        fields = tuple(field for field in fields if field != _TIME[0])
    wanted = count or room // least
    objects: list[Object] = []
    at = 2
    while len(objects) < wanted and at < len(data):
        one, at, cut = _object(data, at, fields)
        if cut:
            return (*objects, one) if one != Object() else tuple(objects), at, one != Object()
        objects.append(one)
    return tuple(objects), at, False


def _object(data: bytes, at: int, fields: tuple[tuple[str, int], ...]) -> tuple[Object, int, bool]:
    """One object, where what was read of it ends, and whether it is cut there."""
    read: dict[str, int | bytes] = {}
    for name, size in fields:
        end = at + (size or (1 + data[at] if at < len(data) else 1))
        if end > len(data):
            return Object(**read), at, True  # type: ignore[arg-type]  # SHAPES pairs names with their types
        raw = data[at:end]
        if name in _BYTES:
            read[name] = raw if size else raw[1:]
        else:
            read[name] = int.from_bytes(raw, "little", signed=name == "value")
        at = end
    return Object(**read), at, False  # type: ignore[arg-type]  # as above


_BYTES = ("description", "text", "time")


def _written(one: Object, name: str, size: int) -> bytes:
    value: int | bytes | None = getattr(one, name)
    if value is None:
        return b""
    if isinstance(value, int):
        return value.to_bytes(size, "little", signed=name == "value")
    if size and len(value) != size:
        raise ValueError(f"{name}: {len(value)} bytes, not {size}")
    return value if size else len(value).to_bytes(1, "little") + value


def described(one: Object, words: str) -> Object:
    """The object with a description, cut at a whole character."""
    raw = words.encode("gb18030", "replace")
    if len(raw) > DESCRIPTION_BYTES:
        raw = raw[:DESCRIPTION_BYTES].decode("gb18030", "ignore").encode("gb18030")
    return replace(one, description=raw.ljust(DESCRIPTION_BYTES, b"\0"))


def words(raw: bytes) -> str:
    """The GB18030 text in a field, cut at its first NUL (devices leave stale bytes behind it); bytes that are no text
    become U+FFFD."""
    return raw.split(b"\0", 1)[0].decode("gb18030", "replace")


def quantity(one: Object) -> tuple[float, str] | None:
    """Value and unit of an analogue object; None where there is none or its type is not known."""
    kind = ANALOGUES.get(-1 if one.analogue is None else one.analogue)
    if kind is None or one.value is None:
        return None
    return one.value / kind.divisor, kind.unit
