"""The engine and its alarms: commands, snapshots, robustness, deadlines."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Action, AlarmClass, Command, Deadline, Quality, Sample, Scan, State
from gateway.restart import Guard
from rules.engine import Engine
from rules.evidence import Witnessed
from rules.leaf import Reading
from rules.load import Load
from rules.spec import Above, All, Any, Equals, KOfN, Not, Stale
from tests.rules.transcript import alarm, good

GROUPS = {("s", 0): ("s/x", "s/y")}
FIRE = alarm(Above("s/x", 5, 1), cls=AlarmClass.FIRE, latching=True)


def engine_of(*alarms, groups=GROUPS, now=0.0):
    return Engine(alarms, groups, now)


ASIDE = {"who": "Li", "why": "repair", "at": -5.0, "until": 100.0}


def command(action, name="fire", at=0.0):
    return Command(action, name, "Li", at)


def in_state(letter_state, spec=FIRE, now=0.0, **more):
    """An engine whose alarm is in a state, by way of a snapshot."""
    engine = engine_of(spec, now=now)
    saved = json.dumps({"state": letter_state, "since": -5.0, **more}).encode()
    assert engine.restore({spec.id: saved}, 0.0) == []
    return engine


def test_mistakes_of_all_alarms_are_named_at_once():
    """Nothing is half built."""
    with pytest.raises(ValueError, match=r"one: no such point: s/no; two: a delay is no time; .*same id") as caught:
        engine_of(alarm(Above("s/no", 1), "one"), alarm(Above("s/x", 1), "two", on_delay_s=-1), FIRE, FIRE)
    assert "fire:" not in str(caught.value)
    with pytest.raises(ValueError, match="delay"):
        engine_of(alarm(Above("s/x", 1), "two", off_delay_s=math.inf))


def test_a_transition_carries_the_sample_that_caused_it():
    """Point, value, quality and the time at which it was true, not the time at which it was told."""
    engine = engine_of(FIRE)
    [found] = engine.step(Scan("s", 0, 1.5, (7.5, 0.0), bytes([Quality.JUMPING, 0])), 2.0).transitions
    assert found.cause == Sample("s/x", 7.5, Quality.JUMPING, 1.5)
    assert (found.at, found.since) == (1.5, 1.5)


def test_since_is_when_it_last_became_active():
    """A second raise is a new time; acknowledging and returning keep it."""
    engine = engine_of(alarm(Above("s/x", 5)))
    found = []
    for at, value in enumerate((7.0, 0.0, 0.0, 7.0)):
        found += engine.step(good("s", value, 0, at=float(at)), float(at)).transitions
    found += engine.step(command(Action.ACKNOWLEDGE), 4.0).transitions
    assert [transition.since for transition in found] == [0.0, 0.0, 3.0, 3.0]


def test_a_transition_carries_the_deadline_and_what_held_last():
    engine = engine_of(alarm(Equals("s/x", 1), on_delay_s=10))
    engine.step(good("s", 1, 0, at=1.0), 1.0)
    [found] = engine.step(None, 30.0).transitions
    assert found.cause == Deadline(11.0, Sample("s/x", 1, Quality.GOOD, 1.0))


def test_a_transition_carries_the_person():
    engine = in_state("unacknowledged")
    asked = command(Action.ACKNOWLEDGE)
    [found] = engine.step(asked, 3.0).transitions
    assert (found.cause, found.at, found.since) == (asked, 3.0, -5.0)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", Action)
def test_a_command_is_followed_or_refused_with_a_reason(state, action):
    """Whatever has no cell is refused in both languages and changes nothing; an action that is no alarm's has none."""
    engine = in_state(state, alarm(Above("s/x", 5), suppressed_by=Above("s/y", 5)), active=True, aside=ASIDE)
    engine.step(None, 0.0)
    standing = engine.alarms()["fire"].state
    assert standing == state
    step = engine.step(Command(action, "fire", "Li", 0.0, "repair", 60.0), 1.0)
    allowed = {
        Action.ACKNOWLEDGE: "BDE",
        Action.RESET: "EF",
        Action.SHELVE: "ABCDEFHI",
        Action.UNSHELVE: "G",
        Action.TAKE_OUT: "ABCDEFGH",
        Action.RETURN: "I",
    }.get(action, "")
    followed = dict(zip(State, "ABCDEFGHI", strict=True))[standing] in allowed
    assert bool(step.transitions) == (step.refused is None) == followed
    if not followed:
        assert step.refused.zh
        assert step.refused.en
        assert step.changed == {}


