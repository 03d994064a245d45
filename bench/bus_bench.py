"""What the bus costs: ``python -m bench bus_bench``. How well it uses a serial line is `bench.line`'s.

CPU per one-exchange poll over TCP, bus and driver only (the server is another process): plumbing against a bare blocking
socket that does the same with no loop.
"""

from __future__ import annotations

import asyncio
import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator

from drivers.contract import Exchange, Reply
from gateway.clock import SystemClock
from gateway.field.bus import Bus
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["tcp"]:
        serve_tcp()
    else:
        main()
