"""One life of the gateway: the daemon's own `watch` on a virtual loop, from a start to a kill, a cut or an orderly stop.

The machine outlives it: its boot, its wall clock and whether that is trusted (`Machine`).
"""

import asyncio
import gc
import signal
from collections import deque
from dataclasses import replace

from gateway.app import watch
from gateway.parts import Seams
from tests.simulation.loop import VirtualLoop

GATEWAY = ("gateway.", "rules.", "drivers.", "asyncio.", "_asyncio")
SIZED = (dict, list, set, deque)
BOUNDED = ("Record", "_recent", "Progress", "_trail", "_state")
"""The newest records stay in memory up to half a MiB, the way of the last 512 transitions is kept, in the state as well."""
GHOST_S = 60.0


class Machine:
    """The box: boots, and a wall clock that can be wrong."""

    def __init__(self, world, book):
        self._world, self._book = world, book
        self._chance = world.chance("machine")
        self.error_s = 0.0
        """Wall clock minus the truth."""
        self.trusted = True
        self.reboot()

    def reboot(self):
        """A new boot id; the monotonic clock starts again."""
        self.boot = f"{self._chance.getrandbits(128):032x}"
        self.booted = self._world.now - self._chance.uniform(5.0, 40.0)
        self._book.boots[self.boot] = self.booted

    def set(self, error_s, *, trusted):
        self._world.tell("clock", f"{error_s:.0f}", trusted)
        self.error_s, self.trusted = error_s, trusted

    def wall(self):
        return self._world.wall() + self.error_s


class SimClock:
    """`gateway.clock.Clock` over a machine."""

    def __init__(self, loop, machine):
        self._loop, self._machine = loop, machine
        self.boot = machine.boot
        self._lead = float("-inf")
        self.monotonic = loop.time
        self.call_at = loop.call_at

    def wall(self):
        now, least = self._machine.wall(), self._lead + self._loop.now
        return now if now >= least or self._machine.trusted else least

    def trusted(self):
        return self._machine.trusted

    def hold(self, floor):
        self._lead = floor - self._loop.now

    def behind(self):
        return False

    async def sleep_until(self, at):
        await asyncio.sleep(max(0.0, at - self._loop.now))


class Life:
    """`run` until the simulation ends it."""

    def __init__(self, world, machine, site, disk, plant, broker, number):
        self._world, self._machine, self._disk = world, machine, disk
        self.number = number
        self.loop = VirtualLoop(world.now - machine.booted)
        self.began = world.now
        self._offset = machine.booted
        self._pump = None
        self.ended = self.stopping = ""
        random, names = world.chance(f"gateway {number}"), world.chance(f"ids {number}")
        clock = SimClock(self.loop, machine)
        seams = Seams(
            clock,
            disk.worker,
            plant.bus,
            broker.connect,
            random.random,
            lambda n: f"{names.getrandbits(8 * n):0{2 * n}x}",
        )
        folder = disk.folder
        self._site = replace(
            site,
            journal=replace(site.journal, directory=str(folder / "journal")),
            gateway=replace(site.gateway, control_socket=str(folder / "control.sock")),
            source=folder / "site.yaml",
        )
        self._seams = seams
        self._broker = broker
        self.answers = []

    def run(self):
        """Until something calls `end`, or the gateway gives up."""
        self._world.tell("life", self.number)
        self._world.life = self
        asyncio.set_event_loop(self.loop)
        self._task = self.loop.create_task(watch(self._site, self._seams))
        self._task.add_done_callback(self._ended)
        self.follow(self._world.next_at())
        try:
            self.loop.run_forever()
        finally:
            self._world.pass_to(self.now())
            self._world.life = None
        if self._task.done() and not self.ended:
            self.ended = self.stopping or "fell"
        self._world.tell("ended", self.number, self.ended)

    def now(self):
        return self.loop.now + self._offset

    def follow(self, at):
        """The world wants to act at this time."""
        if self._pump is not None:
            if self._pump.when() <= at - self._offset:
                return
            self._pump.cancel()
        self._pump = self.loop.call_at(at - self._offset, self._act)

    def _act(self):
        self._pump = None
        done = False
        try:
            while not self.ended and self._world.step(self.now() + 1e-9):
                pass
            done = True
        finally:
            if not done:  # a bug of the simulation: the loop notes it and must not go on without the world
                self.ended = "failed"
                self.loop.stop()
        if not self.ended and (at := self._world.next_at()) < float("inf"):
            self.follow(at)

    def end(self, how):
        """``kill``, ``cut`` (of the power), ``stop``, or ``over``: the end of the simulation."""
        if how in ("stop", "over"):
            self.loop.signal(signal.SIGTERM)
            self.stopping = how
            return
        self.ended = how
        self.loop.stop()

    def ask(self, request):
        """A person at the control socket."""
        door = self.loop.doors.get("control")
        if door is not None:
            self.answers.clear()
            call = door.call(lambda data: self.answers.append(data))
            call.say(request)
            self._world.after(5.0, call.hang_up)

    def _ended(self, task):
        self.loop.stop()

    def held(self):
        """How many objects of the gateway's own types there are, and what their containers hold; without those that fill
        up to a bound of their own (`BOUNDED`)."""
        gc.collect()
        count = len(self.loop._scheduled)
        for one in gc.get_objects():
            kind = type(one)
            if str(kind.__module__).startswith(GATEWAY) and kind.__name__ not in BOUNDED:
                inside = getattr(one, "__dict__", None)
                parts = inside.items() if type(inside) is dict else ()
                count += 1 + sum(len(part) for name, part in parts if name not in BOUNDED and isinstance(part, SIZED))
        return count

    def bury(self):
        """Let go of what a dead process held: its tasks end on their own loop, where nothing of them reaches the world.
        Returns what went wrong in the loop while it lived, or on the way out."""
        died = []
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()) is not None:
            died.append(repr(error))
        errors = [str(context.get("exception") or context.get("message")) for context in self.loop.errors]
        self.loop.errors.clear()
        if self._pump is not None:
            self._pump.cancel()
        self._task.remove_done_callback(self._ended)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        left = asyncio.all_tasks(self.loop)
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=GHOST_S))
        left = asyncio.all_tasks(self.loop)
        for door in list(self.loop.doors.values()):
            door.close()
        self.loop.close()
        asyncio.set_event_loop(None)
        died += [f"a task that cannot be ended: {task.get_name()}" for task in left]
        self._task = self._seams = None
        gc.collect()
        return died + errors