def test_a_command_for_no_alarm_is_refused():
    step = engine_of(FIRE).step(command(Action.ACKNOWLEDGE, "smoke"), 1.0)
    assert "smoke" in step.refused.en
    assert "smoke" in step.refused.zh


def test_a_fire_whose_condition_is_unknown_or_uncertain_is_not_reset():
    """The panel has the last word; one frame is not enough to know."""
    engine = in_state("latched_acknowledged")
    for value, quality in [(0.0, 0), (0.0, 1), (None, 33), (0.0, 0)]:
        engine.step(Scan("s", 0, 1.0, (value, 0.0), bytes([quality, 0])), 1.0)
        assert "panel" in engine.step(command(Action.RESET), 1.0).refused.en
    engine.step(good("s", 0.0, 0.0, at=2.0), 2.0)
    assert engine.step(command(Action.RESET), 2.0).refused is None


@pytest.mark.parametrize(
    ("state", "active", "after"),
    [
        (State.SHELVED, True, State.UNACKNOWLEDGED),
        (State.SUPPRESSED, True, State.UNACKNOWLEDGED),
        (State.OUT_OF_SERVICE, True, State.UNACKNOWLEDGED),
        (State.SHELVED, False, State.NORMAL),
        (State.SUPPRESSED, False, State.NORMAL),
        (State.OUT_OF_SERVICE, False, State.NORMAL),
    ],
)
def test_what_nobody_answers_for_comes_back_at_once(state, active, after):
    """Aside in a snapshot, without a person, and suppressed by a rule that is gone: better loud than silent for ever."""
    engine = in_state(state, active=active, now=2.0)
    assert json.loads(engine.save()["fire"])["active"] is active
    [found] = engine.step(None, 3.0).transitions
    assert (found.before, found.after, found.cause) == (state, after, Deadline(2.0))
    assert engine.step(None, 4.0).transitions == ()


def test_what_is_aside_without_a_time_comes_back_too():
    """Shelved while normal: there is no `since`."""
    engine = engine_of(FIRE)
    assert engine.restore({"fire": b'{"state":"shelved","active":true}'}, 0.0) == []
    [found] = engine.step(None, 3.0).transitions
    assert found.since == 0.0


def test_changed_is_what_must_be_kept_and_none_when_nothing_must():
    """Memory of hysteresis counts; a scan that changes nothing costs nothing."""
    engine = engine_of(alarm(Above("s/x", 5, 1)))
    assert engine.step(good("s", 0, 0, at=1.0), 1.0).changed == {}
    raised = engine.step(good("s", 6, 0, at=2.0), 2.0).changed["fire"]
    assert json.loads(raised).items() >= {"state": "unacknowledged", "since": 2.0, "memory": [4]}.items()
    assert engine.step(good("s", 6, 0, at=3.0), 3.0).changed == {}
    engine.step(good("s", 0, 0, at=4.0), 4.0)
    assert json.loads(engine.step(good("s", 0, 0, at=5.0), 5.0).changed["fire"])["state"] == "returned"
    assert engine.step(command(Action.ACKNOWLEDGE), 6.0).changed == {"fire": None}


def test_the_first_step_after_a_restore_hands_out_what_the_new_boot_must_keep():
    """Shifted times, and None for what is of no use any more; what is the same is not written again."""
    same = b'{"state":"unacknowledged","since":5.0}'
    saved = {"fire": same, "gone": b"{}", "torn": b'{"state":"unackn', "other": same}
    specs = [alarm(Above("s/x", 5), name) for name in ("fire", "torn", "other")]
    engine = engine_of(*specs, now=100.0)
    assert engine.restore(saved, 10.0) == ["gone", "torn"]
    shifted = b'{"state":"unacknowledged","since":15.0}'
    assert engine.step(None, 100.0).changed == {"fire": shifted, "gone": None, "torn": None, "other": shifted}
    assert engine.step(None, 101.0).changed == {}
    engine = engine_of(*specs, now=100.0)
    engine.restore({"fire": same}, 0.0)
    assert engine.step(None, 100.0).changed == {}


