"""What hides an alarm for a time: who may, for how long, what happens meanwhile, how it ends, what survives."""

import json

import pytest

from gateway.model import Action, AlarmClass, Command, Deadline, Quality, Scan, Severity, State, Text
from rules import aside
from rules.clocks import Clocks
from rules.engine import Engine
from rules.spec import LIFE, Above, AlarmSpec, Equals
from tests.rules.transcript import LETTERS, alarm, good, play

GROUPS = {("s", 0): ("s/x", "s/y")}
HOUR = 3600.0
HIGH = Equals("s/0", 1)


def engine_of(spec, now=0.0):
    return Engine([spec], GROUPS, now)


def ask(engine, action, at, for_s=None, who="Li", why="repair"):
    return engine.step(Command(action, "fire", who, at, why, for_s), at)


def spec_of(cls=AlarmClass.WATER, **more):
    return alarm(Above("s/x", 5), cls=cls, **more)


def test_shelving_hides_and_records_and_ends_by_itself():
    """What comes and goes meanwhile is a transition from shelved to shelved, with `present`."""
    said = play(
        """
        0   s 0
        1   shelve fire 60   => fire AG command
        2   s 1              => fire GG sample
        3   s 0
        4   s 0              => fire GG sample
        5   s 1              => fire GG sample
        60  .
        61  .                => fire GB deadline
        62  s 0
        63  s 0              => fire BD sample
        """,
        alarm(HIGH),
    )
    assert [one.present for one in said] == [False, True, False, True, True, False]
    assert said[4].since == 5.0, "since the condition is there, not since the shelving is over"


def test_shelving_over_what_is_over_ends_in_normal():
    play(
        """
        0   s 1              => fire AB sample
        1   shelve fire 60   => fire BG command
        2   s 0
        3   s 0              => fire GG sample
        61  .                => fire GA deadline
        """,
        alarm(HIGH, latching=True),
    )


def test_unknown_keeps_what_was_while_it_is_hidden():
    play(
        """
        0   s 1              => fire AB sample
        1   take_out fire 60 => fire BI command
        2   s -
        3   s 0?
        4   s -
        61  .                => fire IB deadline
        """,
        alarm(HIGH),
    )


@pytest.mark.parametrize(("action", "letter", "end"), [("shelve", "G", "unshelve"), ("take_out", "I", "return")])
def test_a_person_ends_it(action, letter, end):
    """Only what is hidden in that way."""
    play(
        f"""
        0   s 1
        1   {end} fire       => refused
        2   {action} fire 60 => fire A{letter} command
        3   {action} fire 60 => refused
        4   s 2              => fire {letter}{letter} sample
        5   acknowledge fire => refused
        6   {end} fire       => fire {letter}B command
        """,
        alarm(Equals("s/0", 2)),
    )


@pytest.mark.parametrize("action", [Action.SHELVE, Action.TAKE_OUT])
@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"who": " "}, "who you are"),
        ({"why": ""}, "reason"),
        ({"for_s": None}, "how long"),
        ({"for_s": 0.0}, "how long"),
        ({"for_s": -1.0}, "how long"),
        ({"for_s": float("inf")}, "how long"),
        ({"for_s": float("nan")}, "how long"),
        ({"for_s": 8 * 86400.0}, "at most"),
    ],
)
def test_without_a_person_a_reason_and_a_time_nothing_is_hidden(action, more, word):
    """Refused in words, changing nothing."""
    engine = engine_of(spec_of())
    step = ask(engine, action, 1.0, **({"for_s": 60.0} | more))
    assert word in step.refused.en
    assert (step.transitions, step.changed) == ((), {})


