"""What the journal's tests share: a clock that stands still, a disk that fails on command, and short words."""

import asyncio
import contextlib
import itertools
import secrets
import threading

import apsw

from gateway.clock import SystemClock
from gateway.model import Draft, Lane
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker, ThreadWorker

EVENT = "gengfu.event.test"
GAPS = ("gengfu.event.gap", "gengfu.telemetry.gap")


class StillClock:
    """Monotonic and wall time move only by `advance`; timers fire inside it."""

    def __init__(self, boot="b" * 32):
        self.boot = boot
        self.now = 1000.0
        self._timers = {}
        self._numbers = itertools.count()

    def monotonic(self):
        return self.now

    def wall(self):
        return 1_700_000_000.0 + self.now

    def trusted(self):
        return True

    def behind(self):
        return False

    def hold(self, floor):
        """This one has no floor."""

    def call_at(self, at, callback):
        number = next(self._numbers)
        self._timers[number] = (at, callback)
        clock = self

        class Timer:
            def cancel(self):
                clock._timers.pop(number, None)

        return Timer()

    async def sleep_until(self, at):
        raise AssertionError("the journal sleeps nowhere")

    def advance(self, by_s):
        self.now += by_s
        due = sorted((at, number) for number, (at, _) in self._timers.items() if at <= self.now)
        for _, number in due:
            timer = self._timers.pop(number, None)
            if timer:
                timer[1]()


class Disk(apsw.VFS):
    """SQLite's own unix VFS, made the default one, with faults on command.

    ``write``, ``full``: every write fails; ``database``: those of the main file do (a checkpoint's); ``sync``: syncs do, with
    the bytes out; ``once``: the next one does. ``memory``: writes raise what nobody expects. A closed `gate` lets syncs wait, a
    closed `database` writes to the main file.
    """

    def __init__(self):
        self.name = f"faulty-{secrets.token_hex(4)}"
        super().__init__(self.name, "unix", makedefault=True)
        self.failing = set()
        self.syncs = 0
        self.gate = threading.Event()
        self.gate.set()
        self.database = threading.Event()
        self.database.set()

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def heal(self):
        self.failing.clear()
        self.gate.set()
        self.database.set()


class _File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self._disk = disk
        self._main = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        if self._main:
            self._disk.database.wait(30)
        if "memory" in self._disk.failing:
            raise MemoryError("injected: no error of SQLite's")
        if "write" in self._disk.failing:
            raise apsw.IOError("injected: write")
        if "full" in self._disk.failing or ("database" in self._disk.failing and self._main):
            raise apsw.FullError("injected: full")
        return super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.gate.wait(30)
        if "sync" in self._disk.failing or "once" in self._disk.failing:
            self._disk.failing.discard("once")
            super().xSync(flags)  # the bytes may be out although the sync "fails": the hard case
            raise apsw.IOError("injected: sync")
        self._disk.syncs += 1
        return super().xSync(flags)


@contextlib.contextmanager
def faulty_disk():
    disk = Disk()
    try:
        yield disk
    finally:
        disk.heal()
        disk.unregister()


def make(path, lane=Lane.ALARM, clock=None, *, threaded=True, quota_bytes=2**26, gateway="demo-01", **more):
    worker = ThreadWorker(f"test-{lane.value}") if threaded else InlineWorker()
    return Journal(lane, path, gateway, clock or SystemClock(), worker, quota_bytes, secrets.token_hex, **more)


@contextlib.asynccontextmanager
async def opened(path, lane=Lane.ALARM, clock=None, **more):
    """An open journal, closed at the end; `journal.opened` is what `open` said."""
    journal = make(path, lane, clock, **more)
    journal.opened = await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def draft(body=b"{}", kind=EVENT, at=1000.0):
    return Draft(kind, at, body)


async def commit(journal, *bodies, state=None, kind=EVENT):
    """Commit and wait until it was told; (records as told, error)."""
    told = asyncio.get_running_loop().create_future()
    journal.commit([draft(body, kind) for body in bodies], state or {}, lambda *args: told.set_result(args))
    return await asyncio.wait_for(told, 10)


async def everything(journal, after=0, page=100):
    """All visible records, read as an uplink reads them."""
    records = []
    while batch := await journal.after(after, page, 1 << 20):
        records += batch
        after = batch[-1].sequence
    return records


def bodies(records):
    return [record.body for record in records if record.kind not in GAPS]


def numbers(records):
    return [record.sequence for record in records]
