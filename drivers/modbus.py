"""The Modbus master: reads a device's groups over RTU or TCP, as a generator of exchanges (`drivers.contract`).

Frames are in `modbus_pdu`, the choice of requests in `modbus_plan`, registers and values in `modbus_value`.
Here is what happens over time: what a device refused, and how the gateway learns to ask for the rest.

Guarantees
* Only `BusError` escapes from a poll. One that comes after some ranges were read carries these in `BusError.scan`, so
  that a fire bit is not lost because a counter behind it could not be read.
* A merged range that the device refuses (exception 2, or 3: too long for it) is split, for as long as the gateway
  runs: first over its gaps, then in halves. At most `SPLITS` further requests a poll are spent on that; the points of
  parts not asked yet are REFUSED until the next poll. Splitting ends at registers that can only be asked together.
* Those, when refused, are NO_SUCH_REGISTER, and cost nothing more than one request in `RETRY_POLLS` polls, in turn.
  One that is answered later shows that the refusal was passing (a device that was starting): all is learnt anew.
* Exceptions 5 (acknowledge) and 6 (busy) are no faults of the device: the range is REFUSED in this scan, nothing is
  repeated at once, nothing is remembered, and the next poll asks again. So are 1, 3, 4, 8.
  Exceptions 10 and 11 come from a gateway on the way: the device is NOT_RESPONDING.

It never writes by itself: `open_switch` is for the site's outputs, one coil at a time, read back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any, ClassVar, NamedTuple
from zlib import crc32

from drivers.contract import Driver, Exchange, Poll, Reply, Switch
from drivers.modbus_at import BIT_TABLES, FLOATS, UNSIGNED, At, needs, order_fits, shape
from drivers.modbus_pdu import (
    FRAME_BYTES,
    GATEWAY_CODES,
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    CrcOrder,
    Link,
    Refusal,
    Request,
    check_reply,
    open_link,
    read_request,
    switch_coil,
)
from drivers.modbus_plan import Range, plan, split
from drivers.modbus_value import Codec, compile_points, compile_range, decode, decode_some
from drivers.times import check_times
from gateway.errors import BusError
from gateway.model import BusKind, Device, Group, Kind, Point, Quality, Scan

SPLITS = 4
RETRY_POLLS = 16


@dataclass(frozen=True, slots=True)
class Options:
    """What a template or a device says under ``options:``."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_gap: int = 0
    """Points of a group are asked together across at most this many registers (or bits) that no point names.
    0 by default: reading a register can clear it (standards.md 5.1), so only a template may allow it."""
    max_registers: int = 125
    max_bits: int = 2000
    crc_order: CrcOrder = "low_first"
    timeout_s: float | None = None
    """Longest wait for this device's reply; None takes the bus's."""
    settle_s: float = 0.0
    """Pause after each reply."""


class Read(NamedTuple):
    """A range, ready to be asked."""

    asked: Range
    points: tuple[int, ...]
    request: Request
    exchange: Callable[[], Exchange]
    cells: Callable[[bytes], Sequence[Any]]
    whole: bool
    """It reads the whole group, in the group's order."""


@dataclass(slots=True)
class Learnt:
    """One group of an open device: how it is asked now."""

    index: int
    codec: Codec
    ready: Callable[[Range], Read]
    planned: tuple[Read, ...]
    reads: list[Read]
    missing: list[Read] = field(default_factory=list)
    """Refused for good, the one to be tried next first."""
    polls: int = 0

    def to_ask(self) -> deque[Read]:
        self.polls += 1
        asked = deque(self.reads)
        if self.missing and (not asked or self.polls % RETRY_POLLS == 0):
            asked.append(self.missing[0])
            self.missing.append(self.missing.pop(0))
        return asked

    def answered(self, read: Read) -> None:
        if self.missing and read in self.missing:
            self.reads, self.missing = list(self.planned), []

    def refused(self, read: Read, code: int) -> list[Read]:
        """What to ask in its place; empty when nothing is learnt from this refusal."""
        if code not in (ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE) or read not in self.reads:
            return []
        parts = [self.ready(part) for part in split(read.asked)]
        if parts or code == ILLEGAL_DATA_ADDRESS:
            place = self.reads.index(read)
            self.reads[place : place + 1] = parts
        if not parts and code == ILLEGAL_DATA_ADDRESS:
            self.missing.append(read)
        return parts


def open_device(device: Device, bus: BusKind) -> Poll:
    """`Driver.open`. A device that `check` objects to is a ValueError: the configuration should have refused it."""
    mistakes = check(device)
    if mistakes:
        raise ValueError(f"{device.id}: {mistakes}")
    options: Options = device.options or Options()
    link = open_link(
        bus,
        int(device.address),
        timeout_s=options.timeout_s,
        settle_s=options.settle_s,
        crc_order=options.crc_order,
        first_transaction=crc32(device.id.encode()) & 0xFFFF,  # devices of one connection start far from each other
    )
    groups = [_learn(index, group, link, options) for index, group in enumerate(device.groups)]

    def poll(group: int) -> Generator[Exchange, Reply, Scan]:
        return _poll(device.id, link, groups[group])

    return poll


