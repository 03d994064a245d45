"""A UDP port on which devices send: one driver generator for each address and port that speaks.

Guarantees
* The same driver contract, bounds and silence as over TCP (`voices`, `listener`): callers, bytes a second each, time
  without a word. A datagram beyond a caller's share is dropped and counted, and that of a new address while strangers have
  had theirs, but for one a second from each host; the device sends it again.
* A bug in a driver ends that caller's conversation and goes to the guard; its next datagram begins a new one.
* One answer at most goes out for what came in, to where it came from, never to an address that only a frame names;
  what the socket does not take at once is dropped: every answer here is worth repeating.

A copy of a datagram is the driver's matter: it may mean something else in each protocol. Who sends is not proved: use
`allow`, and keep the port away from the internet.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

from drivers.contract import Conversation, Event, Listen, Received, Tell
from gateway.clock import Clock, housekeeping
from gateway.errors import BusError
from gateway.field.listener import BIND_AGAIN_S, KNOWN_IDLE_S, STRANGER_IDLE_S
from gateway.field.timer import Deadline as Alarm
from gateway.field.voices import NOT_CONNECTED, Caller, Voices, Written, at_once, last_to_go
from gateway.model import BusSpec, Deadline, Device, Scan, Text
from gateway.restart import Guard

MOST_PEERS = 256
"""At least; twice the site's devices if that is more."""
LONGEST_DATAGRAM_BYTES = 2048
"""What is longer is no frame of any protocol here; it is dropped and counted."""
MOST_AT_ONCE = 64
"""Datagrams that are read before others have their turn on the loop."""


@dataclass(slots=True, eq=False)
class _Peer:
    """One address and port."""

    address: tuple[str | int, ...]
    caller: Caller
    conversation: Conversation
    until: float = inf
    """When its driver wants to be woken."""


