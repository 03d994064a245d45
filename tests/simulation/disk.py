"""The disk: real SQLite on files in memory, with faults on command, and what a kill or a cut of the power leaves of them.

* ``eio``: every write fails; ``full``: there is no room; ``sync``: syncs fail with the bytes out; ``slow``: a job waits.
* A kill leaves all that was written; a power cut leaves what was synced, and of the writes since then any part.
* Each life has a folder of its own: what is left is copied, so that nothing of a dead process can touch it.
"""

import secrets
import shutil
from collections import deque
from pathlib import Path

import apsw

HEALED_S = 20.0
"""So long after its last fault what failed may still be on its way to it."""
MODES = ("eio", "full", "sync", "slow")


class Disk(apsw.VFS):
    """SQLite's unix VFS for one simulation; made the default one until `close`. Syncs cost nothing here."""

    def __init__(self, world, place, *, cuts):
        """`cuts`: whether what a power cut takes is kept account of."""
        self.name = f"simulated-{secrets.token_hex(4)}"
        super().__init__(self.name, "unix", makedefault=True)
        self._world, self._place, self.cuts = world, place, cuts
        self._chance = world.chance("disk")
        self.modes = set()
        self.delay_s = 0.0
        self.files = {}
        """Name -> `_Platter` of the life that runs."""
        self.lives = 0
        self.folder = place / "0"
        self.folder.mkdir()
        self.ill_since = None
        """Since when it fails or is slow; None: well."""

    def close(self):
        self.unregister()

    def worker(self, name):
        return Worker(self)

    def set(self, mode, delay_s=0.0):
        """Be ill in one way, or well: an empty `mode`."""
        self.modes = {mode} - {""}
        self.delay_s = delay_s
        if not mode:
            self._world.after(HEALED_S, self._healed)
        elif self.ill_since is None:
            self.ill_since = self._world.now

    def _healed(self):
        if not self.modes:
            self.ill_since = None

    def die(self, *, power):
        """The process ends here and now. What is left stands in a new `folder`."""
        old, self.lives = self.folder, self.lives + 1
        new = self._place / str(self.lives)
        for path in sorted(old.rglob("*")):
            there = new / path.relative_to(old)
            if path.is_dir():
                there.mkdir(parents=True, exist_ok=True)
            elif path.is_file() and not path.name.endswith("-shm"):
                there.parent.mkdir(parents=True, exist_ok=True)
                platter = self.files.get(path.name)
                if power and self.cuts and platter is not None:
                    there.write_bytes(platter.left(self._chance))
                else:
                    shutil.copyfile(path, there)
        self.folder, self.files = new, {}
        return old

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def xDelete(self, name, sync):
        if self.folder in Path(name).parents:
            self.files.pop(Path(name).name, None)
        super().xDelete(name, sync)


class _Platter:
    """A file as it surely is, and what was written since it was last synced."""

    def __init__(self, content):
        self.sure = bytearray(content)
        self.since = []

    def left(self, chance):
        """What a power cut may leave."""
        there = bytearray(self.sure)
        share = chance.choice((0.0, 0.5, 1.0))
        for offset, data in self.since:
            if chance.random() < share:
                _put(there, offset, data)
        return bytes(there)

    def sync(self):
        for offset, data in self.since:
            _put(self.sure, offset, data)
        self.since.clear()


def _put(content, offset, data):
    """`data` None: cut to this length."""
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content += bytes(offset - len(content))
    content[offset : offset + len(data)] = data


class _File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        super().__init__("unix", name, flags)
        self._disk = disk
        self._mine = disk.folder in path.parents
        self._platter = None
        if self._mine and disk.cuts:
            if path.name not in disk.files:
                disk.files[path.name] = _Platter(path.read_bytes() if path.is_file() else b"")
            self._platter = disk.files[path.name]
        self._folder = disk.folder

    def _modes(self):
        return self._disk.modes if self._mine and self._folder is self._disk.folder else ()

    def xWrite(self, data, offset):
        modes = self._modes()
        if "eio" in modes:
            raise apsw.IOError("injected: write")
        if "full" in modes:
            raise apsw.FullError("injected: no room")
        super().xWrite(data, offset)
        if self._platter is not None:
            self._platter.since.append((offset, bytes(data)))

    def xSync(self, flags):
        if "sync" in self._modes():
            raise apsw.IOError("injected: sync")
        if self._platter is not None:
            self._platter.sync()

    def xTruncate(self, size):
        super().xTruncate(size)
        if self._platter is not None:
            self._platter.since.append((size, None))


class Worker:
    """Runs a job at once, as `InlineWorker` does; while the disk is slow it waits, and those behind it. Nothing runs for a
    process that is dead."""

    def __init__(self, disk):
        self._disk, self._folder = disk, disk.folder
        self._waiting = deque()

    def submit(self, job):
        if self._folder is not self._disk.folder:
            return
        if self._waiting or "slow" in self._disk.modes:
            self._waiting.append(job)
            if len(self._waiting) == 1:
                self._later()
        else:
            job()

    def close(self):
        """Those submitted still run."""

    def _later(self):
        self._disk._world.after(self._disk.delay_s if "slow" in self._disk.modes else 0.0, self._next)

    def _next(self):
        if self._folder is not self._disk.folder:
            self._waiting.clear()
            return
        self._waiting.popleft()()
        if self._waiting:
            self._later()
