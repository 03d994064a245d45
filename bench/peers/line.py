"""A serial line with Modbus RTU devices on it that keeps real time: ``python -m bench.peers.line BAUD``.

The other end of a pty. A request of N bytes is over N characters (8N1: 10 bits) after it began; T3.5 later the reply begins
and arrives in blocks of 8 bytes, as from a UART's FIFO. T3.5 counts characters of 11 bits, as the standard does (Modbus over
serial line V1.02, 2.5.1.1), 1.75 ms above 19200. Every unit answers functions 3 and 4, any register.

A request is *early* when it began before the silence after the reply was over; here T3.5 is of the line's own characters of
10 bits, the milder reading. A real device may take both frames for one, and this line answers all the same: early requests
raise a master's share here, and cost it replies on a real line.

Writes line-ready.json with the port's path, and at SIGINT line.json: ``exchanges`` [[monotonic time at which the request
began, least seconds of the exchange, early], …] and ``bad``, how many bytes were no request.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import struct
import time
import tty
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event

REQUEST_BYTES = 8
FIFO_BYTES = 8
FAST_BAUD, FAST_SILENCE_S = 19200, 0.00175
LOOK_S = 0.2


@dataclass(frozen=True)
class Times:
    character_s: float
    silence_s: float
    """T3.5 as the standard has it."""
    least_silence_s: float
    """Less than this is early."""

    @classmethod
    def of(cls, baud: int) -> Times:
        if baud > FAST_BAUD:
            return cls(10 / baud, FAST_SILENCE_S, FAST_SILENCE_S)
        return cls(10 / baud, 3.5 * 11 / baud, 3.5 * 10 / baud)

    def exchange_s(self, reply_bytes: int) -> float:
        """The least that the standard allows from one request to the next."""
        return (REQUEST_BYTES + reply_bytes) * self.character_s + 2 * self.silence_s


@cache
def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


def crc(frame: bytes) -> bytes:
    value = 0xFFFF
    for byte in frame:
        value = value >> 8 ^ _entry((value ^ byte) & 0xFF)
    return value.to_bytes(2, "little")


def reply(request: bytes, answers: int) -> bytes:
    """To a valid request for registers; empty for anything else."""
    if len(request) != REQUEST_BYTES or crc(request[:-2]) != request[-2:] or request[1] not in (3, 4):
        return b""
    start, count = struct.unpack(">HH", request[2:6])
    if not 0 < count <= 125:
        return b""
    registers = struct.pack(f">{count}H", *((answers + start + number) & 0xFFFF for number in range(count)))
    frame = request[:2] + bytes((2 * count,)) + registers
    return frame + crc(frame)


class Line:
    def __init__(self, baud: int) -> None:
        self._times = Times.of(baud)
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.ended = 0.0
        self.path = os.ttyname(self._theirs)
        self.exchanges: list[tuple[float, float, bool]] = []
        self.bad = 0

    def serve(self, over: Event) -> None:
        held = b""
        began = 0.0
        while not over.is_set():
            ready, _, _ = select.select([self._ours], [], [], LOOK_S)
            at = time.monotonic()
            if not ready:
                self.bad += len(held)
                held = b""
                continue
            began = began if held else at
            held += os.read(self._ours, 4096)
            if len(held) >= REQUEST_BYTES:
                self.exchange(held, began)
                held = b""

    def exchange(self, request: bytes, began: float) -> None:
        frame = reply(request, len(self.exchanges))
        if not frame:
            self.bad += len(request)
            return
        times = self._times
        early = began < self.ended + times.least_silence_s
        self.exchanges.append((began, times.exchange_s(len(frame)), early))
        start = began + len(request) * times.character_s + times.silence_s
        for sent in range(0, len(frame), FIFO_BYTES):
            block = frame[sent : sent + FIFO_BYTES]
            _wait(start + (sent + len(block)) * times.character_s)
            self.ended = time.monotonic()  # before the write: this process may be put aside after it
            os.write(self._ours, block)


def _wait(until: float) -> None:
    """Sleep, then spin: this end must not be what is measured."""
    while (left := until - time.monotonic()) > 0:
        if left > 0.0005:
            time.sleep(left - 0.0004)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.line", description=__doc__)
    parser.add_argument("baud", type=int)
    line, over = Line(parser.parse_args().baud), Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    Path("line-ready.json").write_text(json.dumps(line.path))
    line.serve(over)
    Path("line.json").write_text(json.dumps({"exchanges": line.exchanges, "bad": line.bad}))


if __name__ == "__main__":
    main()
