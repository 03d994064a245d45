"""What holds for every rule and every sequence of events: the engine against a slow second one, and against its laws."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.model import Action, AlarmClass, Command, Quality, Scan, State
from rules import aside
from rules.engine import Engine
from rules.lifecycle import ACTIVE, ASIDE, TABLE
from rules.spec import Above, All, Any, Below, Bit, Equals, KOfN, Not, Outside, Rate, Stale
from rules.truth import FALSE
from tests.rules import slow
from tests.rules.slow import TICK
from tests.rules.transcript import alarm

GROUPS = {("a", 0): ("a/x", "a/y"), ("b", 0): ("b/x",), ("b", 1): ("b/y", "b/z")}
POINTS = [point for names in GROUPS.values() for point in names]

ticks = st.integers(0, 12).map(lambda n: n * TICK)
some_time = st.integers(1, 16).map(lambda n: n * TICK)
points = st.sampled_from(POINTS)
values = st.integers(0, 7)
qualities = st.sampled_from([Quality.GOOD] * 6 + [Quality.OUT_OF_RANGE, Quality.NOT_RESPONDING])


def readings(of=points):
    return st.one_of(
        st.builds(Above, of, st.integers(1, 6), st.sampled_from([0, 1, 2])),
        st.builds(Below, of, st.integers(1, 6), st.sampled_from([0, 1, 2])),
        st.builds(Outside, of, st.integers(0, 2), st.integers(5, 7), st.sampled_from([0, 1])),
        st.builds(Equals, of, values),
        st.builds(Bit, of, st.integers(0, 2)),
    )


rates = st.builds(Rate, points, st.sampled_from([-math.pi / 10, math.pi / 10, math.pi]), st.sampled_from([2.0, 8.0]))
stales = st.builds(Stale, st.sampled_from([*POINTS, "a/*", "b/*"]), some_time)


def trees(leaves):
    def grow(parts):
        several = st.lists(parts, min_size=1, max_size=3).map(tuple)
        return st.one_of(
            st.builds(All, several),
            st.builds(Any, several),
            st.builds(Not, parts),
            st.tuples(several, st.integers(0, 2), ticks).map(lambda t: KOfN(min(t[1], len(t[0]) - 1) + 1, t[0], t[2])),
        )

    return st.recursive(leaves, grow, max_leaves=5)


never = st.none()


def rules(conditions, name="one", *, realarm=never, suppressed=never):
    def of_class(cls):
        return st.builds(
            alarm,
            conditions,
            st.just(name),
            st.just(cls),
            on_delay_s=ticks,
            off_delay_s=ticks,
            latching=st.booleans(),
            realarm_s=realarm,
            suppressed_by=never if cls == AlarmClass.FIRE else suppressed,
        )

    return st.sampled_from([AlarmClass.FIRE, AlarmClass.WATER]).flatmap(of_class)


@pytest.fixture(autouse=True, scope="module")
def _short_doubt():
    """So that the minute of `rules.aside` lies within what is played here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aside, "DOUBT_S", slow.DOUBT_S)
        yield


@st.composite
def scans(draw, keys=tuple(GROUPS), grades=qualities):
    key = draw(st.sampled_from(keys))
    grade = [draw(grades) for _ in GROUPS[key]]
    found = tuple(None if one >= 32 else draw(values) for one in grade)
    return lambda at: Scan(*key, at, found, bytes(grade))


ACTIONS = [
    Action.ACKNOWLEDGE, Action.RESET, Action.SHELVE, Action.UNSHELVE, Action.TAKE_OUT, Action.RETURN,
]  # fmt: skip
commands = st.builds(
    lambda action, who, why, for_s: lambda at: Command(action, "one", who, at, why, for_s),
    st.sampled_from(ACTIONS),
    st.sampled_from(["Li", "Li", "Li", ""]),
    st.sampled_from(["repair", "repair", "repair", ""]),
    st.one_of(ticks, ticks, st.none()),
)
pauses = st.integers(0, 6).map(lambda n: n * TICK)
events = st.lists(st.tuples(pauses, st.one_of(scans(), scans(), scans(), commands)), max_size=25)


def dated(steps, at=0.0):
    out = []
    for pause, make in steps:
        at += pause
        out.append(make(at))
    return out


def told(found):
    """What happened, without the evidence: of several points that say the same, a restart may name another."""
    return [(one.alarm, one.before, one.after, one.at) for one in found]


mixed = trees(st.one_of(readings(), readings(), rates, stales))
lives = rules(mixed, realarm=st.one_of(st.none(), some_time), suppressed=st.one_of(st.none(), readings(), mixed))


