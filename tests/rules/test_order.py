"""One after another, and one without the other: `rules.order`."""

import pytest

from rules.order import Absence, Sequence
from rules.truth import FALSE, FALSE_UNCERTAIN, NOW, TRUE, TRUE_UNCERTAIN, UNKNOWN
from tests.rules.said import Said, both


class Two:
    """A sequence of two within ten seconds, whose parts were false for long."""

    def __init__(self):
        self.first, self.second = Said(), Said()
        self.sequence = Sequence((self.first, self.second), 10.0, -100.0)
        both(self.sequence, -100.0)
        both(self.sequence, 0.0)


def test_a_sequence_is_over_when_its_time_is():
    """Not a moment later, and `due` says when; what is over is not remembered."""
    two = Two()
    two.first.say(TRUE)
    assert both(two.sequence, 1.0) == (FALSE, FALSE)
    assert two.sequence.remembered() == [1.0, None, None]
    two.second.say(TRUE)
    assert both(two.sequence, 3.0) == (TRUE, TRUE)
    assert two.sequence.due == 13.0
    assert both(two.sequence, 12.9) == (TRUE, TRUE)
    assert both(two.sequence, 13.0) == (FALSE, FALSE)
    assert two.sequence.remembered() is None


def test_both_at_once_are_an_uncertain_sequence_that_ends_on_time():
    """Nobody saw which was first."""
    two = Two()
    two.first.say(TRUE)
    two.second.say(TRUE)
    assert both(two.sequence, 3.0) == (TRUE_UNCERTAIN, TRUE_UNCERTAIN)
    assert two.sequence.truth(NOW, 12.9) == TRUE_UNCERTAIN
    assert two.sequence.truth(NOW, 13.0) == FALSE
    assert two.sequence.remembered() is None


def test_a_sequence_asks_to_be_woken_for_the_earlier_of_its_tracks():
    """The second track never saw it: it has another deadline, or none."""
    two = Two()
    two.first.say(TRUE, FALSE)
    both(two.sequence, 1.0)
    two.second.say(TRUE, FALSE)
    assert both(two.sequence, 3.0) == (TRUE, UNKNOWN)
    assert two.sequence.due == 13.0


def test_the_wrong_order_is_none():
    two = Two()
    two.second.say(TRUE)
    both(two.sequence, 1.0)
    two.first.say(TRUE)
    assert both(two.sequence, 3.0) == (FALSE, FALSE)


class Answered:
    """An absence: `of` within ten seconds after `after`."""

    def __init__(self):
        self.after, self.of = Said(), Said()
        self.absence = Absence(self.after, self.of, 10.0)


def test_what_both_tracks_saw_and_nobody_answered_is_surely_missing():
    one = Answered()
    assert one.absence.due == float("inf")
    both(one.absence, 0.0)
    one.after.say(TRUE)
    assert both(one.absence, 1.0) == (FALSE, FALSE)
    assert one.absence.due == 11.0
    assert both(one.absence, 10.9) == (FALSE, FALSE)
    assert both(one.absence, 11.0) == (TRUE, TRUE)
    one.of.say(TRUE)
    assert both(one.absence, 12.0) == (FALSE, FALSE)


def test_what_only_one_frame_said_is_missing_and_not_surely():
    """The second track did not see it become true; it never says more than unknown."""
    one = Answered()
    both(one.absence, 0.0)
    one.after.say(TRUE, FALSE)
    both(one.absence, 1.0)
    assert both(one.absence, 11.0) == (TRUE, UNKNOWN)


def test_what_is_true_when_it_is_first_heard_is_awaited_from_then_on():
    """Nobody knows since when: it is missing in the end, uncertainly."""
    one = Answered()
    one.after.say(TRUE)
    both(one.absence, 0.0)
    assert one.absence.due == 10.0
    assert one.absence.truth(NOW, 10.0) == TRUE_UNCERTAIN


def test_a_witness_is_what_began_it_while_something_is_missing_and_the_answer_otherwise():
    """Also while nothing is known: the alarm stands, and the reason is its beginning."""
    one = Answered()
    both(one.absence, 0.0)
    one.after.say(TRUE)
    both(one.absence, 1.0)
    assert one.absence.witness(NOW, 2.0, None) is one.of
    assert one.absence.witness(NOW, 11.0, None) is one.after
    one.of.say(UNKNOWN)
    assert one.absence.truth(NOW, 12.0) == UNKNOWN
    assert one.absence.witness(NOW, 12.0, None) is one.after


@pytest.mark.parametrize("saved", [[None, TRUE, False], [], "four", {"a": 1}, 4, [None] * 5])
def test_what_an_absence_never_remembered_is_refused(saved):
    with pytest.raises(ValueError, match="not what is missing"):
        Answered().absence.remember(saved, 0.0, 100.0)
    with pytest.raises(ValueError, match="not how certain"):
        Answered().absence.remember([1.0, FALSE_UNCERTAIN, True, True], 0.0, 100.0)