def _plan(group: Group, options: Options) -> tuple[Range, ...]:
    limits = dict.fromkeys(BIT_TABLES, options.max_bits) | dict.fromkeys(("holding", "input"), options.max_registers)
    return plan(needs(group.points), options.max_gap, limits)


def _request(asked: Range) -> Request:
    return read_request(asked.table, asked.first, asked.end - asked.first)


def _learn(index: int, group: Group, link: Link, options: Options) -> Learnt:
    def ready(asked: Range) -> Read:
        request = _request(asked)
        points = asked.points
        whole = points == tuple(range(len(group.points)))
        return Read(asked, points, request, link.prepare(request), compile_range(asked, group.points), whole)

    planned = tuple(ready(asked) for asked in _plan(group, options))
    return Learnt(index, compile_points(group.points), ready, planned, list(planned))


class Reading:
    """What one poll has so far."""

    __slots__ = ("at", "cells", "failed", "learnt", "unread")

    def __init__(self, learnt: Learnt) -> None:
        size = len(learnt.codec.points)
        self.learnt = learnt
        self.at = 0.0
        self.cells: Any = [None] * size
        self.failed: list[Quality | None] = [Quality.NOT_YET] * size
        self.unread = size
        for read in learnt.missing:
            self.fail(read, Quality.NO_SUCH_REGISTER)

    def take(self, read: Read, pdu: bytes) -> None:
        if read.whole:
            self.cells, self.unread = read.cells(pdu), 0
            return
        for point, cell in zip(read.points, read.cells(pdu), strict=True):
            self.cells[point] = cell
            self.failed[point] = None
        self.unread -= len(read.points)

    def fail(self, read: Read, quality: Quality) -> None:
        for point in read.points:
            self.failed[point] = quality

    def scan(self, device: str, rest: Quality = Quality.REFUSED) -> Scan:
        """`rest` is for the points that were not asked."""
        codec = self.learnt.codec
        if not self.unread:
            return Scan(device, self.learnt.index, self.at, *decode(codec, self.cells))
        failed = [rest if reason is Quality.NOT_YET else reason for reason in self.failed]
        return Scan(device, self.learnt.index, self.at, *decode_some(codec, self.cells, failed))


def _poll(device: str, link: Link, learnt: Learnt) -> Generator[Exchange, Reply, Scan]:
    to_ask = learnt.to_ask()
    reading = Reading(learnt)
    splits = SPLITS
    try:
        while to_ask:
            read = to_ask.popleft()
            exchange = read.exchange()
            reply = yield exchange
            try:
                pdu = link.unwrap(exchange, reply.data)
                check_reply(read.request, pdu)
            except Refusal as refusal:
                if refusal.code in GATEWAY_CODES:
                    raise
                reading.at = reply.at
                parts = learnt.refused(read, refusal.code)
                if not parts:
                    reading.fail(read, refusal.quality)
                elif splits:
                    splits -= 1
                    to_ask.extendleft(reversed(parts))
            else:
                learnt.answered(read)
                reading.at = reply.at
                reading.take(read, pdu)
    except BusError as error:
        if any(reason is None for reason in reading.failed):
            error.scan = reading.scan(device, error.quality)
        raise
    return reading.scan(device)


def open_switch(device: Device, bus: BusKind, point: Point) -> Switch:
    """`Driver.switch`."""
    if not point.output or point.source.table != "coil":
        raise ValueError(f"{point.id} is no output")
    options: Options = device.options or Options()
    link = open_link(
        bus,
        int(device.address),
        timeout_s=options.timeout_s,
        settle_s=options.settle_s,
        crc_order=options.crc_order,
        first_transaction=crc32(point.id.encode()) & 0xFFFF,
    )
    return partial(switch_coil, link, point.source.register)


def exchanges(device: Device, bus: BusKind) -> list[list[tuple[int, int]]]:
    """`Driver.exchanges`: what a device is asked that refuses nothing."""
    around = FRAME_BYTES[bus]
    return [
        [(len(read.pdu) + around, read.size + around) for read in (_request(asked) for asked in _plan(group, options))]
        for options in (device.options or Options(),)
        for group in device.groups
    ]


# What only the driver can see in a description -----------------------------------------------------------------------


def check(device: Device) -> list[tuple[str, str]]:
    """`Driver.check`: all mistakes of a device's description, each as (dotted path, "English / 中文")."""
    options: Options = device.options or Options()
    mistakes = (
        [("address", "must be a unit from 1 to 255 / 必须是 1 到 255 的站号")] if _bad_unit(device.address) else []
    )
    for name, low, high in (("max_gap", 0, 2000), ("max_registers", 1, 125), ("max_bits", 1, 2000)):
        if not low <= getattr(options, name) <= high:
            mistakes.append((f"options.{name}", f"must be {low} to {high} / 必须在 {low} 到 {high} 之间"))
    mistakes += check_times(options.timeout_s, options.settle_s)
    for group in device.groups:
        for point in group.points:
            mistakes += [(f"points.{point.name}.{path}", what) for path, what in _check_point(point, options)]
    return mistakes


