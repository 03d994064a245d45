"""R8: a disk that fails in any way silences no alarm, is told, and is well again soon after. The whole daemon.

The full disk itself is `test_disk.py`'s; here EIO, a failed, slow or hanging sync, read-only, out of inodes. What a disk
does while it is in use comes from `tests.faults.faulty_gateway`; what it is at the start, from a small tmpfs (root).
"""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from tests import brokers
from tests.e2e import books, world
from tests.e2e.test_disk import ALARM_GOAL_S, FAULT_GOAL_S, TOLERANCE, WELL_GOAL_S, _failing, small_disk
from tests.waiting import until

FULL = os.environ.get("GENGFU_FAULTS") == "full"
FAULTS = ("eio", "sync", "full", "readonly", "slow", "hang") if FULL else ("sync",)
AT_START = ("inodes", "read-only") if FULL else ("read-only",)
PROGRAM = ("-m", "tests.faults.faulty_gateway", "order", "run", "site.yaml")
FAULT_ALARMS = {"gateway/storage_alarms_failing", "gateway/storage_telemetry_failing"}

pytestmark = brokers.skip_without_mosquitto


def told(there):
    return any(there.alarms().get(name) == "unacknowledged" for name in FAULT_ALARMS)


async def arrives(there, number):
    """Raise ``high-N``; how long until it is at the district."""
    began = time.monotonic()
    there.tell(set={f"smoke-{number}/density": 7})
    await until(lambda: there.arrived(f"high-{number}"), ALARM_GOAL_S * TOLERANCE, 0.02)
    return time.monotonic() - began


async def test_no_fault_of_the_disk_silences_an_alarm(tmp_path, monkeypatch):
    """At the district within 2 s (x5), told as a fault within 10 s, well within 5 s after; nothing is lost in the end."""
    monkeypatch.setitem(world.COMMANDS, "gateway", PROGRAM)
    scene, site = world.devices(len(FAULTS), 0.2)
    order = tmp_path / "order"
    async with world.running(tmp_path, scene, site) as there:
        await there.start("gateway")
        await there.connected()
        for number, fault in enumerate(FAULTS, 1):
            await until(lambda: not told(there), 60, 0.05)
            order.write_text(fault)
            began = time.monotonic()
            alarm_s = await arrives(there, number)
            await until(lambda: told(there), FAULT_GOAL_S * TOLERANCE, 0.02)
            fault_s = time.monotonic() - began
            order.write_text("")
            began = time.monotonic()
            await until(lambda: not _failing(there), WELL_GOAL_S * TOLERANCE, 0.02)
            sys.stderr.write(
                f"\ndisk {fault}: alarm at the district {alarm_s:.2f} s after the change, fault alarm after {fault_s:.1f} s, "
                f"both lanes write {time.monotonic() - began:.1f} s after it was well\n"
            )
        await there.stop("gateway")
        await there.deliver()
        books.settle_accounts(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("trouble", AT_START)
async def test_a_gateway_that_finds_its_disk_unusable_still_alarms(tmp_path, trouble):
    """A start without a journal that can be written: it starts, says so, and an alarm goes out; once mended, all is kept."""
    scene, site = world.devices(1, 0.2)
    with small_disk(tmp_path / "journal", 4096) as disk:
        async with world.running(tmp_path, scene, site) as there:
            fillers = make_unusable(disk, trouble)
            began = time.monotonic()
            await there.start("gateway")
            await there.connected()
            up_s = time.monotonic() - began
            await until(lambda: there.alarms().keys() >= FAULT_ALARMS, FAULT_GOAL_S * TOLERANCE, 0.02)
            alarm_s = await arrives(there, 1)
            make_usable(disk, fillers)
            began = time.monotonic()
            await until(lambda: not _failing(there), WELL_GOAL_S * TOLERANCE, 0.02)
            sys.stderr.write(
                f"\n{trouble} at the start: connected after {up_s:.1f} s, alarm at the district {alarm_s:.2f} s after the "
                f"change, both lanes write {time.monotonic() - began:.1f} s after it was mended\n"
            )
            await there.stop("gateway")
            await there.deliver()
            assert not books.missing(tmp_path)


def make_unusable(disk, trouble):
    """Returns the files to take away again."""
    fillers = []
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    else:
        subprocess.run(["mount", "-o", "remount,nr_inodes=32", disk], check=True)
        with contextlib.suppress(OSError):  # no inode is left
            for number in range(64):
                (disk / f"filler-{number}").touch()
                fillers.append(disk / f"filler-{number}")
        assert len(fillers) < 32
    return fillers


def make_usable(disk, fillers):
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    for one in fillers:
        one.unlink()