@settings(max_examples=150, deadline=None)
@given(lives, events, st.data())
def test_engine_equals_the_slow_one_however_often_it_is_stepped(rule, steps, data):
    """Same transitions at the same times, whether it is woken at its deadlines, between them or only by events."""
    history = dated(steps)
    end = (history[-1].at if history else 0.0) + 30 * TICK
    engine, found, now = Engine([rule], GROUPS, 0.0), [], 0.0
    for event in [*history, None]:
        until = end if event is None else event.at
        while (now := now + data.draw(some_time)) < until:
            found += engine.step(None, now).transitions
        now = until
        found += engine.step(event, now).transitions
    assert told(found) == slow.transitions(rule, history, GROUPS, end)


@settings(max_examples=60, deadline=None)
@given(lives, events)
def test_stepping_at_each_deadline_misses_nothing(rule, steps):
    """The deadline that a step returns is early enough, always ahead, and there is none when time changes nothing."""
    history = dated(steps)
    end = (history[-1].at if history else 0.0) + 30 * TICK
    engine, found = Engine([rule], GROUPS, 0.0), []
    step = engine.step(None, 0.0)
    for event in [*history, None]:
        until = end if event is None else event.at
        while step.deadline is not None and step.deadline <= until:
            at = step.deadline
            found += step.transitions
            step = engine.step(None, at)
            assert all(one.at == at for one in step.transitions)
            assert step.deadline is None or step.deadline > at
        found += step.transitions
        step = engine.step(event, until)
        assert all(one.at == until for one in step.transitions)
    found += step.transitions
    assert told(found) == slow.transitions(rule, history, GROUPS, end)


WILD_VALUES = st.one_of(
    st.none(), st.floats(), st.integers(), st.text(max_size=3), st.just(10**400), st.just([1]), st.booleans()
)
wild_times = st.one_of(st.floats(-100, 100), st.floats())
wild_scans = st.builds(
    Scan,
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 2),
    wild_times,
    st.lists(WILD_VALUES, min_size=1, max_size=3).map(tuple),
    st.binary(min_size=1, max_size=3),
)
wild_commands = st.builds(
    Command, st.sampled_from(list(Action)), st.sampled_from(["one", "two", "three"]), st.sampled_from(["Li", " "]),
    wild_times, st.sampled_from(["repair", ""]), st.one_of(st.none(), st.floats(), st.floats(0, 100)),
)  # fmt: skip
wild = st.lists(
    st.tuples(st.one_of(st.none(), wild_scans, wild_scans, wild_commands), st.floats(-10, 200), st.booleans()),
    max_size=25,
)
everything = st.one_of(readings(), rates, stales)


@settings(max_examples=120, deadline=None)
@given(
    rules(
        trees(everything), realarm=st.one_of(st.none(), some_time), suppressed=st.one_of(st.none(), trees(everything))
    ),
    rules(trees(everything), "two"),
    wild,
)
def test_nothing_leads_to_an_undefined_state(one, two, steps):
    """Any scan, command, time or restart: it never raises, each transition is a cell of the table and follows the one
    before, `present` tells of what is hidden too, the deltas laid over each other are what is saved, what a person hid
    has a person and an end, and no life is shelved or suppressed."""
    engine = Engine([one, two], GROUPS, 0.0)
    states = {"one": State.NORMAL, "two": State.NORMAL}
    present = {"one": False, "two": False}
    journal, at, clock = {}, 0.0, 0.0
    for event, now, restart in steps:
        step = engine.step(event, now)
        clock = max(clock, now)
        for transition in step.transitions:
            assert states[transition.alarm] == transition.before
            moved = transition.before != transition.after
            assert moved or (transition.before in ASIDE and present[transition.alarm] != transition.present)
            assert transition.present == (transition.after in ACTIVE) or transition.after in ASIDE
            present[transition.alarm] = transition.present
            assert any(cell[0] == transition.before and after == transition.after for cell, after in TABLE.items())
            assert at <= transition.at
            assert transition.since <= transition.at
            states[transition.alarm] = transition.after
            at = transition.at
        assert step.refused is None or isinstance(event, Command)
        journal |= step.changed
        assert {name: state for name, state in journal.items() if state is not None} == engine.save()
        for name, standing in engine.alarms().items():
            assert (standing.state, standing.present) == (states[name], present[name])
            assert (standing.aside is not None) == (standing.state in (State.SHELVED, State.OUT_OF_SERVICE))
            assert standing.aside is None or (
                standing.aside.who.strip() and engine.alarms()[name].aside.until < math.inf
            )
            assert standing.spec.cls != AlarmClass.FIRE or standing.state not in (State.SHELVED, State.SUPPRESSED)
        if restart:
            saved = {name: state for name, state in journal.items() if state is not None}
            engine = Engine([one, two], GROUPS, clock)
            assert engine.restore(saved, 0.0) == []
            at = -math.inf


