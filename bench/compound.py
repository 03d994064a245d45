"""What happens in a compound in a year, as far as its sensors can see: weather, cooking, doors, lifts, faults, and accidents.

A generator from one seed: days of `Happening`s, each a change of some points of one device at a time. It imports nothing of
the gateway. The rates are assumptions, written down in `RATES`; they are not measured, and the false alarms that
`bench.year` counts are as good as they are. What a detector can be wrong about is on purpose generous.

The accidents are planted at times spread over the run: `accidents` says what must be noticed, and until when.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

DAY_S = 86400.0
RATES = {
    "cooking": (
        0.03,
        "a day and flat: smoke of cooking reaches the detector; peak lognormal, median 1.2 %/m, sigma 0.6",
    ),
    "steam": (0.01, "a day and flat: steam; peak lognormal, median 1.0 %/m, sigma 0.5, one to three minutes"),
    "spike": (0.0005, "a day and detector: one reading of 5 to 15 %/m (insects, radio)"),
    "dust": (1.0, "a year: the quiet reading grows by 0 to 1.6 %/m, cleaned once a year"),
    "detector_fault": (0.0003, "a day and detector: it reports a fault, for hours"),
    "dropout": (0.02, "a day and device: no answer, a few minutes, seldom hours"),
    "opening": (10.0, "a day and door: released, opened, closed"),
    "propped": (0.05, "a day and door: kept open for two to twenty minutes"),
    "rattle": (0.01, "a day and door: the contact opens for half a second against the lock (wind)"),
    "trip": (10.0, "a day and lift: a trip with persons, door and levels"),
    "obstacle": (0.2, "a day and lift: somebody holds the door for one to fifteen minutes"),
    "button": (0.01, "a day and lift: the alarm button is pressed for fun"),
    "maintenance": (
        1 / 15,
        "a day and lift: inspection for an hour, with all that it brings (TSG T5002: every 15 days)",
    ),
    "pump": (0.1, "a day and hydrant: the pressure dips below the limit for some seconds"),
    "hit": (0.003, "a day and hydrant: something hits it"),
}
"""What is assumed, a rate each."""


class Happening(NamedTuple):
    """From `at` on these points of `device` say so; None: it does not answer, an empty mapping: it does again."""

    at: float
    device: str
    says: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Accident:
    """What must be noticed: any alarm of `alarms` at `at` or until `until`."""

    what: str
    at: float
    until: float
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    buildings: int = 4
    floors: int = 6
    """Two flats with a detector each."""


class Compound:
    """`days` days of life of a compound of this size, the same for the same seed."""

    def __init__(self, seed: int, days: int, size: Size = Size()) -> None:
        self.days = days
        self.smoke = [
            f"smoke-{b}-{f}{n}" for b in range(1, size.buildings + 1) for f in range(1, size.floors + 1) for n in (1, 2)
        ]
        self.doors = [f"door-{b}-{n}" for b in range(1, size.buildings + 1) for n in (1, 2)]
        self.lifts = [f"lift-{b}" for b in range(1, size.buildings + 1)]
        self.hydrants = [f"hydrant-{n}" for n in range(1, size.buildings + 1)]
        self.tilts = ["tilt-1", "tilt-2"]
        self.devices = [*self.smoke, *self.doors, *self.lifts, *self.hydrants, *self.tilts]
        self._random = random.Random(seed)
        self._dust = {name: self._random.uniform(0.0, 1.6) for name in self.smoke}
        self._cleaned = {name: self._random.uniform(0.0, 365.0) for name in self.smoke}
        self._planted: list[tuple[Accident, list[Happening]]] = self._accidents()
        self.accidents = [accident for accident, _ in self._planted]
        self._busy = [
            (device, min(times) - 3600, max(times) + 60)
            for _, happenings in self._planted
            for device in {one.device for one in happenings}
            for times in [[one.at for one in happenings if one.device == device]]
        ]

    def start(self) -> dict[str, dict[str, float]]:
        """What every device says at the beginning; points that are not named say 0."""
        says: dict[str, dict[str, float]] = {name: {"density": 0.2, "temperature": 22.0} for name in self.smoke}
        says |= {name: {"lock_engaged": 1} for name in self.doors}
        says |= {name: {"door_closed": 1, "level": 1} for name in self.lifts}
        says |= {name: {"pressure": 0.32, "battery": 95, "rssi": -71} for name in self.hydrants}
        return says | {name: {"x": 0.0, "y": 0.0} for name in self.tilts}

    def day(self, number: int) -> Iterator[Happening]:
        """All that happens on one day, in no order; some of it reaches into the next. Where an accident is, nothing else."""
        start = number * DAY_S
        for happening in self._ordinary(number):
            if not any(
                happening.device == device and begin <= happening.at <= end for device, begin, end in self._busy
            ):
                yield happening
        for accident, happenings in self._planted:
            if start <= accident.at < start + DAY_S:
                yield from happenings

    def _ordinary(self, number: int) -> Iterator[Happening]:
        start = number * DAY_S
        yield from self._weather(number)
        for name in self.smoke:
            yield from self._air(name, number)
        for name in self.doors:
            yield from self._door(name, start)
        for name in self.lifts:
            yield from self._lift(name, start)
        for name in self.hydrants:
            yield from self._water(name, start)
        for name in self.devices:
            for at in self._times("dropout", start):
                yield Happening(at, name, None)
                yield Happening(at + self._random.lognormvariate(math.log(240), 1.3), name, {})

    def _times(self, what: str, start: float) -> list[float]:
        """When it happens today: a Poisson process, seldom at night."""
        rate, _ = RATES[what]
        found, at = [], 0.0
        while (at := at + self._random.expovariate(rate)) < 1.0:
            hour = at * 24
            if 6 <= hour < 23 or self._random.random() < 0.2:
                found.append(start + at * DAY_S)
        return found

    def _weather(self, number: int) -> Iterator[Happening]:
        """Retaining walls follow sun and season (0.03 degrees a day, 0.1 a year) and give a little in rain."""
        rain = self._random.random() < 0.3
        for hour in range(24):
            sun = math.sin((hour - 9) / 24 * 2 * math.pi)
            season = math.sin((number - 100) / 365 * 2 * math.pi)
            for name in self.tilts:
                x = 0.03 * sun + 0.1 * season + 0.004 * rain + self._random.gauss(0, 0.002)
                yield Happening(number * DAY_S + hour * 3600 + 1, name, {"x": x, "y": x / 3})

    def _air(self, name: str, number: int) -> Iterator[Happening]:
        start, rnd = number * DAY_S, self._random
        quiet = 0.2 + self._dust[name] * ((number - self._cleaned[name]) % 365) / 365
        warm = 22 + 6 * math.sin((number - 100) / 365 * 2 * math.pi)
        yield Happening(start + 2, name, {"density": quiet, "temperature": warm})
        for at in self._times("cooking", start):
            yield from _plume(name, at, quiet, rnd.lognormvariate(math.log(1.2), 0.6), rnd.uniform(180, 900))
        for at in self._times("steam", start):
            yield from _plume(name, at, quiet, rnd.lognormvariate(0.0, 0.5), rnd.uniform(60, 180))
        for at in self._times("spike", start):
            yield Happening(at, name, {"density": rnd.uniform(5, 15)})
            yield Happening(at + 0.5, name, {"density": quiet})
        for at in self._times("detector_fault", start):
            yield Happening(at, name, {"fault": 1})
            yield Happening(at + rnd.uniform(1800, 6 * 3600), name, {"fault": 0})

    def _door(self, name: str, start: float) -> Iterator[Happening]:
        rnd = self._random
        for at in self._times("opening", start):
            yield from _opened(name, at, rnd.uniform(3, 25))
        for at in self._times("propped", start):
            yield from _opened(name, at, rnd.uniform(120, 1200))
        for at in self._times("rattle", start):
            yield Happening(at, name, {"door_open": 1})
            yield Happening(at + 0.5, name, {"door_open": 0})

    def _lift(self, name: str, start: float) -> Iterator[Happening]:
        rnd, free = self._random, start
        kinds = ("trip", "obstacle", "maintenance")
        for at, what in sorted((at, kind) for kind in kinds for at in self._times(kind, start)):
            if at < free:
                continue  # a lift does one thing at a time
            if what == "maintenance":
                happenings = list(_inspected(name, at, rnd))
            else:
                held_s = rnd.uniform(60, 900) if what == "obstacle" else rnd.uniform(3, 12)
                happenings = list(_trip(name, at, held_s, rnd.uniform(8, 40), rnd.random() < 0.8))
            free = happenings[-1].at + 30
            yield from happenings
        for at in self._times("button", start):
            yield Happening(at, name, {"alarm_button": 1})
            yield Happening(at + 2, name, {"alarm_button": 0})

    def _water(self, name: str, start: float) -> Iterator[Happening]:
        rnd = self._random
        for hour in range(24):
            used = 0.05 * math.exp(-(((hour - 19) / 2.5) ** 2)) + rnd.gauss(0, 0.005)
            yield Happening(start + hour * 3600 + 3, name, {"pressure": 0.32 - used})
        for at in self._times("pump", start):
            yield Happening(at, name, {"pressure": rnd.uniform(0.05, 0.13)})
            yield Happening(at + rnd.uniform(2, 25), name, {"pressure": 0.31})
        for at in self._times("hit", start):
            yield Happening(at, name, {"impact": 1})
            yield Happening(at + 60, name, {"impact": 0})

    def _accidents(self) -> list[tuple[Accident, list[Happening]]]:
        """Spread over the run, one after the other, at hours when other things happen too."""
        rnd, made = self._random, []
        kinds = [_fire, _fire, _small_fire, _forced, _forced, _entrapment, _entrapment, _pressure, _slide]
        rnd.shuffle(kinds)
        for number, kind in enumerate(kinds):
            at = (number + 0.2 + 0.6 * rnd.random()) / len(kinds) * self.days * DAY_S
            made.append(kind(self, at, rnd))
        return made


def _plume(name: str, at: float, quiet: float, peak: float, lasts_s: float) -> Iterator[Happening]:
    """Smoke that comes and goes, in steps of ten seconds."""
    steps = int(lasts_s / 10)
    for step in range(steps + 1):
        density = min(quiet + peak * math.sin(math.pi * step / steps), 20.0)
        yield Happening(at + 10 * step, name, {"density": density, "alarm": int(density > 8)})


def _opened(name: str, at: float, open_s: float) -> Iterator[Happening]:
    yield Happening(at, name, {"lock_engaged": 0})
    yield Happening(at + 1, name, {"door_open": 1})
    yield Happening(at + 1 + open_s, name, {"door_open": 0})
    yield Happening(at + 3 + open_s, name, {"lock_engaged": 1})


def _trip(name: str, at: float, held_s: float, ride_s: float, somebody: bool) -> Iterator[Happening]:
    yield Happening(at, name, {"door_closed": 0})
    yield Happening(at + 2, name, {"people": int(somebody)})
    yield Happening(at + 2 + held_s, name, {"door_closed": 1})
    yield Happening(at + 4 + held_s, name, {"moving": 1, "level": 0})
    end = at + 4 + held_s + ride_s
    yield Happening(end, name, {"moving": 0, "level": 1})
    yield Happening(end + 2, name, {"door_closed": 0})
    yield Happening(end + 12, name, {"people": 0})
    yield Happening(end + 14, name, {"door_closed": 1})


def _inspected(name: str, at: float, rnd: random.Random) -> Iterator[Happening]:
    """The mechanic stands on the car: doors, levels and the safety chain say anything."""
    yield Happening(at, name, {"maintenance": 1})
    for step in range(1, 40):
        says = {point: float(rnd.random() < 0.3) for point in ("safety_chain_open", "moving", "people")}
        says |= {point: float(rnd.random() < 0.7) for point in ("door_closed", "level")}
        yield Happening(at + 90 * step, name, says)
    calm = {"safety_chain_open": 0.0, "moving": 0.0, "people": 0.0, "door_closed": 1.0, "level": 1.0}
    yield Happening(at + 90 * 39 + 60, name, {**calm, "door_closed": 0.0})  # the mechanic leaves by a door
    yield Happening(at + 90 * 40, name, calm)
    yield Happening(at + 90 * 40 + 60, name, {"maintenance": 0})


Planted = tuple[Accident, list[Happening]]


def _fire(life: Compound, at: float, rnd: random.Random) -> Planted:
    """A fire in one flat; the neighbour's detector sees it one to three minutes later."""
    first = rnd.choice(life.smoke)
    second = first[:-1] + ("2" if first.endswith("1") else "1")
    later = rnd.uniform(20, 45)
    happenings = [*_burning(first, at), *_burning(second, at + later)]
    zone = "b" + first[len("smoke-") : -1].replace("-", "-f")
    return Accident("fire, seen by two detectors", at, at + 300, (f"{zone}/confirmed",)), happenings


