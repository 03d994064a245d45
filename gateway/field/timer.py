"""Two timers for buses, each one object for the life of the bus.

* `Deadline`: for time-outs that are nearly always called off. Moving it costs two assignments: it is checked when the
  loop's own timer fires, which is set anew only then (lazily), so a thousand polls of a busy line cost a few loop timers.
* `PreciseTimer`: for the silences of a serial line (1.75 ms and more). asyncio's epoll rounds every wait up to the next
  millisecond; a timerfd is waited for like any other descriptor and is late by about 0.1 ms, without a thread and
  without holding up the loop.

They do not guard their callbacks: what escapes goes to the loop's exception handler.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable

from gateway.clock import Clock, Timer


class Deadline:
    """Calls `callback` once, as soon as the time that was set last has come; never early."""

    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._at: float | None = None
        self._timer: Timer | None = None
        self._armed_at = 0.0

    def set(self, at: float) -> None:
        self._at = at
        if self._timer is not None:
            if self._armed_at <= at:
                return
            self._timer.cancel()
        self._arm(at)

    def clear(self) -> None:
        self._at = None

    def rest(self) -> None:
        """Nothing is set for now: wake nobody for what was."""
        if self._at is None:
            self.close()

    def close(self) -> None:
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        self._armed_at = at
        self._timer = self._clock.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        at = self._at
        if at is None:
            return
        if self._clock.monotonic() < at:
            self._arm(at)
            return
        self._at = None
        self._callback()


class _Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2)."""

    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_SETTIME = _LIBC.timerfd_settime  # os.timerfd_settime exists from Python 3.13 only


class PreciseTimer:
    """A timerfd on the running loop, on the machine's own monotonic clock. Needs `close`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Raises OSError when the process has no descriptor left."""
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._fd: int = _LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _Itimerspec()
        self._pointer = ctypes.byref(self._spec)
        self._loop.add_reader(self._fd, self._fire)

    def set(self, at: float) -> None:
        """Call back at `at` (monotonic seconds, at once if it is past) instead of any time set before."""
        value = self._spec.value
        value.s, value.ns = divmod(max(int(at * 1e9), 1), 1_000_000_000)
        _SETTIME(self._fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def clear(self) -> None:
        value = self._spec.value
        value.s = value.ns = 0
        _SETTIME(self._fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the kernel's report and this call
            return
        self._callback()
