"""What is tested: the command line's options as one value. Knows what is real and what is not, and opens nothing."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import get_args

import drivers
from gateway.model import Text
from gateway.site.schema import Baud

TEMPLATES = Path(drivers.__file__).parent / "templates"
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.02, 10.0

PTY_MAJORS = range(136, 144)
"""Device numbers of pseudo terminals (Linux, Documentation/admin-guide/devices.txt)."""


class Mode(Enum):
    PTY = "pty"
    """No port given: the simulator on a pseudo terminal with a line's timing."""
    CROSSED = "crossed"
    """Two adapters wired to each other: the gateway on the one, the simulator on the other."""
    DEVICE = "device"
    """One device with its template."""


@dataclass(frozen=True, slots=True)
class Setting:
    port: str = ""
    peer: str = ""
    template: str = ""
    """A template's name, or the path of its file."""
    address: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    reply_timeout_s: float = 0.3
    interactive: bool = False
    acceptance: Path | None = None
    simulated: bool = True
    """Whether no real wire is involved: a pseudo terminal has neither parity nor voltage. See `no_wire`."""

    @property
    def mode(self) -> Mode:
        return Mode.DEVICE if self.template else Mode.CROSSED if self.peer else Mode.PTY

    @property
    def template_file(self) -> Path:
        own = Path(self.template)
        return own if own.suffix == ".yaml" else TEMPLATES / f"{self.template}.yaml"

    @property
    def slack(self) -> float:
        """How many times its period a device may take. Without a wire the machine is a shared one and proves no times."""
        return 5.0 if self.simulated else 1.2

    def times(self, real: int, simulated: int) -> int:
        """How often something is tried: often where it proves something."""
        return simulated if self.simulated else real

    def mistakes(self) -> list[Text]:
        """What cannot be meant."""
        found = []
        if self.port and bool(self.peer) is bool(self.template):
            found.append(
                Text("--port 须与 --peer 或 --template 之一同用", "--port goes with --peer or with --template")
            )
        if not self.port and (self.peer or self.template or self.interactive):
            found.append(Text("缺少 --port", "--port is missing"))
        if bool(self.template) is not bool(self.address):
            found.append(Text("--template 须与 --address 同用", "--template and --address go together"))
        if self.template and not self.template_file.is_file():
            found.append(Text(f"没有模板 {self.template}", f"there is no template {self.template}"))
        strange = (path for path in (self.port, self.peer) if path and not _is_character_device(path))
        found.extend(Text(f"{path} 不是串口", f"{path} is no serial device") for path in strange)
        if self.port and self.peer and os.path.realpath(self.port) == os.path.realpath(self.peer):
            found.append(Text("--port 与 --peer 是同一个串口", "--port and --peer are the same device"))
        if self.baud not in get_args(Baud):
            found.append(Text(f"没有 {self.baud} bit/s 这种速率", f"there is no speed of {self.baud} bit/s"))
        if not SHORTEST_TIMEOUT_S <= self.reply_timeout_s <= LONGEST_TIMEOUT_S:
            found.append(
                Text(
                    f"--timeout 须在 {SHORTEST_TIMEOUT_S:g} 到 {LONGEST_TIMEOUT_S:g} 秒之间",
                    f"--timeout must be {SHORTEST_TIMEOUT_S:g} to {LONGEST_TIMEOUT_S:g} s",
                )
            )
        if self.simulated and self.parity != "N":
            found.append(
                Text("伪终端没有校验位：--parity 须用实物串口", "a pty has no parity: --parity needs real ports")
            )
        if self.acceptance and not self.acceptance.absolute().parent.is_dir():
            found.append(Text(f"没有目录 {self.acceptance.parent}", f"there is no folder {self.acceptance.parent}"))
        return found


def no_wire(*paths: str) -> bool:
    """Whether one of these ports is a pseudo terminal, or none is given. To be asked while they are plugged in."""
    return not any(paths) or any(map(_is_pty, filter(None, paths)))


def _is_pty(path: str) -> bool:
    return _is_character_device(path) and os.major(os.stat(path).st_rdev) in PTY_MAJORS


def _is_character_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False
