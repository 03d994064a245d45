"""The clock seam: the only place of the daemon that reads a clock.

Rules and time-outs run on monotonic time (which is the event loop's own time); wall time is a label with a trust mark.
`trusted` asks the kernel whether the wall clock is synchronised, as adjtimex(2) tells it (STA_UNSYNC clear).

A box without a battery boots at 1970, where no certificate is valid. So there is a floor: a moment that has surely passed,
kept in the journal while the clock is trusted. A clock that is not trusted never says less than the floor and the time
since; one that is trusted is believed, also when it says that the floor was wrong.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gateway.model import Text

LATEST = 250e9
"""Wall time beyond this (the year 9892) has no date."""


RELEASED_S = 1_795_305_600.0
"""2026-11-22: no moment before this program was written is now."""
BEHIND_S = 60.0
"""A floor that is this little ahead of the clock makes no difference to a certificate."""


HOUSEKEEPING_S = 1.0
_PHASE_S = 0.65
_EARLY_S = 0.001
"""A timer may fire a hair early, and must not come back for the same moment."""


def housekeeping(now: float) -> float:
    """The next of the moments, one a second, at which everything that looks around once a second does so: together, so that an
    idle box wakes up once, and away from the pollers' grid (quarters and tenths of a second)."""
    return (math.floor((now - _PHASE_S + _EARLY_S) / HOUSEKEEPING_S) + 1) * HOUSEKEEPING_S + _PHASE_S


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """What the daemon may know of time. A simulation hands in its own."""

    boot: str

    def monotonic(self) -> float: ...
    def wall(self) -> float: ...
    def trusted(self) -> bool: ...

    def hold(self, floor: float) -> None:
        """From now on `wall` says at least this, and the time since, unless it is trusted."""

    def behind(self) -> bool:
        """Is the machine's own clock, by which TLS checks certificates, before the floor?"""

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer: ...
    async def sleep_until(self, at: float) -> None: ...


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as needed; the kernel writes the whole of it, hence the tail."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("tail", ctypes.c_byte * 256),
    )


_STA_UNSYNC = 0x0040
_adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex


def kernel_says_synchronised() -> bool:
    """Whether something (NTP, PTP) keeps the wall clock; False where the kernel refuses to say."""
    timex = _Timex()
    return _adjtimex(ctypes.byref(timex)) >= 0 and not timex.status & _STA_UNSYNC


def boot_id() -> str:
    """The kernel's random id of this boot; CLOCK_MONOTONIC is one line within it, also across restarts of the daemon."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")


class SystemClock:
    """The machine's clocks, on the running event loop."""

    def __init__(self) -> None:
        self.boot = boot_id()
        self._lead = -math.inf
        """The floor, as wall minus monotonic time."""
        self.hold(RELEASED_S)

    monotonic = staticmethod(time.monotonic)

    def wall(self) -> float:
        now, least = time.time(), self._lead + time.monotonic()
        return now if now >= least or self.trusted() else least

    def hold(self, floor: float) -> None:
        self._lead = max(floor, RELEASED_S) - time.monotonic()

    def behind(self) -> bool:
        return time.time() < self._lead + time.monotonic() - BEHIND_S and not self.trusted()

    def trusted(self) -> bool:
        return kernel_says_synchronised()

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_at(at, callback)

    async def sleep_until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self.monotonic()))


def spoken(clock: Clock, at: float) -> Text:
    """A monotonic time as people read it: local wall time, with a word of warning while the clock is not set."""
    wall = clock.wall() - (clock.monotonic() - at)
    told = datetime.fromtimestamp(min(max(wall, 0.0), LATEST)).strftime("%Y-%m-%d %H:%M:%S")
    return Text(told, told) if clock.trusted() else Text(f"{told}（时钟未同步）", f"{told} (clock not set)")
