"""The whole gateway on a disk that fails on command: ``python -m tests.faults.faulty_gateway ORDER run SITE.yaml``.

Under the journal lies SQLite's own unix VFS with faults in between. The file ORDER holds one word, read at each call:

| word       | what the disk does                                                              |
|------------|---------------------------------------------------------------------------------|
| `eio`      | every write fails with EIO                                                      |
| `sync`     | every sync fails with EIO, though the bytes are out                             |
| `full`     | every write fails with ENOSPC                                                   |
| `readonly` | every write is refused: a kernel that remounted the card read-only              |
| `slow`     | every sync takes 2 s                                                            |
| `hang`     | no sync returns while the word stands there                                     |

Anything else, or no file: the disk is well.
"""

import sys
import time
from pathlib import Path

import apsw

from gateway.cli import main

SLOW_S, STEP_S = 2.0, 0.02
REFUSED = {"eio": apsw.IOError, "full": apsw.FullError, "readonly": apsw.ReadOnlyError}


class Disk(apsw.VFS):
    """SQLite's default VFS from now on."""

    def __init__(self, order):
        self._order = order
        super().__init__("ordered", "unix", makedefault=True)

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    @property
    def word(self):
        try:
            return self._order.read_text().strip()
        except OSError:
            return ""


class _File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        if refused := REFUSED.get(self._disk.word):
            raise refused("injected: write")
        return super().xWrite(data, offset)

    def xSync(self, flags):
        if self._disk.word == "slow":
            time.sleep(SLOW_S)
        while self._disk.word == "hang":
            time.sleep(STEP_S)
        if self._disk.word == "sync":
            super().xSync(flags)
            raise apsw.IOError("injected: sync")
        return super().xSync(flags)


if __name__ == "__main__":
    disk = Disk(Path(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    main()
