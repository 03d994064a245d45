"""When a changed site is undone, and when it is proved: every branch of the decision."""

from dataclasses import replace

import pytest

from gateway.trial import Heard, Seen, Stage, Terms, judge, worked

TERMS = Terms()
BEFORE = Seen(100.0, {"line": Heard(99.5, 20.0), "dead": Heard(None, 20.0)}, ("district",), {"old": 100.0})


def seen(at, line=None, **more):
    """The gateway `at` seconds after the change; the line is heard unless said otherwise."""
    now = 100.0 + at
    return replace(BEFORE, at=now, buses={"line": line or Heard(now, 20.0), "dead": Heard(None, 20.0)}, **more)


def stage(now, uplinks=()):
    return judge(BEFORE, uplinks, now, TERMS).stage


@pytest.mark.parametrize(("at", "expected"), [(0, Stage.TRIAL), (59.9, Stage.TRIAL), (60, Stage.PROVED)])
def test_what_works_for_a_minute_is_proved(at, expected):
    assert stage(seen(at)) is expected


def test_a_bus_that_is_started_anew_and_never_heard_is_lost_after_its_patience():
    assert stage(seen(20, Heard(None, 20.0))) is Stage.TRIAL
    verdict = judge(BEFORE, (), seen(20.1, Heard(None, 20.0)), TERMS)
    assert verdict.stage is Stage.UNDONE
    assert "line" in verdict.why.en
    assert "line" in verdict.why.zh


def test_a_bus_that_fell_silent_during_the_trial_is_lost():
    assert stage(seen(45, Heard(130.0, 20.0))) is Stage.TRIAL
    assert stage(seen(51, Heard(130.0, 20.0))) is Stage.UNDONE


def test_a_slow_bus_has_the_whole_trial():
    """Three of its periods are longer than the trial: it must be heard once if it was started anew, no more."""
    assert stage(seen(59, Heard(None, 360.0))) is Stage.TRIAL
    assert stage(seen(60, Heard(None, 360.0))) is Stage.UNDONE
    assert stage(seen(60, Heard(101.0, 360.0))) is Stage.PROVED
    assert Terms().patience_s(120.0) == 360.0
    assert Terms().patience_s(1.0) == 20.0


def test_a_slow_bus_that_was_not_started_anew_is_not_missed():
    assert stage(seen(60, Heard(50.0, 360.0))) is Stage.PROVED


def test_what_was_silent_before_cannot_be_lost():
    assert worked(BEFORE) == {"line"}
    assert worked(replace(BEFORE, at=120.0)) == frozenset()
    assert judge(replace(BEFORE, buses={"line": Heard(50.0, 20.0)}), (), seen(60, Heard(None, 20.0)), TERMS).stage is (
        Stage.PROVED
    )


def test_a_bus_that_left_the_site_is_missed_by_nobody():
    assert stage(replace(seen(60), buses={})) is Stage.PROVED


def test_a_part_that_falls_undoes_at_once_and_one_that_stumbles_does_not():
    assert stage(seen(10, faults={"rule fire": 109.0})) is Stage.TRIAL
    verdict = judge(BEFORE, (), seen(10, faults={"rule fire": 108.0}), TERMS)
    assert verdict.stage is Stage.UNDONE
    assert "rule fire" in verdict.why.en


def test_what_was_broken_before_is_no_reason():
    assert stage(seen(60, faults={"old": 100.0})) is Stage.PROVED


def test_an_uplink_that_was_changed_and_does_not_come_back_is_a_reason_at_the_end():
    assert stage(seen(59, connected=()), ("district",)) is Stage.TRIAL
    assert stage(seen(60, connected=()), ("district",)) is Stage.UNDONE


def test_an_unchanged_link_that_is_cut_is_none():
    """Links are down minutes a week; the file has nothing to do with it."""
    assert stage(seen(60, connected=())) is Stage.PROVED


def test_an_uplink_that_was_not_connected_before_is_none():
    before = replace(BEFORE, connected=())
    assert judge(before, ("district",), seen(60, connected=()), TERMS).stage is Stage.PROVED
