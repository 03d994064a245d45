"""How well the bus uses a serial line: ``python -m bench line [REPLY_REGISTERS]``.

The other end of a pty (another process) keeps the time of a real line: request, T3.5, reply, T3.5; the reply arrives in
blocks of 8 bytes as from a UART's FIFO. 100 % is a master that never wastes a microsecond. The other end also measures:
how late our requests come after the silence, how late its own bytes left (that loss is the machine's, not the bus's), and
how many requests began before the silence was over, which must be none.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import statistics
import subprocess
import sys
import time
import tty
from collections.abc import Generator

from drivers.contract import Exchange, Reply
from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.field.line import Timing
from gateway.model import BusKind, BusSpec, Scan

REQUEST = bytes(8)
FIFO_BYTES = 8
POLLS = {9600: 200, 115200: 2000}


def spec(baud: int, port: str = "") -> BusSpec:
    return BusSpec("line", BusKind.SERIAL, port=port, baud=baud)


def serve(baud: int, reply_bytes: int) -> None:
    """The devices; ends when its input does, and tells what it measured."""
    timing = Timing.of(spec(baud))
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    print(os.ttyname(theirs), flush=True)
    asked_late, sent_late, free_at, early = [], [], 0.0, 0
    while True:
        ready, _, _ = select.select([ours, sys.stdin], [], [])
        at = time.monotonic()
        if sys.stdin in ready:
            break
        os.read(ours, 4096)
        if free_at:
            asked_late.append(at - free_at)
            early += at < free_at
        start = at + len(REQUEST) * timing.character_s + timing.silence_s
        for sent in range(0, reply_bytes, FIFO_BYTES):
            block = min(FIFO_BYTES, reply_bytes - sent)
            due = start + (sent + block) * timing.character_s
            _wait(due)
            ended = time.monotonic()  # before the write: this process may be put aside after it
            os.write(ours, bytes(block))
        sent_late.append(ended - due)
        free_at = ended + timing.silence_s
    print(json.dumps({"early": early, "asked": _told(asked_late), "sent": _told(sent_late)}), flush=True)


def _told(late_s: list[float]) -> str:
    """Median and p95 in milliseconds."""
    parts = statistics.quantiles(late_s, n=20)
    return f"{1000 * parts[9]:.2f} / {1000 * parts[18]:.2f} ms"


def _wait(until: float) -> None:
    """Sleep, then spin: this end must not be what is measured."""
    while (left := until - time.monotonic()) > 0:
        if left > 0.0005:
            time.sleep(left - 0.0004)


async def polls(bus: Bus, count: int, reply_bytes: int) -> tuple[float, float]:
    """Seconds and CPU seconds for `count` polls."""

    def poll() -> Generator[Exchange, Reply, Scan]:
        reply = yield Exchange(REQUEST, lambda data: reply_bytes)
        return Scan("d", 0, reply.at, tuple(reply.data[:10]), bytes(10))

    await bus.perform(poll())
    cpu, start = time.process_time(), time.monotonic()
    for _ in range(count):
        await bus.perform(poll())
    spent = time.monotonic() - start, time.process_time() - cpu
    if bus.counters.timeouts or bus.counters.drains > 1:
        raise SystemExit(f"not a clean run: {bus.status()}")
    bus.close()
    return spent


def main(registers: int) -> None:
    reply_bytes = 5 + 2 * registers
    for baud, count in POLLS.items():
        command = [sys.executable, "-m", "bench.line", "serve", str(baud), str(reply_bytes)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as far:
            assert far.stdout is not None
            assert far.stdin is not None
            bus = Bus(spec(baud, far.stdout.readline().strip()), SystemClock())
            took, cpu = asyncio.run(polls(bus, count, reply_bytes))
            far.stdin.close()
            seen = json.loads(far.stdout.readline())
        timing = Timing.of(spec(baud))
        ideal = (len(REQUEST) + reply_bytes) * timing.character_s + 2 * timing.silence_s
        print(
            f"pty {baud}, {reply_bytes}-byte replies: {100 * ideal * count / took:.1f} % of the line, "
            f"{seen['early']} of {count} requests too early; requests late by {seen['asked']} (median / p95), "
            f"replies by {seen['sent']}; {1e6 * cpu / count:.0f} us CPU a poll, {100 * cpu / took:.1f} % of a core"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
