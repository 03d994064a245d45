"""What a scan costs the rule engine on a large site: 6,000 points, 3,000 alarms.

    python bench/rules_bench.py

150 devices of 40 points. 136 of them have a supervision alarm (silence) and 21 others: levels with hysteresis and delays,
coincidences, two of three within a minute. Four have only the supervision, four only one level, six no alarm at all.
Times are of this machine; take the ratios. Prints the best of five rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # runs from a checkout without being installed

from gateway.model import AlarmClass, Scan, Severity, Text
from rules.engine import Engine
from rules.spec import Above, AlarmSpec, All, Condition, KOfN, Stale

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
    """21 alarms a device: levels, every fifth a coincidence or two of three within a minute."""
    for n in range(21):
        level = Above(f"{device}/p{n}", 50, 1)
        others = (level, Above(f"{device}/p{n + 1}", 50, 1), Above(f"{device}/p{n + 2}", 50, 1))
        yield All(others) if n % 10 == 4 else KOfN(2, others, 60) if n % 10 == 9 else level


def site() -> tuple[list[AlarmSpec], dict[tuple[str, int], tuple[str, ...]]]:
    groups = {(name, 0): tuple(f"{name}/p{p}" for p in range(POINTS)) for name in (*BUSY, *SILENT, *ONE, *QUIET)}
    alarms = [alarm(f"{name}/silent", Stale(f"{name}/*", 10)) for name in (*BUSY, *SILENT)]
    alarms += [alarm(f"{name}/{n}", when, n % 3) for name in BUSY for n, when in enumerate(conditions(name))]
    alarms += [alarm(f"{name}/0", Above(f"{name}/p0", 50, 1)) for name in ONE]
    return alarms, groups


def measure(engine: Engine, names: list[str], value: Callable[[int], float], start: float) -> tuple[float, float]:
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
            engine.step(scan, scan.at)
        best = min(best, (time.perf_counter() - begun) / len(scans) * 1e6)
    return best, now


def main() -> None:
    alarms, groups = site()
    begun = time.perf_counter()
    engine = Engine(alarms, groups, 0.0)
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
        best, now = measure(engine, names, value, now)
        say(f"{best:8.2f} us a scan of {POINTS} points: {what}")
    begun = time.perf_counter()
    saved = engine.save()
    say(f"snapshot: {sum(map(len, saved.values()))} bytes of {len(saved)} alarms, "
          f"{(time.perf_counter() - begun) * 1e3:.1f} ms")  # fmt: skip
    again = Engine(alarms, groups, now)
    begun = time.perf_counter()
    unusable = again.restore(saved, 0.0)
    say(f"restore: {(time.perf_counter() - begun) * 1e3:.1f} ms, {len(unusable)} unusable")


if __name__ == "__main__":
    main()
