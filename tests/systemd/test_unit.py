"""gengfu.service: valid, hardened, and in agreement with the code."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.app import EX_CONFIG, EX_SOFTWARE
from gateway.clock import HOUSEKEEPING_S
from gateway.commands.console import control_socket
from gateway.config import load
from gateway.parts import STALLED_S
from tests.systemd import unit

FOLDER = unit.PATH.parent
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def test_the_unit_is_valid(tmp_path):
    """`systemd-analyze verify`, but for the program, which is not installed here."""
    text = unit.PATH.read_text(encoding="utf-8")
    path = tmp_path / "gengfu.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exposure_is_at_most_2():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(unit.PATH)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]
    assert float(re.search(r"Overall exposure level for gengfu.service: ([\d.]+)", done.stdout)[1]) <= 2.0


def test_the_first_site_file_lies_in_the_folders_of_the_unit(first, tmp_path, monkeypatch):
    """Journal, socket and site file are where systemd makes room for them, and the command line finds the socket."""
    path = first / "etc/gengfu/site.yaml"
    site = load(path)
    assert unit.option("ExecStart") == "/opt/gengfu/current/bin/gengfu run /etc/gengfu/site.yaml"
    assert unit.option("ConfigurationDirectory") == "gengfu"
    assert unit.option("ReadWritePaths") == "/etc/gengfu"
    assert Path(site.journal.directory).parent == Path("/var/lib") / unit.option("StateDirectory")
    assert Path(site.gateway.control_socket) == Path("/run") / unit.option("RuntimeDirectory") / "control.sock"
    monkeypatch.delenv("GENGFU_SOCKET", raising=False)
    monkeypatch.chdir(tmp_path)  # where no demo runs
    assert str(control_socket(None)) == site.gateway.control_socket


def test_it_is_started_again_unless_the_site_file_is_the_reason():
    assert unit.option("Restart") == "always"
    assert unit.option("StartLimitIntervalSec") == "0"
    prevented = unit.option("RestartPreventExitStatus").split()
    assert str(EX_CONFIG) in prevented
    assert str(EX_SOFTWARE) not in prevented


def test_a_reader_that_runs_out_of_memory_does_not_end_the_daemon():
    """The kernel kills the reader first (gateway/apart.py); by systemd's default its whole service would be stopped for that."""
    assert unit.option("OOMPolicy") == "continue"


def test_the_watchdog_bites_later_than_it_is_fed():
    """A feeding may be late several times over before the service is started again."""
    assert unit.option("Type") == "notify"
    assert 5 * HOUSEKEEPING_S <= float(unit.option("WatchdogSec")) <= STALLED_S


def test_the_serial_ports_are_named():
    named = {value.split()[0] for value in unit.options()["DeviceAllow"]}
    assert named == {"char-ttyUSB", "char-ttyAMA", "char-ttyACM", "char-gpiochip"}


def test_the_clock_can_be_asked():
    """The C library's adjtimex is clock_adjtime; ProtectClock= would forbid it and no time would ever be trusted."""
    assert {"adjtimex", "clock_adjtime"} <= set(unit.allowed_calls())
    assert "ProtectClock" not in unit.options()
    assert unit.option("CapabilityBoundingSet") == ""
    assert not {"mount", "ptrace", "bpf", "init_module", "reboot", "chroot"} & set(unit.allowed_calls())


def test_the_folder_of_the_site_file_has_the_same_mode_everywhere():
    """Unit and tmpfiles agree: sticky, root's, writable for the daemon's group."""
    (line,) = re.findall(r"^d /etc/gengfu (\d+) root gengfu", (FOLDER / "gengfu.tmpfiles").read_text(), re.MULTILINE)
    assert line == unit.option("ConfigurationDirectoryMode") == "1770"


def test_users_and_folders_can_be_made():
    """systemd-sysusers and systemd-tmpfiles read their files without a complaint."""
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(FOLDER / "gengfu.sysusers")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "ignoring" not in done.stderr
