"""A recording, played again: what the drivers make of its bytes, and what the rules of a site would have raised.

The rules are those that the daemon runs (`gateway.judged`). Scans that the recording holds are matched with the site by the names of
their points, never by their number or order: a group goes to the group of the same device that has just its points, and each value to
its point; what has no such group is left out and told. Where the recording holds only bytes of a device, the device's driver is
asked again with the recorded replies. Nothing is opened but files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from drivers import DRIVERS
from drivers.contract import Exchange, Reply
from gateway.blueprint import Site
from gateway.errors import BusError
from gateway.judged import judged
from gateway.listening import Layout, layout
from gateway.model import Action, BusKind, Command, Device, Scan, Text, Transition
from gateway.tools.channel import ToolError
from gateway.tools.recording import Recording
from rules import spec as rules_spec


class Played(NamedTuple):
    """One poll that was played from recorded bytes."""

    scan: Scan
    exchanges: tuple[tuple[bytes, bytes], ...]


class Replayed(NamedTuple):
    transitions: list[Transition]
    scans: int
    played: int
    """Of these, made from bytes."""
    skipped: int
    """Scans that do not fit the site: another device, another template."""
    unfit: tuple[Text, ...]
    """Why, once for each device and group."""


def recorded_points(recording: Recording, site: Site) -> Layout:
    """Which points the values of its scans are: as its header says. One without (made before headers said it) is read with the
    very site file that it was made with; otherwise `ToolError`: the order of the values would be a guess."""
    said: Layout | None = recording.header.get("points")
    if said is not None or not any("device" in event for event in recording.events):
        return said or {}
    if sha256(site.source.read_bytes()).hexdigest() == recording.header.get("site_sha256"):
        return layout(site.devices)
    raise ToolError(
        Text(
            "录制文件未注明测点，且不是用该站点文件录制的：请用 --site 指定录制时的站点文件，或重新录制",
            "the recording does not say which points its values are, and was not made with this site file: give the one "
            "that it was made with as --site (--rules may be another), or record again",
        )
    )


def replay(recording: Recording, site: Site, points: Layout) -> Replayed:
    """What the site's rules make of it; alarms of devices that are not in the recording are left out. `points`: of the recording."""
    told, unfit = _fitted(recording, points, site)
    known = {scan.device for scan in told}
    made = [one.scan for one in played(recording, site) if one.scan.device not in known]
    rules = judged(site)
    scans = [*told, *made]
    orders = [command for event in recording.events if (command := _command(event))]
    events: list[Scan | Command] = sorted([*scans, *orders], key=lambda event: event.at)
    watch = rules.watch(0.0)
    transitions: list[Transition] = []
    for event in events:
        if isinstance(event, Scan):
            transitions += watch.take(event)
        else:
            transitions += watch.obey(event, event.at)[0]
    heard = {scan.device for scan in scans}
    shown = [one for one in transitions if _devices(rules.specs[one.alarm]) & heard]
    return Replayed(shown, len(scans), len(made), sum(unfit.values()), tuple(unfit))


def _fitted(recording: Recording, points: Layout, site: Site) -> tuple[list[Scan], Counter[Text]]:
    """Its scans as scans of the site's devices; and what did not fit, how often."""
    devices = {device.id for device in site.devices}
    places = {
        (device, frozenset(names)): (index, names)
        for device, groups in layout(site.devices).items()
        for index, names in enumerate(groups)
    }
    scans, unfit = [], Counter[Text]()
    for event in recording.events:
        if "device" not in event:
            continue
        device, group, values = event["device"], event["group"], event["values"]
        groups = points.get(device, [])
        recorded = groups[group] if 0 <= group < len(groups) else []
        place = places.get((device, frozenset(recorded)))
        if place is None or len(recorded) != len(values):
            unfit[_why(device, group, recorded, len(values), known=device in devices)] += 1
            continue
        index, names = place
        columns = [recorded.index(name) for name in names]
        qualities = bytes(event["qualities"][column] for column in columns)
        scans.append(Scan(device, index, float(event["t"]), tuple(values[column] for column in columns), qualities))
    return scans, unfit


