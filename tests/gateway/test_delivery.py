"""What is owed, what settles: the decisions alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.link import delivery
from gateway.link.delivery import (
    AGAIN_S,
    ASIDE,
    BEYOND,
    FAST_BYTES,
    KEPT,
    PACE_S,
    SLOW_BYTES,
    Alarms,
    Budget,
    Telemetry,
)
from gateway.model import Lane, Record


def record(sequence, journal="j"):
    return Record(Lane.TELEMETRY, journal, "r", sequence, "k", "b", 0.0, 0.0, True, b"{}", 0)


def telemetry(*sequences, receipts=True, position=0, journal="j"):
    box = Telemetry(position, receipts)
    for sequence in sequences:
        box.sent(record(sequence, journal), 100, 0.0)
    return box


def test_alarms_come_due_in_the_order_of_their_last_try():
    """30 s after it, one at a time and paced; a receipt takes one out."""
    alarms = Alarms(0)
    assert alarms.due() is None
    for sequence in (1, 2, 3):
        alarms.sent(f"a/{sequence}", record(sequence), float(sequence))
    assert alarms.due() == 1 + AGAIN_S
    alarms.sent("a/1", record(1), 31.0)
    assert alarms.next()[0] == "a/2"
    assert alarms.due() == 2 + AGAIN_S
    assert alarms.settle("a/2").sequence == 2
    assert alarms.settle("a/2") is None
    assert alarms.due() == 3 + AGAIN_S
    alarms.sent("a/4", record(4), 33.0)
    assert alarms.due() == 33 + PACE_S


def test_a_settled_alarm_is_not_wanted_again():
    """Though the lane gives it again, until the position has passed it."""
    alarms = Alarms(0)
    alarms.sent("a/2", record(2), 0.0)
    alarms.settle("a/2")
    assert not alarms.wants("a/2", record(2), 1.0)
    assert alarms.wants("a/1", record(1), 1.0)
    alarms.moved(2)
    assert alarms.wants("b/2", record(2), 1.0), "a number below the position is not looked at any more"


def test_a_new_connection_wants_all_but_the_refused():
    """Those wait for their time."""
    alarms = Alarms(0)
    alarms.sent("a/1", record(1), 0.0)
    alarms.sent("a/2", record(2), 0.0)
    alarms.owed["a/2"].refused = True
    alarms.restart()
    assert alarms.wants("a/1", record(1), 1.0)
    assert not alarms.wants("a/2", record(2), 1.0)
    assert alarms.wants("a/2", record(2), AGAIN_S)


def test_only_so_many_alarms_keep_their_record():
    """Thousands without a receipt are known by number; memory stays small."""
    alarms = Alarms(0)
    for sequence in range(KEPT + 5):
        alarms.sent(f"a/{sequence}", record(sequence), 0.0)
    assert len(alarms.owed) == KEPT + 5
    assert sum(owed.record is not None for owed in alarms.owed.values()) == KEPT


@given(st.lists(st.tuples(st.sampled_from(["j", "other"]), st.integers(0, 30)), max_size=20))
def test_a_position_settles_no_more_than_was_sent_and_never_goes_back(receipts):
    """Whatever the district or anybody says."""
    box = telemetry(1, 2, 5, 8)
    for journal, position in receipts:
        before = box.position
        box.receipt(journal, position, 1.0)
        assert before <= box.position <= 8
        if journal == "other":
            assert box.position == before
    assert box.size == 100 * len(box.outstanding)


def test_a_position_does_not_reach_over_an_older_journal():
    """A new journal's position says nothing of the one before, whose records are still owed."""
    box = telemetry(1, 2)
    box.sent(record(10, "new"), 100, 0.0)
    assert not box.receipt("new", 10, 1.0)
    assert box.receipt("j", 2, 1.0)
    assert box.receipt("new", 10, 1.0)
    assert box.position == 10


def test_without_receipts_the_position_follows_the_acknowledgements():
    """In order; one that is missing holds it."""
    box = telemetry(1, 2, 3, receipts=False)
    assert not box.acknowledged(2, 1.0)
    assert box.acknowledged(1, 1.0)
    assert box.position == 2
    assert box.acknowledged(3, 1.0)
    assert not telemetry(1).acknowledged(1, 1.0), "with receipts a PUBACK settles nothing"


def test_a_refusal_is_waited_for_before_it_is_passed_over():
    """With receipts two refusals, 30 s apart; then the stream starts again to say so. Without, one."""
    box = telemetry(1, 2)
    box.refuse(1, "0x87", 0.0)
    assert not box.passes(1)
    assert box.waits(1, AGAIN_S - 1)
    assert not box.waits(1, AGAIN_S)
    assert box.stalls_at() == AGAIN_S
    box.refuse(1, "0x87", AGAIN_S)
    assert box.passes(1)
    assert box.stalls_at() <= AGAIN_S
    bare = telemetry(1, 2, receipts=False)
    assert bare.refuse(1, "0x87", 0.0)
    assert (bare.position, bare.passes(1)) == (1, True)


def test_so_many_are_set_aside_and_no_more():
    """Beyond that nothing is wrong with the records: the position holds."""
    box = telemetry(*range(1, ASIDE + 3), receipts=False)
    for sequence in range(1, ASIDE + 3):
        box.refuse(sequence, "0x87", 0.0, final=True)
    assert box.position == ASIDE
    assert box.aside() == list(range(1, ASIDE + 1))


def test_a_held_place_is_not_passed():
    """A refused record that comes up in order while it waits keeps the position below it."""
    box = telemetry(receipts=False)
    box.hold(record(1), 0.0)
    box.sent(record(2), 100, 0.0)
    box.acknowledged(2, 0.0)
    assert box.position == 0
    box.acknowledged(1, 0.0)
    assert box.position == 2


def test_a_refusal_that_the_position_passed_is_forgotten():
    """The district has it all the same."""
    box = telemetry(1, 2)
    box.refuse(1, "0x97", 0.0)
    assert box.receipt("j", 2, 1.0)
    assert box.refused == {}
    assert box.retry() is None


def test_room_is_bounded_in_records_and_bytes():
    """And frees itself with the position."""
    box = telemetry(*range(1, BEYOND + 1))
    assert not box.room()
    box.receipt("j", 1, 1.0)
    assert box.room()
    heavy = Telemetry(0, True)
    heavy.sent(record(1), delivery.BEYOND_BYTES, 0.0)
    assert not heavy.room()


def test_the_budget_grows_with_quick_answers_and_shrinks_with_slow_ones():
    """Between one pack and a megabyte; one message always fits."""
    budget = Budget()
    assert budget.fits(10 * SLOW_BYTES)
    budget.used = SLOW_BYTES
    assert not budget.fits(1)
    for _ in range(200):
        budget.used += SLOW_BYTES
        budget.acknowledged(SLOW_BYTES, 0.01)
    assert budget.allowed == FAST_BYTES
    for _ in range(20):
        budget.used += 1
        budget.acknowledged(1, 2.0)
    assert budget.allowed == SLOW_BYTES


@pytest.mark.parametrize("receipts", [True, False])
def test_starting_again_keeps_what_was_set_aside(receipts):
    """And everything else beyond the position goes again."""
    box = telemetry(1, 2, 3, receipts=receipts)
    box.refuse(2, "0x99", 0.0, final=True)
    box.restart(0, 5.0)
    assert not box.outstanding
    assert box.passes(2)
    assert box.room()
