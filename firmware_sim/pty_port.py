"""Puts a `Line` on a pseudo terminal, on a thread of its own.

Guarantees: bytes come out when the line says so, late by what the kernel needs to wake a thread (about 0.1 ms; it waits
in `select`, which keeps microseconds, and never spins), never early. The terminal end is kept open here, so the gateway
may close and open it, or die, and the line goes on. Bytes that nobody fetches are lost once the terminal's buffer is
full, as on a wire.

Does not: check parity or speed; a pseudo terminal carries neither (that is proved on real ports in hil_tests).
"""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from contextlib import suppress

from firmware_sim.line import Line

LONGEST_WAIT_S = 0.1
"""A fault that makes the line speak on its own is set by another thread; it is noticed within this time."""


class PtyPort:
    """A line that can be opened like a serial port, as `path`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"line {line.id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the line; the other end sees a hang-up."""
        os.close(self._stopper)
        self._thread.join()
        for end in (self._ours, self._theirs, self._stop):
            os.close(end)

    def _run(self) -> None:
        line = self._line
        while True:
            wait_s = min(max(line.wake_at() - time.monotonic(), 0.0), LONGEST_WAIT_S)
            ready, _, _ = select.select([self._ours, self._stop], [], [], wait_s)
            if self._stop in ready:
                return
            at = time.monotonic()
            out = line.step(at)
            if self._ours in ready:
                line.receive(at, os.read(self._ours, 4096))
                out += line.step(at)
            if out:
                with suppress(BlockingIOError):
                    os.write(self._ours, out)
