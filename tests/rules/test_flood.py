"""Floods and the figures about alarms: what is grouped, what never, what is marked, what survives."""

import json

import pytest

from gateway.model import Action, AlarmClass, Command, Mark, Place, Severity, State, Text
from rules.engine import FLOOD, Engine
from rules.flood import WINDOW_S, Flood
from rules.spec import LIFE, Above, AlarmSpec
from tests.rules.transcript import good

MANY = 14


class Site:
    """Many alarms of low severity, one of each class of high and low severity, and time."""

    def __init__(self, *more, now=0.0):
        self.specs = [spec(f"a{n}") for n in range(MANY)] + list(more)
        self.groups = {(one.id, 0): (f"{one.id}/x",) for one in self.specs}
        self.engine, self.now = Engine(self.specs, self.groups, now), now
        self.floods = []

    def step(self, event, now):
        self.now = now
        step = self.engine.step(event, now)
        self.floods += step.floods
        return step.transitions

    def set(self, name, value, now):
        return self.step(good(name, value, at=now), now)

    def on(self, name, now):
        return self.set(name, 9.0, now)

    def off(self, name, now):
        return self.set(name, 0.0, now) + self.set(name, 0.0, now)

    def flood(self, at=1.0):
        """Eleven alarms within eleven seconds."""
        return [one for n in range(11) for one in self.on(f"a{n}", at + n)]


def spec(name, cls=AlarmClass.WATER, severity=Severity.LOW, zone=""):
    return AlarmSpec(name, cls, severity, Above(f"{name}/x", 5), Text(name, name), Place(zone=zone))


def test_a_flood_begins_with_more_than_ten_and_ends_with_fewer_than_five():
    """In ten minutes; both are told, with counts, at their own times."""
    site = Site()
    said = site.flood(at=1.0)
    assert [Mark.GROUPED in one.marks for one in said] == [False] * 10 + [True]
    (begin,) = site.floods
    assert (begin.begins, begin.at, begin.alarms, begin.first) == (True, 11.0, 11, "a0")
    assert Mark.GROUPED in site.on("a11", 20.0)[0].marks
    # The last five were raised at 8, 9, 10, 11 and 20: from 608 on there are four.
    assert site.engine.step(None, 607.0).deadline == 608.0
    site.step(None, 700.0)
    (_, end) = site.floods
    assert (end.begins, end.at, end.since, end.alarms, end.grouped) == (False, 608.0, 11.0, 12, 2)
    assert Mark.GROUPED not in site.on("a12", 701.0)[0].marks


def test_ten_in_ten_minutes_are_no_flood():
    site = Site()
    for n in range(10):
        site.on(f"a{n}", 1.0 + n)
    site.on("a10", 1.0 + WINDOW_S)
    assert site.floods == []


@pytest.mark.parametrize("cls", AlarmClass)
@pytest.mark.parametrize("severity", Severity)
def test_only_low_and_medium_are_grouped_and_never_what_guards_a_life(cls, severity):
    """Whatever the severity that a file gave them; and each is a transition of its own all the same."""
    site = Site(spec("x", cls, severity))
    site.flood()
    (raised,) = site.on("x", 30.0)
    assert raised.after == State.UNACKNOWLEDGED
    assert (Mark.GROUPED in raised.marks) == (cls not in LIFE and severity <= Severity.MEDIUM)
    acknowledged = site.step(Command(Action.ACKNOWLEDGE, "x", "Li", 31.0), 31.0)
    assert Mark.GROUPED not in acknowledged[0].marks, "a person who acts is always answered"


def test_nothing_is_lost_in_a_flood():
    """As many transitions as without."""
    site = Site()
    said = site.flood() + [one for n in range(11) for one in site.off(f"a{n}", 20.0 + n)]
    assert len(said) == 22
    assert site.engine.alarms()["a3"].state == State.RETURNED


def test_a_flood_survives_a_restart_and_a_reboot():
    """Else a restart in the middle of it would call for each of them."""
    site = Site()
    site.flood(at=1.0)
    for shift in (0.0, 1000.0):
        again = Site(now=30.0 + shift)
        assert again.engine.restore(site.engine.save(), shift) == []
        first = again.engine.step(None, 30.0 + shift)
        assert first.floods == ()
        assert (FLOOD in first.changed) == (shift != 0.0)
        assert again.engine.save().keys() == site.engine.save().keys()
        assert Mark.GROUPED in again.on("a12", 31.0 + shift)[0].marks
        again.step(None, 2000.0 + shift)
        (end,) = again.floods
        assert (end.at - shift, end.alarms, end.first) == (608.0, 12, "a0")


