"""A fire transmission device of a scene: what its points are worth becomes the states that a `Uitd` tells, over TCP or UDP.

The points are those of a gb26875 template; which bit of which thing each one is, is worked out here, not by the gateway.
Points of the duty check are the gateway's own knowledge and stay 0. Only the standard's own way to speak is simulated.
While it has nobody to call it keeps what it has to tell; a silent device neither sends nor hears.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from firmware_sim.fault import What, distort, in_stream
from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.registers import Value
from firmware_sim.uitd import Part, Uitd

STEP_S = 0.05
CALL_AGAIN_S = 1.0
_COMMON = ("normal", "fire", "fault", "shielded", "supervision", "started", "feedback", "delay")
_SYSTEM = (*_COMMON, "main_power_fault", "backup_power_fault", "bus_fault", "manual", "configuration_changed", "reset")
_OWN = ("normal", "fire", "fault", "main_power_fault", "backup_power_fault", "channel_fault", "line_fault")
BITS = {"system": _SYSTEM, "component": (*_COMMON, "power_fault"), "device": _OWN}
"""Names of the bits from bit 0 on (standards.md 1.6)."""
STEPS = {1: 1, 2: 100, 3: 10, 4: 10, 5: 10, 6: 10, 7: 1, 8: 10, 9: 10, 10: 10, 11: 10, 12: 1}
"""Analogue type: steps in one unit."""
Thing = tuple[str, int, int, int, int]


def thing(at: Mapping[str, Any]) -> Thing:
    """What a point is about: kind, system, address, component address, analogue type."""
    kind = str(at["of"])
    if kind == "device":
        return (kind, 0, 0, 0, 0)
    part = int(at.get("component_address", 0)) if kind in ("component", "analogue") else 0
    return (kind, int(at.get("system", 1)), int(at.get("address", 1)), part, int(at.get("analogue", 0)))


@dataclass(frozen=True, slots=True)
class Things:
    """The points of one device."""

    points: Mapping[str, Mapping[str, Any]]
    """``at`` by name."""

    @classmethod
    def of(cls, points: Sequence[Mapping[str, Any]]) -> Things:
        """From a template's points. ValueError for what cannot be simulated."""
        ats = {str(point["name"]): dict(point["at"]) for point in points}
        for name, at in ats.items():
            kind, bit = at.get("of"), at.get("bit", "")
            if kind in BITS and bit not in BITS[kind]:
                raise ValueError(f"{name}: {bit!r} is no bit of a {kind}")
            if kind not in (*BITS, "analogue", "duty") or (kind == "analogue" and at.get("analogue") not in STEPS):
                raise ValueError(f"{name}: {at} is nothing that a device speaks of")
        return cls(ats)

    def check(self, point: str, value: Value) -> None:
        """`firmware_sim.field.Check`."""
        at = self.points[point]
        if at["of"] == "analogue" and value is not None:
            if not -32768 <= round(value * STEPS[at["analogue"]]) <= 32767:
                raise ValueError(f"{point}: {value} does not fit 16 bits")
        elif value not in ((0,) if at["of"] == "duty" else (0, 1)):
            raise ValueError(f"{point}: {value} is not 0 or 1, or is the gateway's to know")

    def states(self, values: Mapping[str, Value]) -> dict[Thing, int]:
        """The state word or the number on the wire of each thing; bit 0 says normal operation unless a point is it."""
        states: dict[Thing, int] = {}
        for name, at in self.points.items():
            kind, value = at["of"], values[name]
            if kind == "analogue":
                states[thing(at)] = round((value or 0) * STEPS[at["analogue"]])
            elif kind in BITS:
                place = BITS[kind].index(at["bit"])
                states[thing(at)] = states.get(thing(at), 0) | int(value or 0) << place
        own_bit_0 = {thing(at) for at in self.points.values() if at.get("bit") == "normal"}
        return {key: state if key[0] == "analogue" or key in own_bit_0 else state | 1 for key, state in states.items()}

    def parts(self) -> tuple[Part, ...]:
        """The components that states or values are of."""
        things = sorted({thing(at)[1:4] for at in self.points.values() if at["of"] in ("component", "analogue")})
        return tuple(
            Part(25, address.to_bytes(4, "little"), "", system, system_address)
            for system, system_address, address in things
        )


