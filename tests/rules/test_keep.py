"""What conditions with a memory write down: `rules.keep`."""

import pytest

from rules.keep import Captured, Latch
from rules.truth import FALSE, NOW, TRUE, TRUE_UNCERTAIN, UNKNOWN
from tests.rules.said import Said, both


def test_what_was_captured_is_remembered_as_uncertain():
    """Both tracks, and that the moment is there: it is not another moment after the restart."""
    of, moment = Said(), Said()
    captured = Captured(of, moment)
    assert captured.remembered() is None
    of.say(TRUE)
    both(captured, 0.0)
    moment.say(TRUE)
    assert both(captured, 1.0) == (TRUE, TRUE)
    assert captured.remembered() == [TRUE_UNCERTAIN, TRUE_UNCERTAIN, TRUE_UNCERTAIN]
    again = Captured(of, moment)
    again.remember(captured.remembered(), 0.0, 2.0)
    of.say(FALSE)
    assert both(again, 3.0) == (TRUE_UNCERTAIN, TRUE_UNCERTAIN)


def test_a_false_that_was_captured_is_remembered_as_uncertain_too():
    """It may not clear, and it is not forgotten."""
    of, moment = Said(), Said()
    captured = Captured(of, moment)
    both(captured, 0.0)
    moment.say(TRUE)
    both(captured, 1.0)
    moment.say(FALSE)
    both(captured, 2.0)
    assert captured.remembered() == [1, 1, 1]


@pytest.mark.parametrize("saved", [[1, 1], [1, 1, 5], [1, 1, -1], [1, 1, True], "abc", 5, {"a": 1}])
def test_what_was_never_remembered_is_refused(saved):
    with pytest.raises(ValueError, match="not 3 truths"):
        Captured(Said(), Said()).remember(saved, 0.0, 1.0)


def test_nothing_remembered_is_nothing_known():
    captured = Captured(Said(), Said())
    captured.remember(None, 0.0, 1.0)
    assert both(captured, 2.0) == (UNKNOWN, UNKNOWN)


def test_a_latch_names_what_set_it_also_while_nothing_is_known():
    set_, reset = Said(), Said()
    set_.moved, reset.moved = [1.0, 1.0], [2.0, 2.0]
    latch = Latch(set_, reset)
    set_.say(UNKNOWN)
    assert latch.truth(NOW, 1.0) == UNKNOWN
    assert latch.witness(NOW, 1.0, None) is set_
    set_.say(FALSE)
    assert latch.witness(NOW, 1.0, None) is reset


@pytest.mark.parametrize(("was", "kept"), [(FALSE, 1), (TRUE, TRUE_UNCERTAIN)])
def test_what_was_captured_is_uncertain_where_the_moment_was_and_while_it_may_have_been_again(was, kept):
    of, moment = Said(), Said()
    of.say(was)
    captured = Captured(of, moment)
    both(captured, 0.0)
    moment.say(TRUE_UNCERTAIN)
    assert both(captured, 1.0) == (kept, kept)
    moment.say(FALSE)
    both(captured, 2.0)
    moment.say(TRUE)
    assert both(captured, 3.0) == (was, was)
    moment.say(UNKNOWN)
    assert both(captured, 4.0) == (kept, kept)
