"""Conditions over time as transcripts (see `tests.rules.transcript`): what each is for, what an unknown does, and what a
restart keeps."""

import pytest

from gateway.model import Quality, Scan, State
from rules import spec
from rules.condition import Points, build
from rules.engine import Engine
from rules.measure import KEPT_FROM_S, Trend
from rules.spec import Absence, All, Captured, Changed, Equals, Frozen, Held, Latch, Not, Sequence, Times
from rules.truth import NOW, SURE, TRUE, TRUE_UNCERTAIN
from tests.rules.transcript import alarm, play


def is_(point, value=1):
    return spec.Equals(point, value)


def test_held_counts_through_an_unknown_and_not_through_a_false():
    """A door open for 30 s while armed: the on-delay is the door's alone."""
    play(
        """
        0     d 1 1
        20    d - 1
        40    d 1 1        => fire AB sample
        41    d 0 1
        42    d 0 1        => fire BD sample
        50    d 1 1
        60    d 1 0
        75    d 1 1
        80    .            => fire DB deadline
        """,
        alarm(All((Held(is_("d/0"), 30), is_("d/1")))),
    )


def test_held_goes_on_over_a_restart():
    play(
        """
        0     d 1
        20    restart 1000
        25    d 1
        30    .              => fire AB deadline
        """,
        alarm(Held(is_("d/0"), 30)),
    )


def test_times_counts_what_became_true_and_forgets_it():
    """Three refused cards within a minute; a reader that is true when it is first heard refused none that we saw."""
    play(
        """
        0     reader 1
        10    reader 0
        20    reader 1
        21    reader 0
        30    reader 1
        31    reader 0
        70    reader 1       => fire AB sample
        71    reader 0
        72    reader 0
        131   .
        132   .              => fire BD deadline
        """,
        alarm(Times(is_("reader/0"), 3, 60)),
    )


def test_times_remembers_over_a_restart_and_an_unknown_clears_nothing():
    play(
        """
        0     reader 0
        1     reader 0
        10    reader 1
        11    reader 0
        20    restart 500
        25    reader 0
        26    reader 1       => fire AB sample
        27    reader 0
        28    reader 0
        60    reader -
        61    reader 0
        62    reader 0
        121   .
        122   .              => fire BD deadline
        """,
        alarm(Times(is_("reader/0"), 2, 60)),
    )


def test_a_sequence_has_an_order_and_an_end():
    """First the level fault, then the door: not the other way round; true for a minute after."""
    play(
        """
        0     l 0 0
        1     l 0 0
        10    l 0 1
        20    l 1 1
        21    l 1 1
        30    l 0 0
        40    l 1 0
        50    l 1 1          => fire AB sample
        51    l 1 1
        170   .
        171   .              => fire BD deadline
        """,
        alarm(Sequence((is_("l/0"), is_("l/1")), 60)),
    )


def test_a_sequence_goes_on_over_a_restart():
    play(
        """
        0     l 0 0
        10    l 1 0
        20    restart
        21    l 1 0
        30    l 1 1          => fire AB sample
        """,
        alarm(Sequence((is_("l/0"), is_("l/1")), 60)),
    )


def test_absence_is_raised_at_its_time_and_ends_with_the_answer():
    """A pump is told to start, and no pressure comes within 10 s."""
    play(
        """
        0     p 0 0
        1     p 1 0
        5     p 0 0
        11    .              => fire AB deadline
        12    p 0 0
        20    p 0 1
        21    p 0 1          => fire BD sample
        30    p 1 1
        31    p 1 1
        45    .
        """,
        alarm(Absence(is_("p/0"), is_("p/1"), 10)),
    )


def test_one_flipped_bit_is_no_answer_and_an_unknown_one_is_waited_for():
    play(
        """
        0     p 0 0
        1     p 1 0
        5     p 1 1
        6     p 1 0
        7     p 1 -
        11    .
        12    p 1 0          => fire AB sample
        """,
        alarm(Absence(is_("p/0"), is_("p/1"), 10)),
    )


def test_absence_goes_on_over_a_restart_and_what_was_answered_is_not_asked_again():
    play(
        """
        0     p 0 0
        1     p 1 0
        5     restart 100
        6     p 1 0
        11    .              => fire AB deadline
        20    p 1 1
        21    p 1 1          => fire BD sample
        30    restart
        31    p 1 0
        90    p 1 0
        """,
        alarm(Absence(is_("p/0"), is_("p/1"), 10)),
    )


def test_a_latch_is_ended_by_its_reset_alone():
    """Entrapment: raised by the button, ended only by two readings of "level with the door open", whatever the button says."""
    play(
        """
        0     car 0 0
        1     car 1 0        => fire AB sample
        2     car 0 0
        3     car 0 0
        4     restart 1000
        5     car 0 0
        6     car 0 0
        7     car - 0
        8     car 0 -
        9     car 0 1
        10    car 0 0
        11    car 0 1
        12    car 0 1        => fire BD sample
        13    car 0 0
        14    car 0 0
        """,
        alarm(Latch(is_("car/0"), is_("car/1"))),
    )


