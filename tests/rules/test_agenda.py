"""Which alarm is due next: the heap against a plain look at all of them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rules.agenda import Agenda
from rules.alarm import Alarm
from rules.condition import Points
from rules.spec import Above
from tests.rules.transcript import alarm

MOVES = st.lists(
    st.tuples(st.integers(0, 3), st.one_of(st.just(math.inf), st.integers(0, 20).map(float)), st.booleans())
)


def alarms(*deadlines):
    """Alarms whose time is up then, and which nothing else changes."""
    points = Points({("s", 0): ("s/x",)})
    made = [Alarm(alarm(Above("s/x", 5), str(order)), order, points, 0.0) for order in range(len(deadlines))]
    for one, due in zip(made, deadlines, strict=True):
        one.fresh, one.until = False, due
    return made


def popped(agenda, until):
    found = []
    while first := agenda.pop(until):
        found.append((first[0], first[1].order))
    return found


def test_who_is_due_comes_in_the_order_of_deadlines_and_of_the_site():
    agenda = Agenda(alarms(5.0, 3.0, math.inf, 3.0, 9.0))
    assert agenda.next() == 3.0
    assert popped(agenda, 5.0) == [(3.0, 1), (3.0, 3), (5.0, 0)]
    assert agenda.next() == 9.0


def test_who_was_given_comes_back_only_when_it_is_added():
    one, other = made = alarms(1.0, 2.0)
    agenda = Agenda(made)
    assert agenda.pop(1.0) == (1.0, one)
    assert agenda.pop(1.5) is None
    agenda.add(one)
    assert popped(agenda, 2.0) == [(1.0, 0), (2.0, 1)]
    other.until = math.inf
    agenda.add(other)
    assert (agenda.next(), agenda.queue) == (math.inf, [])


@given(MOVES)
def test_the_earliest_is_found_whatever_moved(moves):
    """A deadline that moved later need not be told; one that came nearer is. One that is popped has worked and is added."""
    made = alarms(4.0, 8.0, 8.0, math.inf)
    agenda = Agenda(made)
    for order, due, pop in moves:
        nearer = due < made[order].until
        made[order].until = due
        if nearer:
            agenda.add(made[order])
        earliest = min(one.due for one in made)
        if pop and (first := agenda.pop(earliest)):
            assert first[0] == earliest == first[1].due
            first[1].until = math.inf
            agenda.add(first[1])
        assert agenda.next() == min(one.due for one in made)
