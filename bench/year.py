"""A year of a compound against the rules that a site would run: how often they cry wolf, and whether they miss anything.

    python -m bench year            365 days; python bench/year.py DAYS [SEED] for another length

`bench.compound` makes the life of the compound; the site below switches the whole rule library on, with its own numbers.
The daemon's judgement is taken (`gateway.judged`, plausibility included), time is virtual. Where nothing happens every device
is read each `PERIOD_S`, around each happening as often as on a site; so silence is judged after three such periods instead
of after three seconds, and a device that does not answer is only counted. A person acknowledges after two minutes and resets, every half hour, what can be reset.

What is counted: alarms that became active, by class. False is what neither a planted accident explains nor tells of what
really was (`MEANT`). Each accident must be noticed in its time. Rates are a day and 1,000 devices, and beside EEMUA 191's.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # runs from a checkout without being installed

from bench.compound import DAY_S, Accident, Compound, Happening
from gateway import config
from gateway.judged import Judged, judged
from gateway.model import Action, Command, Quality, Scan, State, Transition, Value
from gateway.plausible import Plausible
from rules import spec
from rules.clocks import Clocks
from rules.engine import Engine

PERIOD_S = 3600.0
SILENT_S = 3 * PERIOD_S
AGAIN_S = (1.0, 2.0)
"""After each happening the device is read again: a second frame clears what the first one ended."""
SEEN_S, RESET_S = 120.0, 1800.0
FLOOD_S = 600.0
MEANT = frozenset({"held-open", "inspection", "door-stands-open", "disturbed", "detector-fault", "battery"})
"""Rules that tell of what really was: a door that was propped, a lift under inspection, a hydrant that was hit."""
AFTER_S = 2 * 3600.0
AFTER_SLIDE_S = 3 * DAY_S
"""So long after an accident its alarms are its own: rates over a day remember it."""


class Outcome(NamedTuple):
    days: int
    devices: int
    raised: Counter[str]
    """By class of alarm."""
    false: Counter[str]
    worst: list[tuple[str, int]]
    """The alarms that were raised most often without an accident."""
    missed: list[Accident]
    noticed: int
    most_in_ten_minutes: int
    readings: int
    dropouts: int

    def per_1000_a_day(self, cls: str) -> float:
        return self.false[cls] * 1000 / self.devices / self.days


def site_text(life: Compound) -> str:
    """The site file of the compound."""
    lines = [
        "gateway: {id: year}",
        "buses:",
        "  - {id: lifts, kind: tcp, host: 192.0.2.1}",
        "  - {id: calls, kind: listen, tcp_port: 7000, longest_silence_s: 2700}",
        "  - {id: slope, kind: serial, port: /dev/ttyS0}",
    ]
    buildings = sorted({name.split("-")[1] for name in life.smoke})
    lines += [f"  - {{id: b{number}, kind: tcp, host: 192.0.2.{10 + int(number)}}}" for number in buildings]
    lines += ["library: {fire: {}, access: {}, lift: {}, slope: {}, water: {}, technical: {}}", "devices:"]
    address = count(1)
    for name in life.smoke:
        building, flat = name.split("-")[1:]
        zone = f"zone: b{building}-f{flat[:-1]}"
        place = f'place: {{building: "{building}", floor: "{flat[:-1]}", flat: "{flat}", {zone}}}'
        lines.append(
            f"  - {{id: {name}, bus: b{building}, template: generic_smoke_loop, address: {next(address)}, {place}}}"
        )
    for names, bus, template in (
        (life.doors, "b1", "waveshare_io8_door"),
        (life.lifts, "lifts", "vanke_lift_box"),
        (life.tilts, "slope", "bwsensing_bwm826"),
    ):
        lines += [f"  - {{id: {name}, bus: {bus}, template: {template}, address: {next(address)}}}" for name in names]
    lines += [
        f"  - {{id: {name}, bus: calls, template: meokon_hydrant, address: SHMK{number:08}}}"
        for number, name in enumerate(life.hydrants)
    ]
    return "\n".join(lines) + "\n"


def load(life: Compound) -> Judged:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        path.write_text(site_text(life), encoding="utf-8")
        return judged(config.load(path))


def patient(when: Any) -> Any:
    """The condition with every silence as long as a year's coarse periods need."""
    if isinstance(when, spec.Stale):
        return dataclasses.replace(when, for_s=max(when.for_s, SILENT_S))
    if not dataclasses.is_dataclass(when) or isinstance(when, type):
        return tuple(map(patient, when)) if isinstance(when, tuple) else when
    return dataclasses.replace(when, **{one.name: patient(getattr(when, one.name)) for one in dataclasses.fields(when)})