def test_while_it_is_set_a_latch_is_not_reset():
    play(
        """
        0     car 1 1        => fire AB sample
        1     car 1 1
        2     car 0 1
        3     car 0 1        => fire BD sample
        """,
        alarm(Latch(is_("car/0"), is_("car/1"))),
    )


def test_presence_is_captured_when_the_door_closes():
    """Somebody went in and the door closed: still inside when the sensor loses him. It opens empty: nobody is."""
    inside = Captured(is_("car/0"), is_("car/1"))
    play(
        """
        0     car 0 0 0
        1     car 1 0 0
        2     car 1 1 0
        3     car 0 1 0
        4     restart 77
        5     car 0 1 0
        6     car 0 1 1      => fire AB sample
        7     car 0 0 0
        8     car 0 0 0      => fire BD sample
        9     car 0 1 0
        10    car 0 1 1
        11    car 0 1 1
        """,
        alarm(All((inside, is_("car/2")))),
    )


def test_a_heart_beat_that_stops_is_frozen_and_one_that_cannot_be_read_is_not():
    play(
        """
        0     plc 1
        5     plc 2
        10    plc 3
        15    plc 3
        24    plc 3
        25    plc -
        26    plc 3          => fire AB sample
        27    plc 4
        28    plc 5
        29    plc 6          => fire BD sample
        30    plc -
        60    plc -
        """,
        alarm(Frozen("plc/0", 16)),
    )


def test_a_bit_that_beats_again_is_not_frozen():
    """Three changes in a row are no flipped bit."""
    play(
        """
        0     plc 1
        10    plc 1
        16    plc 1          => fire AB sample
        17    plc 0
        18    plc 1
        19    plc 0
        20    plc 1          => fire BD sample
        """,
        alarm(Frozen("plc/0", 16)),
    )


def test_frozen_counts_on_over_a_restart():
    """If it is still the same value; else it has moved."""
    play(
        """
        0     plc 3
        10    plc 3
        20    restart 400
        21    plc 3
        100   plc 3          => fire AB sample
        """,
        alarm(Frozen("plc/0", 100)),
    )
    play(
        """
        0     plc 3
        10    plc 3
        20    restart 400
        21    plc 4
        100   plc 4
        120   plc 4
        121   plc 4          => fire AB sample
        """,
        alarm(Frozen("plc/0", 100)),
    )


def test_a_single_other_value_may_be_a_flipped_bit():
    """It may raise "changed" and does not clear "frozen"."""
    points = Points({("d", 0): ("d/x",)})
    changed, frozen = (build(when, points, 0.0) for when in (Changed("d/x", 10), Frozen("d/x", 10)))
    for at, value in enumerate([1] * 11 + [65, 1, 1]):
        for condition in (changed, frozen):
            condition.leaves[0][1].take(Scan("d", 0, float(at), (value,), bytes(1)), float(at))
    assert [changed.root.truth(track, 13.0) for track in (NOW, SURE)] == [TRUE_UNCERTAIN, TRUE_UNCERTAIN]
    assert [frozen.root.truth(track, 13.0) for track in (NOW, SURE)] == [1, 1]


def test_what_stood_still_before_a_long_gap_is_not_remembered_over_a_restart():
    """It was written that the value stood still; that it is not known any more must be written, too."""
    engine = Engine([alarm(Frozen("s/0", 10))], {("s", 0): ("s/0",)}, 0.0)
    journal = {}
    for at, value in [(0.0, 1), (3.0, 1), (6.0, 1), (30.0, 1)]:
        journal |= engine.step(Scan("s", 0, at, (value,), bytes(1)), at).changed
    assert {name: body for name, body in journal.items() if body is not None} == engine.save() == {}


def test_the_door_that_closes_over_a_restart_captures_who_is_inside():
    """It was open before and is closed with the first scan after: that is the moment, although none was seen before."""
    rule, groups = alarm(Captured(Equals("s/0", 1), Equals("d/0", 1))), {("s", 0): ("s/0",), ("d", 0): ("d/0",)}
    before = Engine([rule], groups, 0.0)
    before.step(Scan("d", 0, 1.0, (0,), bytes(1)), 1.0)
    after = Engine([rule], groups, 2.0)
    assert after.restore(before.save(), 0.0) == []
    after.step(Scan("s", 0, 3.0, (1,), bytes(1)), 3.0)
    [raised] = after.step(Scan("d", 0, 3.0, (1,), bytes(1)), 3.0).transitions
    assert raised.after is State.UNACKNOWLEDGED


def test_a_card_number_changes_without_a_state():
    play(
        """
        0     reader 7
        1     reader 7
        5     reader 9       => fire AB sample
        6     reader 9
        9     reader 9
        11    reader 9
        12    reader 9       => fire BD sample
        """,
        alarm(Changed("reader/0", 5)),
    )


