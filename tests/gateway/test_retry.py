"""Back-off with full jitter."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import retry


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_the_wait_stays_between_zero_and_the_cap_and_a_quarter_of_the_outage(failures, random, down_s):
    """However often it failed; what was away for 20 s is used again within 5 s of its return."""
    assert 0 <= retry.delay_s(failures, random, down_s) < min(60, max(1, down_s / 4))


def test_the_ceiling_doubles_up_to_the_cap():
    """1, 2, 4 ... 60 s."""
    ceilings = [retry.delay_s(n, 1.0, 1e9) for n in range(1, 9)]
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_jitter_is_full():
    """Any wait below the ceiling is as likely as another: gateways that failed together do not return together."""
    assert [retry.delay_s(4, r, 1e9) for r in (0.0, 0.25, 0.5)] == [0, 2, 4]