@pytest.mark.parametrize("cls", AlarmClass)
def test_the_longest_times_by_class(cls):
    """8 h shelved and 7 days out of service; what guards a life is never shelved and a day out of service at most."""
    longest_s = 24 * HOUR if cls in LIFE else 7 * 24 * HOUR
    assert ask(engine_of(spec_of(cls)), Action.TAKE_OUT, 1.0, longest_s).refused is None
    assert ask(engine_of(spec_of(cls)), Action.TAKE_OUT, 1.0, longest_s + 1).refused is not None
    assert (ask(engine_of(spec_of(cls)), Action.SHELVE, 1.0, 8 * HOUR).refused is None) == (cls not in LIFE)
    assert ask(engine_of(spec_of(cls)), Action.SHELVE, 1.0, 8 * HOUR + 1).refused is not None
    short = spec_of(cls, max_shelve_s=60.0, max_out_s=60.0)
    for action in (Action.SHELVE, Action.TAKE_OUT):
        assert ask(engine_of(short), action, 1.0, 61.0).refused is not None


def test_a_latched_fire_is_reset_before_it_is_taken_out():
    """Else returning it to service would be a reset that asks no panel."""
    play(
        """
        0   s 1              => fire AB sample
        1   s 0
        2   s 0              => fire BE sample
        3   take_out fire 60 => refused
        4   reset fire       => fire ED command
        5   take_out fire 60 => fire DI command
        65  .                => fire IA deadline
        """,
        alarm(HIGH, cls=AlarmClass.FIRE, latching=True),
    )


def test_an_acknowledged_alarm_that_stays_calls_again():
    """As long as it is active, unknown or not; not once it is over."""
    said = play(
        """
        0    s 1              => fire AB sample
        10   acknowledge fire => fire BC command
        69   s -
        70   .                => fire CB deadline
        80   acknowledge fire => fire BC command
        90   s 0
        91   s 0              => fire CA sample
        200  .
        """,
        alarm(HIGH, realarm_s=60),
    )
    assert {one.since for one in said} == {0.0}


def test_suppressed_by_design_while_its_condition_is_known():
    """Two frames to hide, one to call; a condition that comes meanwhile is recorded."""
    play(
        """
        0   s 0 1
        1   s 0 1            => fire AH sample
        2   s 1 1            => fire HH sample
        3   acknowledge fire => refused
        4   s 1 0            => fire HB sample
        5   s 1 1
        6   s 1 1            => fire BH sample
        """,
        alarm(HIGH, suppressed_by=Equals("s/1", 1)),
    )


def test_a_dead_sensor_suppresses_for_a_minute_at_most():
    play(
        """
        0    s 1 1            => fire AB sample
        1    s 1 1            => fire BH sample
        10   s 1 -
        30   s 1 1
        40   s 1 -
        99   s 1 -
        100  .                => fire HB deadline
        """,
        alarm(HIGH, suppressed_by=Equals("s/1", 1)),
    )


def test_what_is_shelved_and_suppressed_goes_from_one_to_the_other():
    """No call in between."""
    play(
        """
        0    s 1 0            => fire AB sample
        1    shelve fire 60   => fire BG command
        2    s 1 1
        3    s 1 1
        61   .                => fire GH deadline
        62   take_out fire 60 => fire HI command
        63   s 1 0
        122  .                => fire IB deadline
        """,
        alarm(HIGH, suppressed_by=Equals("s/1", 1)),
    )


@pytest.mark.parametrize("cls", sorted(LIFE))
def test_what_guards_a_life_is_never_suppressed(cls):
    with pytest.raises(ValueError, match="never suppressed"):
        engine_of(spec_of(cls, suppressed_by=Above("s/y", 1)))


def test_a_class_that_became_fire_is_not_left_hidden():
    """The site file was changed over a restart: shelved or suppressed before, called now. Out of service goes on."""
    for action, after in ((Action.SHELVE, State.UNACKNOWLEDGED), (Action.TAKE_OUT, State.OUT_OF_SERVICE)):
        engine = engine_of(spec_of())
        engine.step(good("s", 9, 0, at=1.0), 1.0)
        ask(engine, action, 2.0, 60.0)
        again = engine_of(spec_of(AlarmClass.FIRE), 3.0)
        assert again.restore(engine.save(), 0.0) == []
        again.step(None, 3.0)
        assert again.alarms()["fire"].state == after


