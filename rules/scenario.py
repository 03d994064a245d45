"""A test of rules as data, and how it is played: readings over time and persons' commands in, differences out.

Guarantees
* Who judges is the caller's (`gateway.judged.Watch`): the engine that runs, with all that stands before it. Time is virtual; nothing is waited for.
* Every group is read at its own period, as on the site, and a terminal that calls at each change: a pulse shorter than
  the period of its point is not seen here either. A series says what the sensor has to say from one step to the next; its
  last entry stays; a point without a series says its usual value.
* What happens at one time happens in this order: readings, then commands and restarts, then what is expected.
* A command that is refused although the scenario does not say so is a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import merge
from typing import Any, NamedTuple, Protocol

from gateway.model import Command, Deadline, Quality, Sample, Scan, State, Text, Transition, Value
from rules.clocks import Clocks
from rules.condition import Key
from rules.series import Entry, Series
from rules.spec import AlarmSpec, points
from rules.standing import Standing

DIGITS = 6
SAME_S = 0.5e-6
"""Times that differ by less are one: 3 x 0.1 s is not 0.3 s in binary fractions."""


@dataclass(frozen=True, slots=True)
class Track:
    """How a group is read: every `period_s`, and a terminal that calls also at each change."""

    key: Key
    points: tuple[str, ...]
    period_s: float
    calls: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A person's command."""

    at: float
    command: Command
    refused: bool = False
    """Whether the scenario expects that it is not followed."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The gateway is gone for `for_s`, and then goes on from what it saved."""

    at: float
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stands:
    """The alarms that stand in these states at `at`; with `only`, all others are NORMAL."""

    at: float
    states: Mapping[str, State]
    only: bool = False


@dataclass(frozen=True, slots=True)
class Becomes:
    """A transition into `state` just at `at`, perhaps with what caused it."""

    at: float
    alarm: str
    state: State
    by: str = ""
    """A point, ``deadline`` or a person's name; anything when empty."""
    value: Value = None


Expectation = Stands | Becomes


@dataclass(frozen=True, slots=True)
class Dated:
    """The wall clock is set."""

    at: float
    clocks: Clocks


NOON = Clocks(0.0, 1767585600.0, True, 8 * 3600.0)
"""What the clock shows at the start where nothing else is said: Monday, 5 January 2026, noon in China."""


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    step_s: float
    series: Mapping[str, Series]
    usual: Mapping[str, Value]
    """Of every point."""
    happens: tuple[Order | Restart | Dated, ...]
    expect: tuple[Expectation, ...]
    clocks: Clocks = NOON
    read_s: float = 0.0
    """No group is read more often; for what takes days. Silences that are shorter are then told."""

    @property
    def end(self) -> float:
        return max(one.at for one in (*self.happens, *self.expect))

    def covers(self) -> frozenset[str]:
        """The alarms that it expects to be something else than NORMAL."""
        stands = (one.states.items() for one in self.expect if isinstance(one, Stands))
        found = {name for states in stands for name, state in states if state != State.NORMAL}
        return frozenset(found | {one.alarm for one in self.expect if isinstance(one, Becomes)})


class Judge(Protocol):
    """Who is told what happens, and says what follows."""

    def take(self, scan: Scan) -> tuple[Transition, ...]: ...

    def obey(self, command: Command, at: float) -> tuple[tuple[Transition, ...], Text | None]: ...

    def wake(self, at: float) -> tuple[Transition, ...]: ...

    def date(self, clocks: Clocks) -> tuple[Transition, ...]: ...

    def alarms(self) -> Mapping[str, Standing]: ...

    def save(self) -> Any: ...


Start = Callable[[float, Any], Judge]
"""A new one whose clock shows the given time, with what an earlier one saved, or None."""


class Difference(NamedTuple):
    at: float
    expected: str
    seen: str


def play(
    scenario: Scenario, tracks: tuple[Track, ...], specs: Mapping[str, AlarmSpec], start: Start
) -> list[Difference]:
    """What is other than expected."""
    return _Play(scenario, _slowed(scenario, tracks), specs, start).play()


