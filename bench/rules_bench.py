"""What a scan costs the rule engine on a large site: 6,000 points, 3,000 alarms.

    python bench/rules_bench.py

150 devices of 40 points. 136 of them have a supervision alarm (silence) and 21 others: levels with hysteresis and delays,
coincidences, two of three within a minute, and one each of held, times, sequence, absence, latch, captured, frozen, a
trend of an hour, an expression. Four have only the supervision, four only one level, six no alarm at all. 15 computed points go over ten devices
each. Times are of this machine; take the ratios. Prints the best of five rounds.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # runs from a checkout without being installed

from gateway.model import AlarmClass, Scan, Severity, Text
from rules.engine import Engine
from rules.spec import (
    Above,
    Absence,
    AlarmSpec,
    All,
    Captured,
    Cel,
    Condition,
    Frozen,
    Held,
    KOfN,
    Latch,
    Rate,
    Sequence,
    Stale,
    Times,
)
from rules.virtual import VirtualSpec

POINTS = 40
BUSY, SILENT, ONE, QUIET = (
    [f"{kind}{n}" for n in range(count)] for kind, count in (("busy", 136), ("silent", 4), ("one", 4), ("quiet", 6))
)
ROUNDS, TURNS = 5, 20


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def alarm(name: str, when: Condition, on_delay_s: float = 0.0) -> AlarmSpec:
    return AlarmSpec(name, AlarmClass.WATER, Severity.HIGH, when, Text("报警", "alarm"), on_delay_s=on_delay_s)


def conditions(device: str) -> Iterator[Condition]:
    """21 alarms a device: eight levels, two coincidences, two times two of three within a minute, and nine over time."""
    for n in range(12):
        level, *_ = others = over(device, n, n + 1, n + 2)
        yield All(others) if n in (4, 8) else KOfN(2, others, 60) if n in (5, 9) else level
    one, two = over(device, 20, 21)
    yield from (Held(one, 30), Times(one, 3, 600), Sequence((one, two), 60), Absence(one, two, 60))
    yield from (Latch(one, two), Captured(one, two), Frozen(f"{device}/p22", 600), Rate(f"{device}/p23", 1.0, 3600))
    yield Cel("a - b > 30 && c < 20", tuple(zip("abc", (f"{device}/p{n}" for n in (24, 25, 26)), strict=True)))


def over(device: str, *points: int) -> tuple[Condition, ...]:
    return tuple(Above(f"{device}/p{point}", 50, 1) for point in points)


def computed() -> list[VirtualSpec]:
    names = [*BUSY, *SILENT, *ONE, *QUIET]
    inputs = [tuple(f"{name}/p39" for name in names[n : n + 10]) for n in range(0, len(names), 10)]
    return [VirtualSpec(f"virtual/{n}", "maximum", points, 30.0) for n, points in enumerate(inputs)]


def site() -> tuple[list[AlarmSpec], dict[tuple[str, int], tuple[str, ...]]]:
    groups = {(name, 0): tuple(f"{name}/p{p}" for p in range(POINTS)) for name in (*BUSY, *SILENT, *ONE, *QUIET)}
    groups |= {("virtual", n): (one.id,) for n, one in enumerate(computed())}
    alarms = [alarm(f"{name}/silent", Stale(f"{name}/*", 10)) for name in (*BUSY, *SILENT)]
    alarms += [alarm(f"{name}/{n}", when, n % 3) for name in BUSY for n, when in enumerate(conditions(name))]
    alarms += [alarm(f"{name}/0", Above(f"{name}/p0", 50, 1)) for name in ONE]
    return alarms, groups


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Written:
    """The states that changed, laid over each other within each second, as the pipeline commits them."""

    def __init__(self) -> None:
        self.second, self.open = -1, dict[str, int]()
        self.commits = self.bytes = self.most = 0

    def take(self, changed: dict[str, bytes | None], at: float) -> None:
        if int(at) != self.second:
            size = sum(self.open.values())
            self.commits, self.bytes, self.most = self.commits + 1, self.bytes + size, max(self.most, size)
            self.second, self.open = int(at), {}
        self.open |= {name: len(name) + len(body or b"") for name, body in changed.items()}

    def mean_bytes(self) -> float:
        return self.bytes / max(1, self.commits)


def measure(
    engine: Engine, names: list[str], value: Callable[[int], float], start: float, written: Written
) -> tuple[float, float]:
    """Best microseconds a scan, and the time at which the last one happened."""
    best, now = float("inf"), start
    for _ in range(ROUNDS):
        scans = []
        for turn in range(TURNS):
            for name in names:
                now += 0.5 / len(names)
                scans.append(Scan(name, 0, now, (value(turn),) * POINTS, bytes(POINTS)))
        begun = time.perf_counter()
        for scan in scans:
            written.take(engine.step(scan, scan.at).changed, scan.at)
        best = min(best, (time.perf_counter() - begun) / len(scans) * 1e6)
    return best, now


def main() -> None:
    alarms, groups = site()
    begun = time.perf_counter()
    before = resident_bytes()
    engine = Engine(alarms, groups, 0.0, virtual=computed())
    engine.step(None, 0.0)
    say(f"points {sum(map(len, groups.values()))}, alarms {len(alarms)}, start {time.perf_counter() - begun:.2f} s")
    now = 0.0
    for what, names, value in (
        ("no alarm looks at it", QUIET, lambda turn: 1.0),
        ("one level alarm, nothing crosses its limit", ONE, lambda turn: float(turn)),
        ("silence only", SILENT, lambda turn: 1.0),
        ("21 alarms and silence, nothing crosses its limit", BUSY, lambda turn: float(turn)),
        ("21 alarms and silence, all cross their limit at each scan", BUSY, lambda turn: 100.0 * (turn % 2)),
    ):
        written = Written()
        best, now = measure(engine, names, value, now, written)
        say(
            f"{best:8.2f} us a scan of {POINTS} points, state in a commit (once a second) {written.mean_bytes():6.0f} bytes "
            f"on average, {written.most:6} at most: {what}"
        )
    begun = time.perf_counter()
    saved = engine.save()
    say(f"snapshot: {sum(map(len, saved.values()))} bytes of {len(saved)} alarms, "
          f"{(time.perf_counter() - begun) * 1e3:.1f} ms")  # fmt: skip
    say(f"memory: {(resident_bytes() - before) / 1e6:.0f} MB for the engine, after all of the above")
    again = Engine(alarms, groups, now, virtual=computed())
    begun = time.perf_counter()
    unusable = again.restore(saved, 0.0)
    say(f"restore: {(time.perf_counter() - begun) * 1e3:.1f} ms, {len(unusable)} unusable")


if __name__ == "__main__":
    main()
