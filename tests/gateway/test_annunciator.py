"""What lamps and sounders show: each rule of `gateway.annunciator`, and one that must hold whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.annunciator import (
    FLASH_S,
    UNACKNOWLEDGED,
    Annunciator,
    Kind,
    Look,
    OutputSpec,
    Shown,
    classes_of,
    lit,
    toggles_at,
)
from gateway.model import Action, AlarmClass, Command, Deadline, FloodEdge, Mark, Severity, State, Text, Transition
from rules.lifecycle import ASIDE
from rules.spec import AlarmSpec, Equals

FIRE, FAULT = AlarmClass.FIRE, AlarmClass.FAULT
A, B, C, D = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED
E, F, G = State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED, State.SHELVED
HORN = OutputSpec("horn", Kind.SOUNDER, frozenset({FIRE, FAULT}), "r/1", longest_on_s=60.0)
BUZZER = OutputSpec("buzzer", Kind.SOUNDER, frozenset({FAULT}), "r/2", longest_on_s=600.0)
LAMP = OutputSpec("lamp", Kind.LAMP, frozenset({FIRE}), "r/3")


class Room:
    """An annunciator with a transcript's words."""

    def __init__(self, *outputs):
        self.annunciator = Annunciator(outputs or (HORN, BUZZER, LAMP))
        self.states = {}
        self.at = 100.0

    def moves(self, alarm, after, *, cls=FIRE, marks=()):
        before = self.states.get(alarm, A)
        self.states[alarm] = after
        transition = Transition(alarm, before, after, self.at, Deadline(self.at), self.at, marks=marks)
        self.annunciator.moved(transition, cls)
        return self

    def shows(self):
        return " ".join(f"{name}={one.look}" for name, one in self.annunciator.shown(self.at).items())

    def look(self, output):
        return self.annunciator.shown(self.at)[output].look


def test_an_alarm_sounds_and_its_lamp_flashes():
    """Only the outputs of its class."""
    assert Room().shows() == "horn=off buzzer=off lamp=off"
    assert Room().moves("f", B).shows() == "horn=on buzzer=off lamp=flash"
    assert Room().moves("x", B, cls=FAULT).shows() == "horn=on buzzer=on lamp=off"


def test_it_is_quiet_once_the_last_one_is_acknowledged():
    room = Room().moves("f", B).moves("g", B)
    assert room.moves("f", C).look("horn") is Look.ON
    assert room.moves("g", C).look("horn") is Look.OFF
    assert room.look("lamp") is Look.FLASH


def test_what_came_and_went_unseen_still_calls():
    """Returned or latched, but nobody has acknowledged it; the lamp stays until it is normal."""
    for gone, seen in ((D, A), (E, F)):
        room = Room().moves("f", B).moves("f", gone)
        assert (room.look("horn"), room.look("lamp")) == (Look.ON, Look.FLASH)
        room.moves("f", seen)
        assert (room.look("horn"), room.look("lamp")) == (Look.OFF, Look.OFF if seen is A else Look.FLASH)


def test_silence_lasts_until_something_new_calls():
    """Another alarm, or the same one again: back after it returned, or acknowledged for too long."""
    room = Room().moves("f", B)
    assert room.annunciator.silence()
    assert room.look("horn") is Look.OFF
    assert room.moves("g", B).look("horn") is Look.ON
    room.annunciator.silence()
    assert room.moves("f", D).look("horn") is Look.OFF
    assert room.moves("f", B).look("horn") is Look.ON
    room.moves("f", C).moves("g", C)
    assert room.look("horn") is Look.OFF
    assert room.moves("f", B).look("horn") is Look.ON