def scans(scenario: Scenario, tracks: tuple[Track, ...]) -> int:
    """How many readings it takes, at most: what playing it costs."""
    steps = max(map(len, scenario.series.values()), default=0)
    return sum(int(scenario.end / track.period_s) + 1 + steps * track.calls for track in _slowed(scenario, tracks))


def _slowed(scenario: Scenario, tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    return tuple(replace(track, period_s=max(track.period_s, scenario.read_s)) for track in tracks)


class _Due(NamedTuple):
    at: float
    rank: int
    """What of one time comes first."""
    order: int
    what: Track | Order | Restart | Dated | Expectation


@dataclass(slots=True)
class _Play:
    scenario: Scenario
    tracks: tuple[Track, ...]
    specs: Mapping[str, AlarmSpec]
    start: Start
    differences: list[Difference] = field(default_factory=list)
    latest: dict[str, Sample] = field(default_factory=dict)
    made: list[Transition] = field(default_factory=list)
    back_at: float = 0.0
    """Until then the gateway is not there."""
    clocks: Clocks = NOON
    """As they were set last."""

    def play(self) -> list[Difference]:
        scenario = self.scenario
        judge = self.start(0.0, None)
        self._date(judge, scenario.clocks, 0.0)
        timelines: list[Iterator[_Due]] = [_reads(scenario, track, n) for n, track in enumerate(self.tracks)]
        for rank, ones in enumerate((scenario.happens, scenario.expect), 1):
            timelines.append(iter([_Due(one.at, rank, n, one) for n, one in enumerate(sorted(ones, key=_at))]))
        for at, _, _, what in merge(*timelines, key=lambda due: due[:3]):
            if isinstance(what, Track):
                self._read(judge, what, at)
            elif isinstance(what, Restart):
                self.made += judge.wake(at)
                self.back_at = at + what.for_s
                judge = self.start(self.back_at, judge.save())
                self._date(judge, self.clocks, self.back_at)
            elif isinstance(what, Dated):
                self._date(judge, what.clocks, at)
            elif isinstance(what, Order):
                self._obey(judge, what)
            else:
                self.made += judge.wake(at)
                self._compare(judge, what)
        return self.differences

    def _date(self, judge: Judge, clocks: Clocks, at: float) -> None:
        """Set the clocks, or tell a new judge of those that went on running."""
        self.clocks = clocks._replace(at=at, wall=clocks.wall + at - clocks.at)
        self.made += judge.date(self.clocks)

    def _read(self, judge: Judge, track: Track, at: float) -> None:
        row = _row(self.scenario, track, at)
        if at < self.back_at or row is None:
            return
        self.latest.update((name, Sample(name, *entry, at)) for name, entry in zip(track.points, row, strict=True))
        values, qualities = tuple(entry.value for entry in row), bytes(entry.quality for entry in row)
        self.made += judge.take(Scan(*track.key, at, values, qualities))

    def _obey(self, judge: Judge, order: Order) -> None:
        command = order.command
        made, refused = judge.obey(replace(command, at=order.at), order.at)
        self.made += made
        followed = refused is None
        if followed == order.refused:
            words = ("refused", "done")
            told = f"{command.action} {command.alarm}: "
            self._differ(
                order.at, told + words[not order.refused], told + words[followed] + self._why(judge, command.alarm)
            )

    def _compare(self, judge: Judge, what: Expectation) -> None:
        if isinstance(what, Becomes):
            if not any(_fits(one, what) for one in self.made):
                self._differ(what.at, _wanted(what), self._why_not(judge, what))
            return
        standing = judge.alarms()
        for name, state in what.states.items():
            if standing[name].state != state:
                self._differ(what.at, f"{name} {state}", self._why(judge, name))
        for name, one in standing.items():
            if what.only and name not in what.states and one.state != State.NORMAL:
                self._differ(what.at, f"{name} {State.NORMAL}", self._why(judge, name))

    def _differ(self, at: float, expected: str, seen: str) -> None:
        self.differences.append(Difference(at, expected, seen.strip()))

    def _why(self, judge: Judge, alarm: str) -> str:
        """How an alarm stands, and what its points said last."""
        if alarm not in self.specs:
            return ""
        state = judge.alarms()[alarm].state
        last = [self.latest[name] for name in sorted(self.latest) if _looks(self.specs[alarm], name)]
        samples = ", ".join(_sample(one) for one in last[:8])
        return f" {alarm} {state}" + (f" ({samples})" if samples else "")

    def _why_not(self, judge: Judge, what: Becomes) -> str:
        told = [f"{one.after} at {one.at:g} s by {_cause(one)}" for one in self.made if one.alarm == what.alarm]
        return self._why(judge, what.alarm) + (f"; became {', '.join(told[-5:])}" if told else "")


def _at(one: Order | Restart | Dated | Expectation) -> float:
    return one.at


def _reads(scenario: Scenario, track: Track, order: int) -> Iterator[_Due]:
    return (_Due(at, 0, order, track) for at in _times(scenario, track))


def _times(scenario: Scenario, track: Track) -> Iterator[float]:
    """When a group is read, up to the end."""
    end = scenario.end + SAME_S
    grid = (round(count * track.period_s, DIGITS) for count in range(int(end / track.period_s) + 1))
    if not track.calls:
        return grid
    steps = max((len(scenario.series[name]) for name in track.points if name in scenario.series), default=0)
    changes = (
        round(step * scenario.step_s, DIGITS)
        for step in range(1, steps)
        if any(_entry(scenario, name, step) != _entry(scenario, name, step - 1) for name in track.points)
    )
    return iter(sorted({*grid, *(at for at in changes if at <= end)}))


def _row(scenario: Scenario, track: Track, at: float) -> list[Entry] | None:
    step = int((at + SAME_S) / scenario.step_s)
    row = [_entry(scenario, name, step) for name in track.points]
    return None if None in row else [entry for entry in row if entry is not None]


def _entry(scenario: Scenario, name: str, step: int) -> Entry | None:
    series = scenario.series.get(name)
    return series[min(step, len(series) - 1)] if series else Entry(scenario.usual[name], Quality.GOOD)


def _looks(spec: AlarmSpec, point: str) -> bool:
    device = point.partition("/")[0]
    return not points(spec.when).isdisjoint((point, f"{device}/*"))


def _fits(one: Transition, what: Becomes) -> bool:
    cause = one.cause.sample if isinstance(one.cause, Deadline) else one.cause
    value = cause.value if isinstance(cause, Sample) else None
    return (
        (one.alarm, one.after) == (what.alarm, what.state)
        and abs(one.at - what.at) < SAME_S
        and (not what.by or what.by in _causes(one))
        and (what.value is None or what.value == value)
    )


def _causes(one: Transition) -> tuple[str, ...]:
    """All that `Becomes.by` may say of it."""
    if isinstance(one.cause, Command):
        return (one.cause.who,)
    if isinstance(one.cause, Deadline):
        return ("deadline", one.cause.sample.point) if one.cause.sample else ("deadline",)
    return (one.cause.point,)


def _cause(one: Transition) -> str:
    sample = one.cause.sample if isinstance(one.cause, Deadline) else one.cause
    told = _sample(sample) if isinstance(sample, Sample) else ""
    return f"deadline {told}".strip() if isinstance(one.cause, Deadline) else told or _causes(one)[0]


def _wanted(what: Becomes) -> str:
    by = f" by {what.by}" if what.by else ""
    return f"{what.alarm} becomes {what.state}{by}" + (f" = {what.value}" if what.value is not None else "")


def _sample(sample: Sample) -> str:
    value = "-" if sample.value is None else f"{sample.value:g}" if isinstance(sample.value, float) else sample.value
    quality = "" if sample.quality == Quality.GOOD else f" {sample.quality.label}"
    return f"{sample.point} {value}{quality} at {sample.at:g} s"
