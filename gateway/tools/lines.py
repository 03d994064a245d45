"""Lines for the tools: one of their own, opened exclusively and listened to byte by byte, or the running gateway's, lent.

Guarantees: `OwnLine` keeps T3.5 before each request, returns all bytes that came, and gives the port back however it ends.
It refuses a port that somebody else has. Both send only what `drivers.modbus_reads` or a driver's poll asks.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

from drivers.contract import Exchange, Reply
from gateway.errors import BusError
from gateway.field.line import Timing
from gateway.field.port import CONNECT_TIMEOUT_S, UNUSABLE, open_serial
from gateway.model import BusKind, BusSpec, Quality, Text
from gateway.tools.channel import Channel, ToolError
from gateway.tools.sweep import Heard

T = TypeVar("T")
_PIECE_S = 0.02
"""Longest pause inside an answer: a USB adapter hands over every 16 ms."""
_PACKET_S = 0.06
"""The same behind a serial server, whose packets have the network between them."""
_LONGEST_S = 2.0
_LONGEST_BYTES = 4096


class Asked(Protocol):
    """A line that can be asked."""

    spec: BusSpec

    def ask(self, request: bytes, timeout_s: float, listen_s: float = 0.0) -> Heard: ...
    def close(self) -> None: ...


class OwnLine:
    """A port or connection that this process has for itself. Blocking; a context manager."""

    def __init__(self, spec: BusSpec, tap: Callable[[str, bytes, float], None] | None = None) -> None:
        """Raises `ToolError` when it cannot be opened."""
        self.spec = spec
        self._tap = tap
        self._timing = Timing.of(spec)
        self._piece_s = _PIECE_S if spec.kind is BusKind.SERIAL else _PACKET_S
        self._quiet_since = time.monotonic()
        try:
            if spec.kind is BusKind.SERIAL:
                port = open_serial(spec)
                self._fd, self._close = port.fd, port.close
            else:
                connection = socket.create_connection((spec.host, spec.tcp_port), CONNECT_TIMEOUT_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                self._fd, self._close = connection.fileno(), connection.close
        except UNUSABLE as error:
            where = spec.port or f"{spec.host}:{spec.tcp_port}"
            raise ToolError(
                Text(
                    f"无法打开 {where}（{error}）；网关在运行时请用 --socket，否则请检查线缆、权限和参数",
                    f"cannot open {where} ({error}); if the gateway runs, go through it (--socket); else check the cable, "
                    "the permissions and the settings",
                )
            ) from None

    def __enter__(self) -> OwnLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    def listen(self, for_s: float) -> bytes:
        """What comes while nobody is asked."""
        data, until = b"", time.monotonic() + for_s
        while (left_s := until - time.monotonic()) > 0 and len(data) < _LONGEST_BYTES:
            data += self._read(left_s)
        return data

    def ask(
        self, request: bytes, timeout_s: float, listen_s: float = 0.0, whole: Callable[[bytes], bool] | None = None
    ) -> Heard:
        """Send, and everything that comes: until `timeout_s` after the request has left when nothing does; else until it is
        the `whole` reply, or the line was quiet for a moment, or for `listen_s`."""
        self.listen(self._quiet_since + self._timing.silence_s - time.monotonic())
        if request:
            self._write(request)
        left_at = time.monotonic() + len(request) * self._timing.character_s
        data, after_s = b"", 0.0
        echo = 0
        until, last = left_at + timeout_s, left_at + _LONGEST_S + timeout_s
        while (now := time.monotonic()) < min(until, last) and len(data) < _LONGEST_BYTES:
            piece = self._read(min(until, last) - now)
            if not piece:
                continue
            data += piece
            now = time.monotonic()
            if not echo and data[: len(request)] == request:
                echo = len(request)
            if len(data) > echo and not after_s:
                after_s = max(now - left_at - len(piece) * self._timing.character_s, 1e-4)
            if whole is not None and whole(data):
                break
            if len(data) > echo:
                until = now + max(listen_s, self._piece_s, 4 * self._timing.character_s)
        self._quiet_since = max(left_at, self._quiet_since)
        if self._tap and data:
            self._tap("rx", data, time.monotonic())
        return Heard(data, after_s)

    def perform(self, poll: Generator[Exchange, Reply, T]) -> T:
        """Drive a driver's poll. Raises its BusError."""
        try:
            exchange = next(poll)
            while True:
                timeout_s = self.spec.reply_timeout_s if exchange.timeout_s is None else exchange.timeout_s
                heard = self.ask(exchange.request, timeout_s, whole=partial(_is_whole, exchange))
                try:
                    reply = Reply(framed(exchange, heard.data), time.monotonic())
                except BusError as error:
                    exchange = poll.throw(error)
                else:
                    exchange = poll.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _write(self, request: bytes) -> None:
        try:
            if os.write(self._fd, request) < len(request):
                raise OSError("the port takes no more bytes")
        except OSError as error:
            raise _lost(error) from None
        if self._tap:
            self._tap("tx", request, time.monotonic())

    def _read(self, wait_s: float) -> bytes:
        ready, _, _ = select.select([self._fd], [], [], max(wait_s, 0.0))
        if not ready:
            return b""
        try:
            data = os.read(self._fd, _LONGEST_BYTES)
        except OSError as error:
            raise _lost(error) from None
        if not data:
            raise _lost("hang-up")
        self._quiet_since = time.monotonic()
        return data


class LentLine:
    """A line of the running gateway: reads in its idle slots, at its speed."""

    def __init__(self, channel: Channel, spec: BusSpec) -> None:
        self.spec = spec
        self._channel = channel

    def ask(self, request: bytes, timeout_s: float, listen_s: float = 0.0) -> Heard:
        if not request:
            return Heard(b"", 0.0)  # the gateway listens; it tells what answers
        told: dict[str, Any] = self._channel.ask(
            {"do": "exchange", "bus": self.spec.id, "request": request.hex(), "timeout_s": timeout_s}
        )
        if told["quality"] == Quality.GOOD.label:
            return Heard(bytes.fromhex(told["reply"]), timeout_s / 2)  # the gateway does not say when it began
        if told["quality"] == Quality.LINE_DOWN.label:
            raise ToolError(Text(f"线路不可用：{told['why']}", f"the line cannot be used: {told['why']}"))
        return Heard(b"" if told["quality"] == Quality.NOT_RESPONDING.label else b"?", timeout_s)

    def close(self) -> None:
        """The channel is its owner's."""


def framed(exchange: Exchange, data: bytes) -> bytes:
    """The reply inside what was heard, cut as the bus would. Raises BusError."""
    rest = data.removeprefix(exchange.request) if len(data) > len(exchange.request) else data
    while rest:
        length = exchange.framing(rest)
        if length > len(rest):
            raise BusError(Quality.BAD_FRAME, "the reply broke off")
        frame, rest = rest[:length], rest[length:]
        if exchange.mine is None or exchange.mine(frame):
            return frame
    raise BusError(Quality.NOT_RESPONDING, "no reply")


def _is_whole(exchange: Exchange, data: bytes) -> bool:
    try:
        return bool(framed(exchange, data))
    except BusError:
        return False


def _lost(why: object) -> ToolError:
    return ToolError(Text(f"端口断开：{why}", f"the port was lost: {why}"))
