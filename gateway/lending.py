"""What a technician's tool may do on the running gateway, over the control socket: read in idle slots, look, listen.

Guarantees
* A tool says who uses it before anything else, and that is a record of the alarm lane. Only who may open the control
  socket gets here.
* Only reads: a request is sent when `drivers.modbus_reads` knows it as one; the polls of the site's own devices are the
  drivers'. Nothing a tool asks enters the rules or the telemetry.
* One exchange is one idle slot (`gateway.slots`): a safety poll never waits for two. When the tool's connection ends, what
  it asked is dropped, and its taps with it.

Requests: ``tool`` (begin), ``exchange`` (bus, request in hex, timeout_s), ``peek`` (device, group); ``tap`` and ``taps``:
`gateway.listening`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

from drivers import DRIVERS
from drivers.contract import Exchange, Reply
from drivers.modbus_reads import read_only
from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.control import Answer, Caller, Refused, Talk
from gateway.errors import BusError
from gateway.field.line import Timing
from gateway.ledger import Ledger
from gateway.listening import Listening
from gateway.model import BusKind, BusSpec, Device, Quality, Scan, Text
from gateway.pipeline import Pipeline
from gateway.poller import Poller, tapped
from gateway.wire import payloads

TOOLS = ("scan", "peek", "record")
PATIENCE_S = 15.0
"""Longest wait for an idle slot."""
SHORTEST_TIMEOUT_S = 0.02
LONGEST_REQUEST_BYTES = 16
LONGEST_REPLY_BYTES = 256


class Lending:
    """The tools' side of the control socket. Holds the pollers, changes no device."""

    def __init__(
        self,
        site: Site,
        specs: Mapping[str, BusSpec],
        pollers: Mapping[str, Poller],
        pipeline: Pipeline,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        """`specs`: the buses that have a poller."""
        self._site = site
        self._specs = specs
        self._pollers = pollers
        self._ledger = ledger
        self._clock = clock
        self._devices = {device.id: device for device in site.devices}
        self._sessions: dict[int, str] = {}
        self._listening = Listening(site, pollers, pipeline, clock)

    def adopt(self, site: Site, specs: Mapping[str, BusSpec], pollers: Mapping[str, Poller]) -> None:
        """Another site; who has begun goes on, and hears no bytes of a bus that was started again."""
        self._site, self._specs, self._pollers = site, specs, pollers
        self._devices = {device.id: device for device in site.devices}
        self._listening.adopt(site, pollers)

    def table(self) -> dict[str, Talk]:
        return {
            "tool": self._begin,
            "exchange": self._ask,
            "peek": self._peek,
            "tap": self._tap,
            "taps": self._listening.heard,
        }

    async def _begin(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        tool = str(request.get("tool", ""))
        who = str(request.get("who") or "").strip()[:80]
        if tool not in TOOLS:
            raise Refused(Text(f"未知工具；可用：{'、'.join(TOOLS)}", f"unknown tool; known: {', '.join(TOOLS)}"))
        if not who:
            raise Refused(Text("请说明使用人（--who）", "say who you are (--who)"))
        who = f"{who} ({caller.peer})"
        self._ledger.record(payloads.TOOL, payloads.tool(tool, who, str(request.get("why") or "")[:200]))
        if id(caller) not in self._sessions:
            caller.leaving.append(partial(self._sessions.__delitem__, id(caller)))
        self._sessions[id(caller)] = tool
        return {"who": who, **self._about()}

    def _about(self) -> Answer:
        site = self._site
        try:
            digest = sha256(site.source.read_bytes()).hexdigest()
        except OSError:
            digest = ""
        return {
            "gateway": site.gateway.id,
            "boot": self._clock.boot,
            "wall": self._clock.wall(),
            "site_sha256": digest,
            "buses": [_bus(spec) for spec in site.buses],
            "devices": [_device(device) for device in site.devices],
        }

    async def _ask(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        """One read in one idle slot."""
        self._check(caller)
        name = str(request.get("bus", ""))
        spec = self._spec(name)
        data = _hex(request.get("request"))
        asked = read_only(data, rtu=_is_rtu(spec), timeout_s=_timeout_s(request.get("timeout_s"), spec))
        if asked is None:
            raise Refused(
                Text(
                    "只允许读：Modbus 功能码 1–4 和 43/14", "only reads are allowed: Modbus functions 1 to 4 and 43/14"
                )
            )
        started = self._clock.monotonic()
        try:
            reply = await self._in_slot(name, spec, asked.perform(), asked.exchange, asked.reply_bytes, caller)
        except BusError as error:
            return {"quality": error.quality.label, "why": str(error), **self._took(started)}
        return {"quality": Quality.GOOD.label, "reply": reply.hex(), **self._took(started)}

    def _took(self, started: float) -> Answer:
        now = self._clock.monotonic()
        return {"at": round(now, 6), "took_s": round(now - started, 4)}

    async def _peek(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        """One group of one device, asked by its own driver, an exchange a slot: bytes and values."""
        self._check(caller)
        device = self._devices.get(str(request.get("device", "")))
        if device is None or device.bus not in self._pollers:
            known = ", ".join(one.id for one in self._site.devices if one.bus in self._pollers)
            raise Refused(Text(f"没有可询问的设备；已有：{known}", f"no such device to ask; known: {known}"))
        number = request.get("group", 0)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(device.groups):
            raise Refused(Text("没有这个测点组", f"no such group: 0 to {len(device.groups) - 1}"))
        opened = DRIVERS[device.driver].open
        assert opened is not None  # only such devices are on a polled bus
        spec = self._spec(device.bus)
        wire: list[list[str]] = []
        poll = tapped(opened(device, spec.speaks)(number), lambda way, data: wire.append([way, data.hex()]))
        try:
            scan = await self._perform(device.bus, spec, poll, caller)
        except BusError as error:
            rows = points(device, number, error.scan, error.quality)
            return {"quality": error.quality.label, "why": str(error), "wire": wire, "points": rows}
        worst = Quality(max(scan.qualities, default=0))
        return {"quality": worst.label, "why": "", "wire": wire, "points": points(device, number, scan, worst)}

    async def _perform(self, name: str, spec: BusSpec, poll: Generator[Exchange, Reply, Scan], caller: Caller) -> Scan:
        step = _stepped(partial(next, poll))
        while isinstance(step, Exchange):
            step = await self._in_slot(name, spec, _one(poll, step), step, LONGEST_REPLY_BYTES, caller)
        return step

    async def _in_slot(
        self,
        name: str,
        spec: BusSpec,
        poll: Generator[Exchange, Reply, Any],
        exchange: Exchange,
        reply_bytes: int,
        caller: Caller,
    ) -> Any:
        """Raises BusError, or `Refused` when there was no idle slot in `PATIENCE_S`."""
        done = self._pollers[name].lend(poll, worst_s(spec, exchange, reply_bytes), lambda: not caller.gone())
        try:
            await asyncio.wait((done,), timeout=PATIENCE_S)
        finally:
            done.cancel()  # nothing when it is done
        if done.cancelled():
            raise Refused(
                Text(
                    "线路没有空闲时段；请在停用网关后单独使用",
                    "the line has no idle slot; use the tool without the gateway",
                )
            )
        result = done.result()
        if result is None:  # a bug of ours, which the guard has told
            raise Refused(Text("内部错误，已记录", "internal error, logged"))
        return result

    async def _tap(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        self._check(caller)
        return self._listening.begin(request, caller)

    def _check(self, caller: Caller) -> None:
        if id(caller) not in self._sessions:
            raise Refused(Text("先说明工具和使用人", "begin with tool and who"))

    def _spec(self, name: str) -> BusSpec:
        if name not in self._pollers:
            known = ", ".join(self._pollers)
            raise Refused(Text(f"没有可询问的总线 {name}；已有：{known}", f"no bus {name} to ask on; known: {known}"))
        return self._specs[name]


def worst_s(spec: BusSpec, exchange: Exchange, reply_bytes: int) -> float:
    """The most that an exchange can occupy its line: silence, request, the whole time-out, a reply that came at its very
    end and cannot be trusted, the drain."""
    timing = Timing.of(spec)
    timeout_s = spec.reply_timeout_s if exchange.timeout_s is None else exchange.timeout_s
    if spec.speaks is not BusKind.SERIAL:
        return timeout_s + exchange.settle_s
    characters_s = (len(exchange.request) + reply_bytes) * timing.character_s
    return timing.silence_s + characters_s + timeout_s + max(timing.quiet_s, exchange.settle_s)


def _one(poll: Generator[Exchange, Reply, Scan], exchange: Exchange) -> Generator[Exchange, Reply, Exchange | Scan]:
    """One exchange of a poll; returns its next one or its scan. The driver judges the reply here, so that the bus drains
    the line after one that cannot be trusted."""
    step: Callable[[], Exchange]
    try:
        reply = yield exchange
    except BusError as caught:
        step = partial(poll.throw, caught)
    else:
        step = partial(poll.send, reply)
    return _stepped(step)


def _stepped(step: Callable[[], Exchange]) -> Exchange | Scan:
    """What a driver wants next, or the scan that it ends with."""
    try:
        return step()
    except StopIteration as end:
        scan: Scan = end.value
        return scan


def _is_rtu(spec: BusSpec) -> bool:
    return spec.speaks is BusKind.SERIAL


def _hex(given: object) -> bytes:
    try:
        data = bytes.fromhex(given) if isinstance(given, str) and len(given) <= 3 * LONGEST_REQUEST_BYTES else b""
    except ValueError:
        data = b""
    if not data:
        raise Refused(Text("request 须为十六进制字节", f"request: up to {LONGEST_REQUEST_BYTES} bytes in hex"))
    return data


def _timeout_s(given: object, spec: BusSpec) -> float:
    """Never longer than the site's own devices may take."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= SHORTEST_TIMEOUT_S:
        return spec.reply_timeout_s
    return float(min(given, spec.reply_timeout_s))


def _bus(spec: BusSpec) -> Answer:
    return {
        "id": spec.id,
        "kind": spec.kind.value,
        "port": spec.port,
        "baud": spec.baud,
        "parity": spec.parity,
        "stop_bits": spec.stop_bits,
        "host": spec.host,
        "tcp_port": spec.tcp_port,
        "rtu": spec.speaks is BusKind.SERIAL,
        "reply_timeout_s": spec.reply_timeout_s,
    }


def _device(device: Device) -> Answer:
    groups = [{"name": group.name, "points": [point.name for point in group.points]} for group in device.groups]
    return {"id": device.id, "bus": device.bus, "driver": device.driver, "address": device.address, "groups": groups}


def points(device: Device, number: int, scan: Scan | None, worst: Quality) -> list[Answer]:
    """A group's points for a person, with where the driver found them."""
    rows = []
    for column, point in enumerate(device.groups[number].points):
        quality = Quality(scan.qualities[column]) if scan else worst
        at = point.source
        where = {key: getattr(at, key) for key in getattr(at, "__slots__", ()) if getattr(at, key) is not None}
        rows.append(
            {
                "name": point.name,
                "text": point.text._asdict(),
                "value": scan.values[column] if scan else None,
                "unit": point.unit,
                "labels": dict(point.labels),
                "quality": quality.label,
                "at": where,
            }
        )
    return rows