def _bad_unit(address: int | str) -> bool:
    return not isinstance(address, int) or not 1 <= address <= 255


def _check_point(point: Point, options: Options) -> list[tuple[str, str]]:
    at: At = point.source
    bit_table = at.table in BIT_TABLES
    width = shape(at).width
    text = at.type == "string"
    picked = [at.bit] if at.bit is not None else list(at.bits or ())
    integers = point.kind in (Kind.INT, Kind.ENUM)
    limit = options.max_bits if bit_table else options.max_registers
    last = 65536 - width
    rules = (
        ("kind", (point.kind is Kind.TEXT) is not (text and not bit_table),
         "a text is a string, and only that / text 与 string 必须同用"),
        ("kind", at.type in FLOATS and point.kind is not Kind.FLOAT,
         f"a {at.type} register is a float / {at.type} 寄存器只能是 float"),
        ("kind", at.type in ("bcd16", "bcd32", "bcd64") and point.kind is Kind.BOOL,
         "a BCD number is no bool / BCD 数不能是 bool"),
        ("labels", bool(point.labels) and point.kind is not Kind.ENUM, "only an enum has labels / 只有 enum 有 labels"),
        ("labels", not point.labels and point.kind is Kind.ENUM, "an enum needs labels / enum 必须有 labels"),
        ("at.register", not 0 <= at.register <= last, f"must be 0 to {last} / 必须在 0 到 {last} 之间"),
        ("at.registers", text is not (at.registers is not None) or not 1 <= (at.registers or 1) <= 125,
         "how many registers a string takes, 1 to 125, and only for a string / 字符串占几个寄存器（1 到 125），仅用于 string"),
        ("at.encoding", not text and at.encoding != "ascii", "only a string has one / 只有 string 有编码"),
        ("at.type", bit_table and at.type not in (None, "bit"), f"a {at.table} is a bit / {at.table} 只有一位"),
        ("at.type", not bit_table and at.type == "bit" and at.bit is None, "say which bit / 请写明 bit"),
        ("at.type", limit < width, "longer than max_registers / 超过 max_registers"),
        ("at.bit", bool(picked) and (bit_table or at.type not in UNSIGNED),
         "only an unsigned register has bits / 只有无符号寄存器才能取位"),
        ("at.bit", at.bit is not None and at.bits is not None, "bit or bits, not both / bit 与 bits 只能写一个"),
        ("at.bit", any(not 0 <= bit < 16 * width for bit in picked),
         f"outside the register: 0 to {16 * width - 1} / 超出寄存器：0 到 {16 * width - 1}"),
        ("at.bits", at.bits is not None and at.bits[0] > at.bits[1], "lowest bit first / 低位在前"),
        ("at.word_order", not order_fits(at),
         "as many letters as the value has bytes: AB for one register and strings, ABCD for 32 bits, ABCDEFGH for 64 / "
         "字母数须与字节数相同：单个寄存器和字符串为 AB，32 位为 ABCD，64 位为 ABCDEFGH"),
        ("at.scale", not isfinite(at.scale) or not 1e-12 <= abs(at.scale) <= 1e12,
         "must be a number other than 0 / 必须是非 0 的数"),
        ("at.scale", integers and not (at.scale.is_integer() and at.offset.is_integer()),
         "an int or enum needs a whole scale and offset / int、enum 的 scale 和 offset 必须是整数"),
        ("at.scale", (point.kind in (Kind.BOOL, Kind.TEXT) or bit_table) and (at.scale, at.offset) != (1, 0),
         "a bit or text has no scale or offset / 位和文本没有 scale 和 offset"),
        ("at.offset", not isfinite(at.offset), "must be a number / 必须是数"),
        ("at.not_available", at.not_available is not None and (bit_table or text or not isfinite(at.not_available)),
         "a raw register value / 必须是寄存器原始值"),
        ("output", point.output and (at.table != "coil" or point.kind is not Kind.BOOL),
         "only a coil that is a bool can be an output / 只有 bool 线圈可以作为输出"),
        ("at.not_available",
         at.not_available is not None and at.type not in FLOATS and not float(at.not_available).is_integer(),
         "a whole number / 必须是整数"),
    )  # fmt: skip
    return [(path, what) for path, wrong, what in rules if wrong]


MODBUS = Driver(
    At,
    Options,
    frozenset({BusKind.SERIAL, BusKind.TCP}),
    open=open_device,
    check=check,
    switch=open_switch,
    exchanges=exchanges,
)