def test_a_class_that_became_fire_is_back_after_a_day():
    """It was out of service for six days when it still was of the water; what guards a life is so for a day at most."""
    engine = engine_of(spec_of())
    ask(engine, Action.TAKE_OUT, 2.0, 6 * 24 * HOUR)
    again = engine_of(spec_of(AlarmClass.FIRE), 3.0)
    again.restore(engine.save(), 0.0)
    assert again.alarms()["fire"].aside.until == 2.0 + 24 * HOUR


def test_a_wrong_clock_hides_nothing_for_longer_than_a_person_could():
    """It is set to last year after a reboot: a fire alarm is out of service for one more day, not for seven."""
    again = rebooted(spec_of(AlarmClass.FIRE))
    again.step(Clocks(60.0, 5000.0 - 365 * 24 * HOUR, True, 0.0), 60.0)
    assert again.alarms()["fire"].aside.until == 60.0 + 24 * HOUR


def test_a_reboot_after_another_waits_no_longer_for_the_clock():
    """A box that falls every four minutes would else hide it for ever."""
    once = rebooted(spec_of(AlarmClass.FIRE))
    once.step(None, 240.0)
    twice = engine_of(once.alarms()["fire"].spec, 0.0)
    assert twice.restore(once.save(), -240.0, bridged=False) == []
    assert twice.alarms()["fire"].aside.until == pytest.approx(aside.GRACE_S - 240.0)


def test_the_time_goes_on_over_a_reboot_that_the_clocks_bridge():
    play(
        """
        0    s 1              => fire AB sample
        1    shelve fire 60   => fire BG command
        20   restart 1000
        60   .
        61   .                => fire GB deadline
        """,
        alarm(HIGH),
    )


@pytest.mark.parametrize(("action", "letter"), [("shelve", "G"), ("take_out", "I")])
def test_where_no_clock_bridges_the_gap_it_ends(action, letter):
    """Law 2: nobody can say for how long it was off."""
    play(
        f"""
        0    s 1                       => fire AB sample
        1    {action} fire 60          => fire B{letter} command
        20   restart 1000 unbridged    => fire {letter}B deadline
        """,
        alarm(HIGH),
    )


def rebooted(spec, *, trusted=True, at=0.0, wall=5000.0):
    """Taken out of service for an hour at 10 s (wall 5010); the power fails; the new boot's clock begins at 0, not set."""
    engine = engine_of(spec)
    engine.step(good("s", 9, 0, at=1.0), 1.0)
    engine.step(Clocks(2.0, 5002.0, trusted, 0.0), 2.0)
    ask(engine, Action.TAKE_OUT, 10.0, 3600.0)
    again = engine_of(spec, at)
    assert again.restore(engine.save(), -10.0, bridged=False) == []
    assert again.step(Clocks(at, wall, False, 0.0), at).transitions == () or not trusted
    return again


def test_after_a_reboot_the_end_is_where_it_was_once_the_clock_is_set():
    """A box without a clock battery: NTP needs a minute. A later correction of the clock moves nothing."""
    again = rebooted(spec_of(AlarmClass.FIRE))
    assert again.alarms()["fire"].aside.waiting
    assert again.step(Clocks(60.0, 6000.0, True, 0.0), 60.0).transitions == ()
    assert again.alarms()["fire"].aside.until == 60.0 + 8610.0 - 6000.0
    again.step(Clocks(70.0, 9e9, True, 0.0), 70.0)
    third = engine_of(spec_of(AlarmClass.FIRE), 80.0)
    third.restore(again.save(), 0.0)
    [end] = third.step(None, 4000.0).transitions
    assert (end.at, end.after) == (2670.0, State.UNACKNOWLEDGED)


@pytest.mark.parametrize("clocks", [None, Clocks(60.0, 8611.0, True, 0.0), Clocks(60.0, 6000.0, False, 0.0)])
def test_after_a_reboot_it_comes_back_when_its_time_was_over_or_nobody_knows(clocks):
    """In the five minutes that a clock is waited for, or at once when it says so."""
    again = rebooted(spec_of())
    found = [] if clocks is None else list(again.step(clocks, 60.0).transitions)
    found += again.step(None, 301.0).transitions
    [end] = found
    assert end.at == (60.0 if clocks and clocks.trusted else 300.0)
    assert end.after == State.UNACKNOWLEDGED


