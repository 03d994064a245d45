"""The gateway watches itself: its concerns are points and alarms, and the watchdog is fed on progress only."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway import health
from gateway.model import Quality, Severity, State
from gateway.remedies import REMEDIES
from rules.engine import Engine
from tests.clocks import HandClock
from tests.waiting import until


def concerns(**wrong):
    return lambda: {concern.name: wrong.get(concern.name, False) for concern in health.CONCERNS}


def test_every_concern_is_a_point_an_alarm_and_has_words_in_both_languages():
    points = {point.id for point in health.device().groups[0].points}
    for alarm in health.alarms():
        assert alarm.id in points
        assert alarm.text.zh
        assert alarm.text.en
    assert len(health.alarms()) == len(health.CONCERNS)


def test_a_concern_without_a_watcher_is_refused():
    """A point that nobody looks after would always be well."""
    names = {concern.name for concern in health.CONCERNS} - {"uplink_down"}
    with pytest.raises(ValueError, match="uplink_down"):
        health.Health(HandClock(), lambda: dict.fromkeys(names, False), {}, print)


def test_a_failing_disk_becomes_an_alarm_by_the_ordinary_rules():
    """No second mechanism beside the rules."""
    clock = HandClock()
    groups = {(health.DEVICE, 0): tuple(point.id for point in health.device().groups[0].points)}
    engine = Engine(health.alarms(), groups, clock.monotonic())
    watcher = health.Health(clock, concerns(storage_alarms_failing=True), {}, print)
    (transition,) = engine.step(watcher.scan(), clock.monotonic()).transitions
    assert (transition.alarm, transition.after) == ("gateway/storage_alarms_failing", State.UNACKNOWLEDGED)
    assert engine.alarms()[transition.alarm].spec.severity is Severity.CRITICAL


def test_its_scan_says_whether_the_clock_is_trusted():
    clock = HandClock(trusted=False)
    scan = health.Health(clock, concerns(), {}, print).scan()
    assert scan.values[-1] == 0
    assert set(scan.qualities) == {Quality.GOOD}


def test_a_part_that_does_not_move_is_stalled():
    """The service manager hears no more of us, though the loop itself still turns."""
    clock = HandClock()
    moved = {"bus": clock.monotonic(), "rules": clock.monotonic()}
    watcher = health.Health(clock, concerns(), {name: (lambda name=name: moved[name], 15.0) for name in moved}, print)
    clock.advance(10)
    moved["rules"] = clock.monotonic()
    assert watcher.stalled() == []
    clock.advance(6)
    assert watcher.stalled() == ["bus"]


async def test_the_watchdog_is_fed_only_while_all_parts_move(tmp_path, monkeypatch):
    """What systemd sees on its socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        clock = HandClock()
        moved = clock.monotonic()
        scans = []

        async def tick(at):
            clock.advance(at - clock.monotonic())
            await asyncio.sleep(0)

        clock.sleep_until = tick
        watcher = health.Health(clock, concerns(), {"bus line-1": (lambda: moved, 2.5)}, scans.append)
        task = asyncio.create_task(watcher.run())
        await until(lambda: len(scans) >= 6)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        heard = [manager.recv(4096).decode() for _ in range(6)]
    assert heard[0] == "READY=1"
    assert ["WATCHDOG=1" in words for words in heard[1:6]] == [True, True, True, False, False]
    assert "bus line-1" in heard[5]


