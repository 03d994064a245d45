"""How a scenario is played: `rules.scenario`."""

from dataclasses import replace

import pytest

from gateway.model import Action, Command, State
from rules.engine import Engine
from rules.scenario import NOON, Becomes, Dated, Order, Restart, Scenario, Stands, Track, play, scans
from rules.series import parse
from rules.spec import Above, All, Equals, Schedule, Stale
from tests.rules.transcript import alarm

TRACK = Track(("smoke", 0), ("smoke/0",), 1.0)
SMOKE = alarm(Above("smoke/0", 5))
SLOW = alarm(Equals("smoke/0", 1), "open", on_delay_s=30)
SILENT = alarm(Stale("smoke/*", 3), "silent")


def scenario(series, *expect, happens=(), step_s=1.0):
    return Scenario("s", step_s, {"smoke/0": parse(series)} if series else {}, {"smoke/0": 0.0}, happens, expect)


class Bare:
    """Judges by the engine alone."""

    def __init__(self, alarms, groups, now, saved):
        self.engine = Engine(alarms, groups, now)
        self.engine.restore(saved or {}, 0.0)
        self.alarms, self.save = self.engine.alarms, self.engine.save

    def take(self, scan):
        return self.engine.step(scan, scan.at).transitions

    def obey(self, command, at):
        step = self.engine.step(command, at)
        return step.transitions, step.refused

    def wake(self, at):
        return self.engine.step(None, at).transitions

    def date(self, clocks):
        return self.engine.step(clocks, clocks.at).transitions


def differences(one, *alarms, tracks=(TRACK,)):
    groups = {track.key: track.points for track in tracks}
    specs = {spec.id: spec for spec in alarms}
    return play(one, tracks, specs, lambda now, saved: Bare(alarms, groups, now, saved))


def stands(at, only=False, **states):
    return Stands(at, {name: State(state) for name, state in states.items()}, only)


def test_what_is_as_expected_gives_no_difference():
    one = scenario("0x4 6", stands(4, only=True), Becomes(5, "fire", State.UNACKNOWLEDGED, "smoke/0", 6))
    assert differences(one, SMOKE) == []


def test_a_difference_says_when_what_and_what_the_points_said_last():
    one = scenario("0x4 6?", stands(5, fire="normal"))
    (found,) = differences(one, SMOKE)
    assert found == (5, "fire normal", "fire unacknowledged (smoke/0 6 out_of_range at 5 s)")


def test_only_wants_all_other_alarms_normal():
    one = scenario("0x4 6", stands(5, only=True, silent="normal"))
    assert [found.expected for found in differences(one, SMOKE, SILENT)] == ["fire normal"]


@pytest.mark.parametrize(
    "expected",
    [
        Becomes(4, "fire", State.UNACKNOWLEDGED),
        Becomes(5, "fire", State.RETURNED),
        Becomes(5, "silent", State.UNACKNOWLEDGED),
        Becomes(5, "fire", State.UNACKNOWLEDGED, "smoke/1"),
        Becomes(5, "fire", State.UNACKNOWLEDGED, "deadline"),
        Becomes(5, "fire", State.UNACKNOWLEDGED, "smoke/0", 7),
    ],
)
def test_a_transition_at_another_time_or_of_another_cause_is_not_the_expected_one(expected):
    (found,) = differences(scenario("0x4 6", expected, stands(9)), SMOKE, SILENT)
    assert found.at == expected.at
    assert "becomes" in found.expected
    assert expected.alarm in found.seen


def test_a_transition_that_came_differently_is_told():
    (found,) = differences(scenario("6", stands(0), Becomes(9, "fire", State.UNACKNOWLEDGED)), SMOKE)
    assert found.seen.endswith("became unacknowledged at 0 s by smoke/0 6 at 0 s")


def test_a_deadline_is_a_cause_and_so_is_its_sample():
    """What a delay ended carries the sample that last held."""
    for by in ("deadline", "smoke/0", ""):
        one = scenario("1", Becomes(30, "open", State.UNACKNOWLEDGED, by))
        assert differences(one, SLOW, tracks=(Track(TRACK.key, TRACK.points, 7.0),)) == []


def test_a_person_s_command_is_followed_after_the_readings_of_its_time():
    order = Order(5, Command(Action.ACKNOWLEDGE, "fire", "Li", 5))
    one = scenario("0x4 6", Becomes(5, "fire", State.ACKNOWLEDGED, "Li"), happens=(order,))
    assert differences(one, SMOKE) == []


@pytest.mark.parametrize(("at", "refused", "expected"), [(4, False, "done"), (5, True, "refused")])
def test_a_command_must_be_followed_or_refused_as_said(at, refused, expected):
    order = Order(at, Command(Action.ACKNOWLEDGE, "fire", "Li", at), refused)
    (found,) = differences(scenario("0x4 6", stands(9), happens=(order,)), SMOKE)
    assert (found.at, found.expected) == (at, f"acknowledge fire: {expected}")
    assert differences(scenario("0x4 6", stands(9), happens=(Order(at, order.command, not refused),)), SMOKE) == []


def test_a_group_is_read_at_its_own_period():
    """A pulse between two reads is not seen, as on the site."""
    slow = Track(("smoke", 0), ("smoke/0",), 10.0)
    one = scenario("0x4 6 0", stands(20, only=True))
    assert differences(one, SMOKE, tracks=(slow,)) == []
    assert len(differences(one, SMOKE)) == 1