def _why(device: str, group: int, recorded: list[str], values: int, *, known: bool) -> Text:
    if not known:
        return Text(f"站点中没有设备 {device}", f"the site has no device {device}")
    names = ", ".join(recorded)[:300]
    if len(recorded) != values:
        return Text(
            f"{device} 第 {group} 组：文件头注明 {len(recorded)} 个测点，却有 {values} 个值",
            f"{device}, group {group}: {values} values for the {len(recorded)} points that the header names",
        )
    return Text(
        f"{device} 第 {group} 组：站点中该设备没有恰为这些测点的组：{names}",
        f"{device}, group {group}: the site's device has no group of just these points: {names}",
    )


def _devices(alarm: rules_spec.AlarmSpec) -> set[str]:
    return {point.partition("/")[0] for point in rules_spec.points(alarm.when)}


def _command(event: dict[str, Any]) -> Command | None:
    said = event.get("command")
    if not isinstance(said, dict) or said.get("action") not in {action.value for action in Action}:
        return None
    return Command(Action(said["action"]), str(said.get("alarm", "")), "recording", float(event["t"]))


def played(recording: Recording, site: Site) -> list[Played]:
    """Every poll of the site's devices that the recorded bytes hold as a whole."""
    kinds = {bus.id: bus.speaks for bus in site.buses}
    by_bus: dict[str, list[tuple[float, bytes, bytes]]] = defaultdict(list)
    asked: dict[str, bytes] = {}
    for event in recording.events:
        if "tx" in event and "bus" in event:
            asked[event["bus"]] = bytes.fromhex(event["tx"])
        elif "rx" in event and "bus" in event and event["bus"] in asked:
            by_bus[event["bus"]].append((event["t"], asked.pop(event["bus"]), bytes.fromhex(event["rx"])))
    found: list[Played] = []
    for bus, pairs in by_bus.items():
        devices = [device for device in site.devices if device.bus == bus]
        found += _on_bus(devices, kinds.get(bus, BusKind.SERIAL), pairs)
    return sorted(found, key=lambda one: one.scan.at)


def _on_bus(devices: Iterable[Device], kind: BusKind, pairs: list[tuple[float, bytes, bytes]]) -> list[Played]:
    own = 2 if kind is BusKind.TCP else 0  # the transaction number is the driver's own each time
    found = []
    for device in devices:
        opened = DRIVERS[device.driver].open
        poll = opened(device, kind) if opened else None
        for group in range(len(device.groups)) if poll else ():
            assert poll is not None
            first = next(poll(group)).request[own:]
            for place, (_, request, _) in enumerate(pairs):
                if request[own:] == first and (one := _play(poll(group), pairs[place:], own)):
                    found.append(one)
    return found


def _play(poll: Any, pairs: list[tuple[float, bytes, bytes]], own: int) -> Played | None:
    """The poll, answered from the recording as long as it asks what was asked."""
    done: list[tuple[bytes, bytes]] = []
    exchange: Exchange = next(poll)
    for t, request, reply in pairs:
        if request[own:] != exchange.request[own:]:
            return None
        done.append((request, reply))
        try:
            exchange = poll.send(Reply(exchange.request[:own] + reply[own:], t))
        except StopIteration as end:
            return Played(end.value, tuple(done))
        except BusError:
            return None
    return None


def golden(recording: Recording, site: Site, device: str) -> str:
    """The first good poll of each group of a device as golden exchanges, the way templates write them; empty: there is none."""
    one = next(found for found in site.devices if found.id == device)
    kind = next(bus.speaks for bus in site.buses if bus.id == one.bus)
    rows, groups = [], set()
    for made in played(recording, site):
        scan = made.scan
        if scan.device != device or scan.group in groups or any(scan.qualities):
            continue
        groups.add(scan.group)
        group = one.groups[scan.group]
        steps = ", ".join(
            f'{{request: "{tx.hex().upper()}", reply: "{rx.hex().upper()}"}}' for tx, rx in made.exchanges
        )
        values = ", ".join(f"{point.name}: {value}" for point, value in zip(group.points, scan.values, strict=True))
        bus = "" if kind is BusKind.SERIAL else f"    bus: {kind.value}\n"
        rows.append(
            f"  - group: {group.name}\n    address: {one.address}\n{bus}    exchanges: [{steps}]\n"
            f"    values: {{{values}}}\n    source: recorded on a device\n"
        )
    return "golden:\n" + "".join(rows) if rows else ""