class Watchman:
    """Reads the compound, judges, acknowledges and resets; keeps what was raised."""

    def __init__(self, life: Compound) -> None:
        rules = load(life)
        self.rules = rules
        names = {key: tuple(point.id for point in group.points) for key, group in rules.groups.items()}
        alarms = [dataclasses.replace(one, when=patient(one.when)) for one in rules.site.alarms]
        self.engine = Engine(alarms, names, 0.0)
        self.engine.step(Clocks(0.0, 1767196800.0, True, 8 * 3600.0), 0.0)
        self.plausible = Plausible(rules.groups)
        self.says: dict[str, dict[str, float]] = life.start()
        self.gone: set[str] = set()
        self.readings = self.dropouts = 0
        self.raised: list[Transition] = []
        self.due: list[tuple[float, int, str, Action]] = []
        self._order = count()
        self._groups = {
            device.id: [
                (index, [(point.name, point.kind.value) for point in group.points])
                for index, group in enumerate(device.groups)
            ]
            for device in rules.site.devices
        }

    def happen(self, what: Happening) -> None:
        if what.says is None:
            self.gone.add(what.device)
            self.dropouts += 1
        else:
            self.gone -= {what.device} if not what.says else set()
            self.says[what.device].update(what.says)
        self.read(what.device, what.at)

    def read(self, device: str, at: float) -> None:
        self.serve(at)
        for index, points in self._groups[device]:
            self.readings += 1
            if device in self.gone:
                nothing: tuple[Value, ...] = (None,) * len(points)
                scan = Scan(device, index, at, nothing, bytes([Quality.NOT_RESPONDING]) * len(points))
            else:
                says = self.says[device]
                values = tuple(
                    float(says.get(name, 0)) if kind == "float" else int(says.get(name, 0)) for name, kind in points
                )
                scan = self.plausible.judge(Scan(device, index, at, values, bytes(len(points))))
            self.note(self.engine.step(scan, at).transitions)

    def serve(self, until: float) -> None:
        """The person's turns that are due."""
        while self.due and self.due[0][0] <= until:
            at, _, alarm, action = heappop(self.due)
            step = self.engine.step(Command(action, alarm, "guard room", at, "seen"), at)
            self.note(step.transitions)
            if action is Action.RESET and self.engine.alarms()[alarm].state != State.NORMAL:
                heappush(self.due, (at + RESET_S, next(self._order), alarm, Action.RESET))

    def note(self, transitions: tuple[Transition, ...]) -> None:
        for one in transitions:
            if one.after == State.UNACKNOWLEDGED:
                self.raised.append(one)
                heappush(self.due, (one.at + SEEN_S, next(self._order), one.alarm, Action.ACKNOWLEDGE))
                if one.before == State.NORMAL:
                    heappush(self.due, (one.at + RESET_S, next(self._order), one.alarm, Action.RESET))


