"""What a wire is given and what it tells: the seams that let the fault tests put a line in virtual time in their place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gateway.errors import BusError


class Ends(Protocol):
    """An open port: `gateway.field.port.Port`, or a line in a test."""

    def read(self) -> bytes:
        """What can be read now, at most a page of it; empty when there is nothing. Raises OSError on a hang-up."""

    def write(self, data: bytes) -> int:
        """How many bytes were taken. Raises OSError when the port is lost."""

    def listen(self, callback: Callable[[], None] | None) -> None:
        """Call when there is something to read; None: no longer."""

    def close(self) -> None: ...

    @property
    def modes(self) -> tuple[str, ...]:
        """What the port can do beyond the ordinary and was set to."""


class Silences(Protocol):
    """A timer for the silences of a serial line: `gateway.field.timer.PreciseTimer`, or a `Deadline`."""

    def set(self, at: float) -> None: ...
    def close(self) -> None: ...


class State(Enum):
    CLOSED = "closed"
    QUIET = "quiet"
    """Open, no request out; a request may be waiting for the silence before it."""
    DRAINING = "draining"
    ASKED = "asked"


@dataclass(slots=True)
class Counters:
    requests: int = 0
    replies: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    stray_bytes: int = 0
    """Arrived while nobody had asked."""
    early_bytes: int = 0
    """Must have begun while the request was still leaving, so they cannot be its answer."""
    drains: int = 0
    babbles: int = 0
    openings: int = 0
    losses: int = 0
    second_answers: int = 0
    """Whole answers to a request that had its answer: two devices for one address."""


@dataclass(frozen=True, slots=True)
class Tells:
    """What a wire says of itself. `answered` and `failed` end the exchange that was asked, and may ask the next."""

    answered: Callable[[bytes, float], None]
    failed: Callable[[BusError], None]
    lost: Callable[[str], None]
    """The port is being closed; why."""
    within: AbstractContextManager[object]
    """Around everything that bytes and timers start: a driver's bug must not end in the loop."""
    twice: Callable[[int | str], None]
    """A second device answers for this address."""
