"""What is asked of a product, in no product's words; and what a product is to the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = tuple[str, int, float]
"""Device, register, value: what arrived at the broker."""
Block = tuple[int, int]
"""First register and how many."""


@dataclass(frozen=True)
class Port:
    """Where devices are reached: a Modbus TCP server, or with `path` a serial line (8N1)."""

    tcp_port: int = 0
    path: str = ""
    baud: int = 0


@dataclass(frozen=True)
class Device:
    name: str
    port: Port
    unit: int
    blocks: tuple[Block, ...]
    """Each is to be read by one request."""

    @property
    def registers(self) -> list[int]:
        return [first + number for first, count in self.blocks for number in range(count)]


@dataclass(frozen=True)
class Site:
    devices: tuple[Device, ...]
    period_s: float
    timeout_s: float = 0.5
    watched: str = ""
    """The device whose register 0 steps between 0 and 1; where a product has alarms, that is one."""


@dataclass(frozen=True)
class Place:
    """Where a product runs: its folder, with `pki` in it, its installation, and the broker's two ports."""

    folder: Path
    installed: Path
    mutual_port: int
    """TLS, client certificate needed."""
    server_port: int
    """TLS, the server's certificate only."""


@dataclass(frozen=True)
class Command:
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    name: str
    link: str
    """How it talks to the broker, for the table."""
    install: Callable[[Path], str]
    """Into this folder unless it is there already; returns the version."""
    configure: Callable[[Site, Place], Command]
    """Write its files into the place's folder; the command that starts it there."""
    values: Callable[[str, bytes], Iterable[Value]]
    """What a message at the broker says, by topic and payload."""
    answer: Callable[[str, bytes], Iterable[tuple[str, bytes]]] = lambda topic, payload: ()
    """What its platform would answer."""
    watch: str = ""
    """Where a step shows first, if not in the watched device's own values."""
    servers: int = 1_000
    """How many Modbus servers one process can poll."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Measurements that it cannot take part in, and why."""
