"""The other end of the line: simulated devices on a pseudo terminal or on the peer's adapter.

Guarantees: the values and faults are the simulator's own (firmware_sim shares no code with the gateway), and what it
complains of is in `complaints`. On a pseudo terminal `path` stays the same when the line is closed and opened again, as
the name under /dev/serial/by-path does for a real adapter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import yaml

from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from firmware_sim.tty_port import TtyPort
from hil_tests.setting import TEMPLATES, Setting

STORY: tuple[dict[str, Any], ...] = (
    {"id": "smoke-1", "template": "generic_smoke_loop", "address": 1, "values": {"density": 1.11, "temperature": 24.5}},
    {"id": "smoke-2", "template": "generic_smoke_loop", "address": 2, "values": {"density": 2.22, "temperature": 23.8}},
    {"id": "door-1", "template": "waveshare_io8_door", "address": 3, "values": {"lock_engaged": 1}},
    {"id": "tilt-1", "template": "bwsensing_bwm826", "address": 0, "values": {"x": 2.013, "y": -0.512}},
)
"""What is on the line. Two of a kind whose values differ, so that the one's answer is never taken for the other's unseen; three kinds, two
protocols."""


SHORTEST_PERIOD_S = 0.5
SLOW_LINE_S = 4800.0
"""Divided by the speed: a period in which four devices fit on a slow line."""


def story(setting: Setting) -> list[dict[str, Any]]:
    """The story's devices as a site file has them, with periods that the line's speed allows."""
    period_s = max(SHORTEST_PERIOD_S, SLOW_LINE_S / setting.baud)
    return [{**entry, "periods_s": {"safety": period_s}} for entry in STORY]


class Simulator:
    """`devices` on one line; SceneError when the simulator cannot play one of them."""

    def __init__(self, setting: Setting, folder: Path, devices: Sequence[Mapping[str, Any]]) -> None:
        self._setting = setting
        line = {"id": "line", "baud": setting.baud, "parity": setting.parity, "stop_bits": setting.stop_bits}
        scene_file = folder / "scene.yaml"
        scene_file.write_text(yaml.safe_dump({"lines": [{**line, "devices": [dict(one) for one in devices]}]}))
        scene = read(scene_file, TEMPLATES)
        self._spec = scene.lines[0]
        self._log_file = folder / "simulator.jsonl"
        self._log = Log(self._log_file)
        self.field = Field(self._log, scene.members)
        self.path = setting.port or str(folder / "port")
        self._port: PtyPort | TtyPort | None = None
        self.plug()

    def plug(self) -> None:
        line = Line("line", self._spec.timing, self._spec.slaves, self.field, self._log, Random(1))
        if self._setting.peer:
            self._port = TtyPort(
                line, self._setting.peer, self._setting.baud, self._setting.parity, self._setting.stop_bits
            )
            return
        self._port = PtyPort(line)
        link = Path(self.path)
        link.unlink(missing_ok=True)
        os.symlink(self._port.path, link)

    def pull(self) -> None:
        """End the line: on a pseudo terminal the gateway sees a hang-up."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def complaints(self, why: str) -> int:
        """How many requests were bad in this way (firmware_sim.line)."""
        entries = sim_log.read(self._log_file)
        return sum(entry["event"] == "bad_request" and entry["why"] == why for entry in entries)

    def close(self) -> None:
        self.pull()
        self._log.close()
