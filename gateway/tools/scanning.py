"""One scan: settings by likelihood, a sweep of each, what the devices may be; told while it goes on.

A line is swept at one setting after the other until devices answered (`every` goes on). A setting that the port refuses is
named and passed over. BWM826 inclinometers, which do not speak Modbus, are asked at the addresses in `TILTS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from drivers.bwm826 import frame
from gateway.field.line import Timing
from gateway.model import BusKind, BusSpec, Text
from gateway.site.template import Template
from gateway.tools.channel import ToolError
from gateway.tools.fitting import Fit, fits
from gateway.tools.lines import Asked, OwnLine
from gateway.tools.sweep import Found, Result, Sweep, least_s, twice

LIKELY = (
    *((9600, "N"), (9600, "E"), (19200, "E"), (19200, "N"), (4800, "N"), (115200, "N"), (38400, "N"), (2400, "N")),
    *((57600, "N"), (4800, "E"), (9600, "O"), (19200, "O"), (38400, "E"), (115200, "E"), (57600, "E"), (2400, "E")),
)
"""Speeds and parities, the likely ones first: 9600 8N1 is how nearly all are delivered, 19200 8E1 is the standard's."""
TILTS = (0, 1, 2)
NOISE_S = 0.3
EVERYONE = range(1, 248)


class Step(NamedTuple):
    """For the progress bar."""

    words: str
    done: int
    of: int


Tell = Callable[[Step], None]


@dataclass(slots=True)
class Device:
    """One that was found."""

    driver: str
    address: int
    after_s: float
    twice: str
    """``yes``, ``perhaps`` or empty."""
    identity: dict[str, str]
    fits: list[Fit]
    configured: str = ""
    """Its id in the site of the running gateway."""


@dataclass(slots=True)
class Scanned:
    """A line at one setting."""

    spec: BusSpec
    devices: list[Device] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)
    noise_bytes: int = 0
    """Heard while nobody was asked."""
    noisy: int = 0
    echo: bool = False
    asked: int = 0
    took_s: float = 0.0
    least_s: float = 0.0
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        spec = self.spec
        told = asdict(self)
        del told["spec"]
        told["devices"] = [
            {**asdict(one), "fits": [{**fit._asdict(), "share": round(fit.share, 3)} for fit in one.fits]}
            for one in self.devices
        ]
        where = spec.port or f"{spec.host}:{spec.tcp_port}"
        return {"bus": spec.id, "where": where, "baud": spec.baud, "parity": spec.parity, **told}


def settings(spec: BusSpec, *, guess: bool) -> Iterator[BusSpec]:
    """The line as it is given, then (when speeds are to be guessed) the others by likelihood."""
    yield spec
    for baud, parity in LIKELY:
        if guess and spec.kind is BusKind.SERIAL and (baud, parity) != (spec.baud, spec.parity):
            yield replace(spec, baud=baud, parity=parity)


def scan_port(
    spec: BusSpec,
    known: dict[str, Template],
    tell: Tell,
    units: Sequence[int],
    *,
    guess: bool,
    every: bool,
    thorough: bool,
) -> list[Scanned]:
    """Stand-alone: the port is this process's own. Raises `ToolError` when it cannot be opened at all."""
    scanned = []
    for setting in settings(spec, guess=guess or every):
        try:
            with OwnLine(setting) as line:
                rtu = setting.speaks is BusKind.SERIAL
                noise = line.listen(NOISE_S) if rtu else b""
                one = scan_line(line, known, tell, units, thorough=thorough)
                one.noise_bytes = len(noise)
                one.devices += _tilts(line, known, tell) if rtu else []
        except ToolError as error:
            if setting.parity == spec.parity and setting.baud == spec.baud:
                raise
            one = Scanned(setting, refused=str(error))
        scanned.append(one)
        if one.devices and not every:
            break
    return scanned


def scan_line(
    line: Asked, known: dict[str, Template], tell: Tell, units: Sequence[int], *, thorough: bool = False
) -> Scanned:
    """One sweep on an open line, and what the devices may be."""
    spec = line.spec
    words = f"{spec.id} {spec.baud} {spec.parity}" if spec.kind is BusKind.SERIAL else spec.id
    rtu = spec.speaks is BusKind.SERIAL
    sweep = Sweep(units, rtu=rtu, thorough=thorough, first_s=0.06 if spec.kind is BusKind.SERIAL else 0.3)
    started = time.monotonic()
    run = sweep.run()
    result: Result
    try:
        ask = next(run)
        while True:
            tell(Step(words, ask.done, ask.of))
            ask = run.send(line.ask(ask.request, ask.timeout_s, ask.listen_s))
    except StopIteration as end:
        result = end.value
    scanned = Scanned(spec, took_s=time.monotonic() - started)
    scanned.suspects, scanned.noisy, scanned.echo = sorted(result.suspects), result.noisy, result.echo
    scanned.asked = result.asked
    slowest_s = max((one.after_s for one in result.found.values()), default=0.0)
    character_s = Timing.of(spec).character_s
    scanned.least_s = least_s(len(units) - len(result.found), len(result.found), character_s, result.wait_s, slowest_s)
    everybody = list(result.found.values())
    scanned.devices = [_device(line, known, one, everybody, tell) for one in everybody]
    return scanned


def _device(line: Asked, known: dict[str, Template], one: Found, everybody: list[Found], tell: Tell) -> Device:
    made = Device("modbus", one.unit, one.after_s, twice(one, everybody), one.identity, [])
    if isinstance(line, OwnLine):
        made.fits = fits(
            known,
            "modbus",
            one.unit,
            line.spec.speaks,
            line.perform,
            lambda name: tell(Step(f"{one.unit}: {name}?", 1, 1)),
        )
    return made


def _tilts(line: OwnLine, known: dict[str, Template], tell: Tell) -> list[Device]:
    found = []
    for address in TILTS:
        tell(Step(f"bwm826 {address}", address, len(TILTS)))
        heard = line.ask(frame(address, 4), 0.1)
        if heard.data.removeprefix(frame(address, 4)):
            fitting = fits(known, "bwm826", address, line.spec.speaks, line.perform, lambda _: None)
            if fitting:
                found.append(Device("bwm826", address, heard.after_s, "", {}, fitting))
    return found


def own_spec(port: str, tcp: str, bus: str, baud: int, parity: str, *, rtu: bool = False) -> BusSpec:
    """The line that a person names on the command line; `rtu`: behind a serial server. Raises `ToolError`."""
    if port:
        return BusSpec(
            bus, BusKind.SERIAL, port=str(Path(port).absolute()), baud=baud, parity=parity, reply_timeout_s=0.5
        )
    host, _, number = tcp.rpartition(":")
    if not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ToolError(Text("--tcp 的格式为 主机:端口", "--tcp is HOST:PORT"))
    where = BusSpec(bus, BusKind.TCP, host=host, tcp_port=int(number), reply_timeout_s=1.0)
    return replace(where, rtu=True, baud=baud, parity=parity) if rtu else where
