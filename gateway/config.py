"""The site file: YAML -> `Site`, or every mistake in it at once (laws 8 and 9).

Guarantees
* `load` gives a whole, valid `Site` or raises one `ConfigError` with all mistakes of the site file and of the templates
  it uses, each with file, line and dotted path, in Chinese and English. Whatever the file is, nothing else escapes.
* Relative paths are relative to the site file's directory. Booleans are 0 and 1, labels are their numbers.
* One cause, one mistake: a device whose own description is wrong causes no mistakes in the alarms that use it.
* Certificates and keys are not looked at: a bad key stops that uplink alone (law 8), see `gateway.keys`.

It does not watch the file, create directories or open anything but the site file and its templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import drivers as drivers_package
from drivers import DRIVERS
from drivers.contract import Driver
from gateway import health
from gateway.blueprint import Site
from gateway.errors import ConfigError
from gateway.model import GatewaySpec, JournalSpec, MetricsSpec, ReportSpec, Text, UplinkSpec
from gateway.site import outputs as site_outputs
from gateway.site import post as site_post
from gateway.site import reference as site_reference
from gateway.site import rules as site_rules
from gateway.site import virtual as site_virtual
from gateway.site.chosen import Chosen, choose
from gateway.site.compound import dates
from gateway.site.devices import DeviceReader, declared, items, read_buses, unique
from gateway.site.schema import (
    AlarmShape,
    CalendarShape,
    GatewayShape,
    JournalShape,
    MetricsShape,
    ReportShape,
    SiteFrame,
    UplinkShape,
)
from gateway.site.shape import Shape
from gateway.site.shapes_when import WhenShape
from gateway.site.template import Templates
from gateway.site.words import validate
from gateway.site.yaml_lines import Document, dotted, read
from rules import post
from rules.spec import AlarmSpec
from rules.virtual import VirtualSpec

S = TypeVar("S", bound=Shape)

TEMPLATES = Path(drivers_package.__file__).parent / "templates"
MIB = 1024 * 1024
LONGEST_SOCKET_BYTES = 107
"""sockaddr_un of Linux (unix(7))."""

reference = site_reference.reference
json_schema = site_reference.json_schema


def load(
    path: Path,
    templates: Path | None = None,
    drivers: Mapping[str, Driver] = DRIVERS,
    *,
    root: Path | None = None,
) -> Site:
    """Read a site file. Raises `ConfigError` with every mistake.

    `templates`: where device templates are; else those that come with Gengfu, and before them ``templates/`` beside the
    site file: an installer adds a device model there without touching the program. `root`: what relative paths in the file count
    from; the file's own folder when None.
    """
    return load_with_library(path, templates, drivers, root=root)[0]


def load_with_library(
    path: Path,
    templates: Path | None = None,
    drivers: Mapping[str, Driver] = DRIVERS,
    *,
    root: Path | None = None,
) -> tuple[Site, Chosen]:
    """The same, with what the rule library made of it: for people who ask."""
    document = read(path)
    known = Templates([templates] if templates else [path.parent / "templates", TEMPLATES], drivers)
    made = _site(document, path, root or path.parent, known, drivers)
    mistakes = document.mistakes + known.mistakes
    if mistakes or made is None:
        raise ConfigError(sorted(mistakes, key=lambda one: (one.file != document.file, one.file, one.line)))
    return made


def _site(
    document: Document, path: Path, root: Path, templates: Templates, drivers: Mapping[str, Driver]
) -> tuple[Site, Chosen] | None:
    validate(SiteFrame, document.value, document, ())
    gateway, journal = _gateway(document, root), _journal(document, root)
    report = _section(ReportShape, "report", document)
    calendar = _section(CalendarShape, "calendar", document) or CalendarShape()
    metrics = _metrics(document)
    buses = read_buses(document, root)
    reader = DeviceReader(document, buses, templates, drivers)
    reader.read()
    field = site_rules.Field(reader.devices, buses, reader.unclear)
    watch = site_post.read(document, field)
    guard_room = site_outputs.read(document, root, field)
    own = {one.id: one for one in (health.device(), post.device(watch))}
    field, computed = _with_computed(document, replace(field, builtin=own), calendar)
    alarms, chosen = _alarms(document, field, reader)
    uplinks = _uplinks(document, root)
    if document.mistakes or templates.mistakes or gateway is None or journal is None or report is None:
        return None
    site = Site(
        gateway,
        tuple(buses.values()),
        tuple(reader.devices.values()),
        alarms,
        uplinks,
        journal,
        ReportSpec(report.by_exception),
        path,
        frozenset(reader.unproved),
        {dotted(keys): line for keys, line in document.lines.items() if keys[:1] == ("uplinks",)},
        metrics,
        tuple(field.builtin.values()),
        calendar.utc_offset_h * 3600,
        computed,
        watch,
        guard_room,
    )
    return site, chosen


def _gateway(document: Document, root: Path) -> GatewaySpec | None:
    gateway = _section(GatewayShape, "gateway", document)
    if gateway is None:
        return None
    socket = str(root / gateway.control_socket)
    if len(socket.encode()) > LONGEST_SOCKET_BYTES:
        text = Text(
            f"套接字的完整路径超过 {LONGEST_SOCKET_BYTES} 字节",
            f"the whole path of a socket is at most {LONGEST_SOCKET_BYTES} bytes",
        )
        document.complain(("gateway", "control_socket"), text)
    return GatewaySpec(gateway.id, site_rules.place(gateway.place), socket)


def _journal(document: Document, root: Path) -> JournalSpec | None:
    journal = _section(JournalShape, "journal", document)
    if journal is None:
        return None
    return JournalSpec(
        str(root / journal.directory),
        journal.alarm_quota_mib * MIB,
        journal.telemetry_quota_mib * MIB,
        journal.telemetry_commit_s,
    )


def _with_computed(
    document: Document, field: site_rules.Field, calendar: CalendarShape
) -> tuple[site_rules.Field, tuple[VirtualSpec, ...]]:
    """What conditions can be about, with days and computed points, and how these are computed."""
    holidays, workdays = dates(calendar, document)
    field = replace(field, holidays=holidays, workdays=workdays)
    computed, device = site_virtual.read(document, field)
    if device is not None:
        return replace(field, builtin={**field.builtin, device.id: device}), computed
    if isinstance(document.value, dict) and document.value.get("virtual"):  # what it would have had nobody knows
        field = replace(field, unclear={*field.unclear, "virtual"})
    return field, computed


def _metrics(document: Document) -> MetricsSpec | None:
    """Nothing listens where the section is not there."""
    given = document.value.get("metrics") if isinstance(document.value, dict) else None
    shape = None if given is None else validate(MetricsShape, given, document, ("metrics",))
    return None if shape is None else MetricsSpec(shape.host, shape.tcp_port)


def _section(shape: type[S], name: str, document: Document) -> S | None:
    """A section that is a mapping; one that may be left out has defaults for all its keys."""
    value = document.value if isinstance(document.value, dict) else {}
    if name not in value:
        return None if shape is GatewayShape else shape()
    return validate(shape, value[name], document, (name,))


def _alarms(document: Document, field: site_rules.Field, reader: DeviceReader) -> tuple[tuple[AlarmSpec, ...], Chosen]:
    """Those of the file, those of the rule library, and one for each device that falls silent; and what the library chose."""
    own = _own_alarms(document, field)
    chosen = choose(document, reader.given, field)
    rounds = site_rules.rounds_s(field)
    silent = (site_rules.silent(device, field, rounds[device.bus]) for device in field.devices.values())
    return (*own, *chosen.alarms, *silent), chosen


def _own_alarms(document: Document, field: site_rules.Field) -> tuple[AlarmSpec, ...]:
    unique(document, "alarms")
    certain = declared(document, "devices") is not None
    alarms = []
    for keys, item in items(document, "alarms"):
        shape = validate(AlarmShape, item, document, keys)
        if shape is not None:
            given: WhenShape | None = shape.when
        else:  # its condition may be right although the rest is not
            given = validate(WhenShape, item.get("when"), Document(""), ()) if isinstance(item, dict) else None
        if given is None or not certain:
            continue
        when = site_rules.condition(given, field, document, (*keys, "when"))
        if shape is not None and when is not None:
            alarms.append(site_rules.alarm(shape, when, field, document, keys))
    return tuple(alarms)


def _uplinks(document: Document, root: Path) -> tuple[UplinkSpec, ...]:
    unique(document, "uplinks")
    shapes = [validate(UplinkShape, item, document, keys) for keys, item in items(document, "uplinks")]
    return tuple(
        UplinkSpec(
            shape.id,
            shape.host,
            shape.port,
            str(root / shape.ca),
            str(root / shape.certificate),
            str(root / shape.key),
            shape.server_name,
            shape.receipts == "district",
            shape.keepalive_s,
            shape.window,
        )
        for shape in shapes
        if shape is not None
    )
