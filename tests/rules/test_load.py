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
