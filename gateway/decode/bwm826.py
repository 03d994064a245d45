"""BWM826 frames in words: `drivers.bwm826` gives the angles."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.bwm826 import angle
from gateway.decode.reading import Reading, line, no_frame, number
from gateway.model import Text

START = 0x77
_LEAST_BYTES = 6
_READ, _ANSWER = 0x04, 0x84
COMMANDS = {_READ: Text("读角度", "read angles"), _ANSWER: Text("角度应答", "angles")}
_AXES = ("x", "y", "z")


def read(data: bytes) -> Reading:
    if data[:1] not in (b"", bytes([START])):
        raise no_frame("start", data)
    if len(data) < 2 or (data[1] >= _LEAST_BYTES - 1 and len(data) < 1 + data[1]):
        raise no_frame("truncated", data)
    if data[1] < _LEAST_BYTES - 1 or len(data) != 1 + data[1]:
        raise no_frame("length", data, data[1])
    total = sum(data[1:-1]) & 0xFF
    if data[-1] != total:
        raise no_frame("checksum", data, f"{total:02x}")
    address, command, payload = number(data[2:4]), data[4], data[5:-1]
    name = COMMANDS.get(command, Text("未知", "unknown"))
    warnings = [] if command in COMMANDS else [Text(f"命令 {command:02x} 未知", f"command {command:02x} not known")]
    angles = [payload[at : at + 4] for at in range(0, len(payload), 4)] if command == _ANSWER else []
    whole = len(payload) == 12
    if command == _ANSWER and not whole:
        warnings.append(Text("角度应为 3 个", "three angles expected"))
    degrees = {axis: angle(raw) for axis, raw in zip(_AXES, angles, strict=False) if len(raw) == 4}
    warnings += [
        Text(f"{axis} 轴不是 BCD 数", f"axis {axis} is no BCD number")
        for axis, value in degrees.items()
        if value is None
    ]
    lines = [
        line(data[:1], "起始符", "start", "77"),
        line(data[1:2], "长度", "length", data[1]),
        line(data[2:4], "地址", "address", address),
        line(data[4:5], "命令", "command", Text(f"{command:02x} {name.zh}", f"{command:02x} {name.en}")),
        *(line(raw, f"{axis} 轴（度）", f"{axis} axis, degrees", degrees.get(axis)) for axis, raw in zip(_AXES, angles, strict=False)),
    ]  # fmt: skip
    if payload and not angles:
        lines.append(line(payload, "数据", "data", len(payload)))
    lines.append(line(data[-1:], "校验和", "checksum", f"{total:02x}"))
    content = {"address": address, "command": command, "angles": degrees, "data": payload.hex()}
    return Reading(tuple(lines), content, tuple(warnings))


def sizes(data: bytes) -> Iterator[int]:
    yield 1 + data[1] if len(data) > 1 else 1
