"""Does a value move: what is remembered of it, and when that is written."""

from gateway.model import Level
from rules.motion import Motion
from rules.truth import FALSE, TRUE, UNKNOWN


def judged(motion, *frames):
    return [motion.judge(value, Level.GOOD, at) for at, value in frames]


def test_a_value_that_has_just_moved_is_not_written():
    """A flash wears: only that it stood still is worth it, and only once; however long the gateway has been running."""
    motion = Motion(320.0, still=True)
    judged(motion, (10_000.0, 1))
    assert (motion.edition, motion.remembered()) == (0, None)
    judged(motion, (10_009.9, 1))
    assert (motion.edition, motion.remembered()) == (0, None)
    judged(motion, (10_010.0, 1), (10_200.0, 1))
    assert motion.edition == 1
    assert motion.remembered()[1] == 10_000.0
    judged(motion, (10_201.0, 2))
    assert (motion.edition, motion.remembered()) == (2, None)


def test_it_stood_still_over_a_restart_and_moves_with_the_first_other_value():
    before = Motion(320.0, still=True)
    judged(before, (10_000.0, 7), (10_200.0, 7))
    after = Motion(320.0, still=True)
    after.remember(before.remembered(), 500.0, 10_700.0)
    assert judged(after, (10_750.0, 7), (10_820.0, 7)) == [UNKNOWN, TRUE]
    moves = Motion(320.0, still=False)
    moves.remember(before.remembered(), 500.0, 10_700.0)
    assert judged(moves, (10_750.0, 8), (10_751.0, 8)) == [TRUE - 1, TRUE]


def test_a_flipped_bit_is_a_change_in_doubt_and_two_of_them_another():
    """There and back: uncertain. With a third value, certain."""
    motion = Motion(100.0, still=False)
    assert judged(motion, *((float(at), 1) for at in range(0, 101, 50)))[-1] == FALSE
    assert judged(motion, (110.0, 2), (111.0, 1)) == [TRUE - 1, TRUE - 1]
    assert judged(motion, (112.0, 3)) == [TRUE]
    assert judged(motion, (211.9, 3), (212.0, 3), (213.0, 3)) == [TRUE, FALSE, FALSE]


def test_what_was_read_back_is_not_written_again():
    before, after = Motion(320.0, still=True), Motion(320.0, still=True)
    judged(before, (10_000.0, 7), (10_200.0, 7))
    after.remember(before.remembered(), 0.0, 10_300.0)
    judged(after, (10_301.0, 7))
    assert (after.edition, after.remembered()) == (0, before.remembered())