class Transmitter:
    """One device that calls."""

    def __init__(
        self, device: str, things: Things, uitd: Uitd, transport: str, world: Field, log: Log, random: Random
    ) -> None:
        self.device = device
        self.uitd = uitd
        self._things, self._udp = things, transport == "udp"
        self._world, self._log, self._random = world, log, random
        self._address: tuple[str, int] | None = None
        self._changed_server = asyncio.Event()
        self._told: dict[Thing, int] = {}
        self._duty_checks = 0
        self._enter(things.states(world.values(device)), tell=False)
        world.watchers.append(self._changed)

    def call(self, host: str, port: int) -> None:
        """Whom to call from now on; it does so at once."""
        self._address = (host, port)
        self._changed_server.set()

    async def run(self) -> None:
        """Call and talk for ever."""
        while True:
            if self._address is None:
                await self._changed_server.wait()
            self._changed_server.clear()
            with contextlib.suppress(OSError):
                await (self._over_udp() if self._udp else self._over_tcp())
            self.uitd.hung_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_AGAIN_S):
                    await self._changed_server.wait()

    def _changed(self, device: str) -> None:
        if device == self.device:
            self._enter(self._things.states(self._world.values(device)), tell=True)

    def _enter(self, states: Mapping[Thing, int], *, tell: bool) -> None:
        """New states; the device uploads those that changed."""
        for key, state in states.items():
            if self._told.get(key) != state:
                self._told[key] = state
                self._hold(key, state)
                if tell:
                    self._upload(key, state)

    def _hold(self, key: Thing, state: int) -> None:
        kind, system, address, part, analogue = key
        component = part.to_bytes(4, "little")
        if kind == "device":
            self.uitd.state = state
        elif kind == "system":
            self.uitd.systems[system, address] = state
        elif kind == "component":
            self.uitd.states[component] = state
        else:
            self.uitd.values[system, address, component, analogue] = state

    def _upload(self, key: Thing, state: int) -> None:
        kind, system, address, part, analogue = key
        component = part.to_bytes(4, "little")
        if kind == "device":
            self.uitd.change_own(state)
        elif kind == "system":
            self.uitd.change_system(state, system, address)
        elif kind == "component":
            where = (system, address, component)
            owner = next(one for one in self.uitd.parts if (one.system, one.system_address, one.address) == where)
            self.uitd.change(owner, state)
        else:
            self.uitd.change_value((system, address, component, analogue), state)

    # -- talking -------------------------------------------------------------------------------------------------------

    async def _over_tcp(self) -> None:
        assert self._address is not None
        reader, writer = await asyncio.open_connection(*self._address)

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            await self._talk(lambda: reader.read(4096), send)
        finally:
            writer.transport.abort()

    async def _over_udp(self) -> None:
        assert self._address is not None
        inbox = _Inbox()
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: inbox, remote_addr=self._address
        )

        async def send(data: bytes) -> None:
            for frame in _frames(data):
                transport.sendto(frame)

        try:
            await self._talk(inbox.queue.get, send)
        finally:
            transport.abort()

    async def _talk(self, read: Callable[[], Any], send: Callable[[bytes], Any]) -> None:
        """Until the other side is gone, or another one is to be called."""
        loop = asyncio.get_running_loop()
        reading = asyncio.ensure_future(read())
        try:
            while not self._changed_server.is_set():
                await asyncio.wait((reading,), timeout=STEP_S)
                heard = b""
                if reading.done():
                    heard = reading.result()
                    if not heard:
                        return
                    reading = asyncio.ensure_future(read())
                if self._world.fault(self.device).what is What.SILENT:
                    continue
                await self._say(self.uitd.receive(heard, loop.time()) if heard else self.uitd.step(loop.time()), send)
        finally:
            reading.cancel()

    async def _say(self, data: bytes, send: Callable[[bytes], Any]) -> None:
        for minutes in self.uitd.duty_checks[self._duty_checks :]:
            self._log.write("duty_check", device=self.device, minutes=minutes)
        self._duty_checks = len(self.uitd.duty_checks)
        if not data:
            return
        fault = self._world.fault(self.device)
        for pause_s, piece in distort(fault, in_stream(fault, b"", self._random) + data, self._random):
            if pause_s:
                await asyncio.sleep(pause_s)
            await send(piece)


def _frames(data: bytes) -> list[bytes]:
    """One datagram a frame; what is no frame stays together."""
    frames = []
    while len(data) >= 30 and data.startswith(b"@@"):
        size = 30 + int.from_bytes(data[24:26], "little")
        frames.append(data[:size])
        data = data[size:]
    return [*frames, data] if data else frames


class _Inbox(asyncio.DatagramProtocol):  # asyncio's own base class: its default methods, nothing of ours
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.queue.put_nowait(data)
