"""A bad new version on a real, booted systemd goes back by itself (R30): the old one polls, says so, and has its journal.

The new version is the old one once more, spoilt, with a unit of its own. What the installer does: test_install.py; what is
cut off where: test_update.py.
"""

import os
import shutil
import subprocess
import sys
import time

import pytest

from gateway import __version__
from tests.systemd import booted
from tests.systemd.test_booted import ask, missing, put_site, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")

OLD, NEW = __version__, f"9.{__version__}"
SPOILT = {
    "ends": "import sys; sys.exit(1)\n",
    "ends as if it had been stopped": "import os; os._exit(0)\n",
    "is killed after its start": "import threading, os; threading.Timer(2, os.abort).start()\n",
    "finds no usable site": "import sys; sys.exit(78)\n",
    "hangs": "import time; time.sleep(1000)\n",
}
PATIENCE_S = 180.0
"""Four starts of a daemon, on a machine that may be busy."""
SHARE = ("ends", "finds no usable site")
"""Of CI; all of them with GENGFU_FAULTS=full."""


@pytest.fixture
def machine(installed, tmp_path):
    """A booted machine with the new version beside the old one, which runs."""
    opt = installed / "opt/gengfu"
    subprocess.run(["cp", "-a", opt / OLD, opt / NEW], check=True)
    unit = opt / NEW / "service/gengfu.service"
    unit.write_text(unit.read_text().replace("TimeoutStartSec=90", "TimeoutStartSec=4"))  # a hang is as long as that
    shutil.copy(unit, installed / "usr/local/lib/systemd/system")  # as after an update that is cut off
    root = tmp_path / "root"
    root.mkdir()
    made = booted.Machine(root, installed, updates=True)
    try:
        if why := made.boot():
            pytest.skip(f"this kernel boots no container: {why}")
        put_site(made, "demo-01")
        made.opt = opt
        made.run("systemctl", "start", "gengfu")
        yield made
    finally:
        made.close()


def put_on_trial(opt):
    """As the installer does."""
    (opt / NEW / "trial.0").symlink_to(OLD)
    (opt / NEW / "undone").write_text(f"{NEW}\n")
    (opt / "next").symlink_to(NEW)
    (opt / "next").replace(opt / "current")


def spoil(opt, how):
    """The new version as it was installed, but for this."""
    (module,) = (opt / NEW).glob("lib/python3*/site-packages/gateway/app.py")
    kept = module.with_suffix(".kept")
    if not kept.exists():
        kept.write_bytes(module.read_bytes())
    module.write_text(kept.read_text(encoding="utf-8").replace("import asyncio\n", SPOILT[how] + "import asyncio\n", 1))


def test_a_version_that_people_restart_again_and_again_is_not_left(machine):
    """The service manager says that it was asked to."""
    until(lambda: (machine.status() or {}).get("scans"), "the old version polls", machine)
    units = [machine.opt / name / "service/gengfu.service" for name in (OLD, NEW)]
    shutil.copy(*units)  # with all the time that a start on a busy machine takes
    put_on_trial(machine.opt)
    for _ in range(5):
        machine.run("systemctl", "restart", "gengfu")
    assert os.readlink(machine.opt / "current") == NEW
    assert not (machine.opt / "undone").exists()


def test_a_bad_version_is_left_by_itself(machine):
    """Whatever is wrong with it: the old version runs again, with its own unit, its journal and a fault."""
    until(lambda: (machine.status() or {}).get("scans"), "the old version polls", machine)
    journal = machine.path("/var/lib/gengfu/journal/alarm.db").stat().st_ino
    assert machine.show("TimeoutStartUSec") == "1min 30s", "its own unit, though the new one's was there"
    for how in SPOILT if os.environ.get("GENGFU_FAULTS") == "full" else SHARE:
        spoil(machine.opt, how)
        (machine.opt / "undone").unlink(missing_ok=True)
        put_on_trial(machine.opt)
        began = time.monotonic()
        machine.run("systemctl", "--no-block", "restart", "gengfu")
        until((machine.opt / "undone").exists, f"a version that {how} is left", machine, PATIENCE_S)
        until(lambda: (machine.status() or {}).get("scans"), "the old version polls again", machine, PATIENCE_S)
        sys.stdout.write(f"a version that {how}: the old one polls after {time.monotonic() - began:.1f} s\n")
        assert os.readlink(machine.opt / "current") == OLD
        alarms = until(lambda: (ask(machine, "alarms") or {}).get("alarms"), "the fault", machine)
        assert "gateway/update_undone" in {alarm["id"] for alarm in alarms}
        assert machine.show("TimeoutStartUSec") == "1min 30s"
    assert machine.path("/var/lib/gengfu/journal/alarm.db").stat().st_ino == journal
    assert (
        sorted(path.name for path in machine.path("/var/lib/gengfu/journal").iterdir() if "broken" in path.name) == []
    )
