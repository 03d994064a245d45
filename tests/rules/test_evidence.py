"""What a transition shows of what the rule looked at."""

from gateway.model import Action, AlarmClass, Command, Quality, Sample, Scan
from rules.engine import Engine
from rules.evidence import MOST_SAMPLES, TREND, described
from rules.spec import Above, All, Any, Equals, KOfN, Not, Stale
from tests.rules.transcript import alarm, good

GROUPS = {("s", 0): ("s/x", "s/y"), ("t", 0): ("t/x",)}


def test_the_values_the_thresholds_and_the_trend_before():
    """The deciding point first, with what it was before; then the others that the rule looks at."""
    rule = alarm(All((Above("s/x", 5, 1), Not(Equals("t/x", 1)))), rule="fire.smoke@2")
    engine = Engine([rule], GROUPS, 0.0)
    engine.step(good("t", 0, at=0.5), 0.5)
    for at, value in enumerate((1.0, 2.0, 4.0)):
        engine.step(good("s", value, 0, at=float(at)), float(at))
    engine.step(Scan("s", 0, 3.0, (None, None), bytes([33, 33])), 3.0)
    [found] = engine.step(good("s", 7.0, 0, at=4.0), 4.0).transitions
    seen = found.evidence
    assert seen.samples == (Sample("s/x", 7.0, Quality.GOOD, 4.0), Sample("t/x", 0, Quality.GOOD, 0.5))
    assert [(one.value, one.quality, one.at) for one in seen.trend] == [
        (1.0, 0, 0.0), (2.0, 0, 1.0), (4.0, 0, 2.0), (None, Quality.BAD_FRAME, 3.0),
    ]  # fmt: skip
    assert (seen.rule, seen.left_out) == ("fire.smoke@2", 0)
    assert seen.when == {
        "all": [
            {"above": {"point": "s/x", "limit": 5, "hysteresis": 1}},
            {"not": {"equals": {"point": "t/x", "value": 1}}},
        ]
    }


def test_the_same_rule_has_the_same_number_and_another_another():
    def number(limit):
        engine = Engine([alarm(Above("s/x", limit))], GROUPS, 0.0)
        return engine.step(good("s", 9.0, 0, at=1.0), 1.0).transitions[0].evidence.crc

    assert number(5) == number(5) != number(6)


def test_it_is_bounded_and_what_speaks_for_an_alarm_comes_first():
    """A zone with a hundred detectors: those that see smoke, and the number of the others."""
    many = 100
    groups = {(f"d{n}", 0): (f"d{n}/smoke",) for n in range(many)}
    parts = tuple(Above(f"d{n}/smoke", 5) for n in range(many))
    engine = Engine([alarm(KOfN(2, parts, 60.0))], groups, 0.0)
    for at in range(20):
        for n in range(many):
            engine.step(good(f"d{n}", 0.0, at=float(at)), float(at))
    engine.step(good("d90", 9.0, at=20.0), 20.0)
    [found] = engine.step(good("d80", 9.0, at=21.0), 21.0).transitions
    seen = found.evidence
    assert [one.point for one in seen.samples[:2]] == ["d80/smoke", "d90/smoke"]
    assert (len(seen.samples), seen.left_out) == (MOST_SAMPLES, many - MOST_SAMPLES)
    assert len(seen.trend) == TREND
    assert seen.when == {}, "too long to be told: the number says which rule it is"


def test_a_command_shows_what_the_rule_sees_at_that_time():
    """A person acknowledged at 9 %/m."""
    engine = Engine([alarm(Above("s/x", 5))], GROUPS, 0.0)
    engine.step(good("s", 7.0, 0, at=1.0), 1.0)
    engine.step(good("s", 9.0, 0, at=2.0), 2.0)
    [found] = engine.step(Command(Action.ACKNOWLEDGE, "fire", "Li", 3.0), 3.0).transitions
    assert found.evidence.samples == (Sample("s/x", 9.0, Quality.GOOD, 2.0),)


def test_silence_shows_the_last_value_that_was_heard():
    """And nothing where nothing was ever heard."""
    rules = [alarm(Stale("s/*", 3), "silent", AlarmClass.FAULT), alarm(Stale("t/*", 3), "never", AlarmClass.FAULT)]
    engine = Engine(rules, GROUPS, 0.0)
    engine.step(good("s", 7.0, 0, at=1.0), 1.0)
    found = {one.alarm: one.evidence for one in engine.step(None, 9.0).transitions}
    assert found["silent"].samples == (Sample("s/x", 7.0, Quality.GOOD, 1.0),)
    assert (found["never"].samples, found["never"].trend) == ((), ())


def test_suppression_shows_its_own_condition():
    """Why is it hidden?"""
    engine = Engine([alarm(Above("s/x", 5), suppressed_by=Equals("s/y", 1))], GROUPS, 0.0)
    for at in (1.0, 2.0):
        found = engine.step(good("s", 0.0, 1, at=at), at).transitions
    assert found[0].evidence.samples == (Sample("s/y", 1, Quality.GOOD, 2.0),)
    assert found[0].evidence.when == {"equals": {"point": "s/y", "value": 1}}


def test_a_condition_is_told_in_the_words_of_the_site_file():
    assert described(KOfN(1, (Any((Stale("s/*", 3.0),)),), 9.0)) == {
        "k_of_n": {"k": 1, "of": [{"any": [{"stale": {"point": "s/*", "for_s": 3.0}}]}], "within_s": 9.0}
    }