class Datagrams:
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
        self._most = max(MOST_PEERS, 2 * len(devices))
        self._voices = Voices(spec, devices, clock, take)
        self._peers: dict[tuple[str | int, ...], _Peer] = {}
        self._hosts: dict[str, float] = {}
        """When each was let in although there was a crowd."""
        self._alarm = Alarm(clock, self._wake)
        self._socket: socket.socket | None = None
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
        bind_at = self._clock.monotonic()
        self._voices.begin()
        try:
            while True:
                now = self.progress = self._clock.monotonic()
                if self._socket is None and now >= bind_at:
                    await self._bind()
                    bind_at = now + BIND_AGAIN_S
                self._forget(now)
                wake_at = self._voices.tell_silence(now, up=bool(self.port))
                await self._clock.sleep_until(min(wake_at, housekeeping(now)))
        finally:
            self._alarm.close()
            for peer in list(self._peers.values()):
                self._end(peer)
            self._shut("closed")

    def status(self) -> dict[str, object]:
        return {
            "up": bool(self.port),
            "port": self.port,
            "why": "" if self.port else self._why,
            "peers": len(self._peers),
            **self._voices.status(),
        }

    def heard(self) -> list[dict[str, object]]:
        return self._voices.heard()

    def tell(self, device: str, what: str, amount: float) -> Text | None:
        """Give a person's command to the driver of the device's caller; returns why that cannot be."""
        caller = self._voices.caller_of(device)
        peer = next((peer for peer in self._peers.values() if peer.caller is caller), None)
        if peer is None:
            return NOT_CONNECTED
        self._converse(peer, Tell(device, what, amount, self._clock.monotonic()))
        return None

    # -- the socket ----------------------------------------------------------------------------------------------------

    async def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.getaddrinfo(self._spec.host, self._spec.tcp_port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = infos[0]
            opened = socket.socket(family, kind, protocol)
        except OSError as error:
            self._why = str(error)
            return
        try:
            opened.setblocking(False)
            opened.bind(address)
        except OSError as error:
            opened.close()
            self._why = str(error)
            return
        self._socket, self.port = opened, opened.getsockname()[1]
        loop.add_reader(opened, self._readable)

    def _shut(self, why: str) -> None:
        self._why, self.port = why, 0
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if self._socket is None:
                return
            try:
                data, address = self._socket.recvfrom(LONGEST_DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self._shut(str(error))  # opened again by `run`
                return
            self._received(data, address)

    def _received(self, data: bytes, address: tuple[str | int, ...]) -> None:
        now = self._clock.monotonic()
        if not self._voices.allows(str(address[0])):
            self.counts["not_allowed"] += 1
            return
        if len(data) > LONGEST_DATAGRAM_BYTES or (
            address not in self._peers and not self._let_in(str(address[0]), now)
        ):
            self.counts["dropped"] += 1
            return
        peer = self._peers.get(address) or self._meet(address, now)
        if peer is None:
            self.counts["refused"] += 1
            return
        if peer.caller.free_at > now:
            self.counts["dropped"] += 1
            return
        self._voices.spend(peer.caller, len(data), now)
        self._converse(peer, Received(data, now, self._clock.wall() if self._clock.trusted() else None))

    # -- those who speak -----------------------------------------------------------------------------------------------

    def _let_in(self, host: str, now: float) -> bool:
        """Whether one who is not known yet has a turn: each host has one a second, however many the others send."""
        if not self._voices.crowded(now):
            return True
        if len(self._hosts) >= self._most:
            self._hosts = {host: at for host, at in self._hosts.items() if now - at < 1.0}
        if now - self._hosts.get(host, -inf) < 1.0 or len(self._hosts) >= self._most:
            return False
        self._hosts[host] = now
        return True

    def _meet(self, address: tuple[str | int, ...], now: float) -> _Peer | None:
        if len(self._peers) >= self._most:
            goes = last_to_go(peer.caller for peer in self._peers.values())
            if goes is None:
                return None
            self._end(next(peer for peer in self._peers.values() if peer.caller is goes))
            self.counts["put_out"] += 1
        self.counts["calls"] += 1
        caller = Caller(":".join(map(str, address[:2])), now)
        peer = self._peers[address] = _Peer(address, caller, self._listen(self._by_address))
        self._converse(peer, None)
        return self._peers.get(address)

    def _converse(self, peer: _Peer, event: Event | None) -> None:
        """One event to the driver. What it raises is its own end."""

        def write(data: bytes) -> None:
            try:
                if self._socket is not None:
                    self._socket.sendto(data, peer.address)
            except OSError:  # full, or nobody can be reached there
                self.counts["not_sent"] += 1

        def send(data: bytes) -> bool:
            self._written(partial(write, data))
            return True

        def converse() -> bool:
            wait = self._voices.converse(peer.conversation, event, peer.caller, send)
            if wait is not None:
                peer.until = inf if wait.until is None else wait.until
            return wait is not None

        try:
            goes_on = self._guard.call(f"listen {self._spec.id}", converse)
        except BusError:
            self.counts["broken_off"] += 1
            goes_on = False
        if not goes_on:
            self._end(peer)
        self._set_alarm()

    def _end(self, peer: _Peer) -> None:
        del self._peers[peer.address]
        self._voices.left(peer.caller)
        peer.conversation.close()

    def _set_alarm(self) -> None:
        until = min((peer.until for peer in self._peers.values()), default=inf)
        if until < inf:
            self._alarm.set(until)
        else:
            self._alarm.clear()

    def _wake(self) -> None:
        now = self._clock.monotonic()
        for peer in [peer for peer in self._peers.values() if peer.until <= now]:
            self._converse(peer, Deadline(peer.until))
        self._set_alarm()

    def _forget(self, now: float) -> None:
        """Those that have said nothing for too long."""
        for peer in list(self._peers.values()):
            known_s = max(KNOWN_IDLE_S, 2 * self._spec.longest_silence_s)
            if now >= peer.caller.last + (known_s if peer.caller.heard else STRANGER_IDLE_S):
                self.counts["idle"] += 1
                self._end(peer)
