"""Positions of uplinks: any order, never into a journal they were not given for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.ranges import Ranges
from gateway.store.settlement import Settlement


def made(uplinks=None, segments=((1, "j1"),)):
    return Settlement(dict(uplinks or {}), list(segments))


def test_a_new_uplink_begins_at_the_oldest_record():
    """What is no longer there was settled before its time."""
    settlement = made()
    assert settlement.enter("a", 40).head() == 39
    assert settlement.dirty


@given(st.lists(st.integers(1, 20)))
def test_single_settlements_come_in_any_order(sequences):
    """The position is the end of what is settled without a hole."""
    settlement = made()
    ranges = settlement.enter("a", 1)
    settlement.settle("a", sequences, last=20)
    expected = next(number for number in range(1, 22) if number not in sequences) - 1
    assert ranges.head() == expected
    assert {number for number in range(1, 21) if number in ranges} == set(sequences)


def test_what_was_never_given_cannot_be_settled():
    """A receipt for the future would hide records that are still to come."""
    settlement = made()
    ranges = settlement.enter("a", 1)
    settlement.settle("a", [0, -1, 8, 10**18], last=7)
    settlement.settle_to("a", 8, last=7)
    assert ranges.pairs() == ((0, 0),)


def test_a_cumulative_position_stays_in_its_journal():
    """Settling the second journal up to 105 leaves the first one's records to be sent."""
    settlement = made(segments=[(1, "j1"), (101, "j2")])
    ranges = settlement.enter("a", 1)
    settlement.settle_to("a", 105, last=200)
    assert ranges.pairs() == ((0, 0), (101, 105))
    settlement.settle_to("a", 100, last=200)
    assert ranges.head() == 105


def test_a_position_in_the_oldest_journal_leaves_nothing_below_it():
    """There is no journal below, whose records could still be sent."""
    settlement = made({"a": Ranges([(0, 3)])}, segments=[(101, "j1")])
    settlement.settle_to("a", 105, last=200)
    assert settlement.enter("a", 1).pairs() == ((0, 105),)


def test_only_what_changed_is_written():
    """Items once, again after a failure, and None for an uplink that is no more."""
    settlement = made({"a": Ranges([(0, 3)]), "b": Ranges([(0, 3)])})
    assert not settlement.dirty
    settlement.settle("a", [4], last=9)
    assert settlement.take() == {("uplink", "a"): b"[[0,4]]"}
    assert settlement.take() == {}
    settlement.failed([("uplink", "a"), ("state", "a")])
    assert settlement.take() == {("uplink", "a"): b"[[0,4]]"}
    settlement.forget("b")
    assert settlement.take() == {("uplink", "b"): None}
    settlement.settle("a", [4], last=9)
    assert not settlement.dirty


def test_records_that_never_come_hold_nobody_up():
    """A void range is settled for every uplink."""
    settlement = made({"a": Ranges([(0, 3)]), "b": Ranges([(0, 1)])})
    settlement.void([(2, 5)])
    assert settlement.enter("a", 1).head() == settlement.enter("b", 1).head() == 5
    assert settlement.by_all().pairs() == ((0, 5),)


def test_a_file_that_comes_back_keeps_its_positions():
    """Of what was settled meanwhile only that beyond the file counts; a known uplink goes on where the file says."""
    settlement = made(segments=[(1001, "m")])
    settlement.enter("a", 1001)
    settlement.enter("new", 1001)
    settlement.settle_to("a", 1003, last=1005)
    settlement.merge({"a": Ranges([(0, 7)]), "other": Ranges([(0, 2)])}, 1000, oldest=5)
    assert settlement.enter("a", 1).pairs() == ((0, 7), (1001, 1003))
    assert settlement.enter("new", 1).pairs() == ((0, 4),)
    assert settlement.enter("other", 1).head() == 2
