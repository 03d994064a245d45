"""A smaller machine for one process: a share of a core, or a limit of memory.

    async with a_tenth_of_a_core(pid) as how: ...      how: "cgroup" or "duty cycle"
    with little_memory(128 * 2**20) as memory:
        memory.take(pid); memory.peak(); memory.how

By a control group of its own where that can be made (root); else by doing what the kernel would, by hand: the process is stopped for
the rest of each 100 ms in which it has used its 10 ms; and by RLIMIT_DATA, which counts private memory only.
"""

import asyncio
import contextlib
import os
import resource
import signal
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CPU = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "10000"}, {"cpu.max": "10000 100000"}
SHARE_S, PERIOD_S, STEP_S = 0.01, 0.1, 0.002


@contextlib.contextmanager
def _group(controller, first, second):
    """The folder of a new control group with these settings (of version 1, of version 2), or None."""
    made = None
    for parent, settings in ((ROOT / controller, first), (ROOT, second)):
        folder = parent / f"gengfu-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            for name, value in settings.items():
                (folder / name).write_text(value)
        except OSError:
            folder.rmdir()
            continue
        made = folder
        break
    try:
        yield made
    finally:
        if made:
            for pid in (made / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (made.parent / "cgroup.procs").write_text(pid)
            made.rmdir()


@contextlib.asynccontextmanager
async def a_tenth_of_a_core(pid):
    with _group("cpu", *CPU) as folder:
        if folder:
            (folder / "cgroup.procs").write_text(str(pid))
            yield "cgroup"
            return
        cycle = asyncio.ensure_future(_cycle(pid))
        try:
            yield "duty cycle"
        finally:
            cycle.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def _cycle(pid):
    """What was used too much is owed in the next period; what was not used is gone."""
    loop, allowed_s = asyncio.get_running_loop(), used_s(pid)
    with contextlib.suppress(OSError):
        while True:
            allowed_s, end = min(allowed_s, used_s(pid)) + SHARE_S, loop.time() + PERIOD_S
            os.kill(pid, signal.SIGCONT)
            while used_s(pid) < allowed_s and loop.time() < end:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(STEP_S)
            if loop.time() < end:
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(end - loop.time())


def used_s(pid):
    """Processor time of all its threads, by the scheduler's own count."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


class _Memory:
    def __init__(self, folder, limit_bytes):
        self._folder, self._limit_bytes = folder, limit_bytes
        self.how = "cgroup" if folder else "RLIMIT_DATA"
        self._pid = None

    def take(self, pid):
        """As soon as it is started: what it has by then is not counted."""
        self._pid = pid
        if self._folder:
            (self._folder / "cgroup.procs").write_text(str(pid))
        else:
            resource.prlimit(pid, resource.RLIMIT_DATA, (self._limit_bytes, self._limit_bytes))

    def peak(self):
        """The most that it had, in bytes, file cache included where the kernel counts it."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if self._folder and (self._folder / name).exists():
                return int((self._folder / name).read_text())
        return resident(self._pid, "VmHWM")


@contextlib.contextmanager
def little_memory(limit_bytes):
    settings = {"memory.limit_in_bytes": str(limit_bytes)}, {"memory.max": str(limit_bytes)}
    with _group("memory", *settings) as folder:
        yield _Memory(folder, limit_bytes)


def resident(pid, what="VmRSS"):
    """Bytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status[what].split()[0]) * 1024