single = rules(realarm=st.one_of(st.none(), some_time), conditions=st.recursive(
    readings(st.sampled_from(["a/x", "a/y"])),
    lambda parts: st.one_of(
        st.builds(All, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(Any, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=4,
))  # fmt: skip
of_a = st.lists(st.tuples(pauses, st.one_of(scans(keys=(("a", 0),)), commands)), max_size=20)


@settings(max_examples=120, deadline=None)
@given(single, of_a, of_a, scans(keys=(("a", 0),)))
def test_a_restart_changes_no_transition(rule, before, after, first):
    """Saved and restored at any moment at which no clearing is under way, and read twice at once: the same transitions as
    without the restart. (A clearing under way starts anew: nobody looked in between. Two frames let a fire be reset.)"""
    engine = Engine([rule], GROUPS, 0.0)
    past = dated(before)
    for event in past:
        engine.step(event, event.at)
    now = past[-1].at if past else 0.0
    standing = engine.alarms()["one"]
    assume(not standing.present or standing.truth != FALSE)
    again = Engine([rule], GROUPS, now)
    assert again.restore(engine.save(), 0.0) == []
    for event in [first(now), first(now), *dated(after, now)]:
        assert told(again.step(event, event.at).transitions) == told(engine.step(event, event.at).transitions)
        assert again.save() == engine.save()


def moments_of_alarm(rule, steps):
    """An engine at each moment of a history at which the rule's alarm is active, and when that is."""
    engine = Engine([rule], GROUPS, 0.0)
    for event in dated(steps):
        engine.step(event, event.at)
        if engine.alarms()["one"].state in ACTIVE:
            yield engine, event.at


@settings(max_examples=60, deadline=None)
@given(rules(trees(st.one_of(readings(), rates))), events, scans(), st.integers(0, 100))
def test_an_active_alarm_stays_active_over_a_restart_until_two_scans(rule, before, first, pause):
    """Neither time nor a single frame clears after a restart, whatever the rule; and nothing is raised anew."""
    for engine, now in moments_of_alarm(rule, before):
        again = Engine([rule], GROUPS, now)
        again.restore(engine.save(), 0.0)
        assert again.alarms()["one"].since == engine.alarms()["one"].since
        assert again.step(None, now + pause).transitions == ()
        assert again.step(first(now + pause), now + pause).transitions == ()
        assert again.step(None, now + pause + 1000).transitions == ()


doubtful = scans(grades=st.sampled_from([Quality.JUMPING, Quality.REFUSED, Quality.OUT_OF_RANGE, Quality.NOT_YET]))


@settings(max_examples=60, deadline=None)
@given(rules(trees(st.one_of(readings(), rates))), events, st.lists(st.tuples(pauses, doubtful), max_size=10))
def test_doubt_and_ignorance_never_clear(rule, before, after):
    """From the moment at which every point is only uncertain or bad, no alarm becomes inactive."""
    for engine, now in moments_of_alarm(rule, before):
        for key, names in GROUPS.items():
            engine.step(Scan(*key, now, (None,) * len(names), bytes([Quality.NOT_RESPONDING]) * len(names)), now)
        for event in dated(after, now):
            assert engine.step(event, event.at).transitions == ()
        assert engine.step(None, now + 1000).transitions == ()
        break  # the history of this engine was changed


doubting = trees(st.one_of(readings(), rates))  # silence is never in doubt


@settings(max_examples=60, deadline=None)
@given(
    rules(doubting, realarm=st.one_of(st.none(), some_time), suppressed=st.one_of(st.none(), doubting)),
    events,
    st.lists(st.tuples(pauses, st.one_of(doubtful, commands)), max_size=10),
)
def test_doubt_clears_nothing_in_any_state(rule, before, after):
    """Whatever a person or the design hides: from the moment at which every point is only uncertain or bad, what is
    present stays present, and at the end of everything it is active."""
    engine = Engine([rule], GROUPS, 0.0)
    for event in dated(before):
        engine.step(event, event.at)
        if engine.alarms()["one"].present:
            now = event.at
            break
    else:
        return
    for key, names in GROUPS.items():
        engine.step(Scan(*key, now, (None,) * len(names), bytes([Quality.NOT_RESPONDING]) * len(names)), now)
    for event in dated(after, now):
        step = engine.step(event, event.at)
        assert all(one.present for one in step.transitions)
    engine.step(None, now + 1000)
    standing = engine.alarms()["one"]
    assert standing.present
    assert standing.state in ACTIVE


@settings(max_examples=60, deadline=None)
@given(stales, events)
def test_silence_is_always_raised(when, steps):
    """Once nothing usable came for `for_s` the alarm's condition is present, whatever came before, from whomever, in any order."""
    engine = Engine([alarm(when, "one")], GROUPS, 0.0)
    device, _, name = when.point.rpartition("/")
    heard = 0.0
    for event in dated(steps):
        engine.step(event, event.at)
        if isinstance(event, Scan) and event.device == device:
            names = zip(GROUPS[device, event.group], event.qualities, strict=True)
            if any(quality < 32 for point, quality in names if name == "*" or point == when.point):
                heard = event.at
        if event.at >= heard + when.for_s:
            assert engine.alarms()["one"].present
    engine.step(None, heard + when.for_s)
    assert engine.alarms()["one"].present
