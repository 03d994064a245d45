"""What ``gengfu check`` advises: a site file can be right and still watch badly. Warnings, but for one: `late`.

| advice                                                        | why                                                       |
|---------------------------------------------------------------|-----------------------------------------------------------|
| a rule that can never be true, or never be false              | it was meant otherwise                                    |
| a fire or personal alarm that takes more than 10 s with two   | GB 26875.1-2011 clause 4; without a dead one, or by a     |
| dead devices on its bus                                       | delay of its own, it is refused: a mistake                |
| a point of a fire, personal or entrapment alarm whose own     | the device answers, this value is gone, nobody is told    |
| silence raises nothing                                        |                                                           |
| points that no rule looks at                                  | a fault bit that nobody reads is no fault                 |
| an output on a line with other devices                        | one that dies holds the line, and the sounder comes late  |
| alarms without a scenario                                     | what was never tried (`gengfu test-rules --coverage`)     |

It reads the site file once more, for its lines, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from gateway.blueprint import Site
from gateway.check import CheckReport
from gateway.errors import Mistake
from gateway.field.line import Timing
from gateway.model import AlarmClass, BusKind, Kind, Point, PointClass, Text
from gateway.site.devices import identity, items
from gateway.site.yaml_lines import Document, Keys, dotted, read
from rules import spec
from rules.reach import Range, certain, possible

FIRST_SIGNAL = (AlarmClass.FIRE, AlarmClass.PERSONAL)
FIRST_SIGNAL_S = 10.0
OUTPUT_S = 0.2
"""From a sample to a lamp or sounder."""
NAMED = 12
"""Of a long list so many are named."""


def warnings(site: Site, report: CheckReport, uncovered: Collection[str]) -> list[Mistake]:
    """In the order of the file's lines. `uncovered`: the alarms without a scenario."""
    document = read(site.source)
    refused = {alarm for alarm, _ in _late(site, report, 0)}
    told = [
        *((("alarms", alarm), text) for alarm, text in _senseless(site)),
        *((("alarms", alarm), text) for alarm, text in _late(site, report, 2) if alarm not in refused),
        *((("alarms", alarm), text) for alarm, text in _alone(site)),
        *((("devices", device), text) for device, text in _unused(site)),
        *((("outputs", output), text) for output, text in _behind_others(site)),
    ]
    if uncovered:
        few, more = _named(sorted(uncovered))
        told.append((("alarms", ""), Text(f"没有场景的报警：{few}{more}", f"alarms without a scenario: {few}{more}")))
    return _mistakes(site, document, told)


def late(site: Site, report: CheckReport) -> list[Mistake]:
    """Fire and personal alarms that may take more than 10 s to leave although every device answers: no site to be left alone."""
    told = [(("alarms", alarm), text) for alarm, text in _late(site, report, 0)]
    return _mistakes(site, read(site.source), told)


def _mistakes(site: Site, document: Document, told: Iterable[tuple[tuple[str, str], Text]]) -> list[Mistake]:
    lines = _places(document)
    found = []
    for (section, name), text in told:
        keys = lines.get((section, name), (section,))
        zh, en = (f"{name}：{text.zh}", f"{name}: {text.en}") if name else text
        found.append(Mistake(str(site.source), document.line(keys), dotted(keys), en, zh))
    return sorted(found, key=lambda one: one.line)


def _places(document: Document) -> dict[tuple[str, str], Keys]:
    """Where each device, alarm and output stands in the file; what a library made stands nowhere."""
    return {
        (section, name): keys
        for section in ("devices", "alarms", "outputs")
        for keys, item in items(document, section)
        if (name := identity(item)) is not None
    }


def _senseless(site: Site) -> Iterator[tuple[str, Text]]:
    ranges = {point.id: _range(point) for device in site.devices for group in device.groups for point in group.points}
    for alarm in site.alarms:
        if not possible(alarm.when, ranges):
            yield alarm.id, Text("条件永远不会成立", "its condition can never be true")
        elif certain(alarm.when, ranges):
            yield alarm.id, Text("条件永远成立，报警不会恢复", "its condition can never be false: it never clears")
        hidden = alarm.suppressed_by
        if hidden is not None and not possible(spec.All((alarm.when, spec.Not(hidden))), ranges):
            yield alarm.id, Text("每次成立时都被抑制", "whenever it is true it is suppressed")


def _range(point: Point) -> Range:
    if point.kind is Kind.BOOL:
        return Range(states=frozenset((0, 1)))
    if point.kind is Kind.ENUM and point.labels:
        return Range(states=frozenset(number for number, _ in point.labels))
    low, high = Range().low if point.low is None else point.low, Range().high if point.high is None else point.high
    return Range(low, high)


