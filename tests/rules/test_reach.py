"""Whether a condition can ever be true: `rules.reach`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.reach import Range, certain, possible
from rules.spec import (
    Above,
    Absence,
    All,
    Any,
    Below,
    Bit,
    Captured,
    Equals,
    Held,
    KOfN,
    Latch,
    Not,
    Outside,
    Rate,
    Schedule,
    Sequence,
    Stale,
    Times,
)

SWITCH = Range(states=frozenset((0, 1)))
RANGES = {"d/a": SWITCH, "d/b": SWITCH, "d/mode": Range(states=frozenset((0, 1, 2))), "d/x": Range(0, 100)}
ON, OFF = Equals("d/a", 1), Equals("d/a", 0)
NEVER = All((ON, OFF))


@pytest.mark.parametrize(
    "when",
    [
        NEVER,
        All((ON, Not(ON))),
        All((Equals("d/mode", 1), Any((Equals("d/mode", 0), Equals("d/mode", 2))))),
        All(tuple(Not(Equals("d/mode", value)) for value in (0, 1, 2))),
        Equals("d/mode", 7),
        All((Above("d/x", 50), Below("d/x", 50))),
        All((Above("d/x", 50), Not(Above("d/x", 40)))),
        All((Outside("d/x", 10, 20), Above("d/x", 10), Below("d/x", 20))),
        All((Not(Outside("d/x", 10, 20)), Above("d/x", 20))),
        Above("d/x", 100),
        All((Bit("d/word", 3), Not(Bit("d/word", 3)))),
        All((Equals("d/n", 5), Not(Equals("d/n", 5)))),
        All((Equals("d/n", 5), Above("d/n", 5))),
        Not(Any((ON, OFF))),
        All((Above("d/x", 5), Not(Below("d/x", 5)), Not(Above("d/x", 5)))),
        All((Below("d/x", 100), Not(Below("d/x", 100)))),
        All((Above("d/x", 0), Not(Above("d/x", 0)))),
        All((Below("d/x", 5), Not(Above("d/x", 5)), Not(Below("d/x", 5)))),
        KOfN(2, (ON, NEVER, NEVER), 60),
        Sequence((ON, NEVER), 60),
        Held(NEVER, 5),
        All((Held(ON, 5), OFF)),
        Times(NEVER, 2, 60),
        Absence(NEVER, ON, 60),
        All((Absence(OFF, ON, 60), ON)),
        Latch(NEVER, ON),
        Captured(ON, OFF),
        All((Schedule((), 0, 0), ON)),
    ],
)
def test_a_contradiction_is_found(when):
    assert not possible(when, RANGES)
    assert certain(Not(when), RANGES)


@pytest.mark.parametrize(
    "when",
    [
        ON,
        All((ON, Equals("d/b", 0))),
        All((Above("d/x", 49), Below("d/x", 51))),
        All((Not(Above("d/x", 50)), Not(Below("d/x", 50)))),
        All((Above("d/x", 3), Not(Below("d/x", 5)), Not(Above("d/x", 5)))),
        All((Below("d/x", 7), Not(Above("d/x", 5)), Not(Below("d/x", 5)))),
        All((Not(Below("d/x", 5)), Not(Below("d/x", 5)), Not(Above("d/x", 5)))),
        All((Not(Above("d/x", 5)), Not(Above("d/x", 5)), Not(Below("d/x", 5)))),
        All((Not(Outside("d/x", 5, 10)), Not(Below("d/x", 10)))),
        All((Not(Outside("d/x", 5, 10)), Not(Above("d/x", 5)))),
        Any((NEVER, ON)),
        Outside("d/x", 10, 200),
        KOfN(2, (ON, OFF), 60),
        Sequence((ON, OFF, ON), 60),
        Times(ON, 3, 60),
        Absence(ON, OFF, 60),
        Latch(ON, NEVER),
        Captured(ON, Equals("d/b", 1)),
        All((Bit("d/word", 3), Not(Bit("d/word", 2)))),
        All((Rate("d/x", 1, 10), Stale("d/x", 5))),
        Equals("d/text", "open"),
        Above("d/unknown", 5),
        Schedule((0,), 0, 0),
        Not(Held(NEVER, 5)),
    ],
)
def test_what_can_be_is_left_alone(when):
    assert possible(when, RANGES)


def test_what_cannot_be_false_is_certain():
    assert certain(Any((ON, OFF)), RANGES)
    assert certain(Any((Above("d/x", 10), Below("d/x", 20))), RANGES)
    assert not certain(Stale("d/x", 5), RANGES)
    assert not certain(Any((Above("d/x", 20), Below("d/x", 10))), RANGES)


leaves = st.one_of(
    st.builds(Equals, st.sampled_from(["d/a", "d/mode"]), st.integers(0, 2)),
    st.builds(Above, st.just("d/x"), st.integers(0, 9)),
    st.builds(Below, st.just("d/x"), st.integers(1, 10)),
)
conditions = st.recursive(
    leaves,
    lambda of: st.one_of(
        st.builds(Not, of),
        st.builds(lambda parts: All(tuple(parts)), st.lists(of, min_size=1, max_size=3)),
        st.builds(lambda parts: Any(tuple(parts)), st.lists(of, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


def holds(when, says):
    match when:
        case Equals():
            return says[when.point] == when.value
        case Above():
            return says[when.point] > when.limit
        case Below():
            return says[when.point] < when.limit
        case Not():
            return not holds(when.of, says)
        case All():
            return all(holds(part, says) for part in when.of)
        case _:
            return any(holds(part, says) for part in when.of)


@given(conditions)
def test_the_answer_is_that_of_trying_everything(when):
    """Two switches and a number between 0 and 10, in half steps: every combination."""
    ranges = {"d/a": SWITCH, "d/mode": Range(states=frozenset((0, 1, 2))), "d/x": Range(0, 10)}
    tried = any(
        holds(when, {"d/a": a, "d/mode": mode, "d/x": x / 2}) for a in (0, 1) for mode in (0, 1, 2) for x in range(21)
    )
    assert possible(when, ranges) == tried


def test_a_search_that_would_not_end_says_possible():
    wide = All(tuple(Any(tuple(Equals(f"d/{n}", value) for value in range(8))) for n in range(40)))
    assert possible(All((wide, NEVER)), {})
