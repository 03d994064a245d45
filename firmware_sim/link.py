"""The "4G modem": a TCP relay between the gateway and its broker, a process of its own so that it can fail for real.

    python -m firmware_sim.link --listen 0 --to HOST:PORT --announce FILE

Once it listens on 127.0.0.1, FILE holds ``{"port": N, "pid": N}`` (written whole, never half). Three faults, from
outside:

* stall: SIGSTOP. Half-open: nothing passes, nothing is closed, each side's kernel goes on acknowledging until the
  buffers are full, and a new connection is accepted by the kernel and then stays silent. SIGCONT heals it, and what
  was under way arrives late.
* cut: SIGKILL. The kernel closes both sides of every connection; a new one is refused.
* back: start it again with ``--listen N``, the port that FILE told.

It looks at no byte: TLS goes from end to end. Each direction holds at most `CHUNK_BYTES` plus asyncio's write buffer
(64 KiB), so a slow side slows the other one. SIGTERM ends it with status 0.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CONNECT_S = 10.0


async def relay(to: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until both directions have ended or one was reset."""
    try:
        async with asyncio.timeout(CONNECT_S):
            far_reader, far_writer = await asyncio.open_connection(*to)
    except (OSError, TimeoutError):
        writer.transport.abort()
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, far_writer))
            both.create_task(pump(far_reader, writer))
    except* OSError:
        pass  # reset by one side: the end for the other
    finally:
        for each in (writer, far_writer):
            each.transport.abort()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on, then the end of file, so that a half-closed connection stays half-closed."""
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    sink.write_eof()
    await sink.drain()


def announce(file: Path, port: int) -> None:
    """Whoever waits for `file` never reads half of it."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"port": port, "pid": os.getpid()}), encoding="utf-8")
    draft.replace(file)


async def run(listen: int, to: tuple[str, int], file: Path) -> None:
    """Listen, announce, relay; until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    server = await asyncio.start_server(functools.partial(relay, to), HOST, listen)
    await asyncio.to_thread(announce, file, server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT``; raises ValueError, which argparse turns into a usage message."""
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError(text)
    return host.strip("[]"), int(port)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m firmware_sim.link", description="The 4G modem: a TCP relay.")
    parser.add_argument("--listen", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--to", type=address, required=True, metavar="HOST:PORT", help="the broker")
    parser.add_argument("--announce", type=Path, required=True, metavar="FILE", help="told here: port and pid, JSON")
    options = parser.parse_args(arguments)
    asyncio.run(run(options.listen, options.to, options.announce))


if __name__ == "__main__":
    main()
