"""Makes the pictures of docs/first-hour.md anew: ``python -m docs.pictures``. Each shows what the command really printed.

The line is simulated (`firmware_sim`, examples/first-hour), the gateway is the real one. Guarantees: nothing is drawn by hand; the
only words changed are the folder's name before ``ttyUSB0``, and where lines are left out a row of dots says so. The pictures fetch
nothing from the network. They are not compared byte by byte: times and durations differ from run to run; the tests look whether
they are there and still name the commands that exist.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.style import Style
from rich.text import Text

from gateway.demo.screen import plain

HERE = Path(__file__).parent
ROOT = HERE.parent
EXAMPLE = ROOT / "examples" / "first-hour"
PICTURES = HERE / "first-hour"
WIDTH = 112
PATIENCE_S = 60.0
LEFT_OUT = "  ⋮"
RUNS = re.compile("[\u2500-\u257f]+|[\u2e80-\uffef]+|[^\u2500-\u257f\u2e80-\uffef\\n]+")


@dataclass(frozen=True)
class Shot:
    """One picture: what is typed, and which parts of the answer are shown (all of it, when none is named)."""

    name: str
    typed: str
    parts: tuple[tuple[str, int], ...] = ()
    """How a line begins, and how many lines from there."""

    def kept(self, lines: Sequence[str]) -> list[str]:
        if not self.parts:
            return list(lines)
        kept: list[str] = []
        end = 0
        for begins, count in self.parts:
            at = next(n for n, line in enumerate(lines) if n >= end and Text.from_ansi(line).plain.startswith(begins))
            kept += [LEFT_OUT] * (at > end) + list(lines[at : at + count])
            end = at + count
        return kept


BEFORE = (
    Shot("scan", "gengfu scan --port /dev/ttyUSB0 --to 20 --draft draft.yaml"),
    Shot("peek", "gengfu peek 1 --port /dev/ttyUSB0 --register 0 --count 3 --guess 21.5"),
    Shot("check", "gengfu check site.yaml", parts=(("Buses", 7), ("Alarms", 13), ("Disk", 9), ("no mistakes", 1))),
    Shot("test-rules", "gengfu test-rules site.yaml"),
)
RUNNING = (
    Shot("doctor", "gengfu doctor site.yaml"),
    Shot("read", "gengfu read smoke-301"),
)
WALK = (Shot("alarms", "gengfu alarms"),)
AFTER = (Shot("replay", "gengfu replay walk.jsonl --site site.yaml"),)
ALL = (*BEFORE, *RUNNING, *WALK, *AFTER)


class Desk:
    """A folder with the example's site, a simulated line as ``ttyUSB0``, and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        site = (EXAMPLE / "site.yaml").read_text(encoding="utf-8")
        (folder / "site.yaml").write_text(site.replace("/dev/ttyUSB0", "ttyUSB0"), encoding="utf-8")
        shutil.copytree(EXAMPLE / "scenarios", folder / "scenarios")

    def line(self) -> IO[bytes]:
        """Begin the simulated line; its ear for commands."""
        process = self._begin("firmware_sim", str(EXAMPLE / "scene.yaml"), "--dir", "practice", stdin=subprocess.PIPE)
        ports = self.folder / "practice" / "ports.json"
        self.until(ports.exists)
        (self.folder / "ttyUSB0").symlink_to(json.loads(ports.read_text())["line-1"])
        assert process.stdin is not None
        return process.stdin

    def gateway(self) -> None:
        self._begin("gateway.cli", "run", "site.yaml")
        self.until(lambda: not self.run("gengfu alarms")[0])
        self.until(lambda: self.says("gengfu status --json", '"quality": "good"', 5))

    def says(self, typed: str, words: str, times: int = 1) -> bool:
        return self.run(typed)[1].count(words) >= times

    def begin_record(self) -> subprocess.Popen[bytes]:
        return self._begin("gateway.cli", "record", "--for", "15s", "-o", "walk.jsonl", "--who", "Li")

    def run(self, typed: str) -> tuple[int, str]:
        """What a person at this desk reads after typing it."""
        words = typed.replace("/dev/ttyUSB0", "ttyUSB0").split()[1:]
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,  # progress bars go to the error stream
            timeout=PATIENCE_S,
        )
        said = done.stdout.decode().replace(f"{self.folder}/ttyUSB0", "/dev/ttyUSB0")
        said = said if not done.returncode else said + done.stderr.decode()
        return done.returncode, re.sub(r"(?<!/dev/)ttyUSB0", "/dev/ttyUSB0", said)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > end:
                raise TimeoutError("the simulated site did not get there")
            time.sleep(0.2)

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(10)

    def _begin(self, module: str, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env=self._environment(),
            stdin=stdin,
            stdout=log,
            stderr=log,
        )
        self.processes.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        mine = {"PYTHONPATH": str(ROOT), "GENGFU_SOCKET": "run/control.sock", "COLUMNS": str(WIDTH)}
        return {**os.environ, **mine, "FORCE_COLOR": "1", "TERM": "xterm-256color", "LANG": "C.UTF-8"}


def take(desk: Desk, shots: Sequence[Shot]) -> None:
    for shot in shots:
        code, said = desk.run(shot.typed)
        if code:
            raise RuntimeError(f"{shot.typed}: exit status {code}\n{said}")
        draw(shot, said)
        sys.stdout.write(f"wrote {PICTURES.name}/{shot.name}.svg\n")


def draw(shot: Shot, said: str) -> None:
    lines = shot.kept([line.rstrip() for line in said.rstrip().splitlines()])
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text(f"$ {shot.typed}", style="bold"))
    console.print(in_runs(Text.from_ansi("\n".join(lines))))
    svg = console.export_svg(title="gengfu 更夫", unique_id=f"gengfu-{shot.name}")
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{shot.name}.svg").write_text(plain(svg) + "\n", encoding="utf-8")


def in_runs(text: Text) -> Text:
    """Each run of frames, of Chinese and of the rest is placed by itself: no font has Chinese exactly two cells wide."""
    for number, run in enumerate(RUNS.finditer(text.plain)):
        text.stylize(Style(meta={"run": number}), *run.span())
    return text


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        desk = Desk(Path(name))
        try:
            field = desk.line()
            take(desk, BEFORE)
            desk.gateway()
            take(desk, RUNNING)
            record = desk.begin_record()
            desk.until((desk.folder / "walk.jsonl").exists)
            field.write(b'{"set": {"smoke-301/alarm": 1}}\n')
            field.flush()
            desk.until(lambda: desk.says("gengfu alarms --json", "smoke-301/first-signal"))
            field.write(b'{"fault": {"device": "smoke-302", "what": "silent"}}\n')
            field.flush()
            desk.until(lambda: desk.says("gengfu alarms --json", "smoke-302/silent"))
            take(desk, WALK)
            record.wait(PATIENCE_S)
            take(desk, AFTER)
        finally:
            desk.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