def test_a_scenario_of_days_reads_nothing_more_often_than_it_says():
    """It costs less, and what is silent for less than that is told."""
    one = replace(scenario("0x4 6 0", stands(60, silent="unacknowledged", fire="normal")), read_s=20.0)
    assert scans(one, (TRACK,)) == 4
    assert differences(one, SMOKE, SILENT) == []


def test_a_terminal_that_calls_does_so_at_each_change():
    calling = Track(("smoke", 0), ("smoke/0",), 100.0, calls=True)
    one = scenario("0x4 6x2 0", Becomes(5, "fire", State.UNACKNOWLEDGED))
    assert differences(one, SMOKE, tracks=(calling,)) == []


def test_nothing_is_read_in_a_gap_and_a_silence_begins():
    one = scenario("0x4 _", Becomes(7, "silent", State.UNACKNOWLEDGED, "deadline"))
    assert differences(one, SILENT) == []


def test_the_last_entry_and_the_usual_value_stay():
    assert differences(scenario("6", stands(100, fire="unacknowledged")), SMOKE) == []
    assert differences(scenario("", stands(100, only=True)), SMOKE, SILENT) == []


def test_a_restart_goes_on_from_what_was_saved_and_nobody_reads_meanwhile():
    one = scenario(
        "0 6x9 0",
        stands(5, fire="unacknowledged"),
        stands(25, fire="unacknowledged"),
        stands(26, fire="returned"),
        happens=(Restart(8, 17),),
    )
    assert differences(one, SMOKE) == []


def test_a_running_delay_goes_on_over_a_restart():
    one = scenario("1", Becomes(30, "open", State.UNACKNOWLEDGED), happens=(Restart(10, 5),))
    assert differences(one, SLOW) == []


def test_steps_that_are_no_whole_binary_fraction_keep_their_grid():
    """0.1 s: the reading at 0.3 s is the third step's, and a transition at 0.3 s is at 0.3 s."""
    fast = Track(("smoke", 0), ("smoke/0",), 0.1)
    one = scenario("0x2 6", Becomes(0.3, "fire", State.UNACKNOWLEDGED), step_s=0.1)
    assert differences(one, SMOKE, tracks=(fast,)) == []


def test_the_clock_runs_from_noon_on_monday_or_as_it_is_set_also_over_a_restart():
    """A schedule is unknown while the clock is not trusted, so it raises nothing."""
    night = alarm(All((Equals("smoke/0", 1), Schedule((0,), 12 * 3600 + 30, 12 * 3600 + 60))), "night")
    one = scenario(
        "1",
        Becomes(30, "night", State.UNACKNOWLEDGED),
        stands(59, night="unacknowledged"),
        stands(62, night="returned"),
    )
    assert differences(one, night) == []
    late = Dated(10, NOON._replace(at=10, wall=NOON.wall - 60))
    assert (
        differences(scenario("1", stands(99), Becomes(100, "night", State.UNACKNOWLEDGED), happens=(late,)), night)
        == []
    )
    one = scenario("1", Becomes(30, "night", State.UNACKNOWLEDGED), happens=(Restart(10, 5),))
    assert differences(one, night) == []
    one = replace(scenario("1", stands(100, only=True)), clocks=NOON._replace(trusted=False))
    assert differences(one, night) == []


def test_it_covers_what_it_expects_to_be_something_else_than_normal():
    one = scenario("0", stands(1, a="normal", b="returned"), Becomes(2, "c", State.NORMAL))
    assert one.covers() == {"b", "c"}


def test_the_cost_is_told_before_it_is_paid():
    one = scenario("0x9", stands(100))
    assert scans(one, (TRACK, Track(("x", 0), (), 10.0, calls=True))) == 101 + 11 + 10


def test_a_terminal_calls_when_it_changes_whatever_a_step_is():
    calling = Track(("smoke", 0), ("smoke/0",), 1000.0, calls=True)
    one = scenario("0x4 6x2 0", Becomes(15, "fire", State.UNACKNOWLEDGED), step_s=3.0)
    assert differences(one, SMOKE, tracks=(calling,)) == []


def test_what_a_person_did_and_nobody_expected_is_told_with_the_name():
    one = scenario(
        "6x5", Becomes(0, "fire", State.UNACKNOWLEDGED), Becomes(9, "fire", State.ACKNOWLEDGED),
        happens=(Order(2, Command(Action.ACKNOWLEDGE, "fire", "Li", 2.0)),),
    )  # fmt: skip
    assert any("Li" in difference.seen for difference in differences(one, SMOKE))


def test_a_terminal_of_several_points_calls_for_each_of_them():
    """Also when the series of one is longer than that of the other."""
    track = Track(("smoke", 0), ("smoke/0", "smoke/1"), 100.0, calls=True)
    series = {"smoke/0": parse("0"), "smoke/1": parse("0x4 6x2 0")}
    usual = {"smoke/0": 0.0, "smoke/1": 0.0}
    one = Scenario("s", 1.0, series, usual, (), (Becomes(5, "fire", State.UNACKNOWLEDGED),))
    assert differences(one, alarm(Above("smoke/1", 5)), tracks=(track,)) == []