def test_without_a_clock_from_the_beginning_a_reboot_ends_it_at_once():
    again = rebooted(spec_of(), trusted=False)
    assert again.alarms()["fire"].state == State.UNACKNOWLEDGED


def test_who_why_and_until_are_listed_as_long_as_it_lasts():
    engine = engine_of(spec_of())
    ask(engine, Action.SHELVE, 10.0, 60.0, "Li", "paint")
    assert engine.alarms()["fire"].aside == aside.Aside("Li", "paint", 10.0, 70.0)
    again = engine_of(spec_of(), 1020.0)
    again.restore(engine.save(), 1000.0)
    assert again.alarms()["fire"].aside == aside.Aside("Li", "paint", 1010.0, 1070.0)
    again.step(None, 1070.0)
    assert again.alarms()["fire"].aside is None


BROKEN = [
    None, [], {}, {"who": "Li", "why": "x", "at": 0}, {"who": "Li", "why": "x", "at": 0, "until": 1e300},
    {"who": "Li", "why": "x", "at": 0, "until": 5, "wall": "x"}, {"who": "Li", "why": "x", "at": float("nan"), "until": 5}, {"who": "Li", "why": "x", "at": [], "until": 5},
]  # fmt: skip


@pytest.mark.parametrize("who", BROKEN)
def test_a_snapshot_that_hides_for_ever_or_for_nobody_is_refused(who):
    """The alarm is then as new."""
    engine = engine_of(spec_of())
    assert engine.restore({"fire": json.dumps({"state": "shelved", "aside": who}).encode()}, 0.0) == ["fire"]
    assert engine.alarms()["fire"].state == State.NORMAL


# The table of the standard, played: from each state, every event, in every class.

STATE_OF = dict(zip("ABCDEFGHI", State, strict=True))
WAYS = {
    "A": [],
    "B": ["on"],
    "C": ["on", "acknowledge"],
    "D": ["on", "off"],
    "E": ["on", "off"],
    "F": ["on", "off", "acknowledge"],
    "G": ["shelve"],
    "H": ["hide"],
    "I": ["take_out"],
}
"""How a state is reached from the start."""
PLAYED = {
    "A": {"on": "B", "shelve": "G", "hide": "H", "take_out": "I"},
    "B": {"off": "D", "off latching": "E", "acknowledge": "C", "shelve": "G", "hide": "H", "take_out": "I"},
    "C": {"off": "A", "off latching": "F", "long": "B", "shelve": "G", "hide": "H", "take_out": "I"},
    "D": {"on": "B", "acknowledge": "A", "shelve": "G", "hide": "H", "take_out": "I"},
    "E": {"on": "B", "acknowledge": "F", "reset": "D", "shelve": "G", "hide": "H", "take_out": "I"},
    "F": {"on": "B", "reset": "A", "shelve": "G", "hide": "H", "take_out": "I"},
    "G": {"on": "G", "unshelve": "A", "long": "A", "take_out": "I"},
    "H": {"on": "H", "show": "A", "shelve": "G", "take_out": "I"},
    "I": {"on": "I", "return": "A", "long": "A", "shelve": "G"},
}
"""standards.md 6.1; what is not here must not move the alarm. Fire, personal and entrapment have no shelve and no hide."""
EVENTS = ["on", "off", "acknowledge", "reset", "shelve", "unshelve", "hide", "show", "take_out", "return", "long"]


