"""The whole gateway on a machine whose clocks a test sets: ``python -m tests.e2e.clocked_gateway FOLDER run SITE.yaml``.

In FOLDER lie three files, read whenever the gateway asks:

| file     | what it is                                                                                     |
|----------|------------------------------------------------------------------------------------------------|
| `offset` | what the machine's wall clock says beyond the truth, as libfaketime reads it: ``-1795300000.5`` |
| `synced` | it exists: the kernel says that something keeps the clock (adjtimex)                            |
| `boot`   | the kernel's id of this boot; looked at once, at the start                                      |

The wall clock is set below everything, OpenSSL and SQLite too, by libfaketime, which is loaded before the program's own
beginning; monotonic time and the dates of files stay as they are. The answer of adjtimex, which libfaketime leaves alone, is
given in the place of the system call. libfaketime 0.9.10 spoils sleeping until a monotonic time, which `time.sleep` does, so
that sleeps in another way here.
"""

import os
import select
import sys
import time
from pathlib import Path

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def environment(folder):
    """What makes the dynamic loader put the clock in."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "offset"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # as Debian builds it: each wait for the interpreter's lock ends at once, and goes round
        "NO_FAKE_STAT": "1",
    }


def begin(folder):
    """As a gateway that has asked the kernel nothing yet."""
    time.sleep = lambda seconds: select.select([], [], [], seconds)

    from gateway import clock

    def adjtimex(reference):
        reference._obj.status = 0 if (folder / "synced").exists() else clock._STA_UNSYNC
        return 0

    clock._adjtimex = adjtimex
    boot = (folder / "boot").read_text()
    clock.boot_id = lambda: boot

    from gateway.cli import main

    sys.argv[1:] = sys.argv[2:]
    main()


if __name__ == "__main__":
    where = Path(sys.argv[1]).absolute()
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        begin(where)
    else:
        command = [sys.executable, "-m", "tests.e2e.clocked_gateway", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **environment(where)})
