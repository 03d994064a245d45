"""Many cheap Modbus TCP devices in one process, for the bench: ``python -m firmware_sim.load --dir DIR --devices 100``.

Each device is a server of its own on 127.0.0.1 (port 0) and answers as any unit. Register r of answer number n holds
(n + r) modulo 65536, so every register changes with every answer. Ready when DIR/ports.json exists:
``{"load-000": 40001, ...}``. It ends at the end of standard input, SIGTERM or SIGINT.

``--step DEVICE/REGISTER --every 1.0`` makes that one register of unit 1 of that device (``load-003/7``) alternate between
0 and ``--step-value`` instead, each step a ``change`` in DIR/simulator.jsonl with its monotonic time: the begin of a
latency that ends wherever the change arrives.

It shares the CPU with what is measured, so it does no more than it must: functions 3 and 4, no faults, no log of answers.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import struct
import sys
from pathlib import Path

from firmware_sim.log import Log
from firmware_sim.process import follow, write_whole

LONGEST_READ = 125
RAMP = struct.pack(">65661H", *(register & 0xFFFF for register in range(65536 + LONGEST_READ)))
"""All register contents in a row; an answer is a slice of it."""

REQUEST = struct.Struct(">HHHBBHH")
REQUEST_BYTES = REQUEST.size


class Device:
    """What the connections of one device share."""

    def __init__(self, registers: int) -> None:
        self.registers = registers
        self.answers = 0
        self.step_at: int | None = None
        """The register that steps, if one does."""
        self.step_value = 0

    def answer(self, request: bytes, begin: int) -> bytes | None:
        """The answer to the request frame at `begin`; None when it is none."""
        transaction, protocol, length, unit, function, start, count = REQUEST.unpack_from(request, begin)
        if protocol or length != 6:
            return None
        head = b"%c%c\0\0" % (transaction >> 8, transaction & 0xFF)
        if function not in (3, 4) or not 0 < count <= LONGEST_READ or start + count > self.registers:
            code = 1 if function not in (3, 4) else 2 if 0 < count <= LONGEST_READ else 3
            return head + bytes((0, 3, unit, function | 0x80, code))
        self.answers += 1
        first = 2 * ((self.answers + start) & 0xFFFF)
        size = 2 * count
        content = RAMP[first : first + size]
        if self.step_at is not None and unit == 1 and start <= self.step_at < start + count:
            place = 2 * (self.step_at - start)
            content = content[:place] + self.step_value.to_bytes(2) + content[place + 2 :]
        return head + bytes(((size + 3) >> 8, (size + 3) & 0xFF, unit, function, size)) + content


class Connection(asyncio.Protocol):  # asyncio's own base class: its default methods, nothing of ours
    """One client; requests may be pipelined."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        begin, answers = 0, []
        while len(data) - begin >= REQUEST_BYTES:
            answer = self._device.answer(data, begin)
            if answer is None:
                self._transport.abort()
                return
            answers.append(answer)
            begin += REQUEST_BYTES
        self._rest = data[begin:]
        if answers:
            self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))


def step(device: Device, name: str, every_s: float, value: int, log: Log) -> None:
    """Step now, and again every `every_s` from now on, without drift."""
    loop = asyncio.get_running_loop()

    def once(at: float) -> None:
        device.step_value = 0 if device.step_value else value
        log.write("change", device=name.partition("/")[0], point=name.partition("/")[2], value=device.step_value)
        loop.call_at(at + every_s, once, at + every_s)

    loop.call_at(loop.time() + every_s, once, loop.time() + every_s)


async def serve(arguments: argparse.Namespace) -> None:
    """Run all devices until the end of input or a signal."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    log = Log(arguments.dir / "simulator.jsonl")
    devices = {f"load-{number:03d}": Device(arguments.registers) for number in range(arguments.devices)}
    servers = {
        name: await loop.create_server(lambda device=device: Connection(device), "127.0.0.1", 0)  # type: ignore[misc]  # mypy cannot infer a lambda's bound default
        for name, device in devices.items()
    }
    if arguments.step:
        name, _, register = arguments.step.partition("/")
        devices[name].step_at = int(register)
        step(devices[name], arguments.step, arguments.every, arguments.step_value, log)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    follow(sys.stdin.fileno(), lambda _: None, over.set)
    write_whole(
        arguments.dir / "ports.json", {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    )
    await over.wait()
    for server in servers.values():
        server.close()
    log.write("stop", answers=sum(device.answers for device in devices.values()))
    log.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="firmware_sim.load", description="many cheap Modbus TCP devices")
    parser.add_argument("--dir", type=Path, required=True, help="where ports.json and simulator.jsonl go")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--registers", type=int, default=40, help="how many registers each device has")
    parser.add_argument("--step", default="", help="DEVICE/REGISTER that steps at logged times, such as load-000/0")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two steps")
    parser.add_argument("--step-value", type=int, default=1000, help="what it steps to from 0, and back")
    asyncio.run(serve(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
