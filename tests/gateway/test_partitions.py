"""Arming through the whole gateway but its lines: commands on the control socket, scans, rules, records, restarts."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway import config, post_view
from gateway.control import Control
from gateway.field.bus import Bus
from gateway.model import Lane, Quality, Scan
from gateway.parts import Parts, Seams
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.wire import pack, payloads
from tests.clocks import HandClock

SITE = Path(__file__).parent / "sites" / "good" / "partitions.yaml"
TEMPLATES = SITE.parents[1] / "templates"


class StillClock(HandClock):
    async def sleep_until(self, at):
        await asyncio.Event().wait()


class House:
    """A gateway on its journal; `restarted` is another run on the same one."""

    def __init__(self, folder, clock, *, changed=lambda text: text):
        self.folder, self.clock = folder, clock
        path = folder / "site.yaml"
        path.write_text(changed(SITE.read_text(encoding="utf-8")), encoding="utf-8")
        self.site = config.load(path, TEMPLATES)
        self.door, self.mode, self.full = 0, 0, 0

    async def start(self):
        self.lanes = [
            Journal(lane, self.folder / f"{lane}.db", "g", self.clock, InlineWorker(), 1 << 26, lambda n: "ab" * n)
            for lane in Lane
        ]
        opened = [await lane.open() for lane in self.lanes]
        seams = Seams(self.clock, lambda name: InlineWorker(), Bus, None, lambda: 0.5, lambda n: "ab" * n)
        self.parts = Parts(self.site, seams, *self.lanes, opened[0])
        self.parts.restore(opened[0])
        views = post_view.table(self.parts.post, self.clock)
        self.control = Control(
            self.folder / "s",
            views,
            self.parts.pipeline.command,
            self.clock,
            self.parts.guard,
            self.parts.ledger.written,
        )
        return self

    async def close(self):
        """As a kill would: nothing is handed over but what was committed."""
        await self.turn()
        for lane in self.lanes:
            await lane.close()

    async def turn(self):
        """Let the loop hand over what the journal has to say."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def go_on(self, seconds=1):
        """Everything is read once a second."""
        for _ in range(seconds):
            await self.turn()
            self.clock.advance(1)
            at = self.clock.monotonic()
            self.parts.pipeline.take(Scan("a", 0, at, (0.0, self.door), b"\0\0"))
            self.parts.pipeline.take(Scan("a", 1, at, (self.mode, 0, 0), b"\0\0\0"))
            self.parts.pipeline.take(Scan("b", 0, at, (0.0, 0), b"\0\0"))
            self.parts.pipeline.take(Scan("m", 0, at, (1, 1.0, 0, 1.0, self.full), b"\0" * 5))

    def ask(self, do, subject="office", value="", who="王师傅", why="下班"):
        request = {"do": do, "alarm": subject, "value": value, "who": who, "why": why}
        return self.control.answer(json.dumps(request).encode(), "root, uid 0")

    def standing(self):
        answer = self.control.answer(b'{"do": "partitions"}', "")
        (office, _) = answer["partitions"]
        return office

    @property
    def state(self):
        return self.standing()["state"]

    def alarms(self):
        return {name: one.state.value for name, one in self.parts.engine.alarms().items() if one.since is not None}

    def intrusion(self):
        return self.alarms().get("site/office", "normal")

    async def records(self, kind):
        await self.turn()
        lane = self.lanes[0]
        return [json.loads(one.body) for one in await lane.after(0, 1000, 1 << 24) if one.kind == kind]


@pytest.fixture
async def house(tmp_path):
    house = await House(tmp_path, StillClock()).start()
    await house.go_on(2)
    yield house
    await house.close()


async def restarted(house, *, gone_s=5, boot="c" * 32, at=50.0, **options):
    """After a power cut: another boot, whose clock is trusted."""
    await house.close()
    wall = house.clock.wall() + gone_s
    again = await House(house.folder, StillClock(at=at, wall=wall, boot=boot), **options).start()
    again.door, again.full = house.door, house.full
    return again


async def armed(house):
    assert house.ask("arm")["ok"]
    await house.go_on(30)
    assert house.state == "armed"
    return house