def test_a_saved_time_is_never_in_the_future():
    """Whatever the shift says."""
    engine = in_state("unacknowledged", now=10.0)
    engine.restore({"fire": b'{"state":"unacknowledged","since":5.0}'}, 1e6)
    assert engine.alarms()["fire"].since == 10.0


def test_the_memory_of_another_rule_is_dropped_and_the_alarm_kept():
    """A changed site file: still in that alarm, but an old delay or level of another limit means nothing."""
    before = engine_of(alarm(Above("s/x", 5, 1)))
    before.step(good("s", 6, 0, at=1.0), 1.0)
    after = engine_of(alarm(Above("s/x", 9, 5)))
    assert after.restore(before.save(), 0.0) == []
    assert after.alarms()["fire"].state == State.UNACKNOWLEDGED
    for at in (2.0, 3.0):
        found = after.step(good("s", 6, 0, at=at), at).transitions
    assert found[0].after == State.RETURNED
    waiting = engine_of(alarm(Equals("s/x", 6), on_delay_s=10))
    waiting.step(good("s", 6, 0, at=1.0), 1.0)
    after = engine_of(alarm(Equals("s/y", 0), on_delay_s=10))
    assert after.restore(waiting.save(), 0.0) == []
    after.step(good("s", 6, 0, at=5.0), 5.0)
    assert after.step(None, 14.0).transitions == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*State, "x", 10**400]),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.sampled_from(["state", "since", "on", "memory", "rule", "active"]), parts)
    ),
    max_leaves=8,
)
RULE = alarm(All((Above("s/x", 5, 1), KOfN(1, (Above("s/y", 1), Stale("s/x", 3)), 10))), on_delay_s=1)


def rule_number():
    """The fingerprint that RULE is saved with."""
    engine = engine_of(RULE)
    engine.step(good("s", 9, 9, at=0.0), 0.0)
    return json.loads(engine.save()["fire"])["rule"]


NUMBER = rule_number()


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(), JSON.map(lambda one: json.dumps(one).encode()),
       st.builds(lambda state, since, on, memory: json.dumps(
           {"state": state, "since": since, "on": on, "memory": memory, "rule": NUMBER}).encode(),
           st.sampled_from(list(State)), st.floats(-9, 9), JSON, st.lists(JSON, max_size=4))))  # fmt: skip
def test_a_snapshot_that_cannot_be_read_is_refused_as_a_whole(saved):
    """Never raises; the alarm is then as new, and what is taken can be saved and taken again."""
    engine = engine_of(RULE)
    unusable = engine.restore({"fire": saved}, 5.0)
    if unusable:
        assert engine.save() == {}
        assert engine.step(None, 0.0).changed == {"fire": None}
    else:
        again = engine_of(RULE)
        assert again.restore(engine.save(), 0.0) == []
        assert again.save() == engine.save()


@pytest.mark.parametrize("saved", [b"[" * 100_000, b'{"state":"unacknowledged","since":1e999}', b"\xff", b"5"])
def test_snapshots_made_to_hurt_are_refused(saved):
    engine = engine_of(FIRE)
    assert engine.restore({"fire": saved}, 0.0) == ["fire"]
    assert engine.alarms()["fire"].state == State.NORMAL


def test_an_unknown_group_is_ignored_but_time_goes_on():
    engine = engine_of(alarm(Stale("s/*", 3), "silent"))
    assert [found.at for found in engine.step(good("t", 1, at=9.0), 9.0).transitions] == [3.0]


@pytest.mark.parametrize("scan", [Scan("s", 0, 2.0, (9.0,), bytes(1)), Scan("s", 0, 2.0, (9.0, 9.0), bytes(3))])
def test_a_scan_of_the_wrong_shape_is_bad_as_a_whole(scan):
    """A driver's fault: nothing in it can be told apart."""
    engine = engine_of(FIRE, alarm(Not(Above("s/x", 5)), "not"))
    assert engine.step(scan, 2.0).transitions == ()
    assert {standing.truth for standing in engine.alarms().values()} == {2}