class Stage:
    """One alarm, and events by name."""

    def __init__(self, cls, *, latching):
        self.cls, self.latching, self.now = cls, latching, 0.0
        self.values = [0.0, 0.0]
        hidden = None if cls in LIFE else Above("s/y", 5)
        self.spec = spec_of(cls, latching=latching, realarm_s=600.0, suppressed_by=hidden)
        self.engine = engine_of(self.spec)

    def read(self):
        for _ in range(2):
            self.now += 1.0
            self.engine.step(good("s", *self.values, at=self.now), self.now)

    def do(self, event):
        if event in ("on", "off"):
            self.values[0] = 9.0 if event == "on" else 0.0
        elif event in ("hide", "show"):
            self.values[1] = 9.0 if event == "hide" else 0.0
        elif event == "long":
            self.now += 601.0
            self.engine.step(None, self.now)
            return
        else:
            self.now += 1.0
            ask(self.engine, Action(event), self.now, 600.0)
            return
        self.read()

    def reach(self, letter):
        self.read()
        for event in WAYS[letter]:
            self.do(event)
        return self

    @property
    def letter(self):
        return LETTERS[self.engine.alarms()["fire"].state]


def possible(cls, letter):
    return cls not in LIFE or letter not in "GH"


STAGES = [
    pytest.param(cls, letter, letter in "EF", id=f"{cls}-{letter}")
    for cls in AlarmClass
    for letter in WAYS
    if possible(cls, letter)
]


@pytest.mark.parametrize(("cls", "letter", "latching"), STAGES)
def test_every_state_of_every_class_goes_where_the_table_says(cls, letter, latching):
    """Every event in every state, for each class of alarm."""
    for event in EVENTS:
        stage = Stage(cls, latching=latching).reach(letter)
        assert stage.letter == letter
        latched = PLAYED[letter].get("off latching") if event == "off" and latching else None
        wanted = latched or PLAYED[letter].get(event, letter)
        if cls in LIFE and event in ("shelve", "hide"):
            wanted = letter
        if cls == AlarmClass.FIRE and letter in "EF" and event == "take_out":
            wanted = letter
        stage.do(event)
        assert stage.letter == wanted, (letter, event)


@pytest.mark.parametrize(("cls", "letter", "latching"), STAGES)
@pytest.mark.parametrize("present", [False, True])
def test_a_restart_in_every_state_of_every_class_changes_nothing(cls, letter, latching, present):
    """The same state, since, person and deadline; and when it was read again, the same end."""
    stage = Stage(cls, latching=latching).reach(letter)
    if present and letter in "GHI":
        stage.do("on")
    before = stage.engine.alarms()["fire"]
    again = engine_of(stage.spec, stage.now + 1000.0)
    assert again.restore(stage.engine.save(), 1000.0) == []
    first = again.step(None, stage.now + 1000.0)
    after = again.alarms()["fire"]
    assert first.transitions == ()
    assert (after.state, after.present) == (before.state, before.present)
    assert after.since == (None if before.since is None else before.since + 1000.0)
    assert (after.aside is None) == (before.aside is None)
    for engine, shift in ((stage.engine, 0.0), (again, 1000.0)):
        for tick in (1.0, 2.0):
            at = stage.now + tick + shift
            assert engine.step(good("s", *stage.values, at=at), at).transitions == ()
    for engine, shift in ((stage.engine, 0.0), (again, 1000.0)):
        end = engine.step(None, stage.now + 700.0 + shift).transitions
        ends = letter in "CGI"
        assert [(one.before, one.at - shift) for one in end] == ([(before.state, end[0].at - shift)] if ends else [])
        assert all(isinstance(one.cause, Deadline) for one in end)
    assert stage.engine.alarms()["fire"].state == again.alarms()["fire"].state


def test_a_bug_while_it_is_hidden_keeps_what_was_present():
    """It comes back as what it was last told to be."""
    failed = []

    def guard(name, call):
        try:
            return call()
        except ZeroDivisionError:
            failed.append(name)
            return None

    class Bomb(float):
        def __gt__(self, other):
            return 1 / 0

    engine = Engine([spec_of()], GROUPS, 0.0, guard)
    engine.step(good("s", 9.0, 0, at=1.0), 1.0)
    ask(engine, Action.SHELVE, 2.0, 60.0)
    engine.step(Scan("s", 0, 3.0, (Bomb(0), 0), bytes(2)), 3.0)
    assert failed == ["rule fire"]
    [end] = engine.step(None, 62.0).transitions
    assert (end.after, end.present) == (State.UNACKNOWLEDGED, True)
    assert end.evidence.samples[0].quality == Quality.GOOD


