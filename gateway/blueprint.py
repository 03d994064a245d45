"""What a site file says, as plain data: all that the daemon runs from.

`gateway.config` makes it, in a process of its own (`gateway.apart`): this module and what it imports know neither YAML nor pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.annunciator import OutputSpec
from gateway.button import KeySpec
from gateway.model import BusSpec, Device, GatewaySpec, JournalSpec, MetricsSpec, ReportSpec, UplinkSpec
from rules import post
from rules.spec import AlarmSpec
from rules.virtual import VirtualSpec


class GuardRoom(NamedTuple):
    """Lamps, sounders and keys."""

    outputs: tuple[OutputSpec, ...] = ()
    keys: tuple[KeySpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """A site that can run."""

    gateway: GatewaySpec
    buses: tuple[BusSpec, ...]
    devices: tuple[Device, ...]
    alarms: tuple[AlarmSpec, ...]
    """Those of the file, those of the rule library, then ``<device>/silent`` for each device."""
    uplinks: tuple[UplinkSpec, ...]
    journal: JournalSpec
    report: ReportSpec
    source: Path
    unproved: frozenset[str] = frozenset()
    """Devices whose template was never proved by frames of a manual or a recorded device: people are told."""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """Dotted path -> line in `source`, of the uplinks."""
    metrics: MetricsSpec | None = None
    builtin: tuple[Device, ...] = ()
    """Devices that the gateway makes itself."""
    utc_offset_s: float = 0.0
    """Of the local time that people at the site use."""
    computed: tuple[VirtualSpec, ...] = ()
    """In the order of the groups of the built-in device ``virtual``."""
    post: post.PostSpec = field(default_factory=post.PostSpec)
    """Guard level and partitions."""
    guard_room: GuardRoom = GuardRoom()
