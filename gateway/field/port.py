"""Opening a serial device or a TCP connection as a bare descriptor, and opening it again after it was lost.

Guarantees
* A serial port is raw, exclusive (flock) and non-blocking, with VMIN = 1, so that an empty read means a hang-up and
  nothing else. It is opened by its configured name each time: a by-path link that comes back is followed anew.
* Opening never blocks the loop (a sick USB adapter can hold open(2) for seconds) and a connection attempt is bounded.
* A port that worked is opened again at once, one that did not after growing pauses (serial 0.5 to 4 s, so that a
  replugged adapter works within 5 s; TCP 0.2 to 5 s), lazily, when somebody asks for it.
* A dead peer is noticed by the kernel: TCP_USER_TIMEOUT for what was sent, keep-alive for an idle connection.

It does not read, write or know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import os
import socket
import termios
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import serial
import serial.rs485

from gateway.clock import Clock
from gateway.errors import BusError
from gateway.field.aside import aside
from gateway.field.seams import Ends
from gateway.model import BusKind, BusSpec, Quality

CONNECT_TIMEOUT_S = 3.0
UNUSABLE = (OSError, termios.error, ValueError)
"""What opening raises when the port cannot be had: TimeoutError and serial.SerialException are OSErrors; termios.error is
not (a setting that the driver refuses); ValueError is a rate that the platform does not know."""

_PATIENCE_S = 0.3
"""How long a poll waits for a port that is being opened, before its devices are LINE_DOWN for this period."""


PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Port:
    """An open port: a non-blocking descriptor, and how to close it. What `gateway.field.wire.Ends` asks for."""

    fd: int
    end: Callable[[], None]
    modes: tuple[str, ...] = ()
    """``low_latency``, ``rs485``."""

    def close(self) -> None:
        self.end()

    def read(self) -> bytes:
        """What is there, at most `PAGE_BYTES`; raises OSError on a hang-up (end of file is one)."""
        try:
            data = os.read(self.fd, PAGE_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError("hang-up")
        return data

    def write(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0

    def listen(self, callback: Callable[[], None] | None) -> None:
        loop = asyncio.get_running_loop()
        if callback is None:
            loop.remove_reader(self.fd)
        else:
            loop.add_reader(self.fd, callback)


class Opener:
    """Gets the port of one bus, in the background of the polls that want it."""

    def __init__(self, spec: BusSpec, clock: Clock, opened: Callable[[BusSpec], Coroutine[Any, Any, Ends]]) -> None:
        self._spec = spec
        self._opened = opened
        self._clock = clock
        self._shortest_s, self._longest_s = (0.5, 4.0) if spec.kind is BusKind.SERIAL else (0.2, 5.0)
        self._opening: asyncio.Task[Ends] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self.why = "not opened yet"

    async def get(self) -> Ends:
        """Raises BusError (LINE_DOWN), within `_PATIENCE_S`."""
        if self._opening is None:
            if self._clock.monotonic() < self._retry_at:
                raise BusError(Quality.LINE_DOWN, self.why)
            self._opening = asyncio.create_task(self._opened(self._spec), name=f"open {self._spec.id}")
        opening = self._opening
        await asyncio.wait((opening,), timeout=_PATIENCE_S)
        if not opening.done():
            raise BusError(Quality.LINE_DOWN, f"{self._spec.id} is still being opened")
        self._opening = None
        try:
            return opening.result()
        except UNUSABLE as error:
            self._pause(f"{type(error).__name__}: {error}", max(1, self._failures))
            raise BusError(Quality.LINE_DOWN, self.why) from error

    def works(self) -> None:
        self._failures = 0

    def lost(self, why: str) -> None:
        """The port was closed; `why` is what a person reads."""
        self._pause(why, self._failures)

    def _pause(self, why: str, failures: int) -> None:
        doublings = min(failures - 1, 10)  # beyond that a float overflows, one day
        pause_s = min(self._longest_s, self._shortest_s * 2.0**doublings) if failures else 0.0
        self._failures = failures + 1
        self._retry_at = self._clock.monotonic() + pause_s
        self.why = why

    def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None


async def open_port(spec: BusSpec) -> Port:
    """Raises one of `UNUSABLE`, within `CONNECT_TIMEOUT_S` for TCP."""
    if spec.kind is BusKind.SERIAL:
        return await aside(f"open {spec.id}", lambda: open_serial(spec), UNUSABLE, lambda port: port.close())
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        return await _connect(spec)


def open_serial(spec: BusSpec) -> Port:
    """May block: see `open_port`."""
    line = serial.Serial(
        spec.port,
        spec.baud,
        parity=spec.parity,
        stopbits=spec.stop_bits,
        exclusive=True,
        inter_byte_timeout=0,  # pyserial's way to say VMIN = 1, VTIME = 0
    )
    fd = line.fileno()
    modes = _modes(line, spec)

    def close() -> None:
        with suppress(termios.error):  # the adapter is gone
            termios.tcflush(fd, termios.TCOFLUSH)  # else close(2) waits up to 30 s for what cannot be sent
        line.close()

    try:
        settings = termios.tcgetattr(fd)
        settings[0] &= ~termios.BRKINT  # pyserial leaves it set: a break on the line would throw away what was received
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    except termios.error:
        close()
        raise
    return Port(fd, close, modes)


def _modes(line: serial.Serial, spec: BusSpec) -> tuple[str, ...]:
    """What this port can do beyond the ordinary. One that cannot is used as it is: a pty, an adapter that turns itself round."""
    modes = []
    with suppress(*UNUSABLE):  # pyserial: ValueError for what the driver refuses
        line.set_low_latency_mode(True)  # FTDI hands over after 16 ms as delivered; with ASYNC_LOW_LATENCY after 1 ms
        modes.append("low_latency")
    if spec.rs485:
        with suppress(*UNUSABLE):
            line.rs485_mode = serial.rs485.RS485Settings()
            modes.append("rs485")
    return tuple(modes)


async def _connect(spec: BusSpec) -> Port:
    infos = await aside(
        f"look up {spec.id}",
        lambda: socket.getaddrinfo(spec.host, spec.tcp_port, type=socket.SOCK_STREAM),
        UNUSABLE,
    )
    for family, kind, protocol, _, address in infos[:-1]:
        try:
            return await _connect_to(family, kind, protocol, address)
        except OSError:
            continue
    family, kind, protocol, _, address = infos[-1]
    return await _connect_to(family, kind, protocol, address)


async def _connect_to(family: int, kind: int, protocol: int, address: object) -> Port:
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2)):
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
        await asyncio.get_running_loop().sock_connect(connection, address)  # type: ignore[arg-type]  # as getaddrinfo gave it
    except BaseException:  # also when cancelled: the descriptor must not leak
        connection.close()
        raise
    return Port(connection.fileno(), connection.close)
