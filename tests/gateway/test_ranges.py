"""A set of ranges behaves as the set of numbers it stands for."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.ranges import Ranges, common

pair = st.tuples(st.integers(0, 60), st.integers(-3, 12)).map(lambda p: (p[0], p[0] + p[1]))
pairs = st.lists(pair, max_size=12)


def plain(some):
    return {number for first, last in some for number in range(first, last + 1)}


@given(pairs)
def test_it_holds_the_numbers_that_were_added(some):
    """Sorted, disjoint, not touching; membership, missing, within and count agree with a plain set."""
    ranges, model = Ranges(some), plain(some)
    held = ranges.pairs()
    assert plain(held) == model
    assert all(first <= last for first, last in held)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(held))
    assert {number for number in range(80) if number in ranges} == model
    assert plain(ranges.missing(5, 50)) == set(range(5, 51)) - model
    assert plain(ranges.within(5, 50)) == set(range(5, 51)) & model
    for first, last in ((5, 50), (0, 100), (10, 12), (30, 80), (7, 7), (20, 19), (40, 10)):
        assert ranges.count(first, last) == len(set(range(first, last + 1)) & model)
    assert ranges.copy() == ranges


@given(st.lists(pairs, max_size=4))
def test_common_is_the_intersection(many):
    """What is in all of them; nothing at all when there is none."""
    sets = [plain(some) for some in many]
    expected = set.intersection(*sets) if sets else set()
    assert plain(common(Ranges(some) for some in many).pairs()) == expected


@given(pairs, st.integers(1, 5))
def test_coarsening_keeps_every_number_and_the_limit(some, limit):
    """Nothing leaves the set; the newest ranges stay exact."""
    ranges, before = Ranges(some), Ranges(some)
    ranges.coarsen(limit)
    assert len(ranges) <= max(limit, 1)
    assert plain(before.pairs()) <= plain(ranges.pairs())
    assert ranges.count(0, 100) == len(plain(ranges.pairs()))
    if len(before) > limit > 1:
        assert ranges.pairs()[1:] == before.pairs()[len(before) - limit + 1 :]


def test_counting_the_rest_of_a_long_outage_is_cheap():
    """A status is asked for several times a second, beside polling: 100,000 ranges took 59 ms (limit: 5 x 1 ms)."""
    ranges = Ranges((number, number) for number in range(2, 200_000, 2))
    began = time.perf_counter()
    assert ranges.count(1, 200_000) == ranges.count(3, 200_000) + 1 == 99_999
    assert time.perf_counter() - began < 0.005


def test_the_head_is_the_end_of_the_first_range():
    """0 for an empty set."""
    assert Ranges().head() == 0
    assert Ranges([(0, 7), (9, 9)]).head() == 7


def test_a_copy_is_independent():
    """Adding to one leaves the other."""
    one = Ranges([(1, 2)])
    two = one.copy()
    two.add(5, 5)
    assert one.pairs() == ((1, 2),)
    assert one != two
