"""What the bus costs and how well it uses a line: ``python bench/bus_bench.py``.

1. CPU per one-exchange poll over TCP, bus and driver only (the server is another process): plumbing against a bare
   blocking socket that does the same with no loop.
2. Line use over a pty whose other end (another process) keeps the time of a real line: request, T3.5, reply, T3.5; the
   reply arrives in blocks of 8 bytes as from a UART's FIFO. 100 % is a master that never wastes a microsecond.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
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

POLLS = 4000
REPLY_BYTES = 5 + 2 * 10
REQUEST = bytes(8)


def poll() -> Generator[Exchange, Reply, Scan]:
    reply = yield Exchange(REQUEST, lambda data: REPLY_BYTES)
    return Scan("d", 0, reply.at, tuple(reply.data[:10]), bytes(10))


def serve_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(4096):
                connection.sendall(bytes(REPLY_BYTES))


def serve_pty(baud: int) -> None:
    timing = Timing.of(BusSpec("line", BusKind.SERIAL, baud=baud))
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    print(os.ttyname(theirs), flush=True)
    while True:
        at = time.monotonic() if select.select([ours], [], []) else 0.0
        os.read(ours, 4096)
        start = at + len(REQUEST) * timing.character_s + timing.silence_s
        for sent in range(0, REPLY_BYTES, 8):
            block = min(8, REPLY_BYTES - sent)
            _wait(start + (sent + block) * timing.character_s)
            os.write(ours, bytes(block))


def _wait(until: float) -> None:
    """Sleep, then spin: this end must not be what is measured."""
    while (left := until - time.monotonic()) > 0:
        if left > 0.0005:
            time.sleep(left - 0.0004)


async def polls_on(spec: BusSpec, count: int) -> tuple[float, float]:
    """CPU seconds and seconds for `count` polls."""
    bus = Bus(spec, SystemClock())
    await bus.perform(poll())
    cpu, start = time.process_time(), time.monotonic()
    for _ in range(count):
        await bus.perform(poll())
    spent = time.process_time() - cpu, time.monotonic() - start
    if bus.counters.timeouts or bus.counters.drains > 1:
        raise SystemExit(f"not a clean run: {bus.status()}")
    bus.close()
    return spent


def bare(port: int, count: int) -> float:
    """CPU seconds for the same bytes without a loop."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cpu = time.process_time()
        for _ in range(count):
            connection.sendall(REQUEST)
            select.select([connection], [], [])
            connection.recv(4096)
        return time.process_time() - cpu


def server(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def main() -> None:
    process, port = server("tcp")
    least = bare(int(port), POLLS) / POLLS
    process.kill()
    process, port = server("tcp")
    spec = BusSpec("tcp", BusKind.TCP, host="127.0.0.1", tcp_port=int(port))
    cpu, _ = asyncio.run(polls_on(spec, POLLS))
    process.kill()
    print(f"TCP: {1e6 * cpu / POLLS:.0f} us CPU a poll, {1e6 * least:.0f} us for the bare system calls")
    for baud, count in ((9600, 100), (115200, 1000)):
        process, path = server("pty", str(baud))
        timing = Timing.of(BusSpec("line", BusKind.SERIAL, baud=baud))
        ideal = (len(REQUEST) + REPLY_BYTES) * timing.character_s + 2 * timing.silence_s
        cpu, took = asyncio.run(polls_on(BusSpec("line", BusKind.SERIAL, port=path, baud=baud), count))
        process.kill()
        use, each = 100 * ideal * count / took, 1e6 * cpu / count
        print(f"pty {baud}: {use:.1f} % line use, {each:.0f} us CPU a poll, {100 * cpu / took:.1f} % of a core")


if __name__ == "__main__":
    if sys.argv[1:2] == ["tcp"]:
        serve_tcp()
    elif sys.argv[1:2] == ["pty"]:
        serve_pty(int(sys.argv[2]))
    else:
        main()
