"""The last step to a lamp, sounder or key: a relay on a bus, or a line of a GPIO chip.

Guarantees
* `set` never waits. A relay is switched by an exchange that goes before all others of its line and is read back; what was
  wanted meanwhile follows at once. A GPIO line is set within the call.
* What failed is tried again with growing pauses, `PAUSES_S`, so that a dead relay costs its line little; something new
  to show is tried at once. `renew` sets it again although it should be so: a relay that lost its power is right again.
* It `fails` from the second failure in a row, or when an exchange has not ended for `STUCK_S`, until one succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from math import inf
from typing import Protocol

from drivers.contract import Exchange, Reply, Switch
from gateway.annunciator import Line
from gateway.button import FRAMES, Button
from gateway.clock import Clock, Timer
from gateway.errors import BusError
from gateway.field.gpio import Pin

PAUSES_S = (0.1, 1.0, 2.0, 4.0, 8.0, 10.0)
STUCK_S = 5.0
FRAME_S = 0.05
"""Between two looks at a key on a GPIO line."""

Hurry = Callable[[Generator[Exchange, Reply, bool]], "asyncio.Future[bool]"]
"""`gateway.poller.Poller.hurry`."""


class Take(Protocol):
    """`gateway.field.gpio.take`."""

    def __call__(self, line: Line, *, output: bool) -> Pin: ...


class End(Protocol):
    """An output's."""

    def set(self, on: bool, *, new: bool = False) -> None: ...
    def renew(self) -> None: ...
    def settled(self) -> bool: ...
    def release(self) -> None:
        """The last that is asked of it: off, and no more."""

    def status(self) -> dict[str, object]: ...