def lived(days: int, seed: int) -> Outcome:
    """Live through so many days and judge the judge."""
    life = Compound(seed, days)
    watchman = Watchman(life)
    waiting: list[tuple[float, int, Happening | str]] = []
    order = count()
    for day in range(days):
        for happening in life.day(day):
            heappush(waiting, (happening.at, next(order), happening))
        for at, device in _rounds(life, day):
            heappush(waiting, (at, next(order), device))
        while waiting and waiting[0][0] < (day + 1) * DAY_S:
            at, _, what = heappop(waiting)
            if isinstance(what, str):
                watchman.read(what, at)
                continue
            watchman.happen(what)
            for later_s in AGAIN_S:
                heappush(waiting, (at + later_s, next(order), what.device))
    return _judged(watchman, life)


def _rounds(life: Compound, day: int) -> Iterator[tuple[float, str]]:
    for step in range(int(DAY_S / PERIOD_S)):
        for device in life.devices:
            yield day * DAY_S + step * PERIOD_S + 5, device


def _judged(watchman: Watchman, life: Compound) -> Outcome:
    classes = {one.id: one.cls.value for one in watchman.rules.site.alarms}
    explained = [
        (one.at, one.until + (AFTER_SLIDE_S if one.alarms[0].startswith("tilt") else AFTER_S), _places(one))
        for one in life.accidents
    ]
    false = [
        one
        for one in watchman.raised
        if one.alarm.split("/")[1] not in MEANT
        and not any(begin <= one.at <= end and one.alarm.split("/")[0] in places for begin, end, places in explained)
    ]
    missed = [
        accident
        for accident in life.accidents
        if not any(one.alarm in accident.alarms and accident.at <= one.at <= accident.until for one in watchman.raised)
    ]
    return Outcome(
        life.days,
        len(life.devices),
        Counter(classes[one.alarm] for one in watchman.raised),
        Counter(classes[one.alarm] for one in false),
        Counter(one.alarm.split("/")[1] for one in false).most_common(12),
        missed,
        len(life.accidents) - len(missed),
        _most([one.at for one in watchman.raised]),
        watchman.readings,
        watchman.dropouts,
    )


def _places(accident: Accident) -> set[str]:
    """The devices and zones that an accident touches: both detectors of a burning floor, and its zone."""
    name = accident.alarms[0].split("/")[0]
    if name.startswith("b"):
        building, floor = name[1:].split("-f")
        return {name, f"smoke-{building}-{floor}1", f"smoke-{building}-{floor}2"}
    if name.startswith("smoke-"):
        building, flat = name.split("-")[1:]
        return {name, f"b{building}-f{flat[:-1]}"}
    return {name}


def _most(times: list[float]) -> int:
    """The largest number within ten minutes."""
    most = begin = 0
    for end, at in enumerate(times):
        while times[begin] <= at - FLOOD_S:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    days, seed = (int(one) for one in (arguments + ["365", "1"][len(arguments) :])[:2])
    begun = time.perf_counter()
    out = lived(days, seed)
    say(
        f"{out.devices} devices, {out.days} days, seed {seed}: {out.readings} readings, {time.perf_counter() - begun:.0f} s"
    )
    say(f"{'class':12} {'raised':>7} {'false':>7} {'false a day and 1,000 devices':>30}")
    for cls, number in out.raised.most_common():
        say(f"{cls:12} {number:7} {out.false[cls]:7} {out.per_1000_a_day(cls):30.2f}")
    total = sum(out.raised.values())
    say(f"in all {total / out.days:.1f} alarms a day (EEMUA 191: about 150 very likely acceptable), "
        f"at most {out.most_in_ten_minutes} in ten minutes (10)")  # fmt: skip
    say(f"{out.dropouts} times a device did not answer for a while: on a site each is told after three seconds")
    say("false, by rule: " + ", ".join(f"{name} {number}" for name, number in out.worst))
    say(f"accidents noticed: {out.noticed} of {out.noticed + len(out.missed)}")
    for accident in out.missed:
        say(f"MISSED: {accident.what} at day {accident.at / DAY_S:.2f}: {', '.join(accident.alarms)}")
    return 1 if out.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
