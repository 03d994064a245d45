"""Conditions over the past of others: against the slow engine and against their laws, in any combination."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Quality, Scan
from rules.engine import Engine
from rules.lifecycle import ACTIVE
from rules.spec import Absence, All, Any, Captured, Changed, Frozen, Held, KOfN, Latch, Not, Sequence, Times
from tests.rules import slow
from tests.rules.slow import TICK
from tests.rules.test_properties import (
    GROUPS,
    dated,
    doubtful,
    events,
    points,
    readings,
    rules,
    scans,
    some_time,
    told,
)

motions = st.one_of(st.builds(Changed, points, some_time), st.builds(Frozen, points, some_time))


def grow(part):
    several = st.lists(part, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Held, part, some_time),
        st.builds(Times, part, st.integers(1, 3), some_time),
        st.builds(Sequence, several, some_time),
        st.builds(Absence, part, part, some_time),
        st.builds(Latch, part, part),
        st.builds(Captured, part, part),
        st.builds(Not, part),
        st.builds(All, several),
        st.builds(Any, several),
        st.builds(lambda of, within: KOfN(1, of, within), several, some_time),
    )


trees = st.recursive(st.one_of(readings(), readings(), motions), grow, max_leaves=5)


@settings(max_examples=200, deadline=None)
@given(rules(trees), events, st.data())
def test_engine_equals_the_slow_one_however_often_it_is_stepped(rule, steps, data):
    """Same transitions at the same times, whether it is woken at its deadlines, between them or only by events."""
    history = dated(steps)
    end = (history[-1].at if history else 0.0) + 40 * TICK
    engine, found, now = Engine([rule], GROUPS, 0.0), [], 0.0
    for event in [*history, None]:
        until = end if event is None else event.at
        while (now := now + data.draw(some_time)) < until:
            found += engine.step(None, now).transitions
        now = until
        found += engine.step(event, now).transitions
    assert told(found) == slow.transitions(rule, history, GROUPS, end)


@settings(max_examples=60, deadline=None)
@given(rules(trees), events)
def test_stepping_at_each_deadline_misses_nothing(rule, steps):
    """The deadline that a step returns is early enough, and always ahead."""
    history = dated(steps)
    end = (history[-1].at if history else 0.0) + 40 * TICK
    engine, found = Engine([rule], GROUPS, 0.0), []
    step = engine.step(None, 0.0)
    for event in [*history, None]:
        until = end if event is None else event.at
        while step.deadline is not None and step.deadline <= until:
            at = step.deadline
            found += step.transitions
            step = engine.step(None, at)
            assert step.deadline is None or step.deadline > at
        found += step.transitions
        step = engine.step(event, until)
    found += step.transitions
    assert told(found) == slow.transitions(rule, history, GROUPS, end)


def moments_of_alarm(rule, steps):
    engine = Engine([rule], GROUPS, 0.0)
    for event in dated(steps):
        engine.step(event, event.at)
        if engine.alarms()["one"].state in ACTIVE:
            yield engine, event.at


@settings(max_examples=100, deadline=None)
@given(rules(trees), events, st.lists(st.tuples(some_time, doubtful), max_size=10))
def test_doubt_and_ignorance_never_clear(rule, before, after):
    """From the moment at which every point is only uncertain or bad, no alarm becomes inactive: not even by a past that
    is still in a window, or by what was latched or captured."""
    for engine, now in moments_of_alarm(rule, before):
        for _ in range(2):
            for key, names in GROUPS.items():
                engine.step(Scan(*key, now, (None,) * len(names), bytes([Quality.NOT_RESPONDING]) * len(names)), now)
        if engine.alarms()["one"].state not in ACTIVE:
            continue
        for event in dated(after, now):
            assert engine.step(event, event.at).transitions == ()
        assert engine.step(None, now + 1000).transitions == ()
        break


@settings(max_examples=100, deadline=None)
@given(rules(trees), events, scans(), st.integers(0, 100))
def test_an_active_alarm_stays_active_over_a_restart_until_two_scans(rule, before, first, pause):
    """Neither time nor a single frame clears after a restart, whatever the rule; and what is saved is read again."""
    for engine, now in moments_of_alarm(rule, before):
        again = Engine([rule], GROUPS, now)
        assert again.restore(engine.save(), 0.0) == []
        assert again.step(None, now).transitions == ()
        assert again.step(None, now + pause).transitions == ()
        assert again.step(first(now + pause), now + pause).transitions == ()
        assert again.step(None, now + pause + 1000).transitions == ()


@settings(max_examples=60, deadline=None)
@given(rules(trees), events, st.data())
def test_deltas_laid_over_each_other_are_what_is_saved(rule, steps, data):
    """At each moment, also over restarts; and a saved state that is damaged is refused, never half taken."""
    engine, journal = Engine([rule], GROUPS, 0.0), {}
    for event in dated(steps):
        journal |= engine.step(event, event.at).changed
        assert {name: state for name, state in journal.items() if state is not None} == engine.save()
        if data.draw(st.booleans()):
            saved = engine.save()
            engine = Engine([rule], GROUPS, event.at)
            assert engine.restore(saved, 0.0) == []
            journal |= engine.step(None, event.at).changed
