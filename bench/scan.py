"""A scan of a 9600 line on which 3 of 247 addresses answer: seconds, against the least possible.

The line is the simulator's, with the times of its characters; a silent address cannot cost less than its request and the
wait (`gateway.tools.sweep.least_s`, with the wait that the scan settled on). Templates are not tried.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random

from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from gateway.config import TEMPLATES
from gateway.model import BusKind, BusSpec
from gateway.tools.scanning import EVERYONE, scan_port

SCENE = """
lines:
  - id: line-1
    baud: 9600
    devices:
      - {id: a, template: generic_smoke_loop, address: 7}
      - {id: b, template: generic_smoke_loop, address: 101}
      - {id: c, template: generic_smoke_loop, address: 243}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scene.yaml").write_text(SCENE)
        scene = read(folder / "scene.yaml", TEMPLATES)
        log = Log(folder / "log")
        spec = scene.lines[0]
        port = PtyPort(Line(spec.id, spec.timing, spec.slaves, Field(log, scene.members), log, Random(1)))
        bus = BusSpec("line-1", BusKind.SERIAL, port=port.path)
        started = time.monotonic()
        (one,) = scan_port(bus, {}, lambda _: None, EVERYONE, guess=False, every=False, thorough=False)
        whole_s = time.monotonic() - started
        port.close()
        log.close()
    found = [device.address for device in one.devices]
    print(
        f"found {found}: {whole_s:.1f} s altogether (noise and three checks of each included), sweep {one.took_s:.1f} s"
    )
    print(f"least possible for asking each once: {one.least_s:.1f} s; {one.took_s / one.least_s:.2f} times that")


if __name__ == "__main__":
    main()
