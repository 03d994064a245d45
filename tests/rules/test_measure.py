"""From one value to a truth."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Level
from rules.measure import SLOTS, Band, Trend, bit, equals
from rules.truth import FALSE, FALSE_UNCERTAIN, TRUE, TRUE_UNCERTAIN, UNKNOWN

GOOD, UNCERTAIN = Level.GOOD, Level.UNCERTAIN
LEAST, MOST = -math.inf, math.inf
NO_NUMBERS = [math.nan, MOST, "6", 10**400]


@pytest.mark.parametrize(
    ("low", "high", "hysteresis", "value", "expected"),
    [
        (LEAST, 5, 0, 5.1, TRUE),
        (LEAST, 5, 0, 5, FALSE),
        (1, MOST, 0, 0.9, TRUE),
        (1, MOST, 0, 1, FALSE),
        (1, 5, 0, 0, TRUE),
        (1, 5, 0, 6, TRUE),
        (1, 5, 0, 3, FALSE),
        (LEAST, 5, 0.5, 5, FALSE),
        (LEAST, 5, 0.5, 4.7, FALSE),
    ],
)
def test_band_is_true_outside_and_starts_false(low, high, hysteresis, value, expected):
    """The limit itself is inside; a value inside the hysteresis is not over the limit when nothing was before."""
    assert Band(low, high, hysteresis).judge(value, GOOD, 0) == expected


@pytest.mark.parametrize(
    ("low", "high", "over", "held", "back"),
    [(LEAST, 5, 6, 4.5, 4.4), (1, MOST, 0, 1.5, 1.6), (1, 5, 6, 4.5, 3), (1, 5, 0, 1.5, 3)],
)
def test_hysteresis_holds_both_answers_until_it_is_left(low, high, over, held, back):
    """True up to and with the inner edge, false only beyond it; and then false up to the limit."""
    band = Band(low, high, 0.5)
    assert [band.judge(value, GOOD, 0) for value in (over, held, back, held)] == [TRUE, TRUE, FALSE, FALSE]


def test_doubt_stays_in_the_hysteresis_until_a_good_value_leaves_it():
    """An answer that rests on an uncertain value is never told as certain."""
    band = Band(LEAST, 5, 1)
    values = [(6, UNCERTAIN), (4.5, GOOD), (3, GOOD), (4.5, UNCERTAIN), (4.5, GOOD), (6, GOOD), (4.5, UNCERTAIN)]
    assert [band.judge(value, level, 0) for value, level in values] == [
        TRUE_UNCERTAIN,
        TRUE_UNCERTAIN,
        FALSE,
        FALSE_UNCERTAIN,
        FALSE_UNCERTAIN,
        TRUE,
        TRUE_UNCERTAIN,
    ]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_unknown_and_forgets_nothing(value):
    band = Band(LEAST, 5, 1)
    band.judge(6, GOOD, 0)
    assert band.judge(value, GOOD, 0) == UNKNOWN
    assert band.judge(4.5, GOOD, 0) == TRUE
    assert Trend(1, 10).judge(value, GOOD, 0) == UNKNOWN
    assert bit(0)(value, GOOD, 0) == UNKNOWN


@pytest.mark.parametrize(("value", "level"), [(6, GOOD), (6, UNCERTAIN), (3, GOOD), (3, UNCERTAIN)])
def test_a_bands_memory_survives(value, level):
    """What `remembered` gives, `remember` takes; nothing is kept for a band that is as new."""
    band, other = Band(LEAST, 5, 1), Band(LEAST, 5, 1)
    band.judge(value, level, 0)
    other.remember(band.remembered(), 0, 0)
    assert other.judge(4.5, GOOD, 0) == band.judge(4.5, GOOD, 0)
    assert (band.remembered() is None) == ((value, level) == (3, GOOD))


@pytest.mark.parametrize("saved", [0, 2, 5, "4", 4.0, True, []])
def test_a_bands_memory_that_is_none_is_refused(saved):
    with pytest.raises(ValueError, match="no truth"):
        Band(LEAST, 5, 1).remember(saved, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "value", "level", "expected"),
    [
        (1, 1, GOOD, TRUE),
        (1, 1.0, UNCERTAIN, TRUE_UNCERTAIN),
        (1, 2, GOOD, FALSE),
        (1, "1", GOOD, UNKNOWN),
        (1, math.nan, GOOD, UNKNOWN),
        ("up", "up", GOOD, TRUE),
        ("up", "down", UNCERTAIN, FALSE_UNCERTAIN),
        ("up", 1, GOOD, UNKNOWN),
    ],
)
def test_equality_is_exact_and_knows_nothing_about_another_kind(wanted, value, level, expected):
    assert equals(wanted)(value, level, 0) == expected


@pytest.mark.parametrize(
    ("index", "value", "level", "expected"),
    [
        (0, 1, GOOD, TRUE),
        (1, 1, GOOD, FALSE),
        (15, 0x8000, UNCERTAIN, TRUE_UNCERTAIN),
        (3, 8.0, GOOD, TRUE),
        (3, 8.5, GOOD, UNKNOWN),
        (90, -1, GOOD, TRUE),
        (0, "1", GOOD, UNKNOWN),
    ],
)
def test_bits_are_counted_from_the_least_significant(index, value, level, expected):
    assert bit(index)(value, level, 0) == expected


def slope(samples):
    """Least squares by the book, in exact fractions."""
    n = len(samples)
    times = [Fraction(at) for at, _ in samples]
    values = [Fraction(value) for _, value in samples]
    mean_at, mean_value = sum(times) / n, sum(values) / n
    spread = sum((at - mean_at) ** 2 for at in times)
    return sum((at - mean_at) * (value - mean_value) for at, value in zip(times, values, strict=True)) / spread


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(-50, 50), st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN])),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([-4.0, -0.5, 0.0, 0.5, 4.0]),
    st.sampled_from([8.0, 32.0, 96.0]),
)
def test_rate_equals_least_squares_over_the_samples_of_the_window(steps, limit, window_s):
    """Compared with an exact one over all samples that lie in the last 32 full slots and the current one."""
    trend, seen, at = Trend(limit, window_s), [], 1_000_000.0
    for pause, value, level in steps:
        at += pause / 8
        seen.append((at, value, level))
        truth = trend.judge(value, level, at)
        oldest = at * SLOTS // window_s - SLOTS
        inside = [one for one in seen if one[0] * SLOTS // window_s >= oldest]
        if at - inside[0][0] < window_s / 2:
            assert truth == UNKNOWN
            continue
        exact = slope([one[:2] for one in inside])
        if abs(exact - Fraction(limit)) < Fraction(1, 10**9):
            continue  # on the very limit rounding may decide either way
        holds = exact > limit if limit >= 0 else exact < limit
        doubt = any(one[2] for one in inside)
        assert truth == {(1, 0): TRUE, (1, 1): TRUE_UNCERTAIN, (0, 1): FALSE_UNCERTAIN, (0, 0): FALSE}[holds, doubt]


def test_rate_stays_small_over_a_long_window():
    """A day at ten readings a second is 33 sums."""
    trend = Trend(1, 3200)
    for tick in range(20_000):
        trend.judge(tick * 0.1, GOOD, tick * 0.5)
    assert len(trend.slots) == SLOTS + 1
    assert trend.judge(0, GOOD, 20_000 * 0.5) == FALSE


def test_rate_of_readings_at_one_moment_or_beyond_all_measure_is_unknown():
    """No division by nothing, no overflow into a truth."""
    trend = Trend(1, 1e-3)
    assert [trend.judge(value, GOOD, 5.0) for value in (1, 9)] == [UNKNOWN, UNKNOWN]
    huge = Trend(1, 10)
    values = [1e299, -1e299, 1e299, -1e299]
    assert [huge.judge(value, GOOD, at * 4e4) for at, value in enumerate(values)][-1] in (FALSE, TRUE, UNKNOWN)
    wild = Trend(0, 1e200)
    assert [wild.judge(value, GOOD, at) for at, value in ((0.0, -1e299), (1e200, 1e299))][-1] == UNKNOWN


@pytest.mark.parametrize("phase", [hour / 24 for hour in range(0, 24, 3)])
def test_two_days_of_warming_and_cooling_are_no_creep(phase):
    """An instrument that follows the sun by 0.06 degrees; an alarm at 0.1 a day. Begun in the morning, half a day only rises,
    and a line through exactly one day still has the slope of 0.115 a day at the worst hour: hence two."""
    trend = Trend(0.1 / 86400, 2 * 86400.0)
    for minute in range(0, 5 * 1440, 10):
        tilt = 0.06 * math.sin(2 * math.pi * (minute / 1440 + phase))
        assert trend.judge(tilt, Level.GOOD, minute * 60.0) in (UNKNOWN, FALSE)


def test_creep_under_the_rhythm_of_a_day_is_seen_once_two_days_are_there():
    trend = Trend(0.1 / 86400, 2 * 86400.0)
    first = next(
        minute
        for minute in range(0, 5 * 1440, 10)
        if trend.judge(0.06 * math.sin(2 * math.pi * minute / 1440) + 0.35 * minute / 1440, Level.GOOD, minute * 60.0)
        == TRUE
    )
    assert first <= 2 * 1440


@pytest.mark.parametrize(("window_s", "first_s"), [(60.0, 30.0), (21599.0, 10800.0), (86400.0, 77760.0)])
def test_a_window_speaks_once_it_is_filled(window_s, first_s):
    """Half of a short one; nine tenths of one that the rhythm of a day would fill."""
    trend = Trend(0.0, window_s)
    step_s = window_s / 1000
    at = next(n * step_s for n in range(1001) if trend.judge(float(n), Level.GOOD, n * step_s) != UNKNOWN)
    assert at == pytest.approx(first_s, abs=2 * step_s)


def test_a_rate_over_less_than_a_second_is_a_rate():
    trend = Trend(1.0, 1.0)
    assert [trend.judge(value, GOOD, at) for at, value in ((100.0, 0), (100.6, 6))] == [UNKNOWN, TRUE]


@pytest.mark.parametrize(("window_s", "kept"), [(599.9, False), (600.0, True)])
def test_a_window_of_ten_minutes_goes_over_a_restart_and_a_shorter_one_is_soon_full_again(window_s, kept):
    """With all that was in it: the trend after the restart is that of the whole window, not of its end."""
    before, after = Trend(0.5, window_s), Trend(0.5, window_s)
    for at in range(0, 590, 10):
        before.judge(float(at), GOOD, 10_000.0 + at)
    assert (before.remembered() is not None) is kept
    after.remember(before.remembered(), 0.0, 10_590.0)
    assert after.judge(590.0, GOOD, 10_590.0) == (TRUE if kept else UNKNOWN)
    assert after.judge(600.0, GOOD, 10_600.0) == (TRUE if kept else UNKNOWN)


@pytest.mark.parametrize(
    ("level", "shift_s", "truth"), [(GOOD, 0.0, TRUE), (UNCERTAIN, 0.0, TRUE_UNCERTAIN), (GOOD, 50.0, TRUE_UNCERTAIN)]
)
def test_a_trend_over_a_restart_is_as_certain_as_its_values_were(level, shift_s, truth):
    """Over a reboot it is not."""
    before, after = Trend(0.5, 600.0), Trend(0.5, 600.0)
    for at in range(0, 590, 10):
        before.judge(float(at), level if at < 100 else GOOD, 10_000.0 + at)
    after.remember(before.remembered(), shift_s, 10_590.0 + shift_s)
    assert after.judge(590.0, GOOD, 10_590.0 + shift_s) == truth
