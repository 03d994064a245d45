"""The simulator as a process: ``python -m firmware_sim SCENE.yaml --dir DIR [--templates PATH]``.

It is ready when DIR/ports.json exists (written whole): ``{"line-1": "<path of the line's terminal>", "lift-box": 12345}``.
Then it follows JSON lines on standard input, until ``stop``, the end of input, SIGTERM or SIGINT:

    {"connect": {"hydrant-1": ["127.0.0.1", 7000]}}      whom the terminals call
    {"go": 1700000000.0}                                 start the story at this wall time (already past: at once)
    {"set": {"smoke-1203/density": 7.5}}
    {"fault": {"device": "smoke-1204", "what": "silent"}}     ``none`` heals
    {"stop": true}

A command that cannot be followed is logged as ``refused`` and changes nothing. What happened is in DIR/simulator.jsonl
(see log.py). Exit code 2: the scene has mistakes, all printed to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.process import follow, write_whole
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import Scene, SceneError, read
from firmware_sim.server import Server
from firmware_sim.terminal import Terminal
from firmware_sim.transmitter import Transmitter

TEMPLATES = Path(__file__).parent.parent / "drivers" / "templates"


class Simulation:
    """A scene that runs; everything is closed again when `run` returns."""

    def __init__(self, scene: Scene, directory: Path, seed: int = 1) -> None:
        self._scene, self._directory = scene, directory
        self.log = Log(directory / "simulator.jsonl")
        self.world = Field(self.log, scene.members)
        self._random = Random(seed)  # noise and flipped bits; not a secret
        self._terminals = {
            spec.id: Terminal(spec.id, spec.gauge, spec.interval_s, self.world, self.log, self._random)
            for spec in scene.terminals
        }
        self._transmitters = {
            spec.id: Transmitter(
                spec.id, spec.things, spec.device(), spec.transport, self.world, self.log, self._random
            )
            for spec in scene.transmitters
        }
        self._story: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._commands: Mapping[str, Callable[[Any], None]] = {
            "go": self._go,
            "connect": self._connect,
            "set": self.world.set,
            "fault": self.world.set_fault,
            "stop": lambda _: self.stop(),
        }

    async def run(self) -> None:
        """Open everything, say so in ports.json, and stay until `stop`."""
        lines = {
            spec.id: PtyPort(
                Line(spec.id, spec.timing, spec.slaves, self.world, self.log, Random(self._random.random()))
            )
            for spec in self._scene.lines
        }
        servers = [
            Server(spec.id, spec.units, self.world, self.log, self._random, spec.response_s)
            for spec in self._scene.servers
        ]
        try:
            ports: dict[str, str | int] = {id: line.path for id, line in lines.items()}
            ports |= {server.id: await server.start() for server in servers}
            self.log.write("start", devices=sorted(self._scene.members))
            write_whole(self._directory / "ports.json", ports)
            async with asyncio.TaskGroup() as group:
                self._group = group
                running = [group.create_task(terminal.run()) for terminal in self._terminals.values()]
                running += [group.create_task(transmitter.run()) for transmitter in self._transmitters.values()]
                await self._over.wait()
                for task in [*running, *([self._story] if self._story else [])]:
                    task.cancel()
        finally:
            for terminal in self._terminals.values():
                await terminal.close()
            for server in servers:
                await server.close()
            for line in lines.values():
                line.close()
            self.log.write("stop")
            self.log.close()

    def stop(self) -> None:
        self._over.set()

    def command(self, text: bytes) -> None:
        """Follow one line of standard input."""
        try:
            said = json.loads(text)
            for name, argument in said.items():
                self._commands[name](argument)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.log.write("refused", command=text.decode(errors="replace"), why=f"{type(error).__name__}: {error}")

    def _connect(self, servers: Mapping[str, tuple[str, int]]) -> None:
        for device, (host, port) in servers.items():
            (self._transmitters.get(device) or self._terminals[device]).call(host, port)

    def _go(self, wall: float) -> None:
        if self._story is not None:
            raise ValueError("the story has begun already")
        self._story = self._group.create_task(self._play(time.monotonic() + wall - time.time()))

    async def _play(self, begin: float) -> None:
        loop = asyncio.get_running_loop()
        self.log.write("go", begin)
        for moment in self._scene.story:
            await asyncio.sleep(begin + moment.at - loop.time())
            self.world.set(moment.points)
            if moment.fault is not None:
                self.world.set_fault(moment.fault)


async def play(scene: Scene, directory: Path) -> None:
    simulation = Simulation(scene, directory)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, simulation.stop)
    follow(sys.stdin.fileno(), simulation.command, simulation.stop)
    await simulation.run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="firmware_sim", description="simulated devices, lines and faults")
    parser.add_argument("scene", type=Path)
    parser.add_argument("--dir", type=Path, required=True, help="where ports.json and simulator.jsonl go")
    parser.add_argument("--templates", type=Path, default=TEMPLATES)
    arguments = parser.parse_args()
    try:
        scene = read(arguments.scene, arguments.templates)
    except SceneError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the command line's answer to the person who called it
        return 2
    arguments.dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(play(scene, arguments.dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
