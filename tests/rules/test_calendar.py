"""Schedules: local time, days over midnight, holidays, and a clock that may not be trusted."""

from datetime import UTC, date, datetime

import pytest

from gateway.model import Scan, State
from rules import spec
from rules.calendar import Calendar
from rules.clocks import Clocks
from rules.engine import Engine
from rules.truth import FALSE, NOW, SURE, TRUE, UNKNOWN
from tests.rules.transcript import alarm

CHINA_S = 8 * 3600.0
WORKING = (0, 1, 2, 3, 4)
HOUR_S = 3600


def clocks(local, at=0.0, trusted=True, offset_s=CHINA_S):
    wall = datetime.fromisoformat(local).replace(tzinfo=UTC).timestamp() - offset_s
    return Clocks(at, wall, trusted, offset_s)


def truth(schedule, local):
    calendar = Calendar(schedule)
    calendar.set(clocks(local))
    assert calendar.truth(NOW, 0.0) == calendar.truth(SURE, 0.0)
    return calendar.truth(NOW, 0.0)


@pytest.mark.parametrize(
    ("local", "open_"),
    [
        ("2026-11-20 07:59:59", False),  # a Friday
        ("2026-11-20 08:00:00", True),
        ("2026-11-20 17:59:59", True),
        ("2026-11-20 18:00:00", False),
        ("2026-11-21 12:00:00", False),  # Saturday
        ("2026-10-01 12:00:00", False),  # Thursday, a holiday
        ("2026-10-10 12:00:00", True),  # Saturday, worked instead
    ],
)
def test_working_hours(local, open_):
    """The site's own time; a holiday is no weekday, a day worked instead is a Monday."""
    days = [[date.fromisoformat(day).toordinal()] for day in ("2026-10-01", "2026-10-10")]
    plan = spec.Schedule(WORKING, 8 * HOUR_S, 18 * HOUR_S, tuple(days[0]), tuple(days[1]))
    assert truth(plan, local) == (TRUE if open_ else FALSE)


@pytest.mark.parametrize(
    ("local", "open_"),
    [
        ("2026-11-20 21:59:59", False),
        ("2026-11-20 22:00:00", True),  # the night of Friday
        ("2026-11-21 05:59:59", True),
        ("2026-11-21 06:00:00", False),
        ("2026-11-21 22:00:00", False),  # that of Saturday
        ("2026-11-20 03:00:00", False),  # that of Thursday
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(local, open_):
    assert truth(spec.Schedule((4,), 22 * HOUR_S, 6 * HOUR_S), local) == (TRUE if open_ else FALSE)


def test_a_whole_day_until_midnight():
    plan = spec.Schedule((4,), 0, 24 * HOUR_S)
    assert [truth(plan, f"2026-11-{day} {time}") for day, time in (("20", "00:00"), ("20", "23:59:59"), ("21", "00:00"))] == [
        TRUE, TRUE, FALSE,
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"wall": 1e12}, {"wall": float("nan")}, {"utc_offset_s": 1e6}, {"trusted": False}])
def test_a_clock_that_cannot_be_right_is_unknown(wrong):
    """Neither open nor closed; and nothing is due."""
    calendar = Calendar(spec.Schedule(WORKING, 0, HOUR_S))
    assert calendar.truth(NOW, 5.0) == UNKNOWN
    calendar.set(clocks("2026-11-20 00:30:00")._replace(**wrong))
    assert calendar.truth(NOW, 5.0) == UNKNOWN
    assert calendar.due == float("inf")


def test_the_engine_wakes_at_the_edges_and_follows_the_clock():
    """Opens and closes at its times without any event; a clock that is set moves it, one that is lost clears nothing."""
    engine = Engine([alarm(spec.Schedule((4,), 8 * HOUR_S, 9 * HOUR_S), "one")], {}, 100.0)

    def state():
        return engine.alarms()["one"].state

    assert engine.step(None, 100.0).deadline is None
    step = engine.step(clocks("2026-11-20 07:59:50", 100.0), 100.0)
    assert (step.transitions, step.deadline) == ((), 110.0)
    assert [one.at for one in engine.step(None, 110.0).transitions] == [110.0]
    assert engine.step(clocks("2026-11-20 08:00:30", 140.0, trusted=False), 140.0).transitions == ()
    assert state() is State.UNACKNOWLEDGED
    assert engine.step(None, 90_000.0).transitions == ()
    step = engine.step(clocks("2026-11-20 08:59:59", 90_000.0), 90_000.0)
    assert (step.transitions, step.deadline) == ((), 90_001.0)
    [back] = engine.step(None, 100_000.0).transitions
    assert (back.at, back.after, back.cause.sample) == (90_001.0, State.RETURNED, None)


def test_a_schedule_and_a_point():
    """The door open at night: true when both are."""
    when = spec.All((spec.Schedule((4,), 22 * HOUR_S, 6 * HOUR_S), spec.Equals("d/door", 1)))
    engine = Engine([alarm(when, "one")], {("d", 0): ("d/door",)}, 0.0)
    engine.step(clocks("2026-11-20 21:59:00"), 0.0)
    assert engine.step(Scan("d", 0, 1.0, (1,), bytes(1)), 1.0).transitions == ()
    [raised] = engine.step(None, 100.0).transitions
    assert (raised.at, raised.after) == (60.0, State.UNACKNOWLEDGED)


@pytest.mark.parametrize(
    ("local", "open_"),
    [
        ("2026-11-20 07:59:59", False),
        ("2026-11-20 08:00:00", True),  # a Friday
        ("2026-11-21 07:59:59", True),
        ("2026-11-21 08:00:00", False),
    ],
)
def test_from_an_hour_to_the_same_is_a_whole_day(local, open_):
    """From eight to eight: it begins on its day and lasts until the next."""
    assert truth(spec.Schedule((4,), 8 * HOUR_S, 8 * HOUR_S), local) == (TRUE if open_ else FALSE)


def test_what_it_says_has_moved_when_it_changed_and_not_when_it_was_asked():
    calendar = Calendar(spec.Schedule(WORKING, 0, 1))
    calendar.set(clocks("2026-11-20 00:00:00", 100.0))
    assert [calendar.truth(NOW, at) for at in (100.0, 100.5, 101.0, 102.0)] == [TRUE, TRUE, FALSE, FALSE]
    assert calendar.moved == [101.0, 101.0]


def test_a_schedule_may_last_a_second():
    engine = Engine([alarm(spec.Schedule((4,), 0, 1), "one")], {}, 0.0)
    assert engine.alarms()["one"].state is State.NORMAL
