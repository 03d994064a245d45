"""A full disk never silences an alarm. A tmpfs of its own for the journal, which needs root."""

import contextlib
import errno
import os
import subprocess
import sys
import time

import pytest

from tests import brokers
from tests.e2e import books, world
from tests.waiting import until

pytestmark = [
    brokers.skip_without_mosquitto,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root"),
]

TOLERANCE = 5
ALARM_GOAL_S, FAULT_GOAL_S, WELL_GOAL_S = 2, 10, 5


@contextlib.contextmanager
def small_disk(folder, size_kib=2048):
    """A file system of that size at `folder`; unmounted whatever happens."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "gengfu-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Take all the space that is left; `ENOSPC` says that it is gone."""
    with (folder / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"\0" * 512):
            pass
    with (folder / "filler").open("ab", buffering=0) as filler, pytest.raises(OSError) as full:
        filler.write(b"\0" * 4096)
    assert full.value.errno == errno.ENOSPC


async def test_an_alarm_goes_out_though_the_disk_is_full(tmp_path):
    """Within 2 s (x5), marked not durable; the fault is an alarm; with space again both lanes work, nothing is lost."""
    scene, site = world.devices(2, 0.2)
    with small_disk(tmp_path / "journal") as disk:
        async with world.running(tmp_path, scene, site) as there:
            await there.start("gateway")
            await there.connected()
            fill(disk)
            filled = time.monotonic()
            fault = {"gateway/storage_alarms_failing", "gateway/storage_telemetry_failing"}
            there.tell(set={"smoke-1/density": 7})
            await until(lambda: there.arrived("high-1"), ALARM_GOAL_S * TOLERANCE, 0.02)
            alarm_s = time.monotonic() - filled
            await until(lambda: fault & there.alarms().keys(), FAULT_GOAL_S * TOLERANCE, 0.02)
            fault_s = time.monotonic() - filled
            # Until both lanes have nothing left to write into, and an alarm then.
            await until(lambda: fault <= there.alarms().keys(), 120, 0.05)
            began = time.monotonic()
            there.tell(set={"smoke-2/density": 7})
            await until(lambda: there.arrived("high-2"), ALARM_GOAL_S * TOLERANCE, 0.02)
            late_s = time.monotonic() - began
            assert there.ask("acknowledge", alarm="high-2", who="tester")["ok"], "a person still can act"

            (disk / "filler").unlink()
            began = time.monotonic()
            await until(lambda: not _failing(there), WELL_GOAL_S * TOLERANCE, 0.02)
            well_s = time.monotonic() - began
            sys.stderr.write(
                f"\nfull disk: alarm at the district {alarm_s:.2f} s and {late_s:.2f} s after the change, "
                f"fault alarm {fault_s:.1f} s after it was full, both lanes write {well_s:.1f} s after there was space\n"
            )
            states = {"returned", "normal"}
            await until(lambda: all(there.alarms().get(name, "normal") in states for name in fault), 60, 0.05)
            await there.stop("gateway")
            await there.deliver()
            books.settle_accounts(tmp_path)


def _failing(there):
    answer = there.ask("status")
    return not answer or any(
        answer["parts"][f"journal {lane}"]["failing_since"] is not None for lane in ("alarm", "telemetry")
    )