async def test_a_day_of_a_partition(house):
    """Armed, somebody comes in and disarms in time; armed again, somebody comes in and does not."""
    assert house.state == "disarmed"
    assert house.ask("arm")["ok"]
    assert (house.state, house.standing()["ends_in_s"]) == ("exit_delay", 30)
    await house.go_on(30)
    assert house.state == "armed"
    house.door = 1
    await house.go_on()
    assert (house.state, house.intrusion()) == ("entry_delay", "normal")
    await house.go_on(10)
    assert house.ask("disarm")["ok"]
    house.door = 0
    await house.go_on(30)
    assert (house.state, house.alarms()) == ("disarmed", {})
    await armed(house)
    house.door = 1
    await house.go_on()
    house.door = 0
    await house.go_on(20)
    assert (house.state, house.intrusion()) == ("armed", "unacknowledged")
    assert house.ask("disarm")["ok"]
    await house.go_on(3)
    assert (house.state, house.intrusion()) == ("disarmed", "returned")


async def test_an_entry_delay_begins_before_the_rules_see_the_open_door(house):
    """An alarm over "armed and door open" stays silent during the delay, and is raised by a door still open after it."""
    assert house.ask("level", "", "加强", why="节日")["ok"]
    await armed(house)
    house.door = 1
    await house.go_on(19)
    assert house.alarms() == {}
    await house.go_on(2)
    assert set(house.alarms()) == {"at-night", "site/office"}


async def test_it_says_in_both_languages_why_it_cannot_arm(house):
    house.full = 1
    await house.go_on()
    answer = house.ask("arm")
    assert answer == {
        "ok": False,
        "zh": "物业办公室不能布防：表：满 未关闭",
        "en": "office cannot arm: meter, full (m/full) is open",
    }
    assert house.ask("arm", value="away m/full")["ok"]
    assert house.standing()["bypass"] == ["m/full"]
    house.clock.advance(60)
    assert house.ask("arm", "store")["en"].count("without valid data") == 2


async def test_nobody_arms_or_sets_a_level_without_a_name(house):
    for do in ("arm", "disarm", "level"):
        assert "who" in house.ask(do, who=" ")["en"]
    assert "reason" in house.ask("level", "", "1", why="")["en"]
    assert house.state == "disarmed"


async def test_every_command_is_recorded_with_its_person(house):
    house.ask("arm", value="stay", why="值班")
    house.ask("arm")
    house.ask("level", "", "1", why="解除")
    first, second, third = await house.records(payloads.COMMAND)
    assert (first["action"], first["alarm"], first["value"], first["why"]) == ("arm", "office", "stay", "值班")
    assert first["who"] == "王师傅 (root, uid 0)"
    assert first["refused"] is None
    assert second["refused"]["en"] == "office is armed already"
    assert (third["action"], third["value"]) == ("level", "1")


async def test_it_takes_the_ordinary_way_to_the_district(house):
    """A change is telemetry with the words of its state."""
    house.ask("arm")
    await house.go_on(2)
    house.parts.pipeline.readings.flush()
    telemetry = house.lanes[1]
    layouts = pack.Layouts(telemetry.state)
    told = [
        dict(zip([point.name for point in entry.layout.points], entry.values, strict=True))
        for record in await telemetry.after(0, 1000, 1 << 24)
        for entry in pack.decode(record.body, layouts)
        if entry.layout.device == "site" and entry.columns is None
    ]
    assert told[0]["office"] == 0
    view = {row["id"]: row["value"] for row in house.parts.views().points("site")}
    assert (view["site/office"], view["site/office.mode"], view["site/level"]) == ("exit_delay", "away", "加强")


async def test_an_intrusion_and_its_alarm_are_one_commit(house):
    """Law 4: a power cut finds both or neither."""
    await armed(house)
    await house.go_on(3)
    await house.turn()
    lane = house.lanes[0]
    before = lane.counters().transactions
    house.parts.pipeline.take(Scan("m", 0, house.clock.monotonic(), (1, 1.0, 0, 1.0, 1), b"\0" * 5))
    await house.turn()
    assert house.intrusion() == "unacknowledged"
    assert lane.counters().transactions == before + 1
    assert json.loads(lane.state()["post/office"])["intrusion"] is True


async def test_a_bug_in_the_partitions_keeps_no_scan_from_the_rules(house, monkeypatch):
    """The door's own scan is taken as ever; the bug is told."""
    await armed(house)
    monkeypatch.setattr(house.parts.post, "scan", lambda at: 1 / 0)
    house.door = 1
    house.parts.pipeline.take(Scan("a", 0, house.clock.monotonic(), (0.0, 1), b"\0\0"))
    assert house.parts.pipeline.latest["a", 0].values == (0.0, 1)
    assert list(house.parts.guard.faults) == ["site"]