def test_the_deltas_are_what_is_saved():
    """Counts too: a crash loses none of them."""
    site, journal = Site(), {}
    for n in range(MANY):
        step = site.engine.step(good(f"a{n}", 9.0, at=1.0 + n), 1.0 + n)
        journal |= step.changed
        assert journal == site.engine.save()
    for at in (100.0, 5000.0):
        journal |= site.engine.step(None, at).changed
        assert journal == site.engine.save()


@pytest.mark.parametrize(
    "saved",
    [b"", b"5", b"[]", b"{}", b'{"times":5}', b'{"times":["x"]}', b'{"times":[5,1]}', b'{"times":[1],"since":1}',
     b'{"times":[1e999]}', b'{"times":[1,2,3,4,5],"since":1,"alarms":"x"}', b"\xff", b"[" * 10000],
)  # fmt: skip
def test_a_flood_that_cannot_be_read_is_as_new(saved):
    engine = Site(now=10.0).engine
    assert engine.restore({FLOOD: saved}, 0.0) == [FLOOD]
    assert engine.step(None, 11.0).changed == {FLOOD: None}
    assert engine.save() == {}
    assert Flood().restore(saved, 0.0, 10.0) is False


def test_the_first_of_a_zone_is_marked():
    """After ten quiet minutes in that zone; a dead device does not take the place of the smoke."""
    site = Site(
        spec("dead", AlarmClass.FAULT, zone="z1"), spec("smoke", AlarmClass.FIRE, Severity.CRITICAL, "z1"),
        spec("heat", AlarmClass.FIRE, Severity.CRITICAL, "z1"), spec("other", AlarmClass.FIRE, Severity.CRITICAL, "z2"),
    )  # fmt: skip
    first = [
        name
        for at, name in enumerate(("dead", "smoke", "heat", "other"))
        if Mark.FIRST_OUT in site.on(name, at + 1.0)[0].marks
    ]
    assert first == ["dead", "smoke", "other"]
    site.off("heat", 10.0)
    assert Mark.FIRST_OUT in site.on("heat", 3.0 + WINDOW_S)[0].marks


def test_chattering_is_marked_and_counted():
    """Three times in a minute; the fourth, much later, is not."""
    site, marks = Site(), []
    for at in (0.0, 20.0, 40.0, 130.0):
        marks.append(Mark.CHATTERING in site.on("a0", at + 1)[0].marks)
        site.off("a0", at + 15.0)
    assert marks == [False, False, True, False]
    assert site.engine.load(200.0)["chattering"] == 1


def test_fleeting_is_what_was_over_before_anybody_could_act():
    """Within ten seconds, unacknowledged."""
    site = Site()
    site.on("a0", 1.0)
    assert Mark.FLEETING in site.off("a0", 5.0)[0].marks
    site.on("a1", 6.0)
    assert Mark.FLEETING not in site.off("a1", 16.0)[0].marks
    site.on("a2", 20.0)
    site.step(Command(Action.ACKNOWLEDGE, "a2", "Li", 21.0), 21.0)
    assert Mark.FLEETING not in site.off("a2", 22.0)[0].marks
    assert site.engine.load(30.0)["fleeting"] == 1


def test_the_rates_of_eemua_191():
    """By ten minutes, hour and day; the busiest ten minutes; the share of the ten that cry most; time in flood."""
    site = Site()
    site.flood(at=1.0)
    for n in range(11):
        site.off(f"a{n}", 100.0 + n)
    site.on("a0", 3000.0)
    told = site.engine.load(3600.0)
    assert (told["new_10min"], told["new_hour"], told["new_day"], told["peak_10min"]) == (0, 1, 12, 11)
    assert told["top"]["a0"] == 2
    assert told["top_share"] == pytest.approx(11 / 12, abs=0.001)
    assert told["flood_share"] == pytest.approx((607.0 - 11.0) / 3600.0, abs=0.001)
    assert (told["flood"], told["stale"], told["total"]) == (False, 0, 12)
    assert json.loads(json.dumps(told)) == told


def test_the_rates_forget_what_is_older_than_a_day():
    site = Site()
    site.flood(at=1.0)
    site.on("a11", 2 * 86400.0)
    told = site.engine.load(2 * 86400.0 + 30)
    assert (told["new_day"], told["total"], told["top"], told["flood_share"]) == (1, 12, {"a11": 1}, 0.0)
    assert told["counted_s"] == 86400.0
    assert told["stale"] == 11


def test_a_repeated_call_and_the_end_of_a_shelving_are_no_new_alarms():
    site = Site(spec("x"))
    site.on("x", 1.0)
    site.step(Command(Action.SHELVE, "x", "Li", 2.0, "paint", 10.0), 2.0)
    (back,) = site.step(None, 12.0)
    assert (back.after, back.marks) == (State.UNACKNOWLEDGED, ())
    assert site.engine.load(20.0)["total"] == 1
