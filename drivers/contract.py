"""What a driver is: pure code that turns bytes into samples. This page is the whole contract.

A driver that **asks** is a generator: it yields an `Exchange`, is sent the `Reply`, and returns the `Scan`. It reads like
blocking code, needs no base class, and is tested from a list of replies. `BusError` is thrown into it when no reply came;
it raises `BusError` itself for a reply that it does not trust (the bus then drains the line before the next request).

A driver that is **spoken to** is a generator over events: it yields `Send`, `Heard` or `Wait`; only a `Wait` is answered,
with the next `Received`, with `Deadline`, or with a `Tell`. One generator serves one connection, from its opening to its
end; over UDP, all datagrams of one address and port.

Drivers import no asyncio, socket, serial, time, random or logging: time comes in as `Reply.at` and `Received.at`, and the
time of day, where it can be trusted, as `Received.wall`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model import BusKind, Deadline, Device, Group, Point, Scan, Text

Framing = Callable[[bytes | bytearray], int]
"""How long is the reply that starts with these bytes? The total length as far as it can be known now (at least 1);
complete once that many bytes are there. Raises `BusError` (BAD_FRAME) when these bytes can begin no reply to the request.
Never looks beyond its own reply."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how to know its reply. The bus owns silence, draining and time-outs."""

    request: bytes
    framing: Framing
    mine: Callable[[bytes], bool] | None = None
    """TCP: is this complete frame the reply to this request (transaction id)? Others are dropped and waiting goes on."""
    timeout_s: float | None = None
    """Longest wait for the complete reply; None takes the bus's own."""
    settle_s: float = 0.0
    """Pause that the device needs after its reply before it hears again."""
    address: int | str | None = None
    """On a line: who is asked, as the site file says it..."""
    sound: Callable[[bytes], bool] | None = None
    """...and whether a whole frame (by `framing`) would be an answer to trust. With both, a second answer is found out."""
    noise_bytes: int = 0
    """So many bytes that can begin no reply are thrown away before one: transceivers make a byte or two when they turn
    round. Only for protocols whose checksum sees a frame that was shifted by that (not for a one-byte sum)."""


@dataclass(frozen=True, slots=True)
class Reply:
    data: bytes
    at: float
    """Monotonic seconds at which the last byte was there."""


Poll = Callable[[int], Generator[Exchange, Reply, Scan]]
"""``poll(group)`` reads one group of the device that was given to `Driver.open`."""


Switch = Callable[[bool], Generator[Exchange, Reply, bool]]
"""``switch(on)`` sets one output of a device and reads it back; True when it is so. BusError when it is not, or not known."""


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """A device told us its values."""

    scan: Scan


@dataclass(frozen=True, slots=True)
class Stranger:
    """A well-formed frame from an address that no device of the site has; counted and shown, never a sample."""

    address: str


@dataclass(frozen=True, slots=True)
class Spoke:
    """Who said what of which thing, for people (`gengfu discover`); never a sample."""

    caller: str
    """The address in the frame, as the site file would say it."""
    known: bool
    about: tuple[tuple[str, str | int], ...]
    """The thing, in the words of the driver's `At` and its own; empty for the caller itself."""
    says: Text


@dataclass(frozen=True, slots=True)
class Wait:
    """Give me what comes next; `until` (monotonic) asks for a `Deadline` if nothing does."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    data: bytes
    at: float
    wall: float | None = None
    """UTC seconds since 1970 at `at`; None while the gateway's clock cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Tell:
    """A person wants something of a device that was last heard on this connection; `what` is one of `Driver.tells`."""

    device: str
    what: str
    amount: float
    at: float


Said = Send | Heard | Stranger | Spoke | Wait
Event = Received | Deadline | Tell
Conversation = Generator[Said, Event | None, None]
Listen = Callable[[Mapping[str, Device]], Conversation]
"""``listen(devices by address)`` serves one connection. Returning closes it."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One row of `drivers.DRIVERS`."""

    at: type
    """Frozen dataclass: what a template's point says under ``at:`` (validated by `gateway.config`)."""
    options: type
    """Frozen dataclass: what a template or device says under ``options:``."""
    buses: frozenset[BusKind]
    open: Callable[[Device, BusKind], Poll] | None = None
    """For drivers that ask. The returned closure may remember what it learnt of the device (refused ranges)."""
    listen: Listen | None = None
    open_port: Callable[[], Listen] | None = None
    """A `listen` whose connections share what they know of the devices: one that calls again is not a new one."""
    tells: frozenset[str] = frozenset()
    """What a `Tell` may ask for."""
    grow: Callable[[str, Any, Mapping[str, float]], tuple[Group, ...]] | None = None
    """Groups that a device's options ask for, behind those of its template: ``grow(device id, options, period by group)``."""
    late_s: Callable[[Device], float] | None = None
    """How long after its period a device that calls may still answer and be well (repetitions)."""
    check: Callable[[Device], list[tuple[str, str]]] | None = None
    """Mistakes that only the driver can see (a bit outside its register...): (dotted path below the device, what)."""
    switch: Callable[[Device, BusKind, Point], Switch] | None = None
    """For drivers that can set an output: ``switch(device, bus, point)``. Only a point that its template declares as an
    output (`Point.output`) and that the site file names is ever switched; nothing else is written by the gateway."""
    exchanges: Callable[[Device, BusKind], list[list[tuple[int, int]]]] | None = None
    """For ``gengfu check``: by group, request and reply bytes of each exchange of a poll that goes well. Without it the
    first exchange of each group is taken for all."""
