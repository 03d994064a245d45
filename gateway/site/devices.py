"""From the buses and devices of a site file to `BusSpec` and `Device`, with the templates and the drivers' own checks.

Guarantees: each item of a list is judged by itself, so that a bad one hides no other; names that are used but not there
are told with the nearest that is; what depends on a bad bus or template is left out without a further mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from drivers.contract import Driver
from gateway.model import BusKind, BusSpec, Device, Group, Text
from gateway.site.plausible import check_point_of, check_stuck
from gateway.site.rules import place
from gateway.site.schema import BUS_SHAPES, BusShape, DeviceShape, ListenBusShape, SerialBusShape, TcpBusShape
from gateway.site.template import Template, Templates
from gateway.site.words import nearest, one_of, unknown_key, validate
from gateway.site.yaml_lines import Document, Keys


def items(document: Document, section: str) -> Iterator[tuple[Keys, Any]]:
    """The items of a list of the file, each with its keys."""
    found = document.value.get(section) if isinstance(document.value, dict) else None
    for index, item in enumerate(found if isinstance(found, list) else []):
        yield (section, index), item


RESERVED = {
    "gateway": Text("网关自身", "the gateway itself"),
    "virtual": Text("计算测点", "the points that are computed"),
    "site": Text("本站的防控等级和分区", "the guard level and the partitions"),
}
"""Built-in devices: what the gateway makes itself."""


def identity(item: Any) -> str | None:
    name = item.get("id") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None


def declared(document: Document, section: str) -> set[str] | None:
    """The ids that the file gives, also those of wrong items; None when that cannot be said for sure."""
    if not isinstance(document.value, dict) or not isinstance(document.value.get(section), list):
        return None
    names = [identity(item) for _, item in items(document, section)]
    return None if None in names else {name for name in names if name is not None}


def unique(document: Document, section: str) -> None:
    """Ids go into topics, tables and labels that people read: not even case may be all that tells two apart."""
    first: dict[str, Keys] = {}
    for keys, item in items(document, section):
        name = identity(item)
        if name is not None and first.setdefault(name.casefold(), keys) != keys:
            line = document.line(first[name.casefold()])
            text = Text(
                f"编号“{name}”重复，第 {line} 行已有（不分大小写）",
                f"the id '{name}' is taken already, in line {line} (case does not count)",
            )
            document.complain((*keys, "id"), text)


def read_buses(document: Document, root: Path) -> dict[str, BusSpec]:
    """The buses that are right, by id."""
    unique(document, "buses")
    buses: dict[str, BusSpec] = {}
    taken: dict[tuple[str, str | int], str] = {}
    for keys, item in items(document, "buses"):
        kind = item.get("kind") if isinstance(item, dict) else "serial"
        if isinstance(item, dict) and (not isinstance(kind, str) or kind not in BUS_SHAPES):
            missing = Text("缺少此项", "is missing")
            document.complain((*keys, "kind"), one_of(BUS_SHAPES, kind) if "kind" in item else missing)
            continue
        shape = validate(BUS_SHAPES[str(kind)], item, document, keys)
        if shape is None:
            continue
        for key in _without_a_line(shape):
            text = Text("只用于 framing: rtu 的总线", "is for a bus with framing: rtu")
            document.complain((*keys, key), text)
        for index, network in enumerate(getattr(shape, "allow", ())):
            if not _is_network(network):
                text = Text("须为 IP 地址或网段", "must be an IP address or a network such as 10.1.2.0/24")
                document.complain((*keys, "allow", index), text)
        bus = _bus(shape, root)
        buses.setdefault(bus.id, bus)
        for resource in _resources(bus):
            if (other := taken.setdefault(resource, bus.id)) != bus.id:
                text = Text(f"已由总线“{other}”占用", f"is used by bus '{other}' already")
                document.complain((*keys, "port" if bus.kind is BusKind.SERIAL else "tcp_port"), text)
    return buses


def _bus(shape: BusShape, root: Path) -> BusSpec:
    if isinstance(shape, SerialBusShape):
        return BusSpec(
            shape.id,
            BusKind.SERIAL,
            port=str(root / shape.port),
            baud=shape.baud,
            parity=shape.parity,
            stop_bits=shape.stop_bits,
            echo=shape.echo,
            reply_timeout_s=shape.reply_timeout_s,
            rs485=shape.rs485,
        )
    if isinstance(shape, ListenBusShape):
        return BusSpec(
            shape.id,
            BusKind.LISTEN,
            host=shape.host,
            tcp_port=shape.tcp_port,
            longest_silence_s=shape.longest_silence_s,
            transport=shape.transport,
            allow=tuple(shape.allow),
        )
    return BusSpec(
        shape.id,
        BusKind.TCP,
        host=shape.host,
        tcp_port=shape.tcp_port,
        baud=shape.baud,
        parity=shape.parity,
        stop_bits=shape.stop_bits,
        reply_timeout_s=shape.reply_timeout_s,
        rtu=shape.framing == "rtu",
    )


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


_OF_A_LINE = ("baud", "parity", "stop_bits")


def _without_a_line(shape: BusShape) -> list[str]:
    """Settings of a serial line on a bus that has none."""
    plain = isinstance(shape, TcpBusShape) and shape.framing == "tcp"
    return [key for key in _OF_A_LINE if plain and key in shape.model_fields_set]


def _resources(bus: BusSpec) -> list[tuple[str, str | int]]:
    """What only one bus can have: a serial port, the line behind a serial server, a port to listen on (0 is a free one
    each time)."""
    if bus.kind is BusKind.SERIAL:
        return [("port", bus.port)]
    if bus.rtu:
        return [("line", f"{bus.host.casefold()}:{bus.tcp_port}")]
    return [(f"listen {bus.transport}", bus.tcp_port)] if bus.kind is BusKind.LISTEN and bus.tcp_port else []


class DeviceReader:
    """Reads the devices of one site file; afterwards `devices` has the right ones, `unclear` the others' ids."""

    def __init__(
        self, document: Document, buses: Mapping[str, BusSpec], templates: Templates, drivers: Mapping[str, Driver]
    ) -> None:
        self._document = document
        self._buses = buses
        self._templates = templates
        self._drivers = drivers
        self._declared_buses = declared(document, "buses")
        self._addresses: dict[tuple[str, str, int | str], Keys] = {}
        self._proved: set[str] = set()
        self._heard_by: dict[str, str] = {}
        """Listening bus: the driver of its first device. Who calls has not said yet what he speaks."""
        self.devices: dict[str, Device] = {}
        self.unclear: set[str] = set()
        self.unproved: set[str] = set()
        self.given: dict[str, tuple[Keys, DeviceShape]] = {}
        """Where each of `devices` stands in the file, and what the file says of it."""

    def read(self) -> None:
        unique(self._document, "devices")
        for keys, item in items(self._document, "devices"):
            device = self._device(item, keys)
            name = identity(item)
            if name is not None and (own := RESERVED.get(name.casefold())):
                text = Text(f"“{name}”是{own.zh}的编号", f"'{name}' is {own.en}")
                self._document.complain((*keys, "id"), text)
            if device is not None and (own := RESERVED.get(device.place.zone.casefold())):
                # The library's alarms of a zone bear its name: one would take the place of a partition's.
                zone = device.place.zone
                text = Text(f"“{zone}”是{own.zh}的编号", f"'{zone}' is {own.en}")
                self._document.complain((*keys, "place", "zone"), text)
            if device is not None:
                self.devices.setdefault(device.id, device)
            elif name is not None:
                self.unclear.add(name)

    def _device(self, item: Any, keys: Keys) -> Device | None:
        given = item if isinstance(item, dict) else {}
        shape = validate(DeviceShape, item, self._document, keys)
        bus = self._bus(given.get("bus"), (*keys, "bus"))
        template = self._template(given.get("template"), (*keys, "template"))
        if shape is None or template is None or bus is None:
            return None
        self._address(shape, template, keys)
        driver = self._drivers[template.driver]
        fits = self._fits(bus, driver, template, (*keys, "bus")) and self._one_driver(bus, template, (*keys, "bus"))
        options = template.options
        if shape.options:
            options = validate(
                driver.options, {**template.options_given, **shape.options}, self._document, (*keys, "options")
            )
        groups = template.device_groups(shape.id, shape.periods_s, shape.points)
        if driver.grow and options is not None:
            groups += driver.grow(shape.id, options, shape.periods_s)
        periods = self._periods(shape, groups, (*keys, "periods_s"))
        points = self._points(shape, groups, bus, (*keys, "points"))
        if not (fits and periods and points) or options is None:
            return None
        device = Device(
            shape.id,
            shape.bus,
            template.driver,
            shape.address,
            groups,
            place(shape.place),
            Text(shape.text.zh, shape.text.en) if shape.text is not None else template.text,
            options,
            shape.simulated,
            template.cls,
        )
        self._silence(device, bus, driver, (*keys, "bus"))
        if not template.proved:
            self.unproved.add(device.id)
        self.given.setdefault(device.id, (keys, shape))
        return device if self._driver_agrees(device, driver, template, bool(shape.options), keys) else None

    def _bus(self, name: object, keys: Keys) -> BusSpec | None:
        if isinstance(name, str) and self._declared_buses is not None and name not in self._declared_buses:
            hint = nearest(name, self._declared_buses)
            self._document.complain(keys, Text(f"没有总线“{name}”{hint.zh}", f"there is no bus '{name}'{hint.en}"))
        return self._buses.get(name) if isinstance(name, str) else None

    def _template(self, name: object, keys: Keys) -> Template | None:
        if not isinstance(name, str):
            return None
        if name in self._templates.names:
            return self._templates.get(name)
        hint = nearest(name, self._templates.names)
        self._document.complain(keys, Text(f"没有模板“{name}”{hint.zh}", f"there is no template '{name}'{hint.en}"))
        return None

    def _address(self, shape: DeviceShape, template: Template, keys: Keys) -> None:
        first = self._addresses.setdefault((shape.bus, template.driver, shape.address), keys)
        if first != keys:
            line = self._document.line(first)
            text = Text(
                f"总线“{shape.bus}”上地址 {shape.address} 已用于第 {line} 行的设备",
                f"address {shape.address} on bus '{shape.bus}' is taken already, by the device in line {line}",
            )
            self._document.complain((*keys, "address"), text)

    def _fits(self, bus: BusSpec, driver: Driver, template: Template, keys: Keys) -> bool:
        if bus.speaks in driver.buses:
            return True
        kinds = ", ".join(sorted(driver.buses))
        text = Text(
            f"驱动“{template.driver}”不能用于 {bus.kind} 总线（可用于 {kinds}）",
            f"driver '{template.driver}' does not work on a bus of kind {bus.kind} (it works on {kinds})",
        )
        self._document.complain(keys, text)
        return False

    def _one_driver(self, bus: BusSpec, template: Template, keys: Keys) -> bool:
        first = self._heard_by.setdefault(bus.id, template.driver) if bus.kind is BusKind.LISTEN else template.driver
        if first != template.driver:
            text = Text(
                f"总线“{bus.id}”上的终端使用驱动“{first}”；另一种驱动需要另一个端口",
                f"the terminals of bus '{bus.id}' speak '{first}'; another driver needs a port of its own",
            )
            self._document.complain(keys, text)
        return first == template.driver

    def _periods(self, shape: DeviceShape, groups: tuple[Group, ...], keys: Keys) -> bool:
        names = [group.name for group in groups]
        unknown = [name for name in shape.periods_s if name not in names]
        for name in unknown:
            self._document.complain((*keys, name), unknown_key(name, names))
        return not unknown

    def _silence(self, device: Device, bus: BusSpec, driver: Driver, keys: Keys) -> None:
        """A device that is well may answer so late; shorter, and each lost frame would be a dead device."""
        late_s = driver.late_s(device) if bus.kind is BusKind.LISTEN and driver.late_s else 0.0
        period_s = max((group.period_s for group in device.groups if group.points), default=0.0)
        if late_s and bus.longest_silence_s <= period_s + late_s:
            least = f"{period_s + late_s:g}"
            text = Text(
                f"总线“{bus.id}”的 longest_silence_s 须大于 {least}：最长采样周期加上全部重发的时间",
                f"longest_silence_s of bus '{bus.id}' must be over {least}: the longest period and all repetitions",
            )
            self._document.complain(keys, text)

    def _points(self, shape: DeviceShape, groups: tuple[Group, ...], bus: BusSpec, keys: Keys) -> bool:
        """What the site, or else the template, says of the quantities: of numbers, over more than one sample."""
        before = len(self._document.mistakes)
        known = {point.name: point for group in groups for point in group.points}
        for name, own in shape.points.items():
            if name not in known:
                self._document.complain((*keys, name), unknown_key(name, known))
            else:
                check_point_of(known[name], own, self._document, (*keys, name))
        for group in groups:
            gap_s = bus.longest_silence_s / 2 if bus.kind is BusKind.LISTEN else group.period_s
            for point in group.points:
                given = shape.points.get(point.name)
                is_own = given is not None and "stuck_s" in given.model_fields_set
                where = (*keys, point.name, "stuck_s") if is_own else (*keys[:-1], "template")
                check_stuck(point, gap_s, self._document, where)
        return len(self._document.mistakes) == before

    def _driver_agrees(self, device: Device, driver: Driver, template: Template, own_options: bool, keys: Keys) -> bool:
        """What only the driver can see. A template's points are held against its options once, not for each device."""
        if driver.check is None:
            return True
        whole = own_options or template.name not in self._proved
        found = driver.check(device if whole else Device(device.id, device.bus, device.driver, device.address, ()))
        for path, what in found:
            en, _, zh = what.rpartition(" / ")
            text = Text(zh, en or zh)
            if path.startswith("points."):
                self._templates.complain(template, path, text)
            else:
                self._document.complain((*keys, *path.split(".")), text)
        if whole and not own_options and not any(path.startswith("points.") for path, _ in found):
            self._proved.add(template.name)
        return not found
