"""The installed service on a real, booted systemd: starts, is watched, comes back from every hang and crash.

Not here: DeviceAllow= (a container's own device rules stand before it), MemoryMax= (no accounting in a container without
its own cgroup), modprobe@, a hardware watchdog.
"""

import json
import os
import shutil
import signal
import sys
import textwrap
import time

import pytest

from gateway import last_good
from tests.systemd import booted, unit

CRASHES = 60 if os.environ.get("GENGFU_FAULTS") == "full" else 6
POLLING_AGAIN_S = 15.0
"""R25."""
SLACK = 5
"""Tests of faults may allow five times the target; this machine may be busy."""


def missing():
    if os.geteuid():
        return "needs root (a container)"
    for program in ("systemd-nspawn", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")

SITE = """
gateway: {id: ID, control_socket: /run/gengfu/control.sock}
journal: {directory: /var/lib/gengfu/journal}
buses:
  - {id: box, kind: tcp, host: 127.0.0.1, tcp_port: 9}
devices:
  - {id: lift, bus: box, template: generic_smoke_loop, address: 1, text: {zh: 电梯, en: lift}}
"""


@pytest.fixture
def machine(first, tmp_path):
    """A booted machine with the gateway installed and a site of one (dead) device; the service is not started yet."""
    root = tmp_path / "root"
    root.mkdir()
    made = booted.Machine(root, first)
    try:
        if why := made.boot():
            pytest.skip(f"this kernel boots no container: {why}")
        put_site(made, "demo-01")
        drop_in(made, "hang", "Environment=PYTHONPATH=/var/lib/hang")
        shutil.copytree(booted.ROOT / "tests/systemd/hang", made.path("/var/lib/hang"))
        (made.path("/var/lib/crash")).mkdir()
        yield made
    finally:
        made.close()


def put_site(machine, name, text=SITE):
    machine.path("/etc/gengfu/site.yaml").write_text(textwrap.dedent(text).replace("ID", name))
    machine.path("/etc/gengfu/site.yaml").chmod(0o644)


def drop_in(machine, name, *lines):
    folder = machine.path("/etc/systemd/system/gengfu.service.d")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.conf").write_text("\n".join(["[Service]", *lines, ""]))
    machine.run("systemctl", "daemon-reload")


def until(condition, what, machine, timeout_s=SLACK * POLLING_AGAIN_S):
    """The first truthy answer; with the service's log where there is none."""
    end = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < end, f"{what}: not within {timeout_s:.0f} s\n{machine.log()}"
        time.sleep(0.1)  # another machine: nobody tells us
    return answer


def start(machine):
    machine.run("systemctl", "start", "gengfu")
    assert machine.show("ActiveState") == "active"
    return int(machine.show("MainPID"))


def ask(machine, *command):
    """The running gateway's answer as JSON, None while there is none."""
    told = machine.run("/opt/gengfu/current/bin/gengfu", *command, "--json", check=False)
    return json.loads(told.stdout) if told.returncode == 0 else None


def new_pid(machine, old):
    pid = int(machine.show("MainPID"))
    return pid if pid not in (0, old) else 0


def polls(machine):
    status = machine.status()
    return status["scans"] if status else 0


def again_s(machine, began, old, what):
    """Seconds from `began` until another process than `old` polls."""
    until(lambda: new_pid(machine, old) and polls(machine), what, machine)
    return time.monotonic() - began


def test_it_starts_as_its_own_user_and_says_so(machine):
    pid = start(machine)
    assert machine.show("StatusText") == "on watch"
    assert machine.run("ps", "-o", "user=", "-p", pid).stdout.strip() == "gengfu"
    status = until(lambda: ask(machine, "status"), "the control socket answers", machine)
    assert status["gateway"] == "demo-01"
    assert "cannot be kept" not in machine.log()
    assert machine.path("/etc/gengfu/.site.yaml.last-good/site.yaml").exists()


@pytest.mark.parametrize(
    ("part", "number"),
    [("loop", signal.SIGUSR1), ("bus", signal.SIGRTMIN), ("rules", signal.SIGRTMIN + 1)],
    ids=["loop", "bus", "rules"],
)
def test_a_part_that_hangs_is_started_again(machine, part, number):
    """The watchdog is fed on real progress only: it polls again within 15 s (R25; five times that here)."""
    pid = start(machine)
    until(lambda: polls(machine), "it polls", machine)
    began = time.monotonic()
    machine.run("kill", f"-{int(number)}", pid)
    took_s = again_s(machine, began, pid, f"it polls again after the hang of the {part}")
    sys.stdout.write(f"hang of the {part}: polling again after {took_s:.1f} s (R25: 15 s)\n")
    assert "watchdog" in machine.run("journalctl", "--no-pager").stdout.lower()


def test_a_disk_that_hangs_stops_no_polling(machine):
    """The journal's threads stand still: alarms are announced without them (law 5), and later the service is started anew."""
    pid = start(machine)
    until(lambda: polls(machine), "it polls", machine)
    machine.run("kill", f"-{int(signal.SIGUSR2)}", pid)
    before = polls(machine)
    until(lambda: polls(machine) > before + 2, "it polls on", machine)
    assert int(machine.show("MainPID")) == pid
    until(lambda: new_pid(machine, pid), "a new process", machine)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_crash_is_over_in_seconds_however_often_it_comes(machine, number):
    """The second time and so on as soon as it is there: systemd's usual limit is five starts in ten seconds (R26)."""
    pid = start(machine)
    for crash in range(CRASHES):
        began = time.monotonic()
        machine.run("kill", f"-{int(number)}", pid)
        if crash in (0, CRASHES - 1):
            took_s = again_s(machine, began, pid, "it polls again")
            sys.stdout.write(f"crash {crash + 1}: polling again after {took_s:.1f} s\n")
        pid = until(lambda old=pid: new_pid(machine, old), "a new process", machine)


def test_a_crash_loop_ends_with_the_last_known_good_site(machine):
    """A site that is valid and makes the daemon crash: after three starts the one before runs, with its alarms and a fault."""
    start(machine)
    until(lambda: ask(machine, "status"), "the good site runs", machine)
    until(machine.path("/etc/gengfu/.site.yaml.last-good/site.yaml").exists, "it is kept", machine)
    put_site(machine, "demo-02")
    machine.path("/var/lib/crash/demo-02").touch()
    machine.run("systemctl", "restart", "gengfu", check=False)
    status = until(lambda: ask(machine, "status"), "the good site runs again", machine)
    assert status["gateway"] == "demo-01"
    assert int(machine.show("NRestarts")) >= last_good.CRASHES
    alarms = until(lambda: (ask(machine, "alarms") or {}).get("alarms"), "the fault", machine)
    assert "gateway/last_known_good" in {alarm["id"] for alarm in alarms}


def test_a_bad_site_means_the_last_known_good_one(machine):
    start(machine)
    until(machine.path("/etc/gengfu/.site.yaml.last-good/site.yaml").exists, "it is kept", machine)
    put_site(machine, "no way")
    machine.run("systemctl", "restart", "gengfu")
    status = until(lambda: ask(machine, "status"), "the good site runs again", machine)
    assert status["gateway"] == "demo-01"


def test_a_bad_site_without_a_good_one_is_not_tried_again(machine):
    """Status 78: to try again would change nothing, and the log would fill."""
    put_site(machine, "no way")
    machine.run("systemctl", "start", "gengfu", check=False)
    until(lambda: machine.show("ActiveState") == "failed", "it has failed", machine)
    assert machine.show("ExecMainStatus") == "78"
    assert machine.show("NRestarts") == "0"


def test_a_key_comes_in_as_a_credential(machine, tmp_path):
    """LoadCredential=: mode and access list are systemd's; the uplink is not refused for them."""
    from gateway import pki

    pki.init(tmp_path / "pki")
    shutil.copytree(tmp_path / "pki", machine.path("/var/lib/keys"))
    for name in ("ca.pem", "gateway.pem"):
        shutil.copy(tmp_path / "pki" / name, machine.path(f"/etc/gengfu/{name}"))
        machine.path(f"/etc/gengfu/{name}").chmod(0o644)
    drop_in(machine, "key", "LoadCredential=uplink.key:/var/lib/keys/gateway.key")
    uplink = """
uplinks:
  - {id: district, host: localhost, port: 9, ca: ca.pem, certificate: gateway.pem,
     key: /run/credentials/gengfu.service/uplink.key}
"""
    put_site(machine, "demo-01", SITE + uplink)
    start(machine)
    uplink = until(lambda: (ask(machine, "status") or {}).get("parts", {}).get("uplink district"), "status", machine)
    assert not uplink["refused"], uplink


def test_a_stop_is_orderly_and_quick(machine):
    """TimeoutStopSec= is never needed."""
    start(machine)
    until(lambda: polls(machine), "it polls", machine)
    began = time.monotonic()
    machine.run("systemctl", "stop", "gengfu")
    assert time.monotonic() - began < float(unit.option("TimeoutStopSec"))
    assert machine.show("Result") == "success"


def test_root_changes_the_site_of_a_daemon_that_cannot_write_it(machine):
    """By reload, and by the command: the daemon reads root's draft, keeps what it needs beside the file, as itself."""
    pid = start(machine)
    until(lambda: ask(machine, "status"), "the control socket answers", machine)
    more = SITE + "  - {id: second, bus: box, template: generic_smoke_loop, address: 2}\n"
    machine.path("/root/new.yaml").write_text(more.replace("ID", "demo-01"))
    plan = ask(machine, "apply", "/root/new.yaml", "--dry-run")
    assert plan["change"]["devices"] == {"new": ["second"]}
    assert not machine.path("/etc/gengfu/.site.yaml.draft").exists()
    put_site(machine, "demo-01", more)
    machine.run("systemctl", "reload", "gengfu")
    until(lambda: "second" in json.dumps(ask(machine, "status")), "the second device is watched", machine)
    assert machine.path("/etc/gengfu/.site.yaml.doubted").exists()
    assert int(machine.show("MainPID")) == pid
    machine.run("systemctl", "restart", "gengfu")  # within the trial: the site from before
    status = until(lambda: ask(machine, "status"), "it runs again", machine)
    assert "second" not in json.dumps(status["devices"])