def test_silence_is_for_one_output_or_some_classes():
    room = Room().moves("f", B).moves("x", B, cls=FAULT)
    assert room.annunciator.sounds(frozenset({FAULT}))
    assert room.annunciator.silence("buzzer")
    assert (room.look("horn"), room.look("buzzer")) == (Look.ON, Look.OFF)
    assert room.annunciator.silence("", [FAULT])
    assert room.look("horn") is Look.ON
    assert not room.annunciator.sounds(frozenset({FAULT}))
    assert room.annunciator.silence("horn", [FIRE])
    assert room.look("horn") is Look.OFF
    assert not room.annunciator.silence()


def test_a_longest_on_time_runs_from_the_last_call():
    room = Room().moves("f", B)
    room.at += 50
    room.moves("g", B)
    assert room.annunciator.due == room.at + 60
    room.at += 59
    assert room.annunciator.over(room.at) == []
    room.at += 1
    assert room.annunciator.over(room.at) == ["horn"]
    room.annunciator.silence("horn")
    assert room.annunciator.over(room.at) == []
    assert room.annunciator.due == float("inf")


def test_the_lamp_is_steady_once_the_district_has_all():
    room = Room().moves("f", B).moves("g", B)
    room.annunciator.recorded("f", "j/1")
    room.annunciator.recorded("g", "j/2")
    assert room.annunciator.received("f", "j/1")
    assert room.look("lamp") is Look.FLASH
    assert room.annunciator.received("g", "j/2")
    assert room.look("lamp") is Look.ON
    assert not room.annunciator.received("g", "j/2")


def test_what_a_person_does_makes_no_lamp_flash_again():
    """The district has the alarm, though not yet that it was acknowledged."""
    room = Room().moves("f", B)
    room.annunciator.recorded("f", "j/1")
    room.annunciator.received("f", "j/1")
    room.moves("f", C)
    room.annunciator.recorded("f", "j/2")
    assert room.look("lamp") is Look.ON


def test_a_receipt_for_an_earlier_time_is_none_for_this_one():
    """The link was cut while it came, went and came again."""
    room = Room().moves("f", B)
    room.annunciator.recorded("f", "j/1")
    room.moves("f", D)
    room.annunciator.recorded("f", "j/2")
    room.moves("f", B)
    room.annunciator.recorded("f", "j/3")
    assert not room.annunciator.received("f", "j/1")
    assert not room.annunciator.received("unknown", "j/1")
    room.annunciator.recorded("unknown", "j/1")
    assert room.look("lamp") is Look.FLASH
    assert room.annunciator.received("f", "j/3")


def test_any_record_since_it_was_raised_tells_the_district():
    """Receipts come one by one; the one of the acknowledgement says that there is an alarm."""
    room = Room().moves("f", B)
    room.annunciator.recorded("f", "j/1")
    room.moves("f", C)
    room.annunciator.recorded("f", "j/2")
    assert room.annunciator.received("f", "j/2")
    assert room.look("lamp") is Look.ON


def test_what_is_hidden_shows_nothing_and_calls_when_it_is_back():
    room = Room().moves("f", B).moves("f", State.OUT_OF_SERVICE)
    assert room.shows() == "horn=off buzzer=off lamp=off"
    assert room.annunciator.calling("lamp") == []
    assert room.moves("f", B).shows() == "horn=on buzzer=off lamp=flash"
    assert Room().moves("f", G).shows() == "horn=off buzzer=off lamp=off"


def test_a_flood_sounds_once_for_all_that_it_groups():
    """And a fire in it, which is never grouped, as ever."""
    edge = FloodEdge(True, 1.0, 1.0, 11, 0, "x0")
    room = Room()
    room.annunciator.flooded(edge)
    room.moves("x1", B, cls=FAULT, marks=(Mark.GROUPED,))
    assert room.look("horn") is Look.ON
    room.annunciator.silence()
    assert room.moves("x2", B, cls=FAULT, marks=(Mark.GROUPED,)).look("horn") is Look.OFF
    assert room.moves("f", B).look("horn") is Look.ON
    room.annunciator.silence()
    room.annunciator.flooded(FloodEdge(False, 700.0, 1.0, 14, 2, "x0"))
    assert room.moves("x3", B, cls=FAULT, marks=(Mark.GROUPED,)).look("horn") is Look.ON