def _small_fire(life: Compound, at: float, rnd: random.Random) -> Planted:
    name = rnd.choice(life.smoke)
    return Accident("fire, seen by one detector", at, at + 300, (f"{name}/first-signal",)), list(_burning(name, at))


def _burning(name: str, at: float) -> Iterator[Happening]:
    for step in range(25):
        yield Happening(at + 10 * step, name, {"density": 0.3 + 0.6 * step, "alarm": int(step > 12)})
    yield Happening(at + 3600, name, {"density": 0.4, "alarm": 0})


def _forced(life: Compound, at: float, rnd: random.Random) -> Planted:
    name = rnd.choice(life.doors)
    broken = [Happening(at, name, {"lock_engaged": 1, "door_open": 0}), Happening(at + 60, name, {"door_open": 1})]
    mended = Happening(at + 900, name, {"door_open": 0})
    return Accident("door forced", at + 60, at + 90, (f"{name}/forced",)), [*broken, mended]


def _entrapment(life: Compound, at: float, rnd: random.Random) -> Planted:
    """It stops between two floors; the sensor sees the person now and then only."""
    name = rnd.choice(life.lifts)
    happenings = [
        Happening(at, name, {"door_closed": 0, "moving": 0, "level": 1}),
        Happening(at + 5, name, {"people": 1}),
        Happening(at + 10, name, {"door_closed": 1}),
        Happening(at + 12, name, {"moving": 1, "level": 0}),
        Happening(at + 30, name, {"moving": 0}),
        *(Happening(at + 30 + 20 * n, name, {"people": n % 2}) for n in range(1, 60)),
        Happening(at + 1500, name, {"level": 1}),
        Happening(at + 1510, name, {"door_closed": 0}),
        Happening(at + 1520, name, {"people": 0}),
        Happening(at + 1530, name, {"door_closed": 1}),
    ]
    return Accident("people trapped", at + 30, at + 150, (f"{name}/entrapment",)), happenings


def _pressure(life: Compound, at: float, rnd: random.Random) -> Planted:
    name = rnd.choice(life.hydrants)
    falls = [Happening(at + 30 * n, name, {"pressure": 0.3 - 0.03 * n}) for n in range(9)]
    return Accident("water gone", at + 150, at + 420, (f"{name}/pressure-low",)), [
        *falls,
        Happening(at + 1800, name, {"pressure": 0.32}),
    ]


def _slide(life: Compound, at: float, rnd: random.Random) -> Planted:
    """Speed grows as one over the time that is left: from 0.05 degrees an hour to failure in six hours."""
    name = rnd.choice(life.tilts)
    moves = [Happening(at + 60 * n, name, {"x": 0.1 + 0.3 * -math.log(1 - n / 365), "y": 0.03}) for n in range(1, 360)]
    alarms = (f"{name}/tilt-hour", f"{name}/tilt-limit")
    return Accident("the wall slides", at, at + 360 * 60, alarms), [*moves, Happening(at + 361 * 60, name, {"x": 0.0})]
