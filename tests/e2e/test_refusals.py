"""What the daemon refuses, and how small the refusal is: a certificate, a key, a site file; never the local alarms."""

import asyncio
import subprocess
import sys
import time

import pytest

from gateway import pki
from tests import brokers
from tests.e2e import books, world
from tests.waiting import until

pytestmark = brokers.skip_without_mosquitto

YEAR_S = 366 * 86400


def of_another_authority(folder, uplink):
    """The broker's certificate is signed by somebody we do not trust."""
    pki.write(folder, "stranger", pki.make_authority(time.time()))
    uplink["ca"] = "pki/stranger.pem"


def ours_of_another_authority(folder, uplink):
    """Our certificate is signed by somebody whom the broker does not trust."""
    stranger = pki.issue(pki.make_authority(time.time()), world.GATEWAY, pki.Role.CLIENT, time.time())
    pki.write(folder, "ours", stranger)
    uplink |= {"certificate": "pki/ours.pem", "key": "pki/ours.key"}


def ours_expired(folder, uplink):
    expired = pki.issue(pki.read(folder), world.GATEWAY, pki.Role.CLIENT, time.time() - 2 * YEAR_S)
    pki.write(folder, "ours", expired)
    uplink |= {"certificate": "pki/ours.pem", "key": "pki/ours.key"}


def another_name(folder, uplink):
    """The broker is not who we were told to talk to."""
    uplink["server_name"] = "district.example"


def readable_key(folder, uplink):
    (folder / "gateway.key").chmod(0o644)


REFUSALS = (of_another_authority, ours_of_another_authority, ours_expired, another_name, readable_key)


@pytest.mark.parametrize("spoil", REFUSALS, ids=lambda spoil: spoil.__name__)
async def test_a_refused_uplink_is_shown_and_stops_no_local_alarm(tmp_path, spoil):
    """Nothing goes out; the refusal is an alarm; a local alarm is raised, committed and shown. With what it should have
    been at the next start, all of it arrives."""
    scene, site = world.devices(1, 0.2)
    async with world.running(tmp_path, scene, site) as there:
        good = dict(site["uplinks"][0])
        spoil(tmp_path / "pki", site["uplinks"][0])
        await there.start("gateway")
        await there.answers()
        there.tell(set={"smoke-1/density": 7})
        await until(lambda: there.alarms().get("high-1") == "unacknowledged", 10)
        shown = await until(lambda: there.alarms().keys() & {"gateway/uplink_refused", "gateway/uplink_down"}, 40, 0.05)
        assert not there.uplink()["connected"]
        assert there.uplink()["error"]
        sys.stderr.write(f"\n{spoil.__name__}: {sorted(shown)}; {there.uplink()['error']}\n")
        await until(lambda: {row["stage"] for row in there.ask("alarms")["alarms"]} == {"committed"}, 10)
        assert there.ask("acknowledge", alarm="high-1", who="tester")["ok"]
        assert await there.stop("gateway") == 0
        assert there.district("SELECT count(*) FROM record") == [(0,)]
        site["uplinks"][0] = good
        (tmp_path / "pki" / "gateway.key").chmod(0o600)
        await there.deliver()
        books.settle_accounts(tmp_path)


async def test_a_key_that_is_repaired_is_used_without_a_restart(tmp_path):
    """A person does the chmod that the message asks for, and the uplink comes up."""
    scene, site = world.devices(1, 0.2)
    async with world.running(tmp_path, scene, site) as there:
        readable_key(tmp_path / "pki", site["uplinks"][0])
        await there.start("gateway")
        await until(lambda: "gateway/uplink_refused" in there.alarms(), 40, 0.05)
        assert "chmod 600" in there.uplink()["error"]
        (tmp_path / "pki" / "gateway.key").chmod(0o600)
        await there.connected(120)
        await until(lambda: there.arrived("gateway/uplink_refused"), 60, 0.05)
        await until(lambda: there.alarms().get("gateway/uplink_refused") == "returned", 30, 0.05)


def break_site(path):
    """Three mistakes in three places."""
    text = path.read_text()
    for good, bad in (("kind: tcp", "kind: tpc"), ("severity: critical", "severity: grave"), ("id: demo-01", "id: ''")):
        assert good in text
        text = text.replace(good, bad, 1)
    path.write_text(text)


async def test_a_bad_site_file_at_boot_is_refused_whole(tmp_path):
    """Exit 78, every mistake with its line, nothing made: there was never a good one."""
    scene, site = world.devices(1, 0.2)
    async with world.running(tmp_path, scene, site) as there:
        there.write_site()
        break_site(tmp_path / "site.yaml")
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, *world.COMMANDS["gateway"]],
            cwd=tmp_path, env={"PYTHONPATH": str(world.ROOT)}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 78
        for path in ("buses[0].kind", "alarms[0].severity", "gateway.id"):
            assert f"{path}:" in ended.stderr, ended.stderr
        assert not (tmp_path / "journal").exists()


async def test_a_bad_site_file_at_boot_means_the_last_known_good(tmp_path):
    """It runs on what it had, prints every mistake, and says so by an alarm that the district gets too."""
    scene, site = world.devices(1, 0.2)
    async with world.running(tmp_path, scene, site) as there:
        await there.start("gateway")
        await there.connected()
        await there.stop("gateway")
        there.write_site = lambda: break_site(tmp_path / "site.yaml")
        await there.start("gateway")
        await until(lambda: "gateway/last_known_good" in there.alarms(), 30, 0.05)
        printed = there.log("gateway").read_text()
        assert all(path in printed for path in ("buses[0].kind", "alarms[0].severity", "gateway.id")), printed
        there.tell(set={"smoke-1/density": 7})
        await until(lambda: there.arrived("high-1") and there.arrived("gateway/last_known_good"), 60, 0.05)
