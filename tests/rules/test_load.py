"""The figures of `rules.load`, hours after the start: marks, rates of whole minutes, floods."""

from gateway.model import Deadline, Mark, State, Transition
from rules.load import Load
from tests.rules.test_flood import spec

HOUR = 3600.0
A = spec("a0")


def told(at, before, after, since, alarm="a0"):
    return Transition(alarm, before, after, at, Deadline(at), since, after == State.UNACKNOWLEDGED)


def raised(load, at, alarm="a0", of=A):
    return load.mark(told(at, State.NORMAL, State.UNACKNOWLEDGED, at, alarm), of)


def over(load, at, since):
    return load.mark(told(at, State.UNACKNOWLEDGED, State.RETURNED, since), A)


def test_an_alarm_is_fleeting_when_it_was_over_within_ten_seconds():
    """Of its own time, not of the gateway's."""
    load = Load(0.0)
    for begin, end, fleeting in ((HOUR, HOUR + 9.9, True), (2 * HOUR, 2 * HOUR + 10, False)):
        raised(load, begin)
        assert (Mark.FLEETING in over(load, end, begin)) is fleeting
    assert load.fleeting == 1


def test_rates_count_whole_minutes_also_after_many_hours():
    load = Load(0.0)
    raised(load, 10 * HOUR)
    raised(load, 10 * HOUR + 61)
    said = load.status(10 * HOUR + 9 * 60 + 59, [])
    assert (said["new_10min"], said["new_hour"], said["new_day"], said["peak_10min"]) == (2, 2, 2, 2)
    said = load.status(10 * HOUR + 10 * 60, [])
    assert (said["new_10min"], said["new_hour"], said["peak_10min"]) == (1, 2, 2)
    assert load.status(34 * HOUR + 120, [])["new_day"] == 0


def test_no_flood_has_no_figures_and_one_that_lasts_has():
    load = Load(0.0)
    said = load.status(1.0, [])
    assert [said[key] for key in ("flood", "flood_alarms", "flood_grouped", "flood_first")] == [False, 0, 0, ""]
    for n in range(12):
        raised(load, 10.0 + n, f"a{n}", spec(f"a{n}"))
    said = load.status(30.0, [])
    assert (said["flood"], said["flood_alarms"], said["flood_first"]) == (True, 12, "a0")
    assert said["flood_grouped"] == 2
    assert said["flood_share"] == round((30.0 - 20.0) / 30.0, 4)


def test_three_within_a_minute_chatter_and_the_first_of_a_zone_is_marked_hours_after_the_start():
    load = Load(0.0)
    said = [raised(load, 10 * HOUR + after_s) for after_s in (0, 30, 60, 121, 151)]
    assert [Mark.CHATTERING in marks for marks in said] == [False, False, True, False, False]
    assert [Mark.FIRST_OUT in marks for marks in said] == [True, False, False, False, False]
    assert Mark.FIRST_OUT in raised(load, 11 * HOUR)


def test_an_alarm_is_stale_after_a_whole_day():
    assert [Load(0.0).status(now, [100.0])["stale"] for now in (24 * HOUR + 100, 24 * HOUR + 101)] == [0, 1]


def test_the_share_of_floods_is_that_of_the_last_day():
    """One that began before it counts from then on."""
    load = Load(0.0)
    for n in range(11):
        raised(load, 10.0 + n, f"a{n}", spec(f"a{n}"))
    load.wake(700.0)
    end = next(end for since, end in load._floods if since == 20.0)
    assert load.status(24 * HOUR + 100.0, [])["flood_share"] == round((end - 100.0) / (24 * HOUR), 4)
