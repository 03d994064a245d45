"""The life cycle's table against a literal copy of the standard's (standards.md 6.1)."""

import runpy
from pathlib import Path

import pytest

from gateway.model import State
from rules.lifecycle import ACTIVE, ASIDE, TABLE, Event, diagram

STANDARD = """
A | condition true                   | B
B | acknowledge                      | C
B | condition false, not latching    | D
B | condition false, latching        | E
C | condition false, not latching    | A
C | condition false, latching        | F
C | re-alarm                         | B
D | acknowledge                      | A
D | condition true                   | B
E | acknowledge                      | F
E | condition true                   | B
E | reset                            | D
F | reset                            | A
F | condition true                   | B
A | shelve    | G
B | shelve    | G
C | shelve    | G
D | shelve    | G
E | shelve    | G
F | shelve    | G
H | shelve    | G
I | shelve    | G
A | suppress  | H
B | suppress  | H
C | suppress  | H
D | suppress  | H
E | suppress  | H
F | suppress  | H
G | suppress  | H
I | suppress  | H
A | take out  | I
B | take out  | I
C | take out  | I
D | take out  | I
E | take out  | I
F | take out  | I
G | take out  | I
H | take out  | I
G | condition true                   | G
G | condition false, not latching    | G
G | condition false, latching        | G
H | condition true                   | H
H | condition false, not latching    | H
H | condition false, latching        | H
I | condition true                   | I
I | condition false, not latching    | I
I | condition false, latching        | I
G | end, condition true  | B
H | end, condition true  | B
I | end, condition true  | B
G | end, condition false | A
H | end, condition false | A
I | end, condition false | A
"""

WORDS = {
    "condition true": Event.RAISE,
    "condition false, not latching": Event.CLEAR,
    "condition false, latching": Event.LATCH,
    "acknowledge": Event.ACKNOWLEDGE,
    "reset": Event.RESET,
    "re-alarm": Event.REALARM,
    "shelve": Event.SHELVE,
    "suppress": Event.SUPPRESS,
    "take out": Event.TAKE_OUT,
    "end, condition true": Event.END_PRESENT,
    "end, condition false": Event.END_OVER,
}

STATES = dict(
    zip(
        "ABCDEFGHI",
        (
            "normal",
            "unacknowledged",
            "acknowledged",
            "returned",
            "latched_unacknowledged",
            "latched_acknowledged",
            "shelved",
            "suppressed",
            "out_of_service",
        ),
        strict=True,
    )
)

CELLS = {
    (STATES[before.strip()], WORDS[event.strip()]): STATES[after.strip()]
    for before, event, after in (line.split("|") for line in STANDARD.strip().splitlines())
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_each_cell_is_the_standards(state, event):
    """A missing cell is a move that the standard does not know. It hides "condition true" in G, H and I; we record it."""
    assert TABLE.get((state, event)) == CELLS.get((state, event))


def test_no_cell_leads_nowhere():
    """A transition is a change: of the state, or of what an aside state hides."""
    hidden = {Event.RAISE, Event.CLEAR, Event.LATCH}
    assert all(before != after or (before in ASIDE and event in hidden) for (before, event), after in TABLE.items())


def test_states_are_grouped_by_what_they_say_about_the_condition():
    assert {STATES[letter] for letter in "BC"} == ACTIVE
    assert {STATES[letter] for letter in "GHI"} == ASIDE


def test_the_document_is_the_table():
    """docs/alarm-states.md is `python -m rules.lifecycle`, byte for byte."""
    document = Path(__file__).parents[2] / "docs" / "alarm-states.md"
    assert document.read_bytes() == diagram().encode()


def test_the_document_is_printed(capsys):
    runpy.run_path(str(Path(__file__).parents[2] / "rules" / "lifecycle.py"), run_name="__main__")
    assert capsys.readouterr().out == diagram()