async def test_a_restart_while_disarmed_or_never_set(house):
    again = await restarted(house)
    assert (again.state, again.parts.post.level) == ("disarmed", 2)
    await again.close()


async def test_a_restart_in_the_exit_delay_goes_on_with_it(house):
    house.ask("arm")
    await house.go_on(10)
    house.ask("level", "", "1", why="提交时钟")  # a commit: the clocks are as of it
    again = await restarted(house, gone_s=5)
    assert again.standing()["ends_in_s"] == pytest.approx(15, abs=0.1)
    await again.go_on(15)
    assert again.state == "armed"
    await again.close()


async def test_a_restart_while_armed_watches_on(house):
    await armed(house)
    again = await restarted(house)
    assert again.state == "armed"
    again.full = 1
    await again.go_on()
    assert (again.state, again.intrusion()) == ("armed", "unacknowledged")
    assert again.alarms()["site/office"] == "unacknowledged"
    await again.close()


async def test_an_entry_delay_goes_on_across_a_restart_and_ends_as_an_intrusion(house):
    """Pulling the plug does not help the intruder."""
    await armed(house)
    house.door = 1
    await house.go_on()
    again = await restarted(house, gone_s=5)
    assert again.state == "entry_delay"
    assert again.standing()["ends_in_s"] == pytest.approx(15, abs=1.1)
    again.door = 0
    await again.go_on(16)
    assert (again.state, again.intrusion()) == ("armed", "unacknowledged")
    third = await restarted(again, boot="d" * 32)
    assert (third.standing()["intrusion"], third.intrusion()) == (True, "unacknowledged")
    assert third.ask("disarm")["ok"]
    await third.go_on(3)
    assert third.intrusion() == "returned"
    await third.close()


async def test_an_entry_delay_that_ended_during_the_cut_is_an_intrusion_at_the_start(house):
    await armed(house)
    house.door = 1
    await house.go_on()
    again = await restarted(house, gone_s=60)
    assert (again.state, again.intrusion()) == ("armed", "unacknowledged")
    await again.close()


async def test_times_and_the_clock_that_they_are_of_are_one_commit(house, monkeypatch):
    """The first commit of a boot (an alarm is back in service) says that states are of its clock: a delay among them. Else the
    next power cut would give an intruder a new one."""
    await armed(house)
    house.door = 1
    await house.go_on(10)
    request = {"do": "take_out", "alarm": "b/silent", "who": "王师傅", "why": "换线", "for_s": 3}
    assert house.control.answer(json.dumps(request).encode(), "")["ok"]
    commits, commit = [], Journal.commit

    def recorded(lane, drafts, state=None, *rest):
        commits.append({} if state is None else dict(state))
        return commit(lane, drafts, state, *rest)

    monkeypatch.setattr(Journal, "commit", recorded)
    await (await restarted(house)).close()
    first = next(state for state in commits if "clocks" in state)
    assert "alarm/b/silent" in first
    assert "post/office" in first


async def test_a_partition_that_left_the_site_is_told_and_given_up(house):
    await armed(house)
    again = await restarted(house, changed=lambda text: text.replace("office", "bureau"))
    assert "site/office" in (await again.records(payloads.RUN))[-1]["gone"]
    third = await restarted(again, boot="d" * 32)
    assert third.state == "disarmed"
    assert (await third.records(payloads.RUN))[-1]["gone"] == []
    await third.close()


async def test_the_gateway_says_when_values_are_in_doubt(house):
    """Two devices answer for an address: both are in doubt, the gateway raises, and it ends by itself."""
    house.parts.buses["line"].twice(1)
    await house.go_on()
    assert house.parts.plausible.doubtful()
    latest = house.parts.pipeline.latest
    assert set(latest["a", 0].qualities) == {Quality.DOUBLE_ADDRESS}
    assert set(latest["m", 0].qualities) == {Quality.GOOD}
    (row,) = [row for row in house.parts.views().points("a") if row["id"] == "a/alarm"]
    assert (row["quality"], row["reason"]["en"]) == ("double_address", "two devices answer for this address")
    assert house.parts.views().status()["parts"]["points"]["double_addresses"] == ["a"]
    await house.go_on(61)
    assert not house.parts.plausible.doubtful()
