"""Scenario files -> `rules.scenario`: every mistake at once, each with its line; what a series' words mean for its point.

    scenarios:
      - name: smoke in flat 301
        every: 1s
        points: {smoke-301/density: "0x4 6"}
        happens: [{at: 20s, do: acknowledge, alarm: fire-301}]
        expect:  [{at: 5s, alarm: fire-301, state: unacknowledged}, {at: 4s, none: true}]

docs/scenarios.md explains the keys for who writes such files. Bounded: the size of a file as any of ours, 31 days and
`LONGEST_SCANS` readings a scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError
from gateway.judged import Judged
from gateway.model import Action, Command, Kind, Level, Point, State, Text, Value
from gateway.site.shapes_scenario import UNTRUSTED, ExpectationShape, FileShape, HappeningShape, ScenarioShape
from gateway.site.words import nearest, one_of, validate
from gateway.site.yaml_lines import Document, Keys, read
from rules import scenario
from rules.clocks import Clocks
from rules.post import ACTIONS
from rules.scenario import NOON, Becomes, Dated, Expectation, Order, Restart, Scenario, Stands, Track
from rules.series import Entry, Series, Word, parse

LONGEST_SCANS = 5_000_000
CLOCK = "gateway/clock_trusted"
"""Is usually 1."""


def load(path: Path, site: Judged) -> tuple[Scenario, ...]:
    """The scenarios of a file. Raises `ConfigError` with every mistake in it."""
    document = read(path)
    reader = _Reader(document, site)
    made = reader.read(path)
    if document.mistakes:
        raise ConfigError(sorted(document.mistakes, key=lambda one: one.line))
    return made


def beside(site: Path, *, deep: bool = False) -> list[Path]:
    """The scenario files of a site where none are named: those in ``scenarios/`` beside its file. `deep`: also those in
    folders inside, which take long and are played only where they are named."""
    folder = site.parent / "scenarios"
    return sorted(folder.rglob("*.yaml") if deep else folder.glob("*.yaml"))


def uncovered(site: Judged, tried: Iterable[Scenario]) -> list[str]:
    """The alarms of the site that no scenario expects to be anything but normal."""
    covered = frozenset[str]().union(*(one.covers() for one in tried))
    return [spec.id for spec in site.site.alarms if spec.id not in covered]


class _Reader:
    def __init__(self, document: Document, site: Judged) -> None:
        self._document = document
        self._tracks: tuple[Track, ...] = site.tracks()
        read = {track.key for track in self._tracks}
        self._points = {p.id: p for key, group in site.groups.items() if key in read for p in group.points}
        self._made = {p.id for key, group in site.groups.items() if key not in read for p in group.points}
        self._alarms = site.specs
        self._site = site.site.source
        self._partitions = {one.id for one in site.site.post.partitions}
        self._quiet = {name: _quiet(point) for name, point in self._points.items()}
        self._quiet[CLOCK] = 1

    def read(self, path: Path) -> tuple[Scenario, ...]:
        top = validate(FileShape, self._document.value, self._document, ())
        given = self._document.value if isinstance(self._document.value, dict) else {}
        if top is not None and top.site and (path.parent / top.site).resolve() != self._site.resolve():
            text = Text(f"是为另一站点写的：{top.site}", f"is written for another site, {top.site}")
            self._document.complain(("site",), text)
        usual = self._usual(top.usual, ("usual",), self._quiet) if top else self._quiet
        made: list[Scenario] = []
        names: dict[str, Keys] = {}
        items = given.get("scenarios")
        for index, item in enumerate(items if isinstance(items, list) else []):
            keys: Keys = ("scenarios", index)
            shape = validate(ScenarioShape, item, self._document, keys)
            if shape is None:
                continue
            first = names.setdefault(shape.name, keys)
            if first != keys:
                line = self._document.line(first)
                text = Text(f"名称重复，第 {line} 行已有", f"the name is taken already, in line {line}")
                self._document.complain((*keys, "name"), text)
            step_s = top.every if top is not None and "every" not in shape.model_fields_set else shape.every
            made.append(self._scenario(shape, step_s, usual, keys))
        return tuple(made)

    def _scenario(self, shape: ScenarioShape, step_s: float, usual: Mapping[str, Value], keys: Keys) -> Scenario:
        usual = self._usual(shape.usual, (*keys, "usual"), usual)
        series: dict[str, Series] = {}
        for pattern, text in shape.points.items():
            at = (*keys, "points", pattern)
            try:
                parsed = parse(text)
            except ValueError as mistake:
                told = Text(f"读不懂：{mistake}", f"cannot be read: {mistake}")
                self._document.complain(at, told)
                continue
            for name in self._named(pattern, at):
                resolved = self._resolved(parsed, name, usual[name], at)
                if resolved is None:
                    break
                series[name] = resolved
        happens = (self._happening(one, (*keys, "happens", n)) for n, one in enumerate(shape.happens))
        expect = (self._expectation(one, (*keys, "expect", n)) for n, one in enumerate(shape.expect))
        made = Scenario(
            shape.name,
            step_s,
            series,
            usual,
            tuple(one for one in happens if one is not None),
            tuple(one for one in expect if one is not None),
            _clocks(shape.clock, 0.0) if shape.clock else NOON,
            shape.read_every or 0.0,
        )
        if made.expect and (cost := scenario.scans(made, self._tracks)) > LONGEST_SCANS:
            told = Text(
                f"过长：需读取 {cost} 次（上限 {LONGEST_SCANS}）", f"too long: {cost} readings, at most {LONGEST_SCANS}"
            )
            self._document.complain((*keys, "expect"), told)
        return made

    def _usual(self, given: Mapping[str, Any], keys: Keys, before: Mapping[str, Value]) -> dict[str, Value]:
        usual = dict(before)
        for pattern, value in given.items():
            word = Word(value) if isinstance(value, str) else value
            for name in self._named(pattern, (*keys, pattern)):
                meant = self._meant(word, name, before[name], (*keys, pattern))
                if meant is None:
                    break
                usual[name] = meant
        return usual

    def _named(self, pattern: str, keys: Keys) -> list[str]:
        """The points that a name, perhaps with ``*``, stands for."""
        if pattern in self._points:
            return [pattern]
        found = [name for name in self._points if fnmatchcase(name, pattern)] if "*" in pattern else []
        if pattern in self._made:
            text = Text("此测点由计算得出或由人设定，没有序列", "is computed, or set by persons: it has no series")
            self._document.complain(keys, text)
        elif not found:
            hint = nearest(pattern, self._points)
            text = Text(f"没有测点“{pattern}”{hint.zh}", f"there is no point '{pattern}'{hint.en}")
            self._document.complain(keys, text)
        return found

    def _resolved(self, series: Series, name: str, usual: Value, keys: Keys) -> Series | None:
        entries: list[Entry | None] = []
        for entry in series:
            if entry is None or entry.quality.level is Level.BAD:
                entries.append(entry)
                continue
            value = self._meant(entry.value, name, usual, keys)
            if value is None:
                return None
            entries.append(Entry(value, entry.quality))
        return tuple(entries)

    def _meant(self, given: Any, name: str, usual: Value, keys: Keys) -> Value:
        """The value as its point gives it; None after telling that it cannot."""
        if isinstance(given, Word) and given == "usual":
            return usual
        point = self._points[name]
        value = _value(given, point)
        if value is None:
            labels = ", ".join(label for _, label in point.labels)
            kind = f"{name} {point.kind}" + (f": {labels}" if labels else "")
            text = Text(f"“{given}”与测点类型不符（{kind}）", f"'{given}' does not fit its point ({kind})")
            self._document.complain(keys, text)
        return value

    def _happening(self, shape: HappeningShape, keys: Keys) -> Order | Restart | Dated | None:
        if bool(shape.do) + (shape.restart is not False) + bool(shape.clock) != 1:
            text = Text("须恰好写 do、restart、clock 之一", "must hold exactly one of do, restart, clock")
            self._document.complain(keys, text)
            return None
        if shape.clock:
            return Dated(shape.at, _clocks(shape.clock, shape.at))
        if not shape.do:
            return Restart(shape.at, 0.0 if shape.restart is True else float(shape.restart))
        if shape.do not in {action.value for action in Action}:
            self._document.complain((*keys, "do"), one_of(Action, shape.do))
            return None
        action = Action(shape.do)
        if action not in ACTIONS:
            self._alarm(shape.alarm, (*keys, "alarm"))
        elif action is not Action.LEVEL and shape.alarm not in self._partitions:
            hint = nearest(shape.alarm, self._partitions)
            zh, en = f"没有分区“{shape.alarm}”{hint.zh}", f"there is no partition '{shape.alarm}'{hint.en}"
            self._document.complain((*keys, "alarm"), Text(zh, en))
        command = Command(action, shape.alarm, shape.who, shape.at, shape.why, shape.for_, shape.value)
        return Order(shape.at, command, shape.refused)

    def _expectation(self, shape: ExpectationShape, keys: Keys) -> Expectation | None:
        forms: dict[str, bool] = {
            "alarm + state": bool(shape.state),
            "alarm + becomes": bool(shape.becomes),
            "states": shape.states is not None,
            "only": shape.only is not None,
            "none": bool(shape.none),
        }
        single = bool(shape.state or shape.becomes)
        if sum(forms.values()) != 1 or bool(shape.alarm) != single or ((shape.by or shape.value) and not shape.becomes):
            known = ", ".join(forms)
            text = Text(f"须恰好写一种期望：{known}", f"must hold exactly one expectation: {known}")
            self._document.complain(keys, text)
            return None
        if shape.becomes:
            self._alarm(shape.alarm, (*keys, "alarm"))
            state = self._state(shape.becomes, (*keys, "becomes"))
            return Becomes(shape.at, shape.alarm, state or State.NORMAL, shape.by, shape.value)
        if shape.state:
            self._alarm(shape.alarm, (*keys, "alarm"))
            state = self._state(shape.state, (*keys, "state"))
            return Stands(shape.at, {shape.alarm: state or State.NORMAL})
        key, given = ("states", shape.states) if shape.states is not None else ("only", shape.only or {})
        states = {}
        for alarm, word in given.items():
            self._alarm(alarm, (*keys, key, alarm))
            states[alarm] = self._state(word, (*keys, key, alarm)) or State.NORMAL
        return Stands(shape.at, states, only=key == "only")

    def _alarm(self, name: str, keys: Keys) -> None:
        if name not in self._alarms:
            hint = nearest(name, self._alarms)
            text = Text(f"没有报警“{name}”{hint.zh}", f"there is no alarm '{name}'{hint.en}")
            self._document.complain(keys, text)

    def _state(self, word: str, keys: Keys) -> State | None:
        """None after telling that there is no such state; the scenario is not played then."""
        if word in {state.value for state in State}:
            return State(word)
        self._document.complain(keys, one_of(State, word))
        return None


def _clocks(given: str, at: float) -> Clocks:
    """As the shape lets it through."""
    if given == UNTRUSTED:
        return NOON._replace(at=at, wall=NOON.wall + at, trusted=False)
    dated = datetime.fromisoformat(given)
    offset = dated.utcoffset()
    return Clocks(at, dated.timestamp(), True, offset.total_seconds() if offset is not None else 0.0)


def _quiet(point: Point) -> Value:
    """What a point says that nobody mentions: 0, or what is nearest to it in its range; the first label; no text."""
    if point.kind is Kind.TEXT:
        return ""
    if point.kind is Kind.ENUM:
        numbers = [number for number, _ in point.labels]
        return 0 if 0 in numbers or not numbers else min(numbers)
    nearest_to_0 = max(point.low if point.low is not None else 0, 0)
    nearest_to_0 = min(point.high if point.high is not None else nearest_to_0, nearest_to_0)
    return float(nearest_to_0) if point.kind is Kind.FLOAT else int(nearest_to_0)


def _value(given: Any, point: Point) -> Value:
    """As the driver would give it; None when it does not fit."""
    if point.kind is Kind.TEXT:
        return given if isinstance(given, str) else None
    if point.kind is Kind.ENUM and isinstance(given, str):
        return next((number for number, label in point.labels if label == given), None)
    if point.kind is Kind.BOOL:
        return {"true": 1, "false": 0}.get(given) if isinstance(given, str) else int(given) if given in (0, 1) else None
    if isinstance(given, bool | str):
        return None
    if point.kind is Kind.FLOAT:
        return float(given)
    return int(given) if given == int(given) else None
