"""MEOKON frames in words: `drivers.meokon` decodes, this names what it found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from drivers import meokon
from drivers.modbus_pdu import crc16
from gateway.decode.reading import Reading, line, no_frame, number
from gateway.model import Text

_LEAST_BYTES = 27
"""The shortest known frame, the answer."""
_COMMANDS = {meokon.UPLOAD: Text("上传", "upload"), meokon.ACKNOWLEDGE: Text("应答", "answer")}
_BITS: dict[str, Text] = {
    "low": Text("低压", "pressure low"),
    "high": Text("高压", "pressure high"),
    "battery_low": Text("电池低", "battery low"),
    "sensor_fault": Text("传感器故障", "sensor fault"),
    "hardware_fault": Text("硬件故障", "hardware fault"),
    "impact": Text("撞击", "impact"),
    "tilt": Text("倾斜", "tilted"),
    "water_taken": Text("取水", "water taken"),
}


def read(data: bytes) -> Reading:
    start = meokon.START
    if data[:2] != start[: len(data)]:
        raise no_frame("start", data)
    if len(data) < 5:
        raise no_frame("truncated", data)
    length = number(data[3:5])
    if not _LEAST_BYTES <= length <= meokon.LONGEST_BYTES or len(data) > length:
        raise no_frame("length", data, length)
    if len(data) < length:
        raise no_frame("truncated", data)
    if data[-2:] != meokon.END:
        raise no_frame("tail", data)
    if (total := crc16(data[:-4])) != number(data[-4:-2]):
        raise no_frame("checksum", data, f"{total:04x}")
    if data[2] not in _COMMANDS:
        raise no_frame("command", data, f"{data[2]:02x}")
    if data[2] == meokon.UPLOAD and meokon.measure(data) != length:
        raise no_frame("length", data, length)
    return _upload(data) if data[2] == meokon.UPLOAD else _answer(data)


def sizes(data: bytes) -> Iterator[int]:
    yield number(data[3:5]) if len(data) >= 5 else len(data)


def _head(data: bytes) -> list[tuple[bytes, str, str, object]]:
    return [
        (data[:2], "起始符", "start", "A5 5A"),
        (data[2:3], "命令", "command", _COMMANDS[data[2]]),
        (data[3:5], "长度", "length", len(data)),
        (data[5:17], "终端编号", "id", _id(data)),
    ]


def _id(data: bytes) -> str:
    return data[5:17].rstrip(b"\0 ").decode("ascii", "replace")


def _utc(raw: bytes) -> str:
    return datetime.fromtimestamp(number(raw), UTC).isoformat()


def _answer(data: bytes) -> Reading:
    rows = [
        *_head(data),
        (data[17:21], "时间（UTC）", "time, UTC", _utc(data[17:21])),
        (data[-4:-2], "CRC", "CRC", "ok"),
    ]
    content = {"command": data[2], "id": _id(data), "time": _utc(data[17:21])}
    return Reading(tuple(line(*row) for row in rows), content)


def _upload(data: bytes) -> Reading:
    told = meokon.decode(data)
    known = meokon.BITS | (meokon.HYDRANT_BITS if told.type == meokon.HYDRANT else {})
    bits = {name: bool(told.bits >> at & 1) for name, at in known.items()}
    there = [_BITS[name] for name, is_set in bits.items() if is_set]
    alarms = Text("、".join(text.zh for text in there) or "无", ", ".join(text.en for text in there) or "none")
    warnings = [] if told.time else [Text(f"终端类型 {told.type} 未知", f"terminal type {told.type} not known")]
    time = _utc(told.time) if told.time else None
    rows: list[tuple[bytes, str, str, object]] = [
        *_head(data),
        (data[17:18], "电池", "battery", told.battery),
        (data[18:19], "信号强度 dBm", "RSSI, dBm", told.rssi),
        (data[19:21], "上传间隔", "interval", number(data[19:21])),
        (data[21:23], "缓存数", "buffered values", number(data[21:23])),
        (data[23:24], "终端类型", "type", told.type),
        (data[24:25], "报警位", "alarm bits", alarms),
        (b"", "压力 MPa", "pressure, MPa", "-" if told.pressure is None else f"{told.pressure:g}"),
        (told.time, "时间（UTC）", "time, UTC", time or "-"),
        (data[-4:-2], "CRC", "CRC", "ok"),
    ]
    content = {
        "command": told.command,
        "id": _id(data),
        "battery": told.battery,
        "rssi": told.rssi,
        "interval": number(data[19:21]),
        "buffered": number(data[21:23]),
        "type": told.type,
        "alarms": bits,
        "pressure": told.pressure,
        "unit": "MPa",
        "time": time,
    }
    return Reading(tuple(line(*row) for row in rows), content, tuple(warnings))