async def told(stalls, monkeypatch):
    """What the service manager hears of a part that stands still for so many looks, and then moves."""
    clock, heard = HandClock(), []
    moved = [clock.monotonic()]
    monkeypatch.setattr(health, "notify", heard.append)

    async def tick(at):
        clock.advance(at - clock.monotonic())
        moved[0] = clock.monotonic() if len(heard) >= stalls + 2 else moved[0]
        await asyncio.sleep(0)

    clock.sleep_until = tick
    watcher = health.Health(clock, concerns(), {"rules": (lambda: moved[0], 0.1)}, lambda scan: None)
    task = asyncio.create_task(watcher.run())
    await until(lambda: len(heard) >= stalls + 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return heard[2 : stalls + 4]


async def test_a_part_that_stays_stalled_sets_the_watchdog_off(monkeypatch):
    """At the third look, not `WatchdogSec=` later: polling is to go on within 15 s (R25)."""
    words = await told(5, monkeypatch)
    assert ["WATCHDOG=trigger" in one for one in words[:5]] == [False, False, True, True, True]
    assert all("stalled: rules" in one for one in words[:5])


async def test_a_part_that_stood_still_for_a_moment_is_forgiven(monkeypatch):
    """A machine that was paused for some seconds finds everything late, once."""
    words = await told(health.TRIGGER - 1, monkeypatch)
    assert not any("WATCHDOG=trigger" in one for one in words)
    assert "WATCHDOG=1" in words[-1]


def test_without_a_service_manager_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    health.notify("READY=1")


def test_a_service_manager_that_is_gone_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    health.notify("WATCHDOG=1")


def test_receipts_are_overdue_30_s_after_what_is_still_unsettled():
    clock = HandClock()
    lag = health.Lag(clock, 30.0)
    assert not lag.overdue(0, 0)
    assert not lag.overdue(0, 5)
    clock.advance(29)
    assert not lag.overdue(0, 5)
    clock.advance(1)
    assert lag.overdue(0, 5)
    assert not lag.overdue(5, 5)


def test_steady_receipts_are_never_overdue():
    """Something is always on its way, and nothing stays."""
    clock = HandClock()
    lag = health.Lag(clock, 30.0)
    for second in range(120):
        assert not lag.overdue(second - 5, second + 1)
        clock.advance(1)


def test_one_record_that_stays_is_overdue_though_others_come():
    clock = HandClock()
    lag = health.Lag(clock, 30.0)
    overdue = []
    for second in range(40):
        overdue.append(lag.overdue(min(second, 3), second + 1))
        clock.advance(1)
    assert overdue.index(True) == pytest.approx(33, abs=1)


def test_a_thread_that_hangs_after_it_worked_is_stalled():
    """Its sign of life waits behind the job that hangs; one sign waits at a time, however long that takes."""
    clock, jobs = HandClock(), []
    beat = health.Beat(clock, jobs.append)
    watcher = health.Health(clock, concerns(), {"journal alarm": (beat.moved, 30.0)}, print)
    assert watcher.stalled() == []
    jobs.pop()()
    for _ in range(100):
        clock.advance(1)
        stalled = watcher.stalled()
    assert stalled == ["journal alarm"]
    assert len(jobs) == 1
    jobs.pop()()
    assert watcher.stalled() == []


def test_a_thread_is_asked_for_a_sign_no_more_often_than_its_limit_needs():
    """Each one wakes up a thread of an idle box."""
    clock, jobs = HandClock(), []
    beat = health.Beat(clock, jobs.append)
    for _ in range(60):
        beat.moved()
        while jobs:
            jobs.pop()()
            asked = clock.monotonic()
        clock.advance(1)
        assert clock.monotonic() - asked <= health.SIGN_S


def test_a_disk_that_is_dead_from_the_start_is_no_reason_to_start_again():
    """It is a fault of its own; a gateway that is started again every half minute raises no alarms."""
    clock = HandClock()
    watcher = health.Health(clock, concerns(), {"journal alarm": (health.Beat(clock, id).moved, 30.0)}, print)
    for _ in range(100):
        clock.advance(1)
        assert watcher.stalled() == []


def test_a_clock_that_nobody_sets_is_told_after_ten_minutes():
    """A box without a clock battery may need a while after a power cut; after that its times mislead."""
    clock = HandClock(trusted=False)
    groups = {(health.DEVICE, 0): tuple(point.id for point in health.device().groups[0].points)}
    engine = Engine(health.alarms(), groups, clock.monotonic())
    watcher = health.Health(clock, concerns(clock_not_set=True), {}, print)
    start = clock.monotonic()
    engine.step(watcher.scan(), start)
    assert engine.step(None, start + 599).transitions == ()
    (transition,) = engine.step(None, start + 600).transitions
    assert transition.alarm == "gateway/clock_not_set"


def test_each_fault_says_what_to_do_about_it():
    """In both languages, in the alarm itself; nothing is explained that does not exist."""
    assert set(REMEDIES) == {concern.name for concern in health.CONCERNS}
    for alarm in health.alarms():
        assert alarm.advice == REMEDIES[alarm.id.removeprefix("gateway/")].action
        assert all(text.zh and text.en for text in REMEDIES[alarm.id.removeprefix("gateway/")])


def test_the_page_of_faults_is_the_one_of_the_code():
    """docs/gateway-faults.md; `make reference` writes it anew."""
    page = Path(__file__).parents[2] / "docs" / "gateway-faults.md"
    assert page.read_text(encoding="utf-8") == health.reference()
