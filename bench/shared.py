"""Units behind one TCP port, one of them silent: ``python -m bench shared [SECONDS]``, all variants at once.

How punctually are the others asked, at a period of 1 s? Told by the server (processes of their own), which knows nothing of
the gateway: 10 and 31 units, Modbus TCP and RTU over TCP, one unit that is silent from the start or that dies after a third of the time.
The first failing cycles are part of it. One request at a time (window 1), the gateway's usual time-out of 0.5 s; a unit answers after
10 ms, the silent one never. Bus, driver, schedule and poller are the gateway's own, all variants on one loop as in a site.
"""

from __future__ import annotations

import asyncio
import json
import socketserver
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from drivers import DRIVERS
from drivers.modbus_pdu import crc16
from gateway import config
from gateway.clock import SystemClock
from gateway.field.bus import Bus
from gateway.model import Device, Scan
from gateway.poller import Poller
from gateway.restart import Guard

UNITS = (10, 31)
FRAMINGS = {"tcp": "framing: tcp", "rtu": "framing: rtu, baud: 115200"}
SILENT = 7
"""The unit; in the order of the file some come before it and some after."""
ANSWER_S = 0.01
PERIOD_S = 1.0


@dataclass
class Far:
    """What the server knows."""

    rtu: bool
    silent_at: float
    asked: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def answer(self, request: bytes) -> bytes:
        """To a read of holding registers: as many zeros as asked for; nothing from the silent unit."""
        now = time.monotonic()
        head, body = (b"", request[:-2]) if self.rtu else (request[:4], request[6:])
        self.asked[body[0]].append(now)
        if body[0] == SILENT and now >= self.silent_at:
            return b""
        time.sleep(ANSWER_S)
        count = 2 * int.from_bytes(body[4:6])
        reply = bytes([*body[:2], count, *bytes(count)])
        if self.rtu:
            return reply + crc16(reply).to_bytes(2, "little")
        return head + len(reply).to_bytes(2, "big") + reply


class Caller(socketserver.BaseRequestHandler):
    def __init__(self, far: Far, *rest: object) -> None:
        self._far = far
        super().__init__(*rest)  # type: ignore[arg-type]  # as socketserver calls it

    def handle(self) -> None:
        with suppress(ConnectionResetError):
            while request := self.request.recv(4096):
                self.request.sendall(self._far.answer(request))


def serve(rtu: bool, silent_after_s: float) -> None:
    """Ends when its input does, and tells when which unit was asked."""
    far = Far(rtu, time.monotonic() + silent_after_s)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), partial(Caller, far)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()
    print(json.dumps(far.asked), flush=True)


def devices(units: int, port: int, framing: str) -> tuple[Bus, list[Device]]:
    """A site's bus, and its units at one poll a second."""
    listed = "\n".join(
        f"  - {{id: d{unit}, bus: far, template: generic_smoke_loop, address: {unit}}}" for unit in range(1, units + 1)
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "site.yaml")
        path.write_text(
            "gateway: {id: g, control_socket: /run/c.sock}\n"
            f"buses:\n  - {{id: far, kind: tcp, host: 127.0.0.1, tcp_port: {port}, {FRAMINGS[framing]}}}\n"
            f"devices:\n{listed}\n"
        )
        site = config.load(path)
    made = [replace(one, groups=(replace(one.groups[0], period_s=PERIOD_S),)) for one in site.devices]
    return Bus(site.buses[0], SystemClock()), made


async def variant(units: int, framing: str, silent_after_s: float, seconds: float) -> str:
    """Its line of the result."""
    far = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.shared", "serve", framing, str(silent_after_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert far.stdout is not None
    assert far.stdin is not None
    bus, made = devices(units, int(await far.stdout.readline()), framing)
    open_device = DRIVERS["modbus"].open
    assert open_device is not None
    polls = {one.id: open_device(one, bus.spec.speaks) for one in made}
    taken: list[Scan] = []
    poller = asyncio.create_task(Poller(bus, made, polls, SystemClock(), taken.append, Guard()).run())
    await asyncio.sleep(seconds)
    poller.cancel()
    bus.close()
    far.stdin.close()
    asked: dict[str, list[float]] = json.loads(await far.stdout.readline())
    await far.wait()
    others = [
        later - earlier for unit, times in asked.items() if unit != str(SILENT) for earlier, later in pairwise(times)
    ]
    bad = sum(1 for scan in taken if scan.device != f"d{SILENT}" and any(scan.qualities))
    when = f"from {silent_after_s:.0f} s on" if silent_after_s else "from the start"
    return (
        f"{units} units, framing {framing}, unit {SILENT} silent {when}: the others' period {_told(others)}; "
        f"unit {SILENT} tried {len(asked[str(SILENT)])} times; {bad} scans of the others without a value"
    )


def _told(periods_s: Sequence[float]) -> str:
    parts = statistics.quantiles(periods_s, n=100)
    return f"p50 {parts[49]:.3f}, p95 {parts[94]:.3f}, p99 {parts[98]:.3f}, longest {max(periods_s):.3f} s"


async def main(seconds: float) -> None:
    variants = [
        variant(units, framing, silent_after_s, seconds)
        for units in UNITS
        for framing in FRAMINGS
        for silent_after_s in (0.0, seconds / 3)
    ]
    for told in await asyncio.gather(*variants):
        print(told)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2] == "rtu", float(sys.argv[3]))
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0))
