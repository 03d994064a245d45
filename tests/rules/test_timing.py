"""On-delay and off-delay, each compared with a slow one that looks at the whole past."""

from hypothesis import given
from hypothesis import strategies as st

from rules.timing import NEVER, OffDelay, OnDelay, Timing
from rules.truth import FALSE, FALSE_UNCERTAIN, TRUE, TRUE_UNCERTAIN, UNKNOWN

truths = st.sampled_from([FALSE, FALSE_UNCERTAIN, UNKNOWN, TRUE_UNCERTAIN, TRUE])
moments = st.lists(st.tuples(st.integers(0, 5), truths), min_size=1, max_size=30)


@given(moments, st.integers(0, 12))
def test_on_delay_passes_when_true_now_and_first_true_long_enough_ago(steps, delay_s):
    """The slow one: the first true after the last false; passed when that is `delay_s` ago and it is true now."""
    piece, past, at = OnDelay(delay_s), [], 0
    for pause, truth in steps:
        at += pause
        past.append((at, truth))
        falses = [n for n, (_, one) in enumerate(past) if one == FALSE]
        trues = [time for time, one in past[(falses or [-1])[-1] + 1 :] if one >= TRUE_UNCERTAIN]
        expected = truth >= TRUE_UNCERTAIN and at >= trues[0] + delay_s
        assert piece.passed(truth, at) == expected
        assert piece.due == (trues[0] + delay_s if truth >= TRUE_UNCERTAIN and not expected else NEVER)


@given(moments, st.integers(0, 12))
def test_off_delay_passes_when_false_without_a_break_for_long_enough(steps, delay_s):
    """The slow one: the start of the unbroken run of falses that ends now; sure when two in a row were."""
    piece, past, at = OffDelay(delay_s), [], 0
    for pause, truth in steps:
        at += pause
        past.append((at, truth))
        run = []
        for time, one in reversed(past):
            if one != FALSE:
                break
            run.append(time)
        sure = FALSE if len(run) > 1 else UNKNOWN
        expected = len(run) > 1 and at >= run[-1] + delay_s
        assert piece.passed(truth, sure, at) == expected
        assert piece.due == (run[-1] + delay_s if len(run) > 1 and not expected else NEVER)


def test_asking_twice_changes_nothing():
    """Both pieces may be asked at any moment, as often as one likes."""
    timing = Timing(10, 5)
    assert [timing.step(TRUE, UNKNOWN, at) for at in (0, 0, 4, 4, 10, 10)] == [False] * 4 + [True, False]
    assert [timing.step(FALSE, FALSE, at) for at in (11, 11, 15, 16, 16)] == [False] * 3 + [True, False]


def test_due_is_that_of_the_delay_that_runs():
    timing = Timing(10, 5)
    timing.step(TRUE, UNKNOWN, 1)
    assert timing.due == 11
    timing.step(TRUE, UNKNOWN, 11)
    assert timing.due == NEVER
    timing.step(FALSE, FALSE, 12)
    assert timing.due == 17


def test_a_delay_that_ran_before_a_restart_goes_on():
    timing = Timing(10, 5)
    timing.set(False, since=-4)
    assert timing.due == NEVER
    assert timing.step(UNKNOWN, UNKNOWN, 7) is False
    assert timing.step(TRUE, UNKNOWN, 7) is True


def test_an_off_delay_begins_anew_with_each_alarm():
    """The falses before this alarm are not counted again."""
    timing = Timing(0, 10)
    assert timing.step(TRUE, TRUE, 0)
    assert not timing.step(FALSE, FALSE, 1)
    assert timing.step(FALSE, FALSE, 11)
    assert timing.step(TRUE, TRUE, 20)
    assert not timing.step(FALSE, FALSE, 21)
    assert timing.due == 31
    assert timing.step(FALSE, FALSE, 31)


def test_a_delay_that_has_passed_waits_for_nothing():
    piece = OffDelay(10)
    assert [piece.passed(FALSE, FALSE, at) for at in (0, 10)] == [False, True]
    assert piece.due == NEVER
