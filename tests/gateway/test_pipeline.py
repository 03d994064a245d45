"""From scans to committed records, on the real engine and the real journal, in a time that the test moves."""

import asyncio
import json

import pytest

from gateway.guardroom import BUG
from gateway.ledger import Ledger
from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Group,
    Kind,
    Lane,
    Point,
    Scan,
    Severity,
    State,
    Text,
)
from gateway.pipeline import Pipeline
from gateway.plausible import Plausible
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.wire import pack, payloads
from rules.engine import Engine
from rules.spec import Above, AlarmSpec
from tests.clocks import HandClock

GROUP = Group("g", (Point("d/level", "level", Kind.FLOAT), Point("d/open", "open", Kind.BOOL)), 1.0)
SPEC = AlarmSpec(
    "high", AlarmClass.FIRE, Severity.CRITICAL, Above("d/level", 5), Text("高", "high"), on_delay_s=2.0, latching=True
)
INSTANT = AlarmSpec("now", AlarmClass.FIRE, Severity.CRITICAL, Above("d/level", 9), Text("急", "now"))


class House:
    """One pipeline with everything it needs, and what it wrote."""

    def __init__(self, clock, alarms, telemetry):
        groups = {("d", 0): GROUP}
        self.clock, self.alarms, self.telemetry = clock, alarms, telemetry
        self.engine = Engine((SPEC, INSTANT), {("d", 0): ("d/level", "d/open")}, clock.monotonic())
        self.layout = pack.Layout("d", 0, GROUP.points)
        self.pipeline = Pipeline(
            self.engine, {"high": SPEC, "now": INSTANT}, Reporter(groups), {("d", 0): self.layout},
            Ledger(alarms, clock), telemetry, clock, Guard(), simulated=frozenset({"high"}),
        )  # fmt: skip

    def scan(self, level, opened=0, quality=0):
        values = (None, None) if quality >= 32 else (level, opened)
        self.pipeline.take(Scan("d", 0, self.clock.monotonic(), values, bytes([quality] * 2)))

    async def turn(self):
        """Let the loop hand over what the journal has to say."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def records(self, lane):
        await self.turn()
        return [record for record in await lane.after(0, 1000, 1 << 20) if record.kind != payloads.RUN]

    async def transitions(self):
        return [json.loads(record.body) for record in await self.records(self.alarms)]


@pytest.fixture
async def house(tmp_path):
    clock = HandClock()
    lanes = [
        Journal(lane, tmp_path / f"{lane}.db", "g", clock, InlineWorker(), 1 << 26, lambda n: "ab" * n)
        for lane in (Lane.ALARM, Lane.TELEMETRY)
    ]
    for lane in lanes:
        await lane.open()
    yield House(clock, *lanes)
    for lane in lanes:
        await lane.close()


async def test_a_transition_is_committed_and_announced(house):
    """The record says what, why and that the device is none of flesh and wire; its progress is known by alarm."""
    house.scan(9.5)
    (body,) = await house.transitions()
    assert (body["alarm"], body["before"], body["after"]) == ("now", "normal", "unacknowledged")
    assert body["cause"]["point"] == "d/level"
    assert body["simulated"] is False
    assert house.pipeline.trail.latest["now"].stage == "committed"


async def test_the_engines_own_deadline_wakes_it(house):
    """A delay ends though no bus says anything more."""
    house.scan(6.0)
    assert await house.transitions() == []
    house.clock.advance(2.1)
    (body,) = await house.transitions()
    assert (body["alarm"], body["cause"]["kind"], body["simulated"]) == ("high", "deadline", True)


async def test_a_command_is_recorded_with_the_person_also_when_refused(house):
    """Who asked for what is a record of its own."""
    refused = house.pipeline.command(Command(Action.ACKNOWLEDGE, "now", "王 (uid 1)", house.clock.monotonic()))
    assert refused is not None
    house.scan(9.5)
    accepted = house.pipeline.command(Command(Action.ACKNOWLEDGE, "now", "王 (uid 1)", house.clock.monotonic()))
    assert accepted is None
    kinds = [record.kind for record in await house.records(house.alarms)]
    assert kinds == [payloads.COMMAND, payloads.TRANSITION, payloads.COMMAND, payloads.TRANSITION]
    last = (await house.transitions())[-1]
    assert (last["after"], last["cause"]["who"]) == ("acknowledged", "王 (uid 1)")


async def test_how_far_an_alarm_has_come_survives_a_restart(house):
    """The guard room sees after a restart whether the district knows."""
    house.scan(9.5)
    (record,) = await house.records(house.alarms)
    house.pipeline.reached(record, "broker")
    house.pipeline.reached(record, "district")
    house.pipeline.close()
    await house.turn()
    again = House(house.clock, house.alarms, house.telemetry)
    assert again.pipeline.trail.latest["now"].stage == "district"
    assert set(again.pipeline.trail.latest["now"].times) == {"committed", "broker", "district"}


async def test_a_command_that_fails_by_a_bug_is_recorded_as_well(house, monkeypatch):
    """Who asked for what, and that it was not done."""
    monkeypatch.setattr(house.engine, "step", lambda event, now: 1 / 0)
    assert house.pipeline.command(Command(Action.ACKNOWLEDGE, "now", "王 (uid 1)", house.clock.monotonic())) == BUG
    (record,) = await house.records(house.alarms)
    body = json.loads(record.body)
    assert (record.kind, body["who"], body["refused"]["en"]) == (payloads.COMMAND, "王 (uid 1)", BUG.en)


async def test_what_is_announced_was_put_into_words_before(house, caplog, monkeypatch):
    """The site may be another one when the disk has answered: one that does not have this alarm."""
    house.scan(9.5)
    monkeypatch.setattr(house.pipeline, "wording", None)
    await house.turn()
    assert "alarm now: normal -> unacknowledged: now: active" in caplog.text
    assert house.pipeline.trail.stage("now") == "committed"


async def test_the_state_of_a_running_delay_is_committed_without_a_transition(house):
    """A kill in the middle of a delay does not start the delay anew."""
    house.scan(6.0)
    house.clock.advance(1.5)
    await house.turn()
    state = house.alarms.state()
    again = Engine((SPEC, INSTANT), {("d", 0): ("d/level", "d/open")}, house.clock.monotonic())
    again.restore({key.removeprefix("alarm/"): body for key, body in state.items() if key.startswith("alarm/")}, 0.0)
    now = house.clock.monotonic()
    assert again.step(Scan("d", 0, now, (6.0, 0), bytes(2)), now).deadline == pytest.approx(1002.0)
    assert again.alarms()["high"].state is State.NORMAL


async def test_a_bug_in_the_rules_does_not_stop_the_telemetry(house):
    """Guarded: the reading is recorded though nobody judged it."""
    house.pipeline._engine = None
    house.scan(3.0)
    house.clock.advance(1.0)
    assert len(await house.records(house.telemetry)) == 1


async def test_an_engine_that_fails_at_each_step_does_not_feed_the_watchdog(house, monkeypatch):
    """The guard keeps the house standing; that the rules do not move must still be seen."""
    house.scan(1.0)
    moved = house.pipeline.moved
    house.clock.advance(30.0)
    monkeypatch.setattr(house.engine, "step", lambda event, now: 1 / 0)
    house.scan(9.5)
    assert house.pipeline.moved == moved
    monkeypatch.undo()
    house.scan(9.5)
    assert house.pipeline.moved == moved + 30.0


async def test_a_bug_in_what_stands_before_the_rules_keeps_no_scan_from_them(house, monkeypatch):
    """It is taken as it was read."""
    monkeypatch.setattr(Plausible, "judge", lambda *_: 1 / 0)
    house.scan(9.5)
    await house.turn()
    assert [one["after"] for one in await house.transitions()] == ["unacknowledged"]


async def test_a_flood_is_a_record_before_the_alarms_that_it_groups(house, monkeypatch):
    """Its begin and its end, with counts; the alarm that made it one is sent as ever."""
    monkeypatch.setattr("rules.flood.BEGINS", 0)
    monkeypatch.setattr("rules.flood.ENDS", 1)
    house.scan(9.5)
    await house.turn()
    house.clock.advance(700.0)
    kinds = [record.kind for record in await house.records(house.alarms)]
    assert kinds == [payloads.FLOOD, payloads.TRANSITION, payloads.TRANSITION, payloads.FLOOD]
    begin, *_, end = await house.transitions()
    assert (begin["begins"], begin["alarms"], begin["first"]) == (True, 1, "now")
    assert (end["begins"], end["alarms"], end["grouped"]) == (False, 2, 0)
    assert house.pipeline.trail.latest["now"].stage == "committed"


async def test_shelving_is_a_record_with_the_person_and_its_end_is_one(house):
    """What is hidden is judged and recorded as ever."""
    shelve = Command(Action.TAKE_OUT, "now", "王 (uid 1)", house.clock.monotonic(), "检修", 60.0)
    assert house.pipeline.command(shelve) is None
    house.scan(9.5)
    house.clock.advance(61.0)
    said = [json.loads(record.body) for record in await house.records(house.alarms) if b'"now"' in record.body]
    assert (said[0]["action"], said[0]["for_s"], said[0]["refused"]) == ("take_out", 60.0, None)
    states = [(one["before"], one["after"], one["active"], one["present"]) for one in said[1:]]
    assert states == [
        ("normal", "out_of_service", False, False), ("out_of_service", "out_of_service", False, True),
        ("out_of_service", "unacknowledged", True, True),
    ]  # fmt: skip
    assert said[2]["evidence"]["samples"][0]["value"] == 9.5
    assert said[3]["message"]["en"].startswith("now: active, unacknowledged; since ")
