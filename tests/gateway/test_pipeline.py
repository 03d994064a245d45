"""From scans to committed records, on the real engine and the real journal, in a time that the test moves."""

import asyncio
import json

import pytest

from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Group,
    Kind,
    Lane,
    Point,
    Quality,
    Scan,
    Severity,
    State,
    Text,
)
from gateway.pipeline import BURST_S, Pipeline
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
            alarms, telemetry, clock, Guard(), simulated=frozenset({"high"}),
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
    assert house.pipeline.progress["now"].stage == "committed"


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


async def test_a_burst_is_one_record_30_ms_after_its_first_scan(house):
    """What a kill can take of the readings."""
    house.scan(1.0)
    house.scan(2.0, 1)
    house.clock.advance(BURST_S * 0.9)
    assert await house.records(house.telemetry) == []
    house.clock.advance(BURST_S * 0.2)
    (record,) = await house.records(house.telemetry)
    entries = list(pack.decode(record.body, pack.Layouts(house.telemetry.state)))
    assert [entry.values for entry in entries] == [(1.0, 0), (2.0, 1)]


async def test_telemetry_is_committed_at_most_once_a_second(house):
    """An SD card does not live for ever."""
    for step in range(50):
        house.scan(float(step), step % 2)
        house.clock.advance(0.1)
    assert len(await house.records(house.telemetry)) in (5, 6)


async def test_what_is_not_news_is_no_record(house):
    house.scan(1.0)
    house.clock.advance(2.0)
    house.scan(1.0)
    house.clock.advance(2.0)
    assert len(await house.records(house.telemetry)) == 1


async def test_a_large_burst_is_cut_into_packs(house):
    """No message is larger than a slow link can bear."""
    for step in range(1000):
        house.scan(float(step))
    house.clock.advance(1.0)
    records = await house.records(house.telemetry)
    assert len(records) > 1
    layouts = pack.Layouts(house.telemetry.state)
    values = [entry.values[0] for record in records for entry in pack.decode(record.body, layouts)]
    assert values == [float(step) for step in range(1000)]


async def test_silence_takes_the_same_way(house):
    """A dead sensor is a record with a quality and no value."""
    house.scan(1.0)
    house.scan(None, quality=Quality.NOT_RESPONDING)
    house.clock.advance(1.0)
    (record,) = await house.records(house.telemetry)
    last = list(pack.decode(record.body, pack.Layouts(house.telemetry.state)))[-1]
    assert last.values == (None, None)
    assert set(last.qualities) == {Quality.NOT_RESPONDING}


async def test_how_far_an_alarm_has_come_survives_a_restart(house):
    """The guard room sees after a restart whether the district knows."""
    house.scan(9.5)
    (record,) = await house.records(house.alarms)
    house.pipeline.reached(record, "broker")
    house.pipeline.reached(record, "district")
    house.pipeline.close()
    await house.turn()
    again = House(house.clock, house.alarms, house.telemetry)
    assert again.pipeline.progress["now"].stage == "district"
    assert set(again.pipeline.progress["now"].times) == {"committed", "broker", "district"}


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


async def test_a_commit_between_two_polls_does_not_make_the_next_ones_wait(house):
    """Polls lie on the grid; the first one after a start, a terminal that called, lie anywhere."""
    house.clock.advance(0.7)
    house.scan(1.0)
    for second in range(1, 6):
        house.clock.advance(house.clock.monotonic() // 1 + 1 - house.clock.monotonic())
        house.scan(10.0 * second)
        house.clock.advance(BURST_S * 1.1)
        *_, record = await house.records(house.telemetry)
        *_, entry = pack.decode(record.body, pack.Layouts(house.telemetry.state))
        assert entry.values[0] == 10.0 * second
        house.clock.advance(0.67)
        house.scan(10.0 * second + 1)
    assert len(await house.records(house.telemetry)) == 6


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
    assert house.pipeline.progress["now"].stage == "committed"


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


async def test_a_bug_in_a_text_keeps_no_alarm_back(house, monkeypatch):
    """It is recorded with the words of the site file."""
    monkeypatch.setattr("rules.texts.message", lambda *_: 1 / 0)
    house.scan(9.5)
    (body,) = await house.transitions()
    assert body["message"] == {"zh": "急", "en": "now"}


async def test_once_written_is_at_once_where_nothing_waits(house):
    said = []
    house.scan(1.0)
    house.pipeline.once_written(lambda: said.append("telemetry waits for nobody"))
    assert said


async def test_once_written_waits_for_the_commit_of_what_was_taken(house):
    """With a dead disk for half a second: then the alarm is announced without it (law 5), and so is this."""
    said, jobs = [], []
    house.alarms._writer._worker.submit = jobs.append  # the disk stands still
    house.scan(9.5)
    house.pipeline.once_written(lambda: said.append("confirmed"))
    await house.turn()
    assert not said
    house.clock.advance(0.6)
    await house.turn()
    assert said == ["confirmed"]