def _late(site: Site, report: CheckReport, dead: int) -> Iterator[tuple[str, Text]]:
    """Delays are refused by `gateway.site`; what is left is a slow line and delays inside of conditions."""
    worst = {alarm.id: alarm.worst_s[dead] for alarm in report.alarms}
    called = {bus.id for bus in site.buses if bus.kind is BusKind.LISTEN}  # a terminal calls at once when it alarms
    buses = {device.id: device.bus for device in site.devices}
    for alarm in site.alarms:
        if alarm.cls not in FIRST_SIGNAL:
            continue
        calls = all(buses.get(name.partition("/")[0]) in called for name in spec.points(alarm.when))
        late_s = (alarm.on_delay_s if calls else worst.get(alarm.id, 0.0)) + _inner_s(alarm.when)
        if late_s > FIRST_SIGNAL_S:
            text = Text(
                f"{'两台设备失联时' if dead else ''}最坏 {late_s:.1f} 秒后才报警，超过 {FIRST_SIGNAL_S:g} 秒（GB 26875.1-2011 第 4 章）",
                f"may come after {late_s:.1f} s only{', with two dead devices' if dead else ''}; a fire or personal alarm takes at most {FIRST_SIGNAL_S:g} s",
            )
            yield alarm.id, text


def _inner_s(when: spec.Condition) -> float:
    """The shortest time for which the condition itself waits."""
    inner = [_inner_s(part) for part in spec.parts(when)]
    match when:
        case spec.Held():
            return when.for_s + inner[0]
        case spec.Frozen():
            return when.for_s
        case spec.Absence():
            return when.within_s + inner[0]
        case spec.Any():
            return min(inner)
        case spec.KOfN():
            return sorted(inner)[when.k - 1]
        case spec.Latch() | spec.Times():
            return inner[0]
        case spec.Not():
            return 0.0
        case _:
            return max(inner, default=0.0)


def _alone(site: Site) -> Iterator[tuple[str, Text]]:
    """Points of alarms on which a life hangs, and whose own silence raises nothing."""
    watched = {point for alarm in site.alarms for point in _silences(alarm.when)}
    told: set[str] = set()
    for alarm in site.alarms:
        lonely = sorted(spec.points(alarm.when) - watched - told) if alarm.cls in spec.LIFE else []
        told.update(lonely)
        if lonely:
            few, more = _named(lonely)
            text = Text(
                f"依据的测点失效时无人知晓（只监视整台设备）：{few}{more}",
                f"nobody is told when these of its points are lost while their device answers: {few}{more}",
            )
            yield alarm.id, text


def _silences(when: spec.Condition) -> Iterator[str]:
    if isinstance(when, spec.Stale):
        yield when.point
    for part in spec.parts(when):
        yield from _silences(part)


def _unused(site: Site) -> Iterator[tuple[str, Text]]:
    """Safety points by device; of the others each name once, with the number of devices."""
    used = {
        point for alarm in site.alarms if not alarm.id.endswith("/silent") for point in spec.points(alarm.when)
    }  # `silent` looks at every device and says nothing of its values
    used |= {zone.point for partition in site.post.partitions for zone in partition.zones}
    ends = [one.end for one in site.guard_room.outputs] + [one.end for one in site.guard_room.keys]
    used |= {end for end in ends if isinstance(end, str)}
    others: Counter[str] = Counter()
    for device in site.devices:
        points = [
            point for group in device.groups for point in group.points if point.id not in used and not point.output
        ]
        safety = [point.name for point in points if point.cls is PointClass.SAFETY]
        others.update(point.name for point in points if point.cls is not PointClass.SAFETY)
        if safety:
            few, more = _named(safety)
            yield (
                device.id,
                Text(f"安全测点没有规则：{few}{more}", f"no rule looks at these safety points: {few}{more}"),
            )
    if others:
        few, more = _named([f"{name} ({count})" for name, count in others.most_common()])
        yield "", Text(f"测点没有规则（设备数）：{few}{more}", f"no rule looks at these points (devices): {few}{more}")


def _behind_others(site: Site) -> Iterator[tuple[str, Text]]:
    """Outputs whose line another device can hold for longer than an output may take."""
    devices = {device.id: device for device in site.devices}
    buses = {bus.id: bus for bus in site.buses}
    for output in site.guard_room.outputs:
        own = devices.get(output.end.partition("/")[0]) if isinstance(output.end, str) else None
        others = [one for one in site.devices if own is not None and one.bus == own.bus and one is not own]
        if own is None or not others:
            continue
        bus = buses[own.bus]
        slowest_s = max(getattr(one.options, "timeout_s", None) or bus.reply_timeout_s for one in others)
        late_s = slowest_s + Timing.of(bus).quiet_s
        if late_s > OUTPUT_S:
            text = Text(
                f"同一总线上的设备失效时可能晚 {late_s:g} 秒；请单独接线或用 GPIO",
                f"may come {late_s:g} s late when a device on its bus dies; give it a bus of its own, or a GPIO line",
            )
            yield output.id, text


def _named(names: Collection[str]) -> tuple[str, str]:
    few = ", ".join(list(names)[:NAMED])
    return few, f" … (+{len(names) - NAMED})" if len(names) > NAMED else ""
