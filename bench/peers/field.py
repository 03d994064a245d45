"""Modbus TCP devices some of which never answer: ``python -m bench.peers.field --ports 1 --silent 0/5``.

Each port is a server behind which all units answer, at once, but the silent ones (PORT/UNIT; ``0/*`` is the whole server: it
takes connections and says nothing). Register r holds r plus the number of the answer. Writes field-ready.json with the ports,
and at SIGINT field.json: {"PORT/UNIT": [monotonic time of each request, …]}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import time
from collections import defaultdict
from pathlib import Path

HEAD = struct.Struct(">HHHBBHH")
REQUEST_BYTES = HEAD.size


class Field:
    def __init__(self, silent: list[str]) -> None:
        self._silent = set(silent)
        self._answers = 0
        self.asked: defaultdict[str, list[float]] = defaultdict(list)

    def reply(self, port: int, request: bytes) -> bytes:
        transaction, _, _, unit, function, start, count = HEAD.unpack(request)
        self.asked[f"{port}/{unit}"].append(time.monotonic())
        if not self._silent.isdisjoint((f"{port}/{unit}", f"{port}/*")):
            return b""
        self._answers += 1
        registers = struct.pack(f">{count}H", *((self._answers + start + n) & 0xFFFF for n in range(count)))
        return struct.pack(">HHHBBB", transaction, 0, 3 + len(registers), unit, function, len(registers)) + registers

    async def serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(self.reply(port, await reader.readexactly(REQUEST_BYTES)))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


async def run(ports: int, silent: list[str]) -> None:
    over, field = asyncio.Event(), Field(silent)
    servers = [
        await asyncio.start_server(lambda r, w, port=port: field.serve(port, r, w), "127.0.0.1", 0)  # type: ignore[misc]
        for port in range(ports)
    ]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    _tell("field-ready.json", [server.sockets[0].getsockname()[1] for server in servers])
    await over.wait()
    _tell("field.json", field.asked)


def _tell(name: str, content: object) -> None:
    Path(name).write_text(json.dumps(content))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.field", description=__doc__)
    parser.add_argument("--ports", type=int, default=1)
    parser.add_argument("--silent", nargs="*", default=[])
    given = parser.parse_args()
    asyncio.run(run(given.ports, given.silent))


if __name__ == "__main__":
    main()
