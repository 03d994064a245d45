"""A machine of the tests' own: a real systemd, booted by systemd-nspawn on a small root with this machine's /usr.

Nothing registers with the outside: no machined, no network of its own (it shares loopback), read-only /usr. Times are those
of a real systemd; a boot takes a few seconds.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from gateway.control import ask

ROOT = Path(__file__).resolve().parents[2]
FILES = ("os-release", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "hosts", "alternatives")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nnogroup:x:65534:\ndialout:x:20:\ntty:x:5:\n"
BOOT_S = 60.0


class Machine:
    """One booted root folder; `close` ends it."""

    def __init__(self, root, installed, *, updates=False):
        """`updates`: versions and unit lie where they are installed, and can be written."""
        self.root = root
        _furnish(root, installed)
        binds = [f"--bind-ro={installed / 'opt'}:/opt"]
        if updates:
            (root / "etc/systemd/system/gengfu.service").unlink()
            binds = [f"--bind={installed / name}:/{name}" for name in ("opt", "usr/local/lib")]
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--directory={root}", "--bind-ro=/usr",
             *binds, "--boot", "--console=pipe", "systemd.unit=basic.target"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.leader = None

    def boot(self):
        """Until the service manager answers; what nspawn said when it cannot."""
        until = time.monotonic() + BOOT_S
        while time.monotonic() < until:
            if self._nspawn.poll() is not None:
                return self._nspawn.stdout.read().decode(errors="replace")[-400:] or "systemd-nspawn ended"
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            if children:
                self.leader = int(children[0])
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded", "starting") and self._basic():
                    return None
            time.sleep(0.1)
        return f"no service manager after {BOOT_S:.0f} s"

    def _basic(self):
        return self.run("systemctl", "is-active", "basic.target", check=False).stdout.strip() == "active"

    def run(self, *command, check=True, timeout=60):
        """A command inside, as root."""
        done = subprocess.run(
            ["nsenter", f"--target={self.leader}", "--all", "--", *map(str, command)],
            text=True, capture_output=True, timeout=timeout, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def show(self, name):
        """One property of the service."""
        return self.run("systemctl", "show", "--property", name, "--value", "gengfu").stdout.strip()

    def status(self):
        """The daemon's own answer, None while there is none; over its socket, since a command takes half a second to start."""
        try:
            return ask(Path(f"/proc/{self.leader}/root/run/gengfu/control.sock"), {"do": "status"}, timeout_s=0.5)
        except (OSError, ValueError):
            return None

    def log(self):
        return self.run("journalctl", "--unit", "gengfu", "--output", "cat", "--no-pager", check=False).stdout

    def path(self, inside):
        return self.root / str(inside).lstrip("/")

    def close(self):
        # SIGRTMIN+4 asks the manager to power off; what is left a moment later is killed.
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGRTMIN + 4)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._nspawn.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._nspawn.pid, signal.SIGKILL)
        self._nspawn.wait(10)
        self._nspawn.stdout.close()


def _furnish(root, installed):
    """The least that systemd boots on, and the installed gateway as `make install` puts it."""
    for folder in (
        "etc/systemd/system",
        "usr/lib",
        "var/lib",
        "var/log",
        "run",
        "proc",
        "sys",
        "dev",
        "tmp",
        "root",
        "home",
    ):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64", "lib32"):
        if Path("/", link).exists():
            (root / link).symlink_to(f"usr/{link}")
    shutil.copy("/usr/lib/os-release", root / "usr/lib/os-release")  # nspawn looks before it mounts
    for name in FILES:
        there = Path("/etc", name)
        if there.is_dir():
            shutil.copytree(there, root / "etc" / name, symlinks=True)
        elif there.exists():
            shutil.copy(there, root / "etc" / name, follow_symlinks=name != "os-release")
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/machine-id").write_text("")
    (root / "opt").mkdir()
    shutil.copytree(installed / "etc/gengfu", root / "etc/gengfu")
    # /usr is this machine's and read-only: the unit and its kin lie where an administrator's would.
    lib = installed / "usr/local/lib"
    for kind, name in (
        ("systemd/system", "gengfu.service"),
        ("sysusers.d", "gengfu.conf"),
        ("tmpfiles.d", "gengfu.conf"),
    ):
        (root / "etc" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(lib / kind / name, root / "etc" / kind / name)
