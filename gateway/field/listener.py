"""A TCP port on which terminals call us: one driver generator a connection, and a sample for each that keeps silent.

Guarantees
* No connection harms another: connections, bytes a second, bytes waiting to be sent and time without a word are bounded.
  When the table is full, the caller that was never known and is silent longest goes first; a known one is never put out.
* Silence is a sample: a device unheard for `longest_silence_s` (else three of its group's periods) gives a scan of BAD
  points, NOT_RESPONDING, in each of its periods; if the port cannot be bound, LINE_DOWN.
* A bug in a driver closes its own connection and goes to the guard. A `BusError` closes the connection, counted.

It does not encrypt and knows no one by more than what the frames say; it must not face the internet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from drivers.contract import Heard, Listen, Received, Send, Stranger, Wait
from gateway.clock import Clock
from gateway.errors import BusError
from gateway.model import BusSpec, Deadline, Device, Quality, Scan
from gateway.restart import Guard
from gateway.schedule import after

Conversation = Generator[Send | Heard | Stranger | Wait, Received | Deadline | None, None]

MOST_CONNECTIONS = 256
LONGEST_READ_BYTES = 4096
MOST_BYTES_A_SECOND = 64 * 1024
FEWEST_BYTES = 256
"""A read counts as at least so many: who sends single bytes takes more of the loop than who sends pages."""
MOST_UNSENT_BYTES = 16 * 1024
MOST_STEPS = 10_000
"""A conversation that does this much on one event without waiting never ends: a bug of its driver."""
STRANGER_IDLE_S = 30.0
KNOWN_IDLE_S = 600.0
"""At least; twice the longest silence if that is more. A terminal that was cut off calls again."""
MOST_STRANGERS = 64
LONGEST_SLEEP_S = 1.0
BIND_AGAIN_S = 2.0


@dataclass(slots=True)
class _Caller:
    peer: str
    task: asyncio.Task[None]
    last: float
    """When it last said something."""
    free_at: float = 0.0
    """It may say the next thing then: its share of the loop is bounded."""
    known: bool = False
    """Whether a device of the site was heard on it."""


@dataclass(slots=True)
class _Voice:
    """One group of one device."""

    device: Device
    group: int
    silence_s: float
    heard_at: float
    sample_at: float = 0.0
    scans: int = 0


class Listener:
    """`run` never ends. `take` gets every scan, on the loop."""

    def __init__(
        self,
        spec: BusSpec,
        devices: Sequence[Device],
        listen: Listen,
        clock: Clock,
        take: Callable[[Scan], None],
        guard: Guard,
    ) -> None:
        self._spec = spec
        self._listen = listen
        self._clock = clock
        self._take = take
        self._guard = guard
        self._by_address = {str(device.address): device for device in devices}
        self._callers: dict[asyncio.Task[None], _Caller] = {}
        now = clock.monotonic()
        self._voices = {
            (device.id, index): _Voice(device, index, spec.longest_silence_s or 3 * group.period_s, now)
            for device in devices
            for index, group in enumerate(device.groups)
            if group.points
        }
        self._why = "not opened yet"
        self.port = 0
        """The port that is bound, once it is (for a spec that leaves the choice to the system)."""
        self.strangers: Counter[str] = Counter()
        """Addresses that no device of the site has: frames heard. Bounded: the rarest is forgotten."""
        self.counts: Counter[str] = Counter()
        self.progress = now

    async def run(self) -> None:
        server: asyncio.Server | None = None
        bind_at = now = self._clock.monotonic()
        for voice in self._voices.values():  # silence while nobody listened is not theirs
            voice.heard_at = max(voice.heard_at, now)
        try:
            while True:
                now = self.progress = self._clock.monotonic()
                if server is None and now >= bind_at:
                    server = await self._bind()
                    bind_at = now + BIND_AGAIN_S
                wake_at = self._tell_silence(now)
                await self._clock.sleep_until(min(wake_at, now + LONGEST_SLEEP_S))
        finally:
            if server is not None:
                server.close()
            self.port = 0
            callers = list(self._callers)
            for task in callers:
                task.cancel()
            if callers:
                await asyncio.wait(callers)

    def status(self) -> dict[str, object]:
        devices = {
            f"{voice.device.id}": {
                "heard_s_ago": round(self._clock.monotonic() - voice.heard_at, 1),
                "scans": voice.scans,
            }
            for voice in self._voices.values()
            if voice.scans
        }
        return {
            "up": bool(self.port),
            "why": "" if self.port else self._why,
            "connections": len(self._callers),
            "devices": devices,
            "strangers": dict(self.strangers),
            **self.counts,
        }

    async def _bind(self) -> asyncio.Server | None:
        try:
            server = await asyncio.start_server(
                self._called, self._spec.host, self._spec.tcp_port, limit=LONGEST_READ_BYTES, backlog=64
            )
        except OSError as error:
            self._why = str(error)
            return None
        self.port = server.sockets[0].getsockname()[1]
        return server

    # -- silence -------------------------------------------------------------------------------------------------------

    def _tell_silence(self, now: float) -> float:
        """A scan for each group whose silence is too long in this period. Returns when to look again."""
        wake_at = inf
        for voice in self._voices.values():
            silent_at = voice.heard_at + voice.silence_s if self.port else now
            due = max(silent_at, voice.sample_at)
            if due <= now:
                group = voice.device.groups[voice.group]
                count = len(group.points)
                quality = Quality.NOT_RESPONDING if self.port else Quality.LINE_DOWN
                self._take(Scan(voice.device.id, voice.group, now, (None,) * count, bytes((quality,)) * count))
                due = voice.sample_at = after(now, group.period_s)
            wake_at = min(wake_at, due)
        return wake_at

    def _hear(self, scan: Scan) -> None:
        voice = self._voices[scan.device, scan.group]
        count = len(voice.device.groups[scan.group].points)
        if (len(scan.values), len(scan.qualities)) != (count, count):
            raise ValueError(f"{scan.device}: the scan is not of its group")
        voice.heard_at = self._clock.monotonic()
        voice.scans += 1
        self._take(scan)

    # -- connections ---------------------------------------------------------------------------------------------------

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = ":".join(map(str, (writer.get_extra_info("peername") or ("?",))[:2]))
        if not self._make_room():
            self.counts["refused"] += 1
            writer.transport.abort()
            return
        self.counts["calls"] += 1
        caller = self._callers[task] = _Caller(peer, task, self._clock.monotonic())
        try:
            with suppress(
                asyncio.CancelledError
            ):  # put out, or the end: the task ends here, and 3.11's streams log the rest
                await self._guard.wait(f"listen {self._spec.id}", self._serve(caller, reader, writer))
        finally:
            del self._callers[task]
            writer.transport.abort()

    def _make_room(self) -> bool:
        if len(self._callers) < MOST_CONNECTIONS:
            return True
        strangers = [caller for caller in self._callers.values() if not caller.known]
        if not strangers:
            return False
        quietest = min(strangers, key=lambda caller: caller.last)
        quietest.task.cancel()
        self.counts["put_out"] += 1
        return True

    async def _serve(self, caller: _Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self._listen(self._by_address)
        event: Received | Deadline | None = None
        try:
            while (wait := self._converse(conversation, event, caller, writer)) is not None:
                event = await self._next(wait, caller, reader)
                if event is None:
                    return
        except BusError:
            self.counts["broken_off"] += 1
        finally:
            conversation.close()

    def _converse(
        self,
        conversation: Conversation,
        event: Received | Deadline | None,
        caller: _Caller,
        writer: asyncio.StreamWriter,
    ) -> Wait | None:
        """Let the driver act on `event` until it waits for the next; None: it is done with this connection."""
        for _ in range(MOST_STEPS):
            try:
                step = conversation.send(event)
            except StopIteration:
                return None
            event = None
            match step:
                case Wait():
                    return step
                case Heard():
                    caller.known = True
                    self._hear(step.scan)
                case Stranger():
                    self._meet(step.address)
                case Send():
                    writer.write(step.data)
                    if writer.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
                        self.counts["does_not_read"] += 1
                        return None
        raise RuntimeError(f"a conversation on {self._spec.id} never waits")

    def _meet(self, address: str) -> None:
        self.counts["stranger_frames"] += 1
        if address not in self.strangers and len(self.strangers) >= MOST_STRANGERS:
            del self.strangers[min(self.strangers, key=lambda known: self.strangers[known])]
        self.strangers[address] += 1

    async def _next(self, wait: Wait, caller: _Caller, reader: asyncio.StreamReader) -> Received | Deadline | None:
        """What comes next; None: the other side is gone or has said nothing for too long."""
        idle_s = max(KNOWN_IDLE_S, 2 * self._spec.longest_silence_s) if caller.known else STRANGER_IDLE_S
        idle_at = caller.last + idle_s
        until = idle_at if wait.until is None else min(idle_at, wait.until)
        if caller.free_at > self._clock.monotonic():
            await self._clock.sleep_until(caller.free_at)  # the peer's window closes meanwhile
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                data = await reader.read(LONGEST_READ_BYTES)
        except TimeoutError:
            if until < idle_at:
                return Deadline(until)
            self.counts["idle"] += 1
            return None
        except OSError:
            data = b""
        if not data:
            return None
        now = self._clock.monotonic()
        caller.last = now
        caller.free_at = max(caller.free_at, now - 1.0) + max(len(data), FEWEST_BYTES) / MOST_BYTES_A_SECOND
        return Received(data, now)
