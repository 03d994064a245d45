"""How well the bus uses a serial line: ``python -m bench line [REPLY_REGISTERS]``.

The other end of a pty (another process) keeps the time of a real line: request, T3.5, reply, T3.5; the reply arrives in
blocks of 8 bytes as from a UART's FIFO, the last one when it is there. 100 % is a master that never wastes a microsecond.
The other end also measures: how late our requests come after the silence, how late its own bytes left (that loss is the
machine's, not the bus's), and how many requests began before the silence was over, which must be none. Beside it stands a
master that does nothing but spin on the same pty: what it loses, this machine takes from everyone.

Each share is told twice: of the whole run, and by the median poll, from which a busy machine takes little.

It flatters real adapters: a UART tells of the end of a reply some characters after it (16550 and PL011: 3 to 4), a USB adapter up
to its latency timer (FTDI 1 ms in low latency, 16 ms without) later, and T3.5 can only be counted from what was told.
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
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

from drivers.contract import Exchange, Reply
from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.field.line import Timing
from gateway.model import BusKind, BusSpec, Scan

T = TypeVar("T")

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
    asked_late, sent_late, cycles, free_at, last, early = [], [], [], 0.0, 0.0, 0
    while True:
        ready, _, _ = select.select([ours, sys.stdin], [], [])
        at = time.monotonic()
        if sys.stdin in ready:
            break
        os.read(ours, 4096)
        if free_at:
            asked_late.append(at - free_at)
            cycles.append(at - last)
            early += at < free_at
        last = at
        start = at + len(REQUEST) * timing.character_s + timing.silence_s
        for sent in range(0, reply_bytes, FIFO_BYTES):
            block = min(FIFO_BYTES, reply_bytes - sent)
            due = start + (sent + block) * timing.character_s
            _wait(due)
            ended = time.monotonic()  # before the write: this process may be put aside after it
            os.write(ours, bytes(block))
        sent_late.append(ended - due)
        free_at = ended + timing.silence_s
    told = {"early": early, "cycle_s": statistics.median(cycles), "run_s": statistics.fmean(cycles)}
    print(json.dumps(told | {"asked": _told(asked_late), "sent": _told(sent_late)}), flush=True)


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


def spin(port: str, baud: int, count: int, reply_bytes: int) -> None:
    """A master that does nothing else."""
    silence_s = Timing.of(spec(baud)).silence_s
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    for _ in range(count):
        os.write(fd, REQUEST)
        there = 0
        while there < reply_bytes:
            with suppress(BlockingIOError):
                there += len(os.read(fd, 4096))
        free_at = time.monotonic() + silence_s
        while time.monotonic() < free_at:
            pass
    os.close(fd)


def against(baud: int, reply_bytes: int, master: Callable[[str], T]) -> tuple[T, dict[str, Any]]:
    """What `master` gives for the port of a fresh far end, and what that end saw."""
    command = [sys.executable, "-m", "bench.line", "serve", str(baud), str(reply_bytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as far:
        assert far.stdout is not None
        assert far.stdin is not None
        given = master(far.stdout.readline().strip())
        far.stdin.close()
        return given, json.loads(far.stdout.readline())


def main(registers: int) -> None:
    reply_bytes = 5 + 2 * registers
    for baud, count in POLLS.items():
        timing = Timing.of(spec(baud))
        ideal_s = (len(REQUEST) + reply_bytes) * timing.character_s + 2 * timing.silence_s
        (took, cpu), seen = against(
            baud,
            reply_bytes,
            lambda port: asyncio.run(polls(Bus(spec(baud, port), SystemClock()), count, reply_bytes)),  # noqa: B023
        )
        _, least = against(baud, reply_bytes, lambda port: spin(port, baud, count // 2, reply_bytes))  # noqa: B023
        print(
            f"pty {baud}, {reply_bytes}-byte replies: {_share(ideal_s, seen)} of the line, {seen['early']} of {count} "
            f"requests too early; requests late by {seen['asked']} (median / p95), replies by {seen['sent']}; "
            f"{1e6 * cpu / count:.0f} us CPU a poll, {100 * cpu / took:.1f} % of a core; a master that spins: "
            f"{_share(ideal_s, least)}, late by {least['asked']}"
        )


def _share(ideal_s: float, seen: dict[str, Any]) -> str:
    return f"{100 * ideal_s / seen['run_s']:.1f} % (median poll {100 * ideal_s / seen['cycle_s']:.1f} %)"


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