def test_time_that_runs_backwards_stands_still():
    engine = engine_of(alarm(Equals("s/x", 1), on_delay_s=10))
    engine.step(good("s", 1, 0, at=5.0), 5.0)
    assert engine.step(good("s", 1, 0, at=-100.0), -100.0).deadline == 15.0
    assert engine.step(None, math.nan).transitions == ()
    [found] = engine.step(good("s", 0, 0, at=math.nan), 16.0).transitions
    assert found.at == 15.0


def test_a_scan_counts_from_its_own_time():
    """It waited two seconds for its turn: the delay began when the reply was there; a scan from the future counts now."""
    engine = engine_of(alarm(Equals("s/x", 1), on_delay_s=10))
    engine.step(None, 3.0)
    assert engine.step(good("s", 1, 0, at=3.0), 5.0).deadline == 13.0
    engine = engine_of(alarm(Equals("s/x", 1), on_delay_s=10))
    assert engine.step(good("s", 1, 0, at=9.0), 5.0).deadline == 15.0


def test_the_deadline_is_the_earliest_of_all_and_none_when_time_changes_nothing():
    """Silence moves its own deadline; a delay that is over leaves none."""
    engine = engine_of(alarm(Equals("s/x", 1), on_delay_s=10), alarm(Stale("s/*", 30), "silent"), now=100.0)
    assert engine.step(None, 100.0).deadline == 130.0
    assert engine.step(good("s", 0, 0, at=101.0), 101.0).deadline == 131.0
    assert engine.step(good("s", 1, 0, at=102.0), 102.0).deadline == 112.0
    assert engine.step(good("s", 0, 0, at=103.0), 103.0).deadline == 133.0
    assert engine.step(None, 133.0).deadline is None
    assert engine.step(good("s", 1, 0, at=134.0), 134.0).deadline == 144.0
    assert engine_of(FIRE).step(None, 1.0).deadline is None


def test_a_silence_never_heard_raises_by_a_scan_of_another_device_at_the_same_time():
    """The witness is the sample just read, though the silence moved at that moment too."""
    groups = {("s", 0): ("s/x",), ("t", 0): ("t/x",)}
    engine = engine_of(alarm(All((Stale("s/*", 3), Above("t/x", 5)))), groups=groups)
    [found] = engine.step(good("t", 7, at=3.0), 3.0).transitions
    assert found.cause == Sample("t/x", 7, Quality.GOOD, 3.0)


class Bomb(float):
    """A value that no rule can be asked about."""

    def __gt__(self, other):
        raise ZeroDivisionError("played")


def test_a_bug_in_one_alarm_takes_out_that_one_alone():
    """The others see the same scan; it keeps its state, knows nothing, and is back with the next scan of its points."""
    guard = Guard()
    rules = (alarm(Above("s/x", 5), "bad"), alarm(Above("s/y", 5), "fire"))
    engine = Engine(rules, GROUPS, 0.0, guard.call)
    engine.step(good("s", 7.0, 0, at=0.0), 0.0)
    for at in (1.0, 1.5):
        step = engine.step(good("s", Bomb(0), 7.0, at=at), at)
        assert [transition.alarm for transition in step.transitions] == (["fire"] if at == 1.0 else [])
    assert list(guard.faults) == ["rule bad"]
    assert engine.alarms()["bad"].state is State.UNACKNOWLEDGED
    assert engine.step(good("s", 0.0, 7.0, at=2.0), 2.0).transitions == ()  # two frames since the bug, not one
    [back] = engine.step(good("s", 0.0, 7.0, at=2.5), 2.5).transitions
    assert (back.alarm, back.after) == ("bad", State.RETURNED)
    assert not guard.faults


def test_a_bug_at_a_deadline_is_tried_again_and_holds_up_no_other(monkeypatch):
    """An alarm that failed as its delay ended keeps its count: the next scan raises it. Others' delays end in time."""
    guard = Guard()
    rules = (alarm(Above("s/x", 5), "bad", on_delay_s=2), alarm(Above("s/y", 5), "fire", on_delay_s=2))
    engine = Engine(rules, GROUPS, 0.0, guard.call)
    engine.step(good("s", 7.0, 7.0, at=0.0), 0.0)
    broken = engine._by_id["bad"].condition
    monkeypatch.setattr(broken, "root", None)
    step = engine.step(None, 2.0)
    assert [transition.alarm for transition in step.transitions] == ["fire"]
    assert step.deadline == 3.0
    assert engine.step(None, 3.0).deadline == 4.0
    monkeypatch.undo()
    engine.step(None, 4.0)
    [raised] = engine.step(good("s", 7.0, 7.0, at=4.5), 4.5).transitions
    assert (raised.alarm, raised.after) == ("bad", State.UNACKNOWLEDGED)


