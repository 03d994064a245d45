"""A terminal that calls: every interval it measures, sends its report and waits 5 s for the server's answer.

What the server did not take stays buffered (600 values, the oldest go) and comes with the next report; the terminal then
hangs up and calls again. A change of its alarm bits is reported at once. While it has nobody to call
(`Terminal.call` not given yet) it measures and buffers. A silent terminal is a dead one: it does not even measure.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from random import Random

from firmware_sim.fault import INTACT, Fault, What, distort, in_stream
from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.meokon import Gauge, Report, answered

ANSWER_WITHIN_S = 5.0
BUFFER = 600
LONGEST_ANSWER_BYTES = 1024


class Terminal:
    """One calling terminal."""

    def __init__(self, device: str, gauge: Gauge, interval_s: float, world: Field, log: Log, random: Random) -> None:
        self.device = device
        self._gauge, self._interval_s = gauge, interval_s
        self._world, self._log, self._random = world, log, random
        self._buffered: deque[int] = deque(maxlen=BUFFER)
        self._server: tuple[str, int] | None = None
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._wake = asyncio.Event()
        self._alarms = gauge.alarms(world.values(device))
        world.watchers.append(self._changed)

    def call(self, host: str, port: int) -> None:
        """Whom to call from now on; it does so at once."""
        self._server = (host, port)
        self._hang_up()
        self._wake.set()

    async def run(self) -> None:
        """Measure and report for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            self._wake.clear()
            due = loop.time() + self._interval_s
            if self._world.fault(self.device).what is not What.SILENT:
                await self._measure()

    async def close(self) -> None:
        """Hang up for good."""
        if self._connection is not None:
            self._connection[1].close()
            with suppress(OSError):
                await self._connection[1].wait_closed()

    def _changed(self, device: str) -> None:
        if device == self.device and (alarms := self._gauge.alarms(self._world.values(device))) != self._alarms:
            self._alarms = alarms
            self._wake.set()

    async def _measure(self) -> None:
        values, fault = self._world.values(self.device), self._world.fault(self.device)
        report = self._gauge.report(values, max(1, round(self._interval_s)), int(time.time()), tuple(self._buffered))
        if self._server is not None and await self._deliver(report, fault):
            self._buffered.clear()
            return
        self._buffered.append(report.current)
        self._hang_up()

    async def _deliver(self, report: Report, fault: Fault) -> bool:
        """Send the report; whether the server took it."""
        assert self._server is not None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if self._connection is None:
                    self._connection = await asyncio.open_connection(*self._server)
            reader, writer = self._connection
            await self._send(report, fault, writer)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                received = b""
                while not answered(received, self._gauge.id) and len(received) < LONGEST_ANSWER_BYTES:
                    if not (more := await reader.read(LONGEST_ANSWER_BYTES)):
                        break
                    received += more
        except (OSError, TimeoutError) as error:
            self._log.write("unanswered", device=self.device, why=type(error).__name__)
            return False
        if not answered(received, self._gauge.id):
            self._log.write("unanswered", device=self.device, why="no sound answer", received=received.hex())
            return False
        return True

    async def _send(self, report: Report, fault: Fault, writer: asyncio.StreamWriter) -> None:
        sent = report
        if fault.what is What.FOREIGN:
            gauge = Gauge(self._gauge.id[:-1] + chr(ord(self._gauge.id[-1]) ^ 1), self._gauge.type, self._gauge.limits)
            sent = gauge.report(self._world.values(self.device), report.interval_s, report.time, report.buffered)
        for pause_s, data in distort(fault, in_stream(fault, b"", self._random) + sent.encode(), self._random):
            if pause_s:
                await asyncio.sleep(pause_s)
            writer.write(data)
            await writer.drain()
        points = self._gauge.carried(report)
        if fault.what in INTACT:
            self._log.write("answer", device=self.device, points=points)
        else:
            self._log.write("spoilt_answer", device=self.device, points=points, fault=str(fault.what))

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None
