"""One simulation: a seed becomes a compound, what befalls it, lives of the gateway, and findings.

result = simulate(seed, minutes)        `result.findings` is empty when all held; `result.trace` is one hash
"""

import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gateway import config
from tests.simulation import judge, script
from tests.simulation.book import Book
from tests.simulation.broker import Broker
from tests.simulation.compound import GATEWAY, make
from tests.simulation.disk import Disk
from tests.simulation.field import Plant
from tests.simulation.life import Life, Machine
from tests.simulation.world import TRUTH, World

MEMORY = Path("/dev/shm")
MOST_FALLS = 20


@dataclass
class Result:
    seed: int
    minutes: float
    findings: list
    trace: str
    lines: int
    cpu_s: float
    lives: int
    counts: dict
    tail: list
    transitions: list
    """(alarm, before, after, when) of the alarms that the field alone decides."""
    held: list
    """Objects of the gateway after a quarter of the time, and at the end."""


def simulate(seed, minutes=10.0, parts=script.ALL, keep=0):
    """`parts`: of `script.ALL`, those that are to happen; `keep`: lines of the trace to give back."""
    root = tempfile.mkdtemp(prefix="gengfu-simulation-", dir=MEMORY if MEMORY.is_dir() else None)
    logging.disable(logging.CRITICAL)
    began = time.process_time()
    try:
        run = Run(seed, minutes, Path(root), frozenset(parts), keep)
        try:
            run.play()
            run.judge()
        finally:
            run.close()
        return run.result(time.process_time() - began)
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(root)


class Run:
    """The parts of one simulation."""

    def __init__(self, seed, minutes, root, parts, keep):
        self.seed, self.minutes, self.parts = seed, minutes, parts
        self.world = World(seed, keep=keep)
        self.compound = make(self.world.chance("compound"))
        self.book = Book(self.world, self.compound)
        path = root / "site.yaml"
        path.write_text(self.compound.site, encoding="utf-8")
        self.site = config.load(path)
        self.plant = Plant(self.world, self.compound, root, self.book)
        self.store = root / "district.db"
        self.disk = Disk(self.world, root, cuts="kill" in parts)
        self.broker = Broker(self.world, self.store)
        self.broker.heard = self.book.heard
        self.machine = Machine(self.world, self.book)
        self.lives = []
        self.life = None
        self._pause_s = 0.0
        self._how = ""
        self._over = False
        self.held = []
        shutil.copy(path, self.disk.folder / "site.yaml")
        (self.disk.folder / "journal").mkdir()

    def close(self):
        self.broker.close()
        self.disk.close()

    # -- what befalls it -----------------------------------------------------------------------------------------------

    def disk_mode(self, mode, delay_s):
        self.world.tell("disk", mode, delay_s)
        self.disk.set(mode, delay_s)

    def broker_modes(self, *modes):
        self.world.tell("broker", *modes)
        self.broker.set(*modes)

    def end_life(self, how, pause_s, unset):
        """Kill the process, cut the power, or stop it in order; `unset`: after a cut the clock is not set."""
        if self.life is None or self._how:
            return
        self._how, self._pause_s, self._unset = how, pause_s, unset
        self.life.end(how)

    def ask(self, line):
        if self.life is not None:
            self.world.tell("person", line.decode().strip())
            self.life.ask(line)

    def heal(self):
        self.disk_mode("", 0.0)
        self.broker_modes()
        self.machine.set(0.0, trusted=True)
        for line in self.plant.lines.values():
            if line.down:
                line.set_down(False)
        for device, kind in self.compound.devices.items():
            self.plant.fault(device, {"what": "none"})
            self.plant.set({f"{device}/{point}": value for point, value in kind.rest.items()})

    def finish(self):
        self._over = True
        self.look()
        if self.life is not None:
            self._how = "over"
            self.life.end("kill")

    def look(self):
        """How much the gateway holds."""
        if self.life is not None:
            self.held.append(self.life.held())

    # -- playing -------------------------------------------------------------------------------------------------------

    def play(self):
        script.write(self, self.minutes, self.parts)
        self.world.at(self.minutes * 15.0, self.look)
        while not self._over:
            self._one_life()
            if self._over:
                return
            self.world.run_until(self.world.now + max(self._pause_s, 0.1))
            self._how = ""

    def _one_life(self):
        began, ill = self.world.now, self.disk.ill_since is not None
        self.book.turned()
        life = self.life = Life(
            self.world, self.machine, self.site, self.disk, self.plant, self.broker, len(self.lives)
        )
        life.run()
        self.life = None
        how = self._how or life.ended
        if not self._how:
            self._pause_s = 1.0
            self.book.find(f"life {life.number} fell at {self.world.now:.3f}")
            self._over = len(self.book.findings) >= MOST_FALLS
        self.lives.append((began, self.world.now, how, self.disk.ill_since, ill))
        self.book.turned()
        self.broker.cut("the gateway is gone")
        for line in self.plant.lines.values():
            line.port = None
        old = self.disk.die(power=how == "cut")
        if life.ended == "failed":
            self._over = True
        for wrong in life.bury():
            self.book.find(f"life {life.number} ({how}): {wrong}")
        shutil.rmtree(old)
        if how == "cut":
            self.machine.reboot()
            if self._unset and "clock" in self.parts:
                self.machine.set(-self.world.wall() + 60.0, trusted=False)
                self.world.after(30.0, lambda: self.machine.set(0.0, trusted=True))

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge(self):
        journal = self.disk.folder / "journal"
        find = self.book.findings
        said = judge.all_said(self.store, journal / "alarm.db", self.book.boots, GATEWAY)
        ordered = judge.lives_of(said.values(), self.lives)
        self.transitions = judge.transitions(ordered)
        find += judge.claims_hold(self.book.claims(), ordered, self.lives)
        find += judge.chains(ordered, self.lives)
        find += judge.district(self.store)
        find += judge.delivered(self.store, journal / "alarm.db", GATEWAY, "alarm", self.book.boots, self.world.now)
        find += judge.delivered(
            self.store, journal / "telemetry.db", GATEWAY, "telemetry", self.book.boots, self.world.now
        )
        find += judge.dated(self.store, self.book.boots, TRUTH)
        find += judge.in_order(self.book.spans)
        find += judge.periods(
            self.book.periods, lambda device: len(self.compound.lines[self.compound.devices[device].line]) - 1
        )
        find += judge.uncounted(self.store)

    def result(self, cpu_s):
        counts = {
            **self.book.counts, **self.broker.counts, "transitions": len(self.transitions),
            "claims": len(self.book.claims()),
        }  # fmt: skip
        return Result(
            self.seed, self.minutes, self.book.findings, self.world.trace(), self.world.lines, cpu_s, len(self.lives),
            counts, self.world.tail, self.transitions, self.held,
        )  # fmt: skip