@pytest.mark.parametrize("saved", ["Li", ["who", "why"], 5, None])
def test_what_hides_nothing_is_refused(saved):
    with pytest.raises(TypeError, match="nobody hides it"):
        aside.restored(saved, 0.0, 0.0)


def test_what_was_hidden_long_after_the_start_is_hidden_still():
    """And what was hidden in the future (by a clock that was wrong) is hidden from now on, for as long."""
    said = {"who": "Li", "why": "repair", "at": 9e6, "until": 9e6 + HOUR}
    back = aside.restored(said, 100.0, 9e6 + 200)
    assert (back.at, back.until) == (9e6 + 100, 9e6 + 100 + HOUR)
    back = aside.restored(said, 0.0, 50.0)
    assert (back.at, back.until) == (50.0, 50.0 + HOUR)
    with pytest.raises(ValueError, match="no times"):
        aside.restored(said | {"until": 9e6 + aside.OUT_OF_SERVICE_S + 2}, 0.0, 9e6)


def test_each_doubt_of_a_suppression_has_its_own_minute():
    """One that ended long ago takes nothing from the next."""
    play(
        """
        0    s 0 1
        1    s 0 1         => fire AH sample
        10   s 0 -
        20   s 0 0         => fire HA sample
        100  s 0 1
        101  s 0 1         => fire AH sample
        110  s 0 -
        169  s 0 -
        170  .             => fire HA deadline
        """,
        alarm(Equals("s/0", 1), suppressed_by=Equals("s/1", 1)),
    )


@pytest.mark.parametrize("wall", ["noon", float("nan"), [1]])
def test_an_end_in_wall_time_that_is_none_is_refused(wall):
    said = {"who": "Li", "why": "repair", "at": 0.0, "until": HOUR, "wall": wall}
    with pytest.raises(ValueError, match="no time: "):
        aside.restored(said, 0.0, 0.0)


def test_a_clock_that_says_when_it_ends_moves_the_deadline_and_is_written():
    """After a reboot that nobody can bridge: ended by the clock, on time, and not by the five minutes of waiting."""
    before = engine_of(spec_of())
    before.step(Clocks(0.0, 1e9, True, 0.0), 0.0)
    ask(before, Action.SHELVE, 10.0, HOUR)
    after = engine_of(spec_of(), now=5.0)
    assert after.restore(before.save(), 0.0, bridged=False) == []
    step = after.step(Clocks(20.0, 1e9 + 610.0, True, 0.0), 20.0)
    assert step.deadline == 20.0 + HOUR - 600.0
    assert "fire" in step.changed


@pytest.mark.parametrize(
    ("changed", "raised"),
    [(Equals("d/s", 1), True), (Equals("d/s", 2), False), (None, False)],
    ids=["same", "other", "none"],
)
def test_a_delay_that_ran_under_another_suppression_begins_anew(changed, raised):
    """What is remembered belongs to a rule; the suppression is a part of it."""

    def engine(suppressed_by, now):
        text = Text("高", "high")
        spec = AlarmSpec(
            "a", AlarmClass.WATER, Severity.LOW, Above("d/x", 5), text, on_delay_s=10.0, suppressed_by=suppressed_by
        )
        return Engine([spec], {("d", 0): ("d/x", "d/s")}, now)

    before = engine(Equals("d/s", 1), 0.0)
    before.step(Scan("d", 0, 1.0, (9.0, 0), bytes(2)), 1.0)
    after = engine(changed, 12.0)
    assert after.restore(before.save(), 0.0) == []
    step = after.step(Scan("d", 0, 12.0, (9.0, 0), bytes(2)), 12.0)
    assert bool(step.transitions) is raised
