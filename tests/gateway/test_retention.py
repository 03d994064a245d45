"""What gives way when a lane is full: settled first, then every second, then repeats; always counted, never the newest."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import retention
from gateway.retention import Row


def rows(count, size=100, subject=""):
    return [Row(number, size, subject) for number in range(1, count + 1)]


def test_nothing_goes_up_to_15_16_of_the_quota():
    """Beyond it, down to 14/16, so that the question does not come with every commit."""
    assert retention.excess_bytes(150, 160) == 0
    assert retention.excess_bytes(151, 160) == 11
    assert retention.excess_bytes(1000, 160) == 860


def test_80_percent_of_unsettled_is_nearly_full():
    """Settled records do not count: they go at once when room is needed."""
    assert retention.nearly_full(80, 1.0, 100)
    assert not retention.nearly_full(79, 1.0, 100)
    assert not retention.nearly_full(100, 0.5, 100)


def test_the_oldest_settled_go_until_it_is_enough():
    """Not one more."""
    assert retention.prune(rows(10), 250) == (1, 2, 3)
    assert retention.prune(rows(10), 200) == (1, 2)
    assert retention.prune(rows(10), 201) == (1, 2, 3)
    assert retention.prune(rows(10), 0) == ()
    assert retention.prune([], 100) == ()


def test_a_chunk_is_the_most_that_goes_at_once():
    """In rows and in bytes, so that a commit never waits long behind a deletion."""
    assert len(retention.prune(rows(2000), 10**9)) == retention.CHUNK_ROWS
    assert len(retention.prune(rows(100, 2**20), 10**9)) == 4


def test_every_second_of_the_oldest_packs_goes():
    """The next look begins behind the last one dropped."""
    assert retention.thin(rows(10), 250, newest=10) == retention.Decision((2, 4, 6), 6)


def test_the_newest_pack_stays():
    """Whatever the need; at its end the pass begins anew at the oldest."""
    assert retention.thin(rows(4), 10**6, newest=4) == retention.Decision((2,), 2)
    assert retention.thin(rows(3), 10**6, newest=3) == retention.Decision((2,), 2)
    assert retention.thin(rows(1), 10**6, newest=1) == retention.Decision((), 0)
    assert retention.thin([], 10**6, newest=1) == retention.Decision((), 0)


def test_a_pass_that_ends_with_its_last_row_begins_anew():
    """There is nothing behind the cursor."""
    assert retention.thin(rows(4), 10**6, newest=9) == retention.Decision((2, 4), 0)


def test_repeats_of_one_alarm_fold_between_its_first_and_last():
    """The first tells when it began, the last how it stands; others are not touched."""
    chatter = [Row(number, 100, "alarm a") for number in (1, 3, 4, 6, 8)]
    others = [Row(2, 100, "alarm b"), Row(5, 100, "alarm b"), Row(7, 100, "alarm c")]
    decision = retention.fold(sorted(chatter + others), 10**6)
    assert decision == retention.Decision((3, 4, 6), 0, "alarm a")


def test_three_records_of_an_alarm_are_a_repetition():
    """One may go between the first and the last."""
    three = [Row(number, 100, "alarm a") for number in (4, 5, 7)]
    assert retention.fold(three, 10**6) == retention.Decision((5,), 3, "alarm a")


def test_different_alarms_are_never_folded():
    """Two records of an alarm are its story, not a repetition; the look goes on behind them."""
    assert retention.fold([Row(n, 100, f"alarm {n // 2}") for n in range(1, 9)], 10**6) == retention.Decision((), 8)
    assert retention.fold([], 10**6) == retention.Decision((), 0)


def test_the_subject_is_the_kind_and_the_alarm():
    """The kind alone where there is no alarm in the body, or no JSON."""
    assert retention.subject_of("k", b'{"alarm":"fire-1"}') == "k fire-1"
    for body in (b"{}", b"[1]", b'{"alarm":7}', b"\xff", b""):
        assert retention.subject_of("k", body) == "k"


def test_memory_spills_repeats_before_anything_else():
    """Then the oldest; the newest stays."""
    some = [Row(1, 100, "a"), Row(2, 100, "b"), Row(3, 100, "b"), Row(4, 100, "b"), Row(5, 100, "c")]
    assert retention.spill(some, 100) == (3,)
    assert retention.spill(some, 250) == (1, 2, 3)
    assert retention.spill(some, 10**6) == (1, 2, 3, 4)
    assert retention.spill([], 100) == ()


def test_memory_thins_telemetry():
    """Every second first."""
    assert retention.spill(rows(8), 300) == (2, 4, 6)


some_rows = st.lists(st.tuples(st.integers(1, 500), st.sampled_from("abc")), max_size=60).map(
    lambda parts: [Row(number, size, subject) for number, (size, subject) in enumerate(parts, 1)]
)


@given(some_rows, st.integers(0, 20_000))
def test_no_decision_drops_what_it_was_not_shown_nor_the_newest(some, excess):
    """In order, each once, a subset; thin and spill never the newest, fold never a subject's first or last."""
    known = [row.sequence for row in some]
    newest = known[-1] if known else 0
    thinned = retention.thin(some, excess, newest)
    folded = retention.fold(some, excess)
    spilt = retention.spill(some, excess)
    for drop in (thinned.drop, folded.drop, spilt, retention.prune(some, excess)):
        assert list(drop) == sorted(set(drop))
        assert set(drop) <= set(known)
    assert newest not in (*thinned.drop, *spilt)
    for subject in "abc":
        own = [row.sequence for row in some if row.subject == subject]
        assert not set(own[:1] + own[-1:]) & set(folded.drop)


@given(some_rows, st.integers(1, 20_000))
def test_spilling_makes_enough_room_or_leaves_one(some, excess):
    """The bound of the tail holds after it."""
    spilt = set(retention.spill(some, excess))
    freed = sum(row.size_bytes for row in some if row.sequence in spilt)
    assert freed >= excess or len(some) - len(spilt) <= 1


@given(st.integers(1, 400), st.integers(100, 10_000))
def test_passes_of_thinning_end_with_the_newest_alone(count, excess):
    """Each pass drops something or is over; whatever the need, it ends."""
    left = rows(count)
    cursor, looks = 0, 0
    while len(left) > 1:
        looks += 1
        assert looks < 5 * count + 50
        decision = retention.thin([row for row in left if row.sequence > cursor], excess, left[-1].sequence)
        if not decision.drop and cursor == 0:
            break
        cursor = decision.cursor
        left = [row for row in left if row.sequence not in decision.drop]
    assert left[-1].sequence == count
    assert len(left) <= 2
