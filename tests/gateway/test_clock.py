"""What is looked at once a second is looked at together."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import housekeeping


@given(st.floats(0, 1e9))
def test_housekeeping_is_once_a_second(now):
    """The next moment is ahead, within a second; whoever asks before it gets the same one."""
    at = housekeeping(now)
    assert now < at <= now + 1.0 + 1e-6
    assert housekeeping(now + (at - now) / 2) == at or at - now < 0.01


@given(st.floats(0, 1e9))
def test_a_timer_that_fires_a_hair_early_does_not_come_back_at_once(now):
    at = housekeeping(now)
    assert housekeeping(at - 0.0005) == pytest.approx(at + 1.0)


def test_it_stays_off_the_pollers_grid():
    """Quarters and tenths of a second belong to the polls."""
    moments = [0.0]
    while len(moments) < 10:
        moments.append(housekeeping(moments[-1]))
    assert all(later - earlier == pytest.approx(1.0) for earlier, later in pairwise(moments[1:]))
    assert all(min(at % step, -at % step) > 0.04 for at in moments[1:] for step in (0.1, 0.25))
