"""A serial line in virtual time: the gateway's own bus and drivers at one end, the simulator's line at the other.

Nothing waits: `Clock.run` goes from one timer to the next, so that a hundred thousand polls take seconds. The line, its
devices and its faults are firmware_sim's, which shares no code with what is tested; its complaints are kept.
"""

import asyncio
import heapq
import itertools
from random import Random

from firmware_sim.field import Field
from firmware_sim.line import Line, Timing
from firmware_sim.scene import read
from gateway.errors import BusError
from gateway.field.bus import Bus
from gateway.field.timer import Deadline
from gateway.model import BusKind, BusSpec
from tests.drivers.loading import DIRECTORY


def _ready():
    """Whether anybody has something to do before the next timer. A turn of the loop for each timer is half of the time."""
    return bool(asyncio.get_running_loop()._ready)


class Timer:
    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class Clock:
    """Time that goes on only in `run`."""

    boot = "b" * 32

    def __init__(self):
        self.now = 1000.0
        self._order = itertools.count()
        self._timers = []

    def monotonic(self):
        return self.now

    def wall(self):
        return 1.79e9 + self.now

    def trusted(self):
        return True

    def behind(self):
        return False

    def hold(self, floor):
        """This one has no floor."""

    def call_at(self, at, callback):
        timer = Timer(callback)
        heapq.heappush(self._timers, (at, next(self._order), timer))
        return timer

    async def sleep_until(self, at):
        over = asyncio.get_running_loop().create_future()
        self.call_at(at, lambda: None if over.done() else over.set_result(None))
        await over

    async def run(self, awaitable):
        """What it gives, after as much time as it takes."""
        task = asyncio.ensure_future(awaitable)
        await asyncio.sleep(0)
        while not task.done():
            while self._next(float("inf")) and not _ready():
                """Only a line's own timers: nobody has anything to do yet."""
            await asyncio.sleep(0)
        return task.result()

    async def rest(self, until):
        """Let this time come; tasks that wait for the clock go on meanwhile."""
        while True:
            fired = self._next(until)
            if _ready():
                await asyncio.sleep(0)
            elif not fired:
                break
        self.now = max(self.now, until)

    def _next(self, until):
        """Whether there was a timer to fire."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers or self._timers[0][0] > until:
            return False
        at, _, timer = heapq.heappop(self._timers)
        self.now = max(self.now, at)
        timer.callback()
        return True


class Log:
    """Only what the line complains of is kept."""

    def __init__(self):
        self.complaints = []

    def write(self, event, at=None, **more):
        if event == "bad_request":
            self.complaints.append(more["why"])


class Port:
    """`gateway.field.seams.Ends` over a simulated line."""

    modes = ()

    def __init__(self, line, clock):
        self._line, self._clock = line, clock
        self._there = bytearray()
        self._callback = None
        self._wake = None
        self._due = 0.0

    def read(self):
        if self._clock.now >= self._due:
            self._step()
        data = bytes(self._there)
        self._there.clear()
        return data

    def write(self, data):
        now = self._clock.monotonic()
        self._there += self._line.step(now)
        self._line.receive(now, data)
        self._step()
        return len(data)

    def listen(self, callback):
        self._callback = callback
        if callback is not None and self._there:
            self._clock.call_at(self._clock.monotonic(), self._hand_over)

    def close(self):
        if self._wake is not None:
            self._wake.cancel()

    def _step(self):
        now = self._clock.monotonic()
        self._there += self._line.step(now)
        if self._wake is not None:
            self._wake.cancel()
        at = self._line.wake_at()
        self._wake = self._clock.call_at(max(at, now), self._woken) if at != float("inf") else None
        self._due = at

    def _woken(self):
        self._wake = None
        self._step()
        self._hand_over()

    def _hand_over(self):
        if self._callback is not None and self._there:
            self._callback()


class Units:
    """`gateway.field.seams.Ends` over a Modbus TCP server with several units: each tells zeros after `answer_s`, or nothing."""

    modes = ()

    def __init__(self, clock, answer_s=0.01):
        self.silent = set()
        self._clock, self._answer_s = clock, answer_s
        self._there = bytearray()
        self._callback = None

    def write(self, data):
        if data[6] not in self.silent:
            count = 2 * int.from_bytes(data[10:12], "big")
            reply = bytes([*data[6:8], count, *bytes(count)])
            frame = data[:4] + len(reply).to_bytes(2, "big") + reply
            self._clock.call_at(self._clock.monotonic() + self._answer_s, lambda: self._arrived(frame))
        return len(data)

    def read(self):
        data = bytes(self._there)
        self._there.clear()
        return data

    def listen(self, callback):
        self._callback = callback

    def close(self):
        self._there.clear()

    def _arrived(self, frame):
        self._there += frame
        if self._callback is not None:
            self._callback()


class World:
    """A scene's first line with a bus on it."""

    def __init__(self, folder, scene, clock=None, seed=1, slaves=lambda slaves: slaves, **spec):
        path = folder / "scene.yaml"
        path.write_text(scene)
        made = read(path, DIRECTORY)
        self.clock = clock or Clock()
        self.log = Log()
        self.field = Field(self.log, made.members)
        self.spec = BusSpec("line", **{"kind": BusKind.SERIAL, "port": "virtual", "reply_timeout_s": 0.1} | spec)
        timing = Timing.of(self.spec.baud, self.spec.parity, self.spec.stop_bits, fifo=made.lines[0].timing.fifo)
        line = Line("line", timing, slaves(made.lines[0].slaves), self.field, self.log, Random(seed))
        port = Port(line, self.clock)

        async def opened(spec):
            return port

        self.bus = Bus(self.spec, self.clock, opened, lambda callback: Deadline(self.clock, callback))

    async def perform(self, poll, *tried):
        """The scan, or the BusError. `tried`: as for a bus."""
        try:
            return await self.clock.run(self.bus.perform(poll, *tried))
        except BusError as error:
            return error
