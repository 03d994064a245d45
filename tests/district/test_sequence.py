"""Numbers, holes and positions, against a model that keeps every number in a set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from district import sequence as module
from district.sequence import Closed, How, Naming, Track


def track(*numbers, **start):
    made = Track(**start)
    for number in numbers:
        made.stored(number)
    return made


def test_in_order_there_is_no_hole():
    """The position is the last number."""
    made = track(1, 2, 3)
    assert (made.position, made.holes, made.take_closed()) == (3, [], [])


def test_a_hole_holds_the_position_until_it_is_filled():
    """From either end, from the middle, and by repetition nothing changes."""
    made = track(1, 2, 7, 7)
    assert (made.position, made.holes, made.highest) == (2, [(3, 6)], 7)
    made.stored(5)
    assert made.holes == [(3, 4), (6, 6)]
    made.stored(3)
    made.stored(4)
    assert (made.position, made.holes) == (5, [(6, 6)])
    made.stored(6)
    assert (made.position, made.holes) == (7, [])
    assert made.take_closed() == [
        Closed(5, 5, How.FILLED), Closed(3, 4, How.FILLED), Closed(6, 6, How.FILLED)
    ]  # fmt: skip
    assert made.take_closed() == []


def test_a_journal_first_seen_in_its_middle_has_a_hole_before_it():
    """What came before is missing until somebody says otherwise: numbers begin at 1."""
    made = track(5)
    assert (made.position, made.holes) == (0, [(1, 4)])


def test_a_named_range_closes_with_all_of_it_dropped():
    """Across several holes; what is stored inside stays stored."""
    made = track(1, 3, 9, 10)
    made.named(2, 8, 6)
    assert made.take_closed() == [Closed(2, 2, How.NAMED), Closed(4, 8, How.NAMED)]
    assert made.position == 10


def test_a_thinned_range_waits_for_those_that_do_come():
    """5 of 10 were dropped; 6 are missing, so one was lost on the way: the position must not pass it."""
    made = track(2, 4, 6, 8, 11)
    made.named(1, 10, 5)
    assert made.take_closed() == []
    assert made.position == 0
    assert made.namings == (Naming(1, 10, 5),)
    made.stored(10)
    assert {closed.how for closed in made.take_closed()} == {How.FILLED, How.NAMED}
    assert (made.position, made.namings) == (11, ())


def test_two_namings_of_one_range_add_up():
    """A range that was thinned twice is told in two records, in either order."""
    made = track(4, 8, 9)
    made.named(1, 8, 4)
    assert made.take_closed() == []
    made.named(2, 6, 2)
    assert made.take_closed()
    assert made.position == 9


def test_separate_namings_are_judged_separately():
    """One that is not accounted for does not hold back the other."""
    made = track(1, 4, 7, 8)
    made.named(2, 3, 1)
    made.named(5, 6, 2)
    assert made.take_closed() == [Closed(5, 6, How.NAMED)]
    assert made.position == 1


def test_a_naming_ahead_of_what_has_come_waits():
    """Nothing is closed that is not open yet."""
    made = track(1)
    made.named(2, 3, 2)
    assert made.take_closed() == []
    made.stored(4)
    assert made.take_closed() == [Closed(2, 3, How.NAMED)]
    assert made.position == 4


def test_follows_passes_over_exactly_what_is_between():
    """The gateway says that nothing between 3 and 8 is to be waited for; 2 is still missing."""
    made = track(1, 3)
    made.stored(8, follows=3)
    assert made.take_closed() == [Closed(4, 7, How.PASSED)]
    assert (made.position, made.holes) == (1, [(2, 2)])


def test_follows_of_the_record_before_changes_nothing():
    """The ordinary case."""
    made = track(1)
    made.stored(2, follows=1)
    assert (made.position, made.take_closed()) == (2, [])


def test_follows_in_a_record_that_came_before_still_counts():
    """Sent again after its neighbour was dropped."""
    made = track(1, 3)
    made.stored(3, follows=1)
    assert made.take_closed() == [Closed(2, 2, How.PASSED)]
    assert made.position == 3


def test_a_hostile_number_of_holes_is_bounded(monkeypatch):
    """What would open one more is not counted as here; the position stays honest."""
    monkeypatch.setattr(module, "MOST_HOLES", 3)
    made = track(2, 4, 6, 8, 10)
    assert made.holes == [(1, 1), (3, 3), (5, 5)]
    assert made.highest == 6
    for number in (1, 3, 5, 7, 8):
        made.stored(number)
    assert made.position == 8


def test_a_hostile_number_of_namings_is_bounded(monkeypatch):
    """The holes stay open, nothing else."""
    monkeypatch.setattr(module, "MOST_NAMINGS", 2)
    made = track(9)
    for first in (1, 3, 5):
        made.named(first, first, 0)
    assert len(made.namings) == 2


@pytest.mark.parametrize("first", [1, 2, 5, 6])
def test_missing_counts_only_open_numbers(first):
    """Holes cut at both ends."""
    made = track(2, 5, 8)
    missing = {1, 3, 4, 6, 7}
    for last in range(first, 9):
        assert made.missing(first, last) == len(missing & set(range(first, last + 1)))


events = st.lists(
    st.one_of(
        st.tuples(st.just("stored"), st.integers(1, 60), st.none() | st.integers(0, 59)),
        st.tuples(st.just("named"), st.integers(1, 60), st.integers(1, 60)),
        st.tuples(st.just("reload"), st.just(0), st.none()),
    ),
    max_size=80,
)


@given(events)
def test_any_order_repetition_and_loss(happened):
    """The position never passes a number that neither came nor was named in full; every hole is listed, once."""
    made, here, closed = Track(), set(), []
    for what, number, other in happened:
        if what == "stored":
            follows = other if other is not None and other < number else None
            made.stored(number, follows)
            here.add(number)
            here |= set(range((number if follows is None else follows + 1), number))
        elif what == "named":
            first, last = sorted((number, other))
            if last <= made.highest:
                made.named(first, last, last - first + 1)
                here |= set(range(first, last + 1))
        else:
            closed += made.take_closed()
            made = Track(made.highest, made.holes, made.namings)
        closed += made.take_closed()
        expected = {n for n in range(1, made.highest + 1) if n not in here}
        listed = [n for first, last in made.holes for n in range(first, last + 1)]
        assert sorted(expected) == listed
        assert made.position == (min(expected) - 1 if expected else made.highest)
        assert made.highest == max(here, default=0)
    told = [n for first, last, _ in closed for n in range(first, last + 1)]
    assert len(told) == len(set(told))


@given(st.sets(st.integers(1, 40)), st.data())
def test_a_partly_named_range_never_passes_a_lost_record(dropped, data):
    """`dropped` were thinned and told in one record; some of the others get lost: then the position stays before them."""
    kept = sorted(set(range(1, 41)) - dropped)
    lost = data.draw(st.sets(st.sampled_from(kept))) if kept else set()
    order = data.draw(st.permutations([*(n for n in kept if n not in lost), 41]))
    made = Track()
    for number in order:
        made.stored(number)
        if number == 41:
            made.named(1, 40, len(dropped))
        made.take_closed()
    if lost:
        assert made.position < min(lost)
        for number in lost:
            made.stored(number)
        made.take_closed()
    assert made.position == 41
