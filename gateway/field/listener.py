"""A TCP port on which terminals call us: one driver generator a connection.

Guarantees
* No connection harms another: connections, bytes a second, bytes waiting to be sent and time without a word are bounded.
  When the table is full, a caller without a device of the site goes first; a device's own caller is never put out, and
  it stays the device's until the device is heard on another one (`voices`).
* A bug in a driver closes its own connection and goes to the guard. A `BusError` closes the connection, counted.
* What is answered waits until what was heard is on the disk (`Written`): a fire that was confirmed cannot be lost any more.
* Silence is a sample: `voices`.

It does not encrypt and knows no one by more than what the frames say and where they come from (`allow`); it must not face
the internet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from drivers.contract import Conversation, Event, Listen, Received, Tell, Wait
from gateway.clock import Clock, housekeeping
from gateway.errors import BusError
from gateway.field.voices import NOT_CONNECTED, Caller, Voices, Written, at_once, last_to_go
from gateway.model import BusSpec, Deadline, Device, Scan, Text
from gateway.restart import Guard

MOST_CONNECTIONS = 256
"""At least; twice the site's devices if that is more."""
LONGEST_READ_BYTES = 2048
MOST_UNSENT_BYTES = 16 * 1024
STRANGER_IDLE_S = 30.0
KNOWN_IDLE_S = 600.0
"""At least; twice the longest silence if that is more. A terminal that was cut off calls again."""
BIND_AGAIN_S = 2.0


TURNS_TO_TAKE_A_CALL = 4
"""Of the loop, from the kernel's word that somebody calls to the first step of `_called`."""


async def _shut(server: asyncio.Server) -> None:
    """Take no more calls; those that are being taken are there, to be ended with the others, before the server is closed.

    CPython forgets the socket of a call that is being taken at that moment (its issue 109564): the caller would hold a line
    on which no one listens.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each.fileno())
    try:
        for _ in range(TURNS_TO_TAKE_A_CALL):
            await asyncio.sleep(0)
    finally:  # also where it is told to end once more
        server.close()


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
        written: Written = at_once,
    ) -> None:
        self._spec = spec
        self._written = written
        self._listen = listen
        self._clock = clock
        self._guard = guard
        self._by_address = {str(device.address): device for device in devices}
        self._most = max(MOST_CONNECTIONS, 2 * len(devices))
        self._voices = Voices(spec, devices, clock, take)
        self._callers: dict[asyncio.Task[None], Caller] = {}
        self._naps: dict[Caller, asyncio.Timeout] = {}
        """Those that wait for their caller; a person's command ends the wait."""
        self._why = "not opened yet"
        self.port = 0
        """The port that is bound, once it is (for a spec that leaves the choice to the system)."""
        self.progress = clock.monotonic()

    @property
    def strangers(self) -> Counter[str]:
        return self._voices.strangers

    @property
    def counts(self) -> Counter[str]:
        return self._voices.counts

    async def run(self) -> None:
        server: asyncio.Server | None = None
        bind_at = self._clock.monotonic()
        self._voices.begin()
        try:
            while True:
                now = self.progress = self._clock.monotonic()
                if server is None and now >= bind_at:
                    server = await self._bind()
                    bind_at = now + BIND_AGAIN_S
                wake_at = self._voices.tell_silence(now, up=bool(self.port))
                await self._clock.sleep_until(min(wake_at, housekeeping(now)))
        finally:
            try:
                if server is not None:
                    await _shut(server)
            finally:
                self.port = 0
                callers = list(self._callers)
                for task in callers:
                    task.cancel()
                if callers:
                    await asyncio.wait(callers)

    def status(self) -> dict[str, object]:
        return {
            "up": bool(self.port),
            "port": self.port,
            "why": "" if self.port else self._why,
            "connections": len(self._callers),
            **self._voices.status(),
        }

    def heard(self) -> list[dict[str, object]]:
        return self._voices.heard()

    def tell(self, device: str, what: str, amount: float) -> Text | None:
        """Give a person's command to the driver of the device's caller; returns why that cannot be."""
        caller = self._voices.caller_of(device)
        if caller is None:
            return NOT_CONNECTED
        caller.told.append(Tell(device, what, amount, self._clock.monotonic()))
        nap = self._naps.get(caller)
        if nap and not nap.expired():
            nap.reschedule(asyncio.get_running_loop().time())
        return None

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

    # -- connections ---------------------------------------------------------------------------------------------------

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        name = (writer.get_extra_info("peername") or ("?",))[:2]
        if not self._voices.allows(str(name[0])):
            self.counts["not_allowed"] += 1
            writer.transport.abort()
            return
        if not self._make_room():
            self.counts["refused"] += 1
            writer.transport.abort()
            return
        self.counts["calls"] += 1
        caller = self._callers[task] = Caller(":".join(map(str, name)), self._clock.monotonic())
        try:
            with suppress(
                asyncio.CancelledError
            ):  # put out, or the end: the task ends here, and 3.11's streams log the rest
                await self._guard.wait(f"listen {self._spec.id}", self._serve(caller, reader, writer))
        finally:
            del self._callers[task]
            self._voices.left(caller)
            writer.transport.abort()

    def _make_room(self) -> bool:
        if len(self._callers) < self._most:
            return True
        goes = last_to_go(self._callers.values())
        for task, caller in self._callers.items():
            if caller is goes:
                task.cancel()
                self.counts["put_out"] += 1
                return True
        return False

    async def _serve(self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation: Conversation = self._listen(self._by_address)
        event: Event | None = None

        def write(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        def send(data: bytes) -> bool:
            self._written(partial(write, data))
            return writer.transport.get_write_buffer_size() <= MOST_UNSENT_BYTES

        try:
            while (wait := self._voices.converse(conversation, event, caller, send)) is not None:
                event = await self._next(wait, caller, reader)
                if event is None:
                    return
        except BusError:
            self.counts["broken_off"] += 1
        finally:
            conversation.close()

    async def _next(self, wait: Wait, caller: Caller, reader: asyncio.StreamReader) -> Event | None:
        """What comes next; None: the other side is gone or has said nothing for too long."""
        idle_s = max(KNOWN_IDLE_S, 2 * self._spec.longest_silence_s) if caller.heard else STRANGER_IDLE_S
        idle_at = caller.last + idle_s
        until = idle_at if wait.until is None else min(idle_at, wait.until)
        if caller.free_at > self._clock.monotonic():
            await self._clock.sleep_until(caller.free_at)  # the peer's window closes meanwhile
        if caller.told:
            return caller.told.popleft()
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())) as self._naps[caller]:
                data = await reader.read(LONGEST_READ_BYTES)
        except TimeoutError:
            if caller.told:
                return caller.told.popleft()
            if until < idle_at:
                return Deadline(until)
            self.counts["idle"] += 1
            return None
        except OSError:
            data = b""
        finally:
            del self._naps[caller]
        if not data:
            return None
        now = self._clock.monotonic()
        self._voices.spend(caller, len(data), now)
        return Received(data, now, self._clock.wall() if self._clock.trusted() else None)
