"""Modbus frames in words, RTU and TCP, requests and replies alike: a frame does not say which one it is.

CRC and exceptions are those of `drivers.modbus_pdu`. Registers are shown as numbers; what they mean is the template's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from drivers.modbus_pdu import EXCEPTIONS, crc16
from gateway.decode.reading import Line, Reading, hex_, line, no_frame, number
from gateway.model import Text

_MBAP_BYTES = 6
_LONGEST_ADU_BYTES = 254
_LONGEST_RTU_BYTES = 256

FUNCTIONS: dict[int, Text] = {
    1: Text("读线圈", "read coils"),
    2: Text("读离散输入", "read discrete inputs"),
    3: Text("读保持寄存器", "read holding registers"),
    4: Text("读输入寄存器", "read input registers"),
    5: Text("写单个线圈", "write one coil"),
    6: Text("写单个寄存器", "write one register"),
    15: Text("写多个线圈", "write coils"),
    16: Text("写多个寄存器", "write registers"),
    43: Text("读设备标识", "read device identification"),
}
_BITS, _REGISTERS, _ONE, _MANY = (1, 2), (3, 4), (5, 6), (15, 16)
_EXCEPTION = 0x80
_ZH_EXCEPTIONS = {
    1: "非法功能",
    2: "非法数据地址",
    3: "非法数据值",
    4: "从站设备故障",
    5: "确认，处理中",
    6: "从站忙",
    8: "存储奇偶校验错",
    0x0A: "网关路径不可用",
    0x0B: "网关目标无响应",
}


class Shape(NamedTuple):
    """What a PDU turned out to be."""

    kind: str
    """request, reply, exception, write (request and reply look alike) or unknown."""
    lines: tuple[Line, ...]
    content: dict[str, Any]


def read_rtu(data: bytes) -> Reading:
    if len(data) < 4:
        raise no_frame("truncated", data)
    if len(data) > _LONGEST_RTU_BYTES:
        raise no_frame("length", data, f"1-{_LONGEST_RTU_BYTES}")
    wanted, given = crc16(data[:-2]), data[-2:]
    swapped = given == wanted.to_bytes(2, "big")
    if given != wanted.to_bytes(2, "little") and not swapped:
        raise no_frame("checksum", data, hex_(wanted.to_bytes(2, "little")))
    shapes = _shapes(data[1:-2])
    shape = shapes[0]
    warnings = _ambiguous(shapes)
    if swapped and given != wanted.to_bytes(2, "little"):
        warnings.append(Text("CRC 高字节在前", "CRC with its high byte first (option crc_order)"))
    lines = (line(data[:1], "站地址", "unit", data[0]), *shape.lines, line(given, "CRC", "CRC", "ok"))
    return Reading(lines, {"unit": data[0], **shape.content}, tuple(warnings))


def read_tcp(data: bytes) -> Reading:
    if data[2:4] != b"\0\0"[: max(0, len(data) - 2)]:
        raise no_frame("start", data[2:4])
    if len(data) < _MBAP_BYTES + 2:
        raise no_frame("truncated", data)
    length = number(data[4:6])
    if not 2 <= length <= _LONGEST_ADU_BYTES or len(data) > _MBAP_BYTES + length:
        raise no_frame("length", data, length)
    if len(data) < _MBAP_BYTES + length:
        raise no_frame("truncated", data)
    transaction, unit = number(data[:2]), data[6]
    shapes = _shapes(data[7:])
    shape = shapes[0]
    lines = (
        line(data[:2], "事务标识", "transaction", transaction),
        line(data[2:4], "协议标识", "protocol", 0),
        line(data[4:6], "长度", "length", length),
        line(data[6:7], "站地址", "unit", unit),
        *shape.lines,
    )
    return Reading(lines, {"transaction": transaction, "unit": unit, **shape.content}, tuple(_ambiguous(shapes)))


def rtu_sizes(data: bytes) -> Iterator[int]:
    """The lengths that a frame beginning so may have; the CRC decides."""
    function = data[1] if len(data) > 1 else 0
    if function & _EXCEPTION:
        yield 5
    if function in (*_BITS, *_REGISTERS) and len(data) > 2:
        yield from (8, 5 + data[2])
    elif function in _MANY:
        yield from (8, 9 + data[6] if len(data) > 6 else 8)
    elif function in _ONE:
        yield 8
    else:
        yield min(len(data), _LONGEST_RTU_BYTES)


def tcp_sizes(data: bytes) -> Iterator[int]:
    length = number(data[4:6]) if len(data) >= _MBAP_BYTES else 0
    yield _MBAP_BYTES + length if 2 <= length <= _LONGEST_ADU_BYTES else min(len(data), _MBAP_BYTES + 2)


def _ambiguous(shapes: list[Shape]) -> list[Text]:
    warnings = []
    if len(shapes) > 1:
        other = shapes[1].kind
        zh = {"request": "请求", "reply": "应答"}.get(other, other)
        warnings.append(Text(f"也可能是{zh}", f"may as well be a {other}"))
    if shapes[0].kind == "unknown":
        warnings.append(Text("功能码未知，或长度与功能不符", "function not known, or its length does not fit"))
    return warnings


def _shapes(pdu: bytes) -> list[Shape]:
    """What the PDU can be, most likely first; never empty."""
    function = pdu[0]
    head = line(pdu[:1], "功能码", "function", _function(function & ~_EXCEPTION))
    if function & _EXCEPTION and len(pdu) == 2:
        return [_exception(pdu, head)]
    found = [shape for shape in (_request(pdu, head), _reply(pdu, head)) if shape]
    return found or [_shape("unknown", head, [line(pdu[1:], "数据", "data", len(pdu) - 1)], pdu, data=pdu[1:].hex())]


def _shape(kind: str, head: Line, lines: list[Line], pdu: bytes, **fields: object) -> Shape:
    return Shape(kind, (head, *lines), {"function": pdu[0] & ~_EXCEPTION, "kind": kind, **fields})


def _function(function: int) -> Text:
    name = FUNCTIONS.get(function, Text("未知", "unknown"))
    return Text(f"{function} {name.zh}", f"{function} {name.en}")


def _exception(pdu: bytes, head: Line) -> Shape:
    code = pdu[1]
    meaning = Text(_ZH_EXCEPTIONS.get(code, "未知异常"), EXCEPTIONS.get(code, "unknown exception"))
    said = line(pdu[1:], "异常码", "exception", Text(f"{code} {meaning.zh}", f"{code} {meaning.en}"))
    return _shape("exception", head, [said], pdu, exception=code, meaning=meaning._asdict())


def _request(pdu: bytes, head: Line) -> Shape | None:
    function, size = pdu[0], len(pdu)
    first = number(pdu[1:3])
    address = line(pdu[1:3], "起始地址", "first address", first)
    if function in _ONE and size == 5:
        value = number(pdu[3:5])
        return _shape("write", head, [address, line(pdu[3:5], "值", "value", value)], pdu, address=first, value=value)
    quantity = number(pdu[3:5])
    counted = line(pdu[3:5], "数量", "quantity", quantity)
    if function in (*_BITS, *_REGISTERS) and size == 5:
        return _shape("request", head, [address, counted], pdu, address=first, quantity=quantity)
    if function in _MANY and size > 6 and size == 6 + pdu[5]:
        data = _values(pdu[6:], function == 16)
        lines = [address, counted, line(pdu[5:6], "字节数", "bytes", pdu[5]), *data[0]]
        return _shape("request", head, lines, pdu, address=first, quantity=quantity, values=data[1])
    return None


def _reply(pdu: bytes, head: Line) -> Shape | None:
    function, size = pdu[0], len(pdu)
    if function in _MANY and size == 5:
        first, quantity = number(pdu[1:3]), number(pdu[3:5])
        lines = [line(pdu[1:3], "起始地址", "first address", first), line(pdu[3:5], "数量", "quantity", quantity)]
        return _shape("reply", head, lines, pdu, address=first, quantity=quantity)
    words = function in _REGISTERS
    if not (words or function in _BITS) or size < 3 or size != 2 + pdu[1] or (words and pdu[1] % 2):
        return None
    lines, values = _values(pdu[2:], words)
    return _shape("reply", head, [line(pdu[1:2], "字节数", "bytes", pdu[1]), *lines], pdu, values=values)


def _values(data: bytes, words: bool) -> tuple[list[Line], list[int]]:
    """Registers one by one, or coils byte by byte, lowest bit first."""
    if words:
        values = [number(data[at : at + 2]) for at in range(0, len(data), 2)]
        return [
            line(data[2 * n : 2 * n + 2], f"寄存器 +{n}", f"register +{n}", v) for n, v in enumerate(values)
        ], values
    bits = [byte >> bit & 1 for byte in data for bit in range(8)]
    rows = [
        line(bytes([byte]), f"位 +{8 * n}", f"bits +{8 * n}", "".join(map(str, bits[8 * n : 8 * n + 8])))
        for n, byte in enumerate(data)
    ]
    return rows, bits
