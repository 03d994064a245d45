"""Puts a `Line` on an existing serial device: the other end of two crossed adapters. On a thread of its own.

Guarantees: the device is opened raw, exclusive and with the given settings (OSError or ValueError else); an answer is
written whole when it begins, so that the adapter gives it its time on the wire. A request's beginning is reckoned back
from when its bytes were handed over and so never too early: ``too_early`` in the log is always true, but a silence that
is too short by less than the adapter's latency is not seen. An adapter that is pulled ends the line (``lost``).

Does not: see parity errors (hil_tests does); switch a transceiver's direction (adapters do that themselves).
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from dataclasses import replace

import serial

from firmware_sim.line import Line, Wire
from firmware_sim.pty_port import LONGEST_WAIT_S


class TtyPort:
    """A line that answers at the other end of whatever is wired to the serial device `path`."""

    def __init__(self, line: Line, path: str, baud: int, parity: str, stop_bits: int) -> None:
        line.timing = replace(line.timing, wire=Wire.REAL)
        self._line = line
        self._port = serial.Serial(path, baud, parity=parity, stopbits=stop_bits, exclusive=True, timeout=0)
        with suppress(OSError, ValueError):  # a wish: not every adapter knows it
            self._port.set_low_latency_mode(True)
        self.path = path
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"line {line.id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._stopper)
        self._thread.join()
        os.close(self._stop)
        self._port.close()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except OSError as error:
            self._line.log.write("lost", line=self._line.id, why=str(error))

    def _turn(self) -> bool:
        line, fd = self._line, self._port.fileno()
        wait_s = min(max(line.wake_at() - time.monotonic(), 0.0), LONGEST_WAIT_S)
        ready, _, _ = select.select([fd, self._stop], [], [], wait_s)
        if self._stop in ready:
            return False
        at = time.monotonic()
        out = line.step(at)
        if fd in ready:
            data = os.read(fd, 4096)
            if not data:
                raise OSError("hang-up")
            line.receive(at - len(data) * line.timing.character_s, data)
            out += line.step(at)
        if out:
            with suppress(BlockingIOError):
                os.write(fd, out)
        return True
