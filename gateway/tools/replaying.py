"""A recording, played again: what the drivers make of its bytes, and what the rules of a site would have raised.

The rules are those that the daemon runs (`gateway.judged`). Scans that the recording holds are taken as they are; where it holds
only bytes of a device, the device's driver is asked again with the recorded replies. Nothing is opened but files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from drivers import DRIVERS
from drivers.contract import Exchange, Reply
from gateway.config import Site
from gateway.errors import BusError
from gateway.judged import judged
from gateway.model import Action, BusKind, Command, Device, Scan, Transition
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
    """Events that do not fit the site: another device, another template."""


def replay(recording: Recording, site: Site) -> Replayed:
    """What the site's rules make of it; alarms of devices that are not in the recording are left out."""
    told = [_scan(event) for event in recording.events if "device" in event]
    known = {scan.device for scan in told}
    made = [one.scan for one in played(recording, site) if one.scan.device not in known]
    rules = judged(site)
    shapes = {key: len(group.points) for key, group in rules.groups.items()}
    scans = [scan for scan in (*told, *made) if shapes.get((scan.device, scan.group)) == len(scan.values)]
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
    return Replayed(shown, len(scans), len(made), len(told) + len(made) - len(scans))


def _devices(alarm: rules_spec.AlarmSpec) -> set[str]:
    return {point.partition("/")[0] for point in rules_spec.points(alarm.when)}


def _scan(event: dict[str, Any]) -> Scan:
    return Scan(event["device"], event["group"], float(event["t"]), tuple(event["values"]), bytes(event["qualities"]))


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