class Failures:
    """How something that is tried again and again is doing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.count = 0
        self.row = 0
        self.error = ""
        self.retry_at = -inf

    def failed(self, error: str) -> None:
        self.retry_at = self._clock.monotonic() + PAUSES_S[min(self.row, len(PAUSES_S) - 1)]
        self.count += 1
        self.row += 1
        self.error = error[:200]

    def works(self) -> None:
        self.row, self.error, self.retry_at = 0, "", -inf

    @property
    def fails(self) -> bool:
        return self.row >= 2

    def waits(self) -> bool:
        return self._clock.monotonic() < self.retry_at


class Relay:
    """A coil of a device."""

    def __init__(self, switch: Switch, hurry: Hurry, clock: Clock) -> None:
        self._switch, self._hurry, self._clock = switch, hurry, clock
        self._failures = Failures(clock)
        self._timer: Timer | None = None
        self._asked_at: float | None = None
        self._released = False
        self._want = False
        self.known: bool | None = None
        """As it was read back; None: not known."""
        self.writes = 0

    def set(self, on: bool, *, new: bool = False) -> None:
        self._want = on
        if new:
            self._failures.retry_at = -inf
        self._go()

    def renew(self) -> None:
        self.known = None
        self._go()

    def settled(self) -> bool:
        return self.known is self._want

    def release(self) -> None:
        self.set(False, new=True)
        self._released = True
        if self._timer:
            self._timer.cancel()

    def status(self) -> dict[str, object]:
        stuck = self._asked_at is not None and self._clock.monotonic() - self._asked_at > STUCK_S
        return {
            "on": self._want,
            "failing": self._failures.fails or stuck,
            "error": "the line does not answer" if stuck else self._failures.error,
            "writes": self.writes,
            "failures": self._failures.count,
        }

    def _go(self) -> None:
        if self._asked_at is not None or self.known is self._want or self._failures.waits():
            return
        self._asked_at = self._clock.monotonic()
        self.writes += 1
        self._hurry(self._switch(self._want)).add_done_callback(partial(self._done, self._want))

    def _done(self, asked: bool, future: asyncio.Future[bool]) -> None:
        self._asked_at = None
        if error := _why_not(future):
            self.known = None
            self._failures.failed(error)
            if self._released:
                return
            if self._timer:
                self._timer.cancel()
            self._timer = self._clock.call_at(self._failures.retry_at, self._go)
        else:
            self.known = asked
            self._failures.works()
        self._go()


def _why_not(future: asyncio.Future[bool]) -> str:
    if future.cancelled():
        return "the line was stopped"
    if error := future.exception():
        return str(error) if isinstance(error, BusError) else repr(error)
    return "" if future.result() else "a bug, see the log"


class Led:
    """A GPIO line that is an output."""

    def __init__(self, line: Line, take: Take, clock: Clock) -> None:
        self._line, self._take = line, take
        self._failures = Failures(clock)
        self._pin: Pin | None = None
        self._want = False
        self.known: bool | None = None
        self.writes = 0

    def set(self, on: bool, *, new: bool = False) -> None:
        self._want = on
        if self.known is not on and (new or not self._failures.waits()):
            self._write()

    def renew(self) -> None:
        if not self._failures.waits():
            self._write()

    def settled(self) -> bool:
        return self.known is self._want

    def release(self) -> None:
        self.set(False, new=True)
        if self._pin is not None:
            self._pin.close()
            self._pin, self.known = None, None

    def status(self) -> dict[str, object]:
        fails = self._failures
        return {
            "on": self._want,
            "failing": fails.fails,
            "error": fails.error,
            "writes": self.writes,
            "failures": fails.count,
        }

    def _write(self) -> None:
        self.writes += 1
        try:
            if self._pin is None:
                self._pin = self._take(self._line, output=True)
            self._pin.set(self._want)
            if self._pin.get() is not self._want:
                raise OSError(0, "does not read back", self._line.chip)
        except OSError as error:
            self.known = None
            self._failures.failed(f"{self._line.chip}: {error.strerror}")
            if self._pin is not None:
                self._pin.close()
                self._pin = None
        else:
            self.known = self._want
            self._failures.works()


class Push:
    """A GPIO line with a key. Looked at when an edge came, until it was the same often enough; idle else."""

    def __init__(self, line: Line, take: Take, clock: Clock, pressed: Callable[[], None]) -> None:
        self._line, self._take, self._clock, self._pressed = line, take, clock, pressed
        self._button = Button()
        self._failures = Failures(clock)
        self._pin: Pin | None = None
        self._timer: Timer | None = None
        self._looks = 0
        self._before: bool | None = None

    def open(self) -> None:
        """Take the line, if it is not taken; else nothing. Called again and again."""
        if self._pin is not None or self._failures.waits():
            return
        try:
            self._pin = self._take(self._line, output=False)
        except OSError as error:
            self._failures.failed(f"{self._line.chip}: {error.strerror}")
            return
        self._failures.works()
        asyncio.get_running_loop().add_reader(self._pin.fd, self.edge)
        self._look_again()

    def edge(self) -> None:
        """The line changed."""
        if self._pin is None:
            return
        try:
            self._pin.drain()
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        self._look_again()

    def release(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._pin is not None:
            self._drop()

    def status(self) -> dict[str, object]:
        return {"failing": self._failures.fails, "error": self._failures.error, "failures": self._failures.count}

    def _look_again(self) -> None:
        self._looks = FRAMES
        if self._timer is None:
            self._timer = self._clock.call_at(self._clock.monotonic() + FRAME_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._pin is None:
            return
        try:
            active = self._pin.get()
        except OSError as error:
            self._lost(error)
            return
        self._looks = self._looks - 1 if active is self._before else FRAMES - 1
        self._before = active
        if self._looks > 0:
            self._timer = self._clock.call_at(self._clock.monotonic() + FRAME_S, self._look)
        if self._button.take(active):
            self._pressed()

    def _lost(self, error: OSError) -> None:
        self._drop()
        self._failures.failed(f"{self._line.chip}: {error.strerror}")

    def _drop(self) -> None:
        assert self._pin is not None
        asyncio.get_running_loop().remove_reader(self._pin.fd)
        self._pin.close()
        self._pin, self._before = None, None
        self._button.take(None)
