"""GB/T 26875.3-2011, frames between fire transmission devices and a monitoring centre: one pure codec, both directions.

Frame (clause 7): ``40 40 | serial u16 | version, 2 | time, 6 | source, 6 | destination, 6 | length u16 | command | data |
sum | 23 23``, low byte first; the sum is of everything between start and itself, modulo 256. There is no byte stuffing:
the length alone says where a frame ends.

Guarantees
* A frame is taken only when start, length, end, sum and command hold (clause 6.5); otherwise `FrameError` with one
  reason. Everything else that is odd is told in `Message.warnings`, and the frame is read: a fire behind a wrong
  version, count or date is still a fire. Bit 0 of a state never changes what the other bits say.
* ``encode(decode(frame)) == frame`` for every frame that is taken, under every dialect.

Streams: `drivers.gb26875_stream`. Data units: `drivers.gb26875_unit`. What numbers mean: `drivers.gb26875_tables`.
Vendors' ways: `drivers.gb26875_dialect`. It does not answer, retry or keep a clock.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from drivers import gb26875_unit
from drivers.gb26875_dialect import LONGEST_DATA_BYTES, STANDARD, Dialect
from drivers.gb26875_message import UNIT_COMMANDS, Message, oddities
from drivers.gb26875_tables import USER_DEFINED
from gateway.model import Text

START, END = b"@@", b"##"
HEAD_BYTES = 27
FRAME_BYTES = 30
"""A frame without data."""
LONGEST_FRAME_BYTES = FRAME_BYTES + LONGEST_DATA_BYTES
_LENGTH = slice(24, 26)


class Reason(StrEnum):
    """Why bytes are no frame; the first of these that applies."""

    START = "start"
    LENGTH = "length"
    """The length is above the limit, or it lies: the frame ends elsewhere and holds with its true length."""
    TRUNCATED = "truncated"
    TAIL = "tail"
    CHECKSUM = "checksum"
    COMMAND = "command"


class FrameError(ValueError):
    """Not a frame. Reaction: who asked for one frame says the reason; a `Stream` goes on behind it."""

    def __init__(self, reason: Reason, text: Text) -> None:
        super().__init__(text.en)
        self.reason = reason
        self.text = text


def checksum(body: bytes) -> int:
    """The sum of what is between start and sum (clause 7.1.9)."""
    return sum(body) & 0xFF


def decode(data: bytes, dialect: Dialect = STANDARD) -> Message:
    """The message in exactly one frame. Raises `FrameError`."""
    reason = fault(data, dialect)
    if reason:
        raise explain(data, reason, dialect)
    warnings: list[Text] = []
    payload = data[HEAD_BYTES:-3]
    unit, bare = None, payload
    if len(payload) >= 2:
        (unit, wrong), bare = gb26875_unit.decode(payload), b""
        # a vendor's own command carries what only the vendor knows: no type of it is wrong
        warnings += wrong if data[26] in UNIT_COMMANDS else ()
    message = Message(
        serial=int.from_bytes(data[2:4], "little"),
        version=(data[4], data[5]),
        time=data[6:12],
        source=data[12:18],
        destination=data[18:24],
        command=data[26],
        unit=unit,
        bare=bare,
    )
    return replace(message, warnings=(*warnings, *oddities(message, dialect)))


def encode(message: Message, dialect: Dialect = STANDARD) -> bytes:
    """The frame of a message. Raises ValueError for what no frame of this dialect can hold."""
    payload = gb26875_unit.encode(message.unit) if message.unit else message.bare
    if len(payload) > dialect.longest_data_bytes:
        raise ValueError(f"{len(payload)} bytes of data, at most {dialect.longest_data_bytes}")
    if {len(message.time), len(message.source), len(message.destination)} != {6}:
        raise ValueError("time and addresses have six bytes each")
    try:
        body = message.serial.to_bytes(2, "little") + bytes(message.version)
    except OverflowError as error:
        raise ValueError(f"serial {message.serial}") from error
    body += message.time + message.source + message.destination + len(payload).to_bytes(2, "little")
    body += bytes([message.command]) + payload
    return START + body + bytes([checksum(body)]) + END


def fault(data: bytes, dialect: Dialect) -> Reason | None:
    """Why these bytes are not exactly one frame; None when they are."""
    size = len(data)
    length = int.from_bytes(data[_LENGTH], "little")
    if data[:2] != START[:size]:
        return Reason.START
    if size >= _LENGTH.stop and length > dialect.longest_data_bytes:
        return Reason.LENGTH
    if size < FRAME_BYTES:
        return Reason.TRUNCATED
    if size != FRAME_BYTES + length:
        return Reason.LENGTH if size > FRAME_BYTES + length or _lies(data) else Reason.TRUNCATED
    if data[-2:] != END:
        return Reason.TAIL
    if data[-3] != checksum(data[2:-3]):
        return Reason.CHECKSUM
    known = data[26] in dialect.commands or data[26] in USER_DEFINED
    return None if known else Reason.COMMAND


def explain(data: bytes, reason: Reason, dialect: Dialect) -> FrameError:
    """The reason in words."""
    size, length, most = len(data), int.from_bytes(data[_LENGTH], "little"), dialect.longest_data_bytes
    start, end = data[:2].hex(" "), data[-2:].hex(" ")
    if reason is Reason.LENGTH and length > most:
        return FrameError(reason, Text(f"数据长度 {length} 超过上限 {most}", f"length {length} above the limit {most}"))
    wanted = FRAME_BYTES + length if size >= _LENGTH.stop else FRAME_BYTES
    total = checksum(data[2:-3])
    words = {
        Reason.START: Text(f"以 {start} 开头，应为 40 40", f"starts with {start}, not 40 40"),
        Reason.LENGTH: Text(f"按声明长度应为 {wanted} 字节，实为 {size}", f"{size} bytes, its length says {wanted}"),
        Reason.TRUNCATED: Text(f"至少应有 {wanted} 字节，仅 {size}", f"cut off: {size} bytes of at least {wanted}"),
        Reason.TAIL: Text(f"结束符为 {end}，应为 23 23", f"ends with {end}, not 23 23"),
        Reason.CHECKSUM: Text(f"校验和应为 {total:02x}", f"checksum should be {total:02x}"),
        Reason.COMMAND: Text("未知命令字节", "unknown command byte"),
    }
    return FrameError(reason, words[reason])


def _lies(data: bytes) -> bool:
    """Too short for its length, but its end is there and its sum holds, as it is or with the true length: not cut."""
    true = data[2:24] + (len(data) - FRAME_BYTES).to_bytes(4, "little")[:2] + data[26:-3]
    return data[-2:] == END and data[-3] in (checksum(data[2:-3]), checksum(true))
