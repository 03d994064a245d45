"""One site after another in the same gateway: what of the alarms goes on, what leaves, what comes back."""

from dataclasses import replace

from gateway.model import Action, AlarmClass, Command, Scan, Severity, State, Text
from rules.engine import FLOOD, Engine
from rules.spec import Above, AlarmSpec, KOfN, Rate, Stale
from rules.virtual import VirtualSpec

A, B = ("a", 0), ("b", 0)
GROUPS = {A: ("a/x", "a/y"), B: ("b/x",)}
BOTH = frozenset({A, B})


def alarm(name, when, **more):
    return AlarmSpec(name, AlarmClass.FAULT, Severity.HIGH, when, Text("", name), **more)


HOT = alarm("hot", Above("a/x", 5.0, 2.0), on_delay_s=10.0)


def scan(at, device="a", x=0.0):
    return Scan(device, 0, at, (x, 0.0) if device == "a" else (x,), bytes(2 if device == "a" else 1))


def engine(*alarms, now=0.0, groups=GROUPS, virtual=()):
    return Engine(alarms, groups, now, virtual=virtual)


def states(of):
    return {name: one.state for name, one in of.alarms().items()}


def changed(made):
    """All that its first step says is to be committed."""
    return {name: state for name, state in made.step(None, 100.0).changed.items() if name != FLOOD}


def test_a_running_delay_goes_on_where_it_was():
    """Ten seconds from the first hot scan, whatever else became of the site."""
    old = engine(HOT)
    old.step(scan(0, x=6), 0)
    new = engine(alarm("other", Above("b/x", 1.0)), HOT, now=4.0)
    assert new.succeed(old, BOTH, {}) == {}
    assert new.step(None, 9.9).transitions == ()
    assert [(one.alarm, one.at) for one in new.step(None, 10.5).transitions] == [("hot", 10.0)]


def test_memory_that_no_restart_would_leave_goes_on():
    """A trend over a short window, and two of three within a time: the alarm does not notice."""
    steep = alarm("steep", Rate("a/x", 0.5, 20.0))
    twice = alarm("twice", KOfN(2, (Above("a/x", 50.0), Above("b/x", 50.0)), 30.0))
    old, same = engine(steep, twice), engine(steep, twice)
    for at in range(11):
        for one in (old, same):
            one.step(scan(at, x=at if at != 3 else 60.0), at)
    new = engine(twice, steep, now=10.5)
    new.succeed(old, BOTH, {})
    for event in (scan(11, x=11), scan(12, "b", 60.0), scan(13, x=13)):
        told = [(one.alarm, one.after) for one in new.step(event, event.at).transitions]
        assert told == [(one.alarm, one.after) for one in same.step(event, event.at).transitions]
    assert states(new) == states(same)


def test_an_unchanged_alarm_needs_no_new_reading():
    """A restart would begin with unknown; a silence would begin anew."""
    silent = alarm("silent", Stale("a/*", 10.0))
    old = engine(HOT, silent)
    old.step(scan(1, x=3), 1)
    new = engine(silent, HOT, now=8.0)
    new.succeed(old, BOTH, {})
    assert [one.at for one in new.step(None, 20).transitions if one.alarm == "silent"] == [11.0]


def test_one_that_changed_keeps_its_state_and_who_acknowledged():
    old = engine(HOT)
    old.step(scan(0, x=6), 0)
    old.step(None, 10)
    old.step(Command(Action.ACKNOWLEDGE, "hot", "Li", 11), 11)
    new = engine(replace(HOT, when=Above("a/x", 4.0), text=Text("热", "hotter")), now=12.0)
    new.succeed(old, BOTH, {})
    assert states(new) == {"hot": State.ACKNOWLEDGED}
    assert new.alarms()["hot"].since == old.alarms()["hot"].since
    assert new.step(scan(13, x=1), 13).transitions == (), "one frame clears nothing that was not read before"


def test_an_equal_alarm_over_another_device_does_not_trust_what_it_read():
    """The address was changed: what the old one said says nothing of the new one."""
    old = engine(HOT)
    old.step(scan(0, x=6), 0)
    new = engine(HOT, now=5.0)
    new.succeed(old, frozenset({B}), {})
    assert new.alarms()["hot"].truth == engine(HOT).alarms()["hot"].truth
    assert new.step(None, 30).transitions == ()
    assert [one.alarm for one in new.step(scan(31, x=6), 31).transitions] == ["hot"], "the delay had begun"


def test_one_that_left_is_told_and_forgotten_and_can_come_back():
    cold = alarm("cold", Above("b/x", 1.0))
    old = engine(cold, HOT)
    old.step(scan(0, "b", 9), 0)
    new = engine(HOT, now=1.0)
    gone = new.succeed(old, BOTH, {})
    assert set(gone) == {"cold"}
    assert changed(new) == {"cold": None}
    back = engine(HOT, cold, now=101.0)
    assert back.succeed(new, BOTH, gone) == {}
    assert states(back)["cold"] is State.UNACKNOWLEDGED
    assert changed(back) == {"cold": back.save()["cold"]}, "the journal has forgotten it"


def test_what_did_not_change_is_not_written_again():
    old = engine(HOT)
    old.step(scan(0, x=6), 0)
    new = engine(HOT, now=1.0)
    new.succeed(old, BOTH, {})
    assert changed(new).keys() <= {"hot"}
    third = engine(HOT, now=101.0)
    third.succeed(new, BOTH, {})
    assert changed(third) == {}


def test_hidden_ones_stay_hidden_and_are_still_listed():
    old = engine(HOT)
    old.step(scan(0, x=6), 0)
    old.step(None, 10)
    old.step(Command(Action.SHELVE, "hot", "Li", 11, "repair", 3600.0), 11)
    new = engine(HOT, now=12.0)
    new.succeed(old, BOTH, {})
    assert set(new.aside()) == {"hot"}
    assert new.aside()["hot"].aside.who == "Li"


def test_a_computed_point_goes_on_with_its_window():
    rate = VirtualSpec("virtual/r", "rate", ("a/x",), 30.0, 8.0)
    groups = {**GROUPS, ("virtual", 0): ("virtual/r",)}
    old = engine(virtual=(rate,), groups=groups)
    for at in range(8):
        old.step(scan(at, x=2.0 * at), at)
    more = VirtualSpec("virtual/m", "maximum", ("a/x", "a/y"), 30.0)
    new = engine(virtual=(more, rate), groups={**GROUPS, ("virtual", 0): ("virtual/m",), ("virtual", 1): ("virtual/r",)}, now=7.5)  # fmt: skip
    new.succeed(old, BOTH, {})
    made = {one.group: one.values for one in new.step(scan(8, x=16.0), 8).scans}
    assert made[0] == (16.0,)
    assert abs(made[1][0] - 2.0) < 1e-9
