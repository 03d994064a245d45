"""Back-off with full jitter."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import retry


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_the_wait_stays_between_zero_and_the_cap(failures, random):
    """However often it failed."""
    assert 0 <= retry.delay_s(failures, random) < 60


def test_the_ceiling_doubles_up_to_the_cap():
    """1, 2, 4 ... 60 s."""
    ceilings = [retry.delay_s(n, 1.0) for n in range(1, 9)]
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_jitter_is_full():
    """Any wait below the ceiling is as likely as another: gateways that failed together do not return together."""
    assert [retry.delay_s(4, r) for r in (0.0, 0.25, 0.5)] == [0, 2, 4]