def test_a_bug_in_finding_the_evidence_does_not_swallow_the_alarm(monkeypatch):
    """Raised at once, as if time had done it: without the sample that nobody can name; and told."""
    guard = Guard()
    engine = Engine((FIRE,), GROUPS, 0.0, guard.call)
    monkeypatch.setattr(Reading, "sample", lambda leaf: 1 / 0)
    [raised] = engine.step(good("s", 7.0, 0, at=1.0), 1.0).transitions
    assert (raised.after, raised.cause, raised.evidence) == (State.UNACKNOWLEDGED, Deadline(1.0), None)
    assert list(guard.faults) == ["evidence of alarms"]


@pytest.mark.parametrize("what", [(Witnessed, "evidence"), (Load, "mark")], ids=["evidence", "marks"])
def test_a_bug_in_what_is_only_told_keeps_no_alarm_back(monkeypatch, what):
    """Raised without its evidence or its marks, at once; and told."""
    guard = Guard()
    engine = Engine((FIRE,), GROUPS, 0.0, guard.call)
    monkeypatch.setattr(*what, lambda *_: 1 / 0)
    [raised] = engine.step(good("s", 7.0, 0, at=1.0), 1.0).transitions
    assert raised.after is State.UNACKNOWLEDGED
    assert raised.evidence is None or raised.marks == ()
    assert len(guard.faults) == 1


@pytest.mark.parametrize("other", [Above("s/x", 1), KOfN(1, (Equals("s/x", 2),), 0.0)], ids=["above", "k_of_n"])
@pytest.mark.parametrize("outer", [Any, All, lambda of: KOfN(1, of, 0.25)], ids=["any", "all", "k_of_n"])
def test_k_of_n_names_evidence_for_a_truth_that_only_it_remembers(outer, other):
    """Its part was true within the window and is unknown by now: somebody is named all the same."""
    part = outer((Not(Stale("s/x", 0.25)), other))
    engine = engine_of(alarm(KOfN(1, (part,), 0.25), on_delay_s=0.25))
    at = 0.0
    while (deadline := engine.step(None, at).deadline) is not None and at < 2:
        at = max(deadline, at + 0.05)
    assert at >= 0.25, "it was stepped to the end of its window and delay, and no step raised"


def test_what_is_hidden_is_listed_after_a_restart_and_nothing_else():
    """As long as it lasts."""
    engine = engine_of(FIRE, alarm(Above("s/y", 5), "other"))
    saved = {
        "fire": json.dumps({"state": State.OUT_OF_SERVICE, "since": -5.0, "active": True, "aside": ASIDE}).encode(),
        "other": json.dumps({"state": State.UNACKNOWLEDGED, "since": -5.0}).encode(),
    }
    assert engine.restore(saved, 0.0) == []
    assert list(engine.aside()) == ["fire"]
    engine.step(None, 100.0)
    assert list(engine.aside()) == []


def test_deadlines_that_came_to_nothing_take_no_memory():
    """A delay that begins and is broken off, all day long."""
    engine = engine_of(alarm(Above("s/x", 5), on_delay_s=10))
    for n in range(500):
        engine.step(good("s", 9.0, 0, at=20.0 * n), 20.0 * n)
        engine.step(good("s", 0.0, 0, at=20.0 * n + 1), 20.0 * n + 1)
        assert engine.step(None, 20.0 * n + 15).deadline is None
    assert len(engine._agenda.queue) <= 2


def test_after_a_bug_the_delays_are_as_the_alarm_stands():
    """One that struck between the two would else keep it from ever being raised."""
    engine = engine_of(FIRE)
    [alarm] = engine._alarms
    alarm.timing.set(True)
    alarm.broke(1.0)
    assert not alarm.timing.active
    for at in (2.0, 3.0):
        said = engine.step(good("s", 9.0, 0, at=at), at).transitions
        if said:
            break
    assert said[0].after is State.UNACKNOWLEDGED