def trend_over_a_day(restart_shift=None):
    rule = alarm(spec.Rate("s/0", 1e-5, 86400.0))
    groups = {("s", 0): ("s/0",)}
    engine, at, shift, journal = Engine([rule], groups, 0.0), 0.0, 0.0, {}
    written = 0
    for minute in range(24 * 60):
        at = minute * 60.0 + shift
        if restart_shift is not None and minute == 15 * 60:
            saved = {name: body for name, body in journal.items() if body is not None}
            shift = restart_shift
            at += shift
            engine = Engine([rule], groups, at)
            assert engine.restore(saved, shift) == []
        step = engine.step(Scan("s", 0, at, (minute * 60.0 * 2e-5,), bytes(1)), at)
        written += len(step.changed)
        journal |= step.changed
        if step.transitions:
            return minute, written, journal
    raise AssertionError("never raised")


def test_a_trend_of_a_day_is_not_blind_after_a_restart():
    """Nine tenths of a day fill the window, once; the state is at most 3 kB and written at most every 45 minutes."""
    minute, written, journal = trend_over_a_day()
    assert (minute, written) == (1296, 30)
    assert len(journal["fire"]) < 3000
    rule = alarm(spec.Rate("s/0", 1e-5, 86400.0))
    for shift in (0.0, 5000.0):
        engine = Engine([rule], {("s", 0): ("s/0",)}, 80_000.0 + shift)
        assert engine.restore({"fire": journal["fire"]}, shift) == []
        at = 80_000.0 + shift
        engine.step(Scan("s", 0, at, (1.0,), bytes(1)), at)
        assert engine.alarms()["fire"].truth == (TRUE if shift == 0 else TRUE_UNCERTAIN)


@pytest.mark.parametrize(
    "saved", [[[1]], "x", [[1, 2, 3, 4, 5, 9]], [[0, 1, 1, 1, 1, 0]], [[1, 1, float("nan"), 1, 1, 0]], [[1] * 6] * 40]
)
def test_a_damaged_trend_is_refused(saved):
    with pytest.raises(ValueError, match="sums"):
        Trend(1.0, KEPT_FROM_S).remember(saved, 0.0, 0.0)


@pytest.mark.parametrize(
    ("when", "saved"),
    [
        (Held(is_("d/x"), 5), [1, 2]),
        (Times(is_("d/x"), 2, 5), [1, 2, 3]),
        (Sequence((is_("d/x"), is_("d/x", 2)), 5), [1]),
        (Absence(is_("d/x"), is_("d/x", 2), 5), [1, 0, True, True]),
        (Absence(is_("d/x"), is_("d/x", 2), 5), [1]),
        (Latch(is_("d/x"), is_("d/x", 2)), [5, 0]),
        (Captured(is_("d/x"), is_("d/x", 2)), [True, 0, 0]),
        (Frozen("d/x", 5), ["x", 1]),
    ],
)
def test_a_damaged_memory_is_refused(when, saved):
    """Whatever it is, ValueError says so."""
    condition = build(when, Points({("d", 0): ("d/x",)}), 0.0)
    with pytest.raises(ValueError, match="not "):
        condition.memories[-1].remember(saved, 0.0, 0.0)


@pytest.mark.parametrize(
    ("when", "mistake"),
    [
        (Held(is_("d/x"), 0), "for_s"),
        (Times(is_("d/x"), 0, 5), "0 times"),
        (Times(is_("d/x"), 1, float("inf")), "within_s"),
        (Sequence((is_("d/x"),), 5), "less than two"),
        (Absence(is_("d/x"), is_("d/x"), 0), "within_s"),
        (Changed("d/x", 0), "no time"),
        (Frozen("d/none", 1), "no such point"),
        (Not(spec.Schedule((), 0, 1)), "no days"),
        (spec.Schedule((8,), 0, 1), "no days"),
        (spec.Schedule((1,), 0, 90_000), "time of day"),
    ],
)
def test_what_cannot_be_evaluated_is_not_built(when, mistake):
    with pytest.raises(ValueError, match=mistake):
        build(when, Points({("d", 0): ("d/x",)}), 0.0)


def test_an_unknown_end_of_a_latch_is_no_end():
    """With both unknown it may still raise and no longer clears its opposite."""
    condition = build(Latch(is_("d/x"), is_("d/x", 2)), Points({("d", 0): ("d/x",)}), 0.0)
    for at, value in ((0.0, 1), (1.0, 1)):
        for key, leaf in condition.leaves:
            leaf.take(Scan(*key, at, (value,), bytes(1)), at)
        condition.root.truth(SURE, at)
    assert condition.root.truth(SURE, 1.0) == TRUE
    for key, leaf in condition.leaves:
        leaf.take(Scan(*key, 2.0, (None,), bytes([Quality.NOT_RESPONDING])), 2.0)
    assert [condition.root.truth(track, 2.0) for track in (NOW, SURE)] == [TRUE_UNCERTAIN, TRUE_UNCERTAIN]
