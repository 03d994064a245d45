"""The installed daemon under the restrictions of its unit, as far as they can be had without booting systemd.

Real here: its own user without capabilities, the folders and what is read-only, the system call filter, the address
families, no writable and executable memory, the watchdog's messages. Not here: cgroups (DeviceAllow=, MemoryMax=),
ProtectProc=, RestrictNamespaces=, and that systemd itself starts it.
"""

import asyncio
import contextlib
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import textwrap
from pathlib import Path

import pytest

from gateway import pki
from gateway.control import ask
from tests.systemd import unit
from tests.systemd.conftest import ROOT
from tests.waiting import until

DAEMON = unit.option("ExecStart").split()


def missing():
    if os.geteuid():
        return "needs root (mount name space, another user)"
    for program in ("systemd-analyze", "systemd-sysusers", "unshare", "setpriv", "mountpoint"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return "mount name spaces are not allowed here"
    return None


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")


@pytest.fixture
def site(tmp_path):
    """A folder with a site file that uses a serial line, both kinds of sockets and an uplink; yields it and the line."""
    folder = tmp_path / "site"
    folder.mkdir()
    pki.init(folder / "pki")
    line, far = pty.openpty()
    os.chmod(os.ttyname(far), 0o666)
    text = f"""
    gateway: {{id: demo-01, control_socket: /run/gengfu/control.sock}}
    journal: {{directory: /var/lib/gengfu/journal}}
    buses:
      - {{id: line-1, kind: serial, port: {os.ttyname(far)}}}
      - {{id: box, kind: tcp, host: localhost, tcp_port: 9}}
      - {{id: calls, kind: listen, host: 127.0.0.1, tcp_port: 0, longest_silence_s: 60}}
    devices:
      - {{id: smoke, bus: line-1, template: generic_smoke_loop, address: 1, text: {{zh: 烟感, en: smoke}}}}
      - {{id: lift, bus: box, template: generic_smoke_loop, address: 1, text: {{zh: 电梯, en: lift}}}}
      - {{id: hydrant, bus: calls, template: meokon_hydrant, address: "000000000001", text: {{zh: 消火栓, en: hydrant}}}}
    uplinks:
      - {{id: district, host: localhost, port: 9, ca: pki/ca.pem, certificate: pki/gateway.pem, key: pki/gateway.key}}
    """
    (folder / "site.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
    yield folder, line
    os.close(line)
    os.close(far)


def confined(installed, folder, tmp_path, *command, **options):
    """A command of the service, as the service."""
    limits = {"calls": unit.allowed_calls(), "families": unit.option("RestrictAddressFamilies").split()}
    (tmp_path / "limits.json").write_text(json.dumps(limits), encoding="utf-8")
    world = ["unshare", "--mount", "--propagation", "private", "sh", ROOT / "tests/systemd/world.sh"]
    return subprocess.Popen(
        [*world, installed, ROOT, folder, tmp_path / "limits.json", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


@contextlib.contextmanager
def service_manager():
    """The receiving end of sd_notify: a name without a file, so that it is the same in every name space."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("")
        channel.setblocking(False)
        yield channel, "@" + channel.getsockname()[1:].decode()


async def heard(channel, wanted, daemon):
    """Wait until the daemon has said so."""
    said = []

    def listen():
        with contextlib.suppress(BlockingIOError):
            while True:
                said.extend(channel.recv(4096).decode().splitlines())
        assert daemon.poll() is None, daemon.stdout.read().decode()
        return wanted in said

    await until(listen, 20)


async def test_the_daemon_does_its_work_under_the_units_restrictions(first, site, tmp_path):
    """Ready, watchdog fed, line polled, sockets tried, journal and last known good written, asked and ended."""
    folder, line = site
    with service_manager() as (channel, address):
        daemon = confined(first, folder, tmp_path, *DAEMON, env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": address})
        try:
            await heard(channel, "READY=1", daemon)
            await heard(channel, "WATCHDOG=1", daemon)
            seen = Path(f"/proc/{daemon.pid}/root")
            status = await asyncio.to_thread(ask, seen / "run/gengfu/control.sock", {"do": "status"})
            assert status["faults"] == {}, status
            assert not status["parts"]["uplink district"]["refused"], "the key can be read by the daemon alone"
            assert await until(lambda: select.select([line], [], [], 0)[0], 10), "the line is polled"
            assert (seen / "var/lib/gengfu/journal/alarm.db").stat().st_size
            kept = seen / "etc/gengfu/.site.yaml.last-good/site.yaml"
            assert kept.read_bytes() == (folder / "site.yaml").read_bytes()
            told = dict(row.split(":\t", 1) for row in (seen.parent / "status").read_text().splitlines())
            assert kept.stat().st_uid == int(told["Uid"].split()[0]) != 0
            assert (int(told["CapBnd"], 16), told["NoNewPrivs"], told["Seccomp"]) == (0, "1", "2")
            assert int(told["VmHWM"].split()[0]) < 0.75 * int(unit.option("MemoryMax").removesuffix("M")) * 1024
        finally:
            daemon.send_signal(signal.SIGTERM)
            output, _ = await asyncio.to_thread(daemon.communicate, timeout=20)
    assert daemon.returncode == 0, output.decode()
    assert b"cannot be kept" not in output
    assert b"Traceback" not in output


def test_a_site_that_cannot_be_used_ends_with_the_status_that_is_not_retried(first, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "site.yaml").write_text("gateway: {id: no way}\n", encoding="utf-8")
    daemon = confined(first, folder, tmp_path, *DAEMON)
    output, _ = daemon.communicate(timeout=30)
    assert daemon.returncode == 78, output.decode()


PROBE = """
import ctypes, json, mmap, os, socket, threading, time
from pathlib import Path
from gateway import clock
from gateway.field import timer
import apsw, pydantic, ssl

def outcome(call):
    try:
        call()
    except OSError as error:
        return error.errno
    except Exception as error:
        return repr(error)
    return "done"

def writable_code():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

def ask_clock():
    timex = clock._Timex()
    if clock._adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")

def thread():
    other = threading.Thread(target=lambda: None)
    other.start()
    other.join()

print(json.dumps({
    "write to the program": outcome(lambda: Path("/opt/gengfu/current/x").touch()),
    "write to /etc": outcome(lambda: Path("/etc/x").touch()),
    "write to /usr": outcome(lambda: Path("/usr/x").touch()),
    "replace the site file": outcome(lambda: Path("/etc/gengfu/site.yaml").unlink()),
    "change the site file": outcome(lambda: Path("/etc/gengfu/site.yaml").open("ab")),
    "read /root": outcome(lambda: os.listdir("/root")),
    "netlink": outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "writable code": outcome(writable_code),
    "set the clock": outcome(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    "become root": outcome(lambda: os.setuid(0)),
    "ask the clock": outcome(ask_clock),
    "boot id": outcome(clock.boot_id),
    "eventfd": outcome(lambda: os.eventfd(0)),
    "thread": outcome(thread),
    "name": outcome(lambda: socket.getaddrinfo("localhost", 8883)),
    "write to the journal's folder": outcome(lambda: Path("/var/lib/gengfu/x").touch()),
    "write to the run folder": outcome(lambda: Path("/run/gengfu/x").touch()),
}))
"""
EPERM, EACCES, EROFS = 1, 13, 30


def test_the_restrictions_are_real_and_leave_what_is_needed(first, site, tmp_path):
    """What must be refused is refused, so that the other tests here mean something; what the daemon needs is not."""
    python = first / "opt/gengfu/current/bin/python"
    inside = "/" + str(python.relative_to(first))
    probe = confined(first, site[0], tmp_path, inside, "-c", PROBE)
    output, _ = probe.communicate(timeout=30)
    assert probe.returncode == 0, output.decode()
    assert json.loads(output) == {
        "write to the program": EROFS,
        "write to /etc": EROFS,
        "write to /usr": EROFS,
        "replace the site file": EPERM,
        "change the site file": EACCES,
        "read /root": EACCES,
        "netlink": EPERM,
        "writable code": EPERM,
        "set the clock": EPERM,
        "become root": EPERM,
        "ask the clock": "done",
        "boot id": "done",
        "eventfd": "done",
        "thread": "done",
        "name": "done",
        "write to the journal's folder": "done",
        "write to the run folder": "done",
    }