def test_after_a_start_what_is_not_acknowledged_calls_anew():
    spec = AlarmSpec("f", FIRE, Severity.CRITICAL, Equals("d/p", 1), Text("火", "fire"))
    for state, received, shows in (
        (A, False, "horn=off lamp=off"),
        (B, False, "horn=on lamp=flash"),
        (B, True, "horn=on lamp=on"),
        (C, True, "horn=off lamp=on"),
        (F, False, "horn=off lamp=flash"),
        (G, False, "horn=off lamp=off"),
    ):
        room = Room(HORN, LAMP)
        room.annunciator.begin("f", spec, state, received=received, now=room.at)
        assert room.shows() == shows
    room = Room(HORN, LAMP)
    room.annunciator.begin("f", spec, B, received=False, now=room.at)
    assert room.annunciator.due == room.at + 60
    room.annunciator.recorded("f", "new/1")
    assert room.annunciator.received("f", "old/7"), "of the run before: any record of it counts"
    assert room.look("lamp") is Look.ON


def test_it_tells_whom_a_key_acknowledges_and_what_shows():
    room = Room().moves("f", B).moves("g", C).moves("h", E).moves("x", B, cls=FAULT)
    assert room.annunciator.unacknowledged(frozenset({FIRE})) == ["f", "h"]
    assert room.annunciator.calling("horn") == ["f", "x"]
    assert room.annunciator.calling("lamp") == ["f", "g", "h"]


def test_a_lamp_begins_to_flash_with_light():
    shown = Shown(Look.FLASH, 10.0)
    assert [lit(shown, 10.0 + step * FLASH_S) for step in (0, 0.5, 1, 1.5, 2)] == [True, True, False, False, True]
    assert [toggles_at(shown, 10.0 + step * FLASH_S) for step in (0, 0.5, 1)] == [11.0, 11.0, 12.0]
    assert (lit(Shown(Look.ON, 0.0), 5.0), lit(Shown(Look.OFF, 0.0), 5.0)) == (True, False)
    assert toggles_at(Shown(Look.ON, 0.0), 5.0) == float("inf")


def test_the_classes_of_a_command():
    def said(value):
        return classes_of(Command(Action.SILENCE, "", "w", 0.0, value=value))

    assert said("") == frozenset()
    assert said("fire fault") == {FIRE, FAULT}
    assert said("fire smoke") is None


MOVES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.sampled_from(list(State)), st.booleans()),
        st.sampled_from(["silence", "receipt", "flood"]),
    ),
    max_size=30,
)


@given(MOVES)
def test_an_unacknowledged_unsilenced_fire_always_sounds(moves):
    """Whatever moves, however marked, received or flooded: written down anew as sets."""
    room, calls = Room(OutputSpec("horn", Kind.SOUNDER, frozenset({FIRE}), "r/1"), LAMP), set()
    for move in moves:
        room.at += 1
        if move == "silence":
            assert room.annunciator.silence() is bool(calls)
            calls = set()
        elif move == "receipt":
            for alarm in "abc":
                room.annunciator.recorded(alarm, f"{room.at}")
                room.annunciator.received(alarm, f"{room.at}")
        elif move == "flood":
            room.annunciator.flooded(FloodEdge(True, room.at, room.at, 11, 0, "a"))
        else:
            alarm, after, chattering = move
            if after is B and room.states.get(alarm) is not B:
                calls.add(alarm)
            elif after not in UNACKNOWLEDGED:
                calls.discard(alarm)
            room.moves(alarm, after, marks=(Mark.CHATTERING,) if chattering else ())
        assert (room.look("horn") is Look.ON) is bool(calls)
        standing = {one for one, state in room.states.items() if state not in ASIDE | {A}}
        assert (room.look("lamp") is Look.OFF) is (not standing)
